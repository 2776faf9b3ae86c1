"""A trained head on new audio: `soundprobe predict`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from soundprobe.predicting.load import find_heads, load_predictor
from soundprobe.predicting.prediction import Prediction


def predict(
    clips: str | Path | Iterable[str | Path],
    *,
    run: str | Path | None = None,
    head: str | Path | None = None,
    heads: str | Path = "heads",
    dataset: str | None = None,
    weights: str | Path | None = None,
    channels: str | None = None,
    device: str = "auto",
    progress: bool = True,
) -> list[Prediction]:
    """What the heads of a run say of each clip; see `load_predictor` for the errors.

    Args:
        run: "best", a run's name, the beginning of its key, or its folder; see `scoring.run_names.find_run`. `head` is
            its older name.
        heads: the folder that runs are below; dataset: only runs on that data set.

    Raises:
        ConfigError: no run, or several, are named so. AudioError: a clip can't be decoded.
    """
    paths = [clips] if isinstance(clips, str | Path) else list(clips)
    folder = find_heads(head if run is None else run, heads=heads, dataset=dataset)
    predictor = load_predictor(folder, weights=weights, channels=channels, device=device, progress=progress)
    return [predictor.predict(str(path)) for path in paths]

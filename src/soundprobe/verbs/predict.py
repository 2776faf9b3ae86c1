"""A trained head on new audio: `soundprobe predict`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from soundprobe.predicting.load import CAN_PREDICT, load_predictor
from soundprobe.predicting.prediction import Prediction
from soundprobe.scoring.run_names import run_folder


def predict(
    clips: str | Path | Iterable[str | Path],
    *,
    run: str | Path | None = None,
    head: str | Path | None = None,
    heads: str | Path = "heads",
    dataset: str | None = None,
    weights: str | Path | None = None,
    channels: str | None = None,
    unknown: bool = True,
    device: str = "auto",
    progress: bool = True,
) -> list[Prediction]:
    """What the heads of a run say of each clip; see `load_predictor` for the errors.

    Args:
        run: "best", a run's name, the beginning of its key, or its folder; see `scoring.run_names.find_run`. `head` is
            its older name.
        heads: the folder that runs are below; dataset: only runs on that data set.
        unknown: whether a fit may call a clip none of its classes.

    Raises:
        ConfigError: no run, or several, are named so. AudioError: a clip can't be decoded.
    """
    paths = [clips] if isinstance(clips, str | Path) else list(clips)
    folder = run_folder(heads, head if run is None else run, dataset=dataset, kinds=CAN_PREDICT)
    predictor = load_predictor(folder, weights=weights, channels=channels, device=device, progress=progress)
    predictor = predictor if unknown else predictor.without_unknown()
    return [predictor.predict(str(path)) for path in paths]

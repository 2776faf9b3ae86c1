"""A trained head on new audio: `soundprobe predict`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from soundprobe.audio.from_python import sources_of
from soundprobe.data.listing import with_folders
from soundprobe.predicting.load import load_predictor
from soundprobe.predicting.predictions import Predictions
from soundprobe.predicting.predictor import Listening
from soundprobe.predicting.tagging import TAGGING, load_tagger


def predict(
    clips: Any,
    *,
    run: str | Path | None = None,
    head: str | Path | None = None,
    heads: str | Path = "heads",
    dataset: str | None = None,
    sample_rate_hz: float | None = None,
    weights: str | Path | None = None,
    channels: str | None = None,
    unknown: bool = True,
    window_s: float | None = None,
    hop_s: float | None = None,
    threshold: float | Mapping[str, float] | None = None,
    min_duration_s: float = 0.0,
    device: str = "auto",
    progress: bool = True,
) -> Predictions:
    """What the heads of a run say of each clip: a list that shows itself in a notebook and makes tables.

    Args:
        clips: a path, a folder, bytes, a file object, an array or tensor (T,) or (channels, T) of floats in [-1, 1], a
            row of `datasets.Audio`, or several of these in a list; see `sources_of`.
        sample_rate_hz: of arrays.
        run, heads, dataset, weights, channels, device: see `load_predictor`; `head` is the older name of `run`.
        unknown: whether a fit may call a clip none of its classes.
        window_s, hop_s, threshold, min_duration_s: see `Listening`.

    Raises:
        SoundprobeError: as `sources_of` and `load_predictor`. AudioError: a clip can't be decoded.
    """
    listening = Listening(window_s, hop_s, threshold, min_duration_s)
    listening.check()
    sources = [source for source, _ in with_folders(sources_of(clips, sample_rate_hz))]
    predictor = load_predictor(
        head if run is None else run,
        heads=heads,
        dataset=dataset,
        weights=weights,
        channels=channels,
        device=device,
        progress=progress,
    )
    return (predictor if unknown else predictor.without_unknown())(sources, listening=listening)


def tags(
    clips: Any,
    *,
    backbone: str = TAGGING,
    weights: str | Path | None = None,
    sample_rate_hz: float | None = None,
    channels: str | None = None,
    window_s: float | None = None,
    hop_s: float | None = None,
    threshold: float | Mapping[str, float] | None = None,
    min_duration_s: float = 0.0,
    device: str = "auto",
    progress: bool = True,
) -> Predictions:
    """What a pretrained backbone's own classifier hears in each clip, with no training: AudioSet's 527 classes, each
    with a probability of its own.

    Args:
        clips, sample_rate_hz, window_s, hop_s, threshold, min_duration_s: as of `predict`; segments are those of every
            tag that reaches the threshold, 0.2 by default, and may overlap.
        backbone, weights, channels, device: see `load_tagger`.

    Raises:
        SoundprobeError: as `sources_of` and `load_tagger`. AudioError: a clip can't be decoded.
    """
    listening = Listening(window_s, hop_s, threshold, min_duration_s)
    listening.check()
    sources = [source for source, _ in with_folders(sources_of(clips, sample_rate_hz))]
    tagger = load_tagger(backbone, weights=weights, channels=channels, device=device, progress=progress)
    return tagger(sources, listening=listening)

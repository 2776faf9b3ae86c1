"""A trained head on new audio: `soundprobe predict`."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from soundprobe.audio.encoded import open_encoded
from soundprobe.audio.from_python import sources_of
from soundprobe.audio.live import Live, Raw
from soundprobe.base.errors import AudioError, ConfigError, DataError, Lacking
from soundprobe.base.files import scratch_folder
from soundprobe.base.parallel import NETWORK_ENGINES, check_engine, one_cluster
from soundprobe.base.progress import progress_bar
from soundprobe.base.records import EncodedAudio, Source
from soundprobe.data.listing import listed, with_folders
from soundprobe.predicting.labelling import Recording
from soundprobe.predicting.loading import check_weights, find_heads, load_predictor
from soundprobe.predicting.prediction import Prediction, Segment
from soundprobe.predicting.prediction_list import Predictions
from soundprobe.predicting.predictor import Listening, Predictor
from soundprobe.predicting.segmenting import thresholds_of
from soundprobe.predicting.tagging import TAGGING, check_tagger, load_tagger

STDIN, STDIN_NAME = "-", "stdin"
BYTES_OF_MB = 1e6


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
    engine: str = "threads",
    address: str | None = None,
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
        engine, address: "threads" of this process, or "dask": some files a task on a cluster's workers, which have them
            under the same path; see `base.parallel.run_tasks`.
        progress: show a bar.

    Raises:
        SoundprobeError: as `sources_of` and `load_predictor`. AudioError: a clip can't be decoded.
    """
    check_engine(engine, address, NETWORK_ENGINES)
    listening = Listening(window_s, hop_s, threshold, min_duration_s)
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
    predictor = predictor if unknown else predictor.without_unknown()
    with one_cluster(engine, address, shown=progress):
        return predictor(sources, listening=listening, engine=engine)


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
    engine: str = "threads",
    address: str | None = None,
    progress: bool = True,
) -> Predictions:
    """What a pretrained backbone's own classifier hears in each clip, with no training: AudioSet's 527 classes, each
    with a probability of its own.

    Args:
        clips, sample_rate_hz, window_s, hop_s, threshold, min_duration_s: as of `predict`; segments are those of every
            tag that reaches the threshold, 0.2 by default, and may overlap.
        backbone: whose published network has a classifier; weights: "pretrained" or the published file.
        channels, device, engine, address, progress: as of `predict`.

    Raises:
        SoundprobeError: as `sources_of` and `load_tagger`. AudioError: a clip can't be decoded.
    """
    check_engine(engine, address, NETWORK_ENGINES)
    listening = Listening(window_s, hop_s, threshold, min_duration_s)
    sources = [source for source, _ in with_folders(sources_of(clips, sample_rate_hz))]
    tagger = load_tagger(backbone, weights=weights, channels=channels, device=device, progress=progress)
    with one_cluster(engine, address, shown=progress):
        return tagger(sources, listening=listening, engine=engine)


def find_folder(clips: Sequence[Path], heads: Path, run: str | None, dataset: str | None, weights: str | None) -> Path:
    """The folder of the run.

    Raises:
        SoundprobeError: it, its weights, or all of what was named as clips is missing: all that is.
    """
    lacking, folder = Lacking(), heads
    with lacking.noted():
        check_clips(clips)
    with lacking.noted():
        folder = find_heads(run, heads=heads, dataset=dataset)
        check_weights(folder, weights)
    lacking.tell()
    return folder


def check_tags(clips: Sequence[Path], run: str | None, backbone: str | None, weights: str | None) -> str:
    """The backbone whose tags are asked for.

    Raises:
        SoundprobeError: a run is given, the backbone has no tags, weights are missing, or all that was named as clips.
    """
    if run is not None:
        raise ConfigError(f"--tags asks no run, and --run {run} is given. Leave one of them out.")
    backbone, lacking = backbone or TAGGING, Lacking()
    with lacking.noted():
        check_clips(clips)
    with lacking.noted():
        check_tagger(backbone, weights)
    lacking.tell()
    return backbone


def check_clips(clips: Sequence[Path]) -> None:
    """Raises DataError where none of them is there."""
    if not any(str(place) == STDIN or os.path.exists(listed(place)) for place in clips):
        named = ", ".join(map(str, clips))
        raise DataError(f"There is no file or folder {named}. Name audio files, or folders of them.")


@contextmanager
def heard(
    predictor: Predictor,
    recordings: Sequence[Recording],
    how: Listening,
    raw: Raw | None = None,
    *,
    jobs: int = 2,
    engine: str = "threads",
    address: str | None = None,
    progress: bool = True,
) -> Iterator[Iterator[Prediction | AudioError]]:
    """What is said of each recording, or why it can't be heard, in their order.

    Args:
        raw: how the samples of `STDIN` are written; None where it has encoded audio.
        jobs: recordings that are decoded ahead; engine, address: as of `predict`.
    """
    total_mb = sum(recording.size_bytes for recording in recordings) / BYTES_OF_MB
    with (
        one_cluster(engine, address, shown=progress),
        _sources(recordings, raw) as sources,
        progress_bar("predict", max(total_mb, 1e-6), "MB", shown=progress) as bar,
    ):
        heard_mb = size_mb = 0.0

        def advance(share: float) -> None:
            nonlocal heard_mb
            bar.advance(share * size_mb - heard_mb)
            heard_mb = share * size_mb

        outcomes = predictor.predict_each(sources, how, files_ahead=jobs, on_heard=advance, engine=engine)

        def each() -> Iterator[Prediction | AudioError]:
            nonlocal heard_mb, size_mb
            for recording in recordings:
                heard_mb, size_mb = 0.0, recording.size_bytes / BYTES_OF_MB
                done = next(outcomes)
                advance(1.0)
                yield done

        yield each()


@contextmanager
def _sources(recordings: Sequence[Recording], raw: Raw | None) -> Iterator[list[Source | Live]]:
    """What is heard of each; encoded audio on standard input is laid down first, since it may be read backwards."""
    with scratch_folder() as place:
        laid = place / "stdin"
        sources: list[Source | Live] = []
        for recording in recordings:
            if str(recording.path) != STDIN:
                sources.append(str(recording.path))
            elif raw is not None:
                sources.append(_live(raw))
            else:
                with laid.open("wb") as file:
                    shutil.copyfileobj(sys.stdin.buffer, file)
                sources.append(EncodedAudio(STDIN_NAME, partial(open_encoded, str(laid))))  # type: ignore[arg-type]
        yield sources


def _live(raw: Raw | None) -> Live:
    return Live(STDIN_NAME, sys.stdin.buffer, raw)


def followed(predictor: Predictor, raw: Raw | None, how: Listening) -> Iterator[Prediction]:
    """Standard input, window by window: one segment for each whose most probable class reaches its threshold, and for
    each tag that does."""
    live, names = _live(raw), predictor.class_names
    least = thresholds_of(names, predictor.threshold(how))
    for window, said in predictor.follow(live, how):
        proba, end_s = said.proba[0], window.end_s
        order = (-proba).argsort(kind="stable")
        for c in order if predictor.multilabel else order[:1]:
            if proba[c] >= least[c] and not predictor.is_unknown(said)[0]:
                segment = Segment(window.start_s, end_s, names[c], float(proba[c]))
                yield Prediction(live.name, names, proba, 0, end_s, end_s, segments=(segment,))

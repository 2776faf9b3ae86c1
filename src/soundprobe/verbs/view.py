"""`soundprobe view`: clips to see and to hear, and what a trained head, or anybody, says of them over time."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Any

from soundprobe.audio.checks import notes as sound_notes
from soundprobe.audio.decode import check_channels
from soundprobe.audio.encoded import source_name
from soundprobe.audio.from_python import sources_of
from soundprobe.base.errors import AudioError, ConfigError, DataError
from soundprobe.base.records import Segment, Source, Timeline
from soundprobe.data.listing import with_folders
from soundprobe.predicting.predictor import Listening
from soundprobe.predicting.segmenting import segments as segments_of
from soundprobe.viewing.label_files import read_segments
from soundprobe.viewing.page import ClipView, View, clip_view

MOST_CLIPS = 50
MOST_MB = 50.0
BYTES_OF_MB = 1_000_000
NAMES_SHOWN = 5


def view(
    clips: Any,
    *,
    sample_rate_hz: float | None = None,
    run: str | Path | None = None,
    head: str | Path | None = None,
    segments: str | Path | Sequence[Segment] | None = None,
    heads: str | Path = "heads",
    dataset: str | None = None,
    weights: str | Path | None = None,
    window_s: float = 1.0,
    hop_s: float = 0.5,
    frames: bool = False,
    limit: int = MOST_CLIPS,
    max_mb: float = MOST_MB,
    channels: str | None = None,
    device: str = "auto",
    progress: bool = True,
) -> View:
    """The spectrogram with a moving playhead of a clip, of several, or of every clip in a folder.

    Args:
        clips: an audio file, a folder (looked through with its subfolders), sound in memory (see `sources_of`), or
            several of these; sample_rate_hz: of arrays.
        run, head, heads, dataset: whose heads, see `predict`; then class probabilities over time stand under each
            spectrogram, the mean over the heads of all folds, in windows of `window_s` every `hop_s`: shorter ones than
            those of `predict`, by default, to show what changes within a clip.
        frames: what the heads of a run on frames say of each frame by itself, instead of windows.
        segments: labelled stretches to show instead of the heads' own, or a file of them: CSV with start, end,
            label and, if you have it, probability and clip; Audacity's labels; Raven's selections.
        weights, device: of the heads' backbone, see `load_predictor`.
        limit: at most so many clips of what is named; a note says how many are left out.
        max_mb: how many million bytes sounds and pictures may take; a clip that doesn't fit any more is left out, and
            a note names it.
        channels: what becomes of a clip's: "mean" (what is shown by default), "first" or "loudest". None takes for the
            probabilities what the head's embeddings were made of. progress: show a bar.

    Raises:
        DataError: there is no audio in the folder. AudioError: a clip that was named can't be decoded.
        ConfigError: `limit`, `max_mb`, a window or a hop is not valid; the run is not one of a probe.
    """
    if limit < 1:
        raise ConfigError(f"--limit {limit} is not valid: give 1 or more.")
    if channels is not None:
        check_channels(channels)
    if not 0 < max_mb < math.inf:
        raise ConfigError(f"--max-mb {max_mb:g} is not valid: give more than 0, such as {MOST_MB:g}.")
    found = list(with_folders(sources_of(clips, sample_rate_hz)))
    if not found:
        raise DataError("No clip given. Name an audio file or a folder of them.")
    if frames and run is None and head is None:
        raise ConfigError("--frames asks the heads of a run about each frame. Name one with --run.")
    labels = {} if segments is None else _labels(segments, [source for source, _ in found])
    predictor = None
    run = head if run is None else run
    if run is not None:
        from soundprobe.predicting.loading import load_predictor

        predictor = load_predictor(
            run, heads=heads, dataset=dataset, weights=weights, channels=channels, device=device, progress=progress
        )
    shown: list[ClipView] = []
    too_large: list[ClipView] = []
    notes, failed, taken = [], 0, 0
    for source, from_folder in found[:limit]:
        try:
            timeline: Timeline | None = None
            stretches: Sequence[Segment] = ()
            if predictor is not None and frames:
                timeline = predictor.frame_timeline(source)
                stretches = segments_of(timeline, threshold=predictor.threshold(Listening()))
            elif predictor is not None:
                said = predictor.predict(source, Listening(window_s, hop_s))
                timeline, stretches = said.timeline, said.segments
            if labels:
                stretches = labels.get(source_name(source), ())
            clip = clip_view(source, channels=channels or "mean", timeline=timeline, segments=stretches)
        except AudioError as error:
            if not from_folder:
                raise
            failed += 1
            notes.append(f"{error.name} is not shown: {error.reason}.")
            continue
        if taken + clip.page_bytes > max_mb * BYTES_OF_MB:
            too_large.append(clip)
        else:
            taken += clip.page_bytes
            shown.append(clip)
    place = source_name(clips if isinstance(clips, str | Path) else found[0][0])
    if too_large:
        notes.append(_too_large_note(too_large, taken, max_mb))
    if not shown and too_large:
        raise DataError(f"No clip of {place} fits on the page. {notes[-1]}")
    if not shown:
        raise DataError(f"None of the {len(notes)} clips in {place} can be shown. {notes[0]}")
    notes += sound_notes({clip.name: clip.findings for clip in shown})
    if len(found) > limit:
        notes.append(f"The first {limit} of {len(found)} clips; --limit {len(found)} shows all.")
    if predictor is not None:
        count = len(predictor.heads)
        whose = f"the mean of {count} heads, one of each fold," if count > 1 else "of one head"
        heard = "of each frame by itself" if frames else f"in windows of {window_s:g} s every {hop_s:g} s"
        notes.append(f"The probabilities are {whose} {heard}. They are no test of a clip that heads were trained on.")
    one = isinstance(clips, str | Path) or len(found) == 1
    title = (Path(place).name or place) if one else f"{len(shown)} clips"
    return View(title, tuple(shown), tuple(notes), failed)


def _labels(segments: str | Path | Sequence[Segment], sources: Sequence[Source]) -> Mapping[str, Sequence[Segment]]:
    """The segments that were given, by the `source_name` of the clip that they are of.

    Clips are known by their names; where several have one, by as much of their folders as tells them apart.
    """
    given = read_segments(segments) if isinstance(segments, str | Path) else {"": list(segments)}
    names = [source_name(source) for source in sources]
    if "" in given:
        if len(sources) > 1:
            raise DataError(
                f"The segments don't say of which of the {len(sources)} clips they are. Name one clip, or give the "
                "file a column clip with the recordings' names."
            )
        return {names[0]: given[""]}
    same: dict[tuple[str, str], int] = {}
    files: dict[str, list[str]] = {}
    for of in given:
        files.setdefault(PurePosixPath(of).name, []).append(of)
    for name in names:
        for of in files.get(Path(name).name, ()):
            pairs = zip(reversed(Path(os.path.abspath(name)).parts), reversed(PurePosixPath(of).parts), strict=False)
            same[name, of] = len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))
    of_name: dict[str, int] = {}
    of_file: dict[str, int] = {}
    for (name, of), count in same.items():
        of_name[name], of_file[of] = max(of_name.get(name, 0), count), max(of_file.get(of, 0), count)
    found: dict[str, list[Segment]] = {}
    for (name, of), count in same.items():
        if count == of_name[name] == of_file[of]:
            found[name] = found.get(name, []) + given[of]
    if not found:
        told = ", ".join(PurePosixPath(of).name for of in list(given)[:NAMES_SHOWN])
        raise DataError(f"The segments are of {told}, and none of the clips is called so. Name those recordings.")
    return found


def _too_large_note(clips: Sequence[ClipView], taken: int, max_mb: float) -> str:
    names = ", ".join(clip.name for clip in clips[:NAMES_SHOWN])
    more = f" and {len(clips) - NAMES_SHOWN} more" if len(clips) > NAMES_SHOWN else ""
    # Rounded up to 2 digits, so that what the note asks for is enough.
    needed = math.ceil(100 * (taken + sum(clip.page_bytes for clip in clips)) / BYTES_OF_MB) / 100
    return f"Left out, beyond {max_mb:g} MB: {names}{more}; --max-mb {needed:.2f} shows all."

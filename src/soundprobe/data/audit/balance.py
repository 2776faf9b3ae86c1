"""How evenly folds and recordings hold the clips: what makes a fold's score a matter of luck.

Letters: N clips, C classes, F folds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from soundprobe.base.records import Clips, Embeddings

THIN_RECORDINGS = 3
"""A class with fewer recordings in a fold is listed: a single one then decides much of its score there."""


@dataclass(frozen=True)
class FoldBalance:
    """One fold. `class_clips` and `class_recordings` hold C counts, in the order of the class names.

    `salience` counts the clips of each value ("1" foreground, "2" background); None where the data has no such column.
    """

    fold: int
    clips: int
    recordings: int
    class_clips: tuple[int, ...]
    class_recordings: tuple[int, ...]
    salience: dict[str, int] | None


@dataclass(frozen=True)
class ThinClass:
    """A class of which a fold holds few recordings, or none."""

    fold: int
    class_name: str
    recordings: int
    clips: int


@dataclass(frozen=True)
class ClipsPerRecording:
    """How clips share recordings. `largest` holds (recording, clips), the most first.

    `effective` is how many recordings of equal size would say as much: (sum of clips)^2 / sum of clips^2.
    """

    fewest: int
    median: float
    mean: float
    most: int
    effective: float
    largest: tuple[tuple[str, int], ...]


def balance_folds(data: Clips | Embeddings) -> tuple[FoldBalance, ...]:
    """Each fold's counts, in ascending order of the fold."""
    C = len(data.class_names)
    salience = data.columns.get("salience")
    values = [] if salience is None else np.unique(salience).tolist()
    found = []
    for fold in np.unique(data.folds):
        here = data.folds == fold
        labels, groups = data.labels[here], data.groups[here]
        _, first = np.unique(np.char.add(np.char.add(groups, "\0"), labels.astype(np.str_)), return_index=True)
        found.append(
            FoldBalance(
                fold=int(fold),
                clips=len(labels),
                recordings=len(np.unique(groups)),
                class_clips=tuple(np.bincount(labels, minlength=C).tolist()),
                class_recordings=tuple(np.bincount(labels[first], minlength=C).tolist()),
                salience=None
                if salience is None
                else {str(value): int((salience[here] == value).sum()) for value in values},
            )
        )
    return tuple(found)


def find_thin_classes(folds: tuple[FoldBalance, ...], class_names: tuple[str, ...]) -> tuple[ThinClass, ...]:
    """Every class with fewer than 3 recordings in a fold, the fewest first."""
    thin = [
        ThinClass(fold.fold, name, recordings, clips)
        for fold in folds
        for name, recordings, clips in zip(class_names, fold.class_recordings, fold.class_clips, strict=True)
        if recordings < THIN_RECORDINGS
    ]
    return tuple(sorted(thin, key=lambda one: (one.recordings, one.clips, one.fold)))


def count_clips_per_recording(groups: np.ndarray, *, largest: int = 10) -> ClipsPerRecording:
    """The spread of the recordings' sizes, from the clips' recordings (N,), and the `largest` recordings by name."""
    names, clips = np.unique(groups, return_counts=True)
    order = np.argsort(-clips, kind="stable")[:largest]
    return ClipsPerRecording(
        fewest=int(clips.min()),
        median=float(np.median(clips)),
        mean=float(clips.mean()),
        most=int(clips.max()),
        effective=float(clips.sum() ** 2 / (clips.astype(np.float64) ** 2).sum()),
        largest=tuple((str(names[place]), int(clips[place])) for place in order),
    )

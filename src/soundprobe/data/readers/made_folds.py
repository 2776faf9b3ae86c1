"""Cross-validation folds: making them where a data set brings none, and checking those that are official."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import PurePosixPath

import numpy as np

from soundprobe.base.errors import DataError, note
from soundprobe.base.records import Clips
from soundprobe.base.texts import CompactTexts


def make_folds(
    ids: Sequence[str],
    labels: np.ndarray,
    groups: np.ndarray | CompactTexts | None,
    class_names: Sequence[str],
    folds: int,
    seed: int,
) -> np.ndarray:
    """Folds (N,) int64 from 1 to `folds`, stratified by class; with `groups`, no recording sits in two folds.

    Equal ids, labels, groups and seed give equal folds whatever the clips' order.

    Args:
        ids: N clip ids; labels: (N,) int; groups: (N,) source recordings, or None to split clip by clip.

    Raises:
        DataError: fewer than 2 folds, a class with fewer clips or recordings than folds, or a fold left empty.
    """
    if folds < 2:
        raise DataError(f"--folds {folds} is not valid: give 2 or more.")
    known = None if groups is None else np.unique(groups, return_inverse=True)[1]
    units = np.arange(len(labels)) if known is None else known
    counts = [len(np.unique(units[labels == label])) for label in range(len(class_names))]
    fewest = int(np.argmin(counts))  # else what is given for one class is too many for the next
    if (count := counts[fewest]) < folds:
        unit = "clip" if known is None else "recording"
        remedy = f"Give --folds {count}" if count >= 2 else f"Add {unit}s or drop it"
        raise DataError(
            f"Class {class_names[fewest]!r} has {count} {unit}{'' if count == 1 else 's'}, too few for {folds} folds. "
            f"{remedy}."
        )
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    order = np.argsort(ids, kind="stable")
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    split = kind(n_splits=folds, shuffle=True, random_state=seed).split(
        np.zeros(len(order)), labels[order], None if groups is None else groups[order]
    )
    made = np.zeros(len(order), dtype=np.int64)
    for fold, (_, test) in enumerate(split, start=1):
        if len(test) == 0:
            raise DataError(f"The recordings can't be spread over {folds} folds: one stays empty. Give fewer --folds.")
        made[order[test]] = fold
    return made


def deal_readable(clips: Clips, readable: np.ndarray) -> Clips:
    """The clips with made folds dealt anew over those that are `readable` (N,) bool, as if there were no others.

    Folds of a data set's own stay. A class that a made fold lacks is said in a note.
    """
    if clips.folds_seed is None:
        return clips
    if readable.any() and not readable.all():
        rows = np.flatnonzero(readable)
        count, groups = len(np.unique(clips.folds)), clips.groups[rows] if clips.recordings_known else None
        folds = clips.folds.copy()
        with suppress(DataError):  # too few are left of a class: the folds stay, and the note below names it
            folds[rows] = make_folds(
                clips.ids[rows].tolist(), clips.labels[rows], groups, clips.class_names, count, clips.folds_seed
            )
        clips = replace(clips, folds=folds)
    for name, lacking in missing_classes(clips, readable).items():
        note(
            f"Class {name!r} has no readable clip in fold {', '.join(map(str, lacking))}, so it is not tested there. "
            "Give fewer --folds."
        )
    return clips


def missing_classes(clips: Clips, readable: np.ndarray) -> dict[str, list[int]]:
    """Class -> the tested folds that have no readable clip of it. Classes without any clip are left out."""
    folds, labels = clips.folds[readable], clips.labels[readable]
    tested = [fold for fold in clips.tested_folds if fold in folds]
    found = {}
    for label in np.unique(labels):
        here = set(folds[labels == label].tolist())
        if lacking := [fold for fold in tested if fold not in here]:
            found[clips.class_names[label]] = lacking
    return found


def prefix_groups(paths: Sequence[str], separator: str) -> np.ndarray:
    """(N,) str: what stands in each file's name before the first `separator`, or all of the name's stem without one.

    The group counts across folders: `dog/7-a.wav` and `cat/7-b.wav` are of one recording.

    Raises:
        DataError: the separator is empty, or a name begins with it.
    """
    if not separator:
        raise DataError("--group-prefix is empty: give what separates the recording's name from the rest, such as '-'.")
    groups = [PurePosixPath(path).stem.split(separator, 1)[0] for path in paths]
    if not all(groups):
        raise DataError(
            f"{paths[groups.index('')]} begins with {separator!r}: --group-prefix finds no recording's name before it."
        )
    return np.array(groups, dtype=np.str_)


def check_fold_counts(source: str, folds: np.ndarray, official: Mapping[int, int]) -> None:
    """Raises DataError where a complete data set's folds (N,) are not of their official sizes."""
    for fold in sorted({*official, *folds.tolist()}):
        count = int((folds == fold).sum())
        if count != official.get(fold, 0):
            raise DataError(
                f"{source}: fold {fold} has {count} clips; the official fold {fold} has {official.get(fold, 0)}. "
                "Results on changed folds can't be compared with published ones: take the original metadata."
            )

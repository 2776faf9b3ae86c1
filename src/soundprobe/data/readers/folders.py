"""A folder for each class: the simplest layout. The folder's name is the class; folds are made."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from soundprobe.audio.formats import AUDIO_ENDINGS
from soundprobe.base.errors import DataError, SoundprobeWarning
from soundprobe.base.files import path_name
from soundprobe.base.records import Clips
from soundprobe.data.readers.made_folds import make_folds, prefix_groups


def read_folders(path: str | Path, *, folds: int = 10, group_prefix: str | None = None, seed: int = 0) -> Clips:
    """The clips below each subfolder of `path`, which is their class; the id is the path below `path`.

    Folds are stratified by class and drawn with `seed`, the same ones in whatever order the system lists files. With
    `group_prefix`, clips whose file names are equal up to its first occurrence are of one recording and stay in one
    fold: "-" puts `dog/7-a.wav` beside `dog/7-b.wav`. Hidden files are passed over; other files that are not audio
    by their ending are, too, with a warning that counts them.

    Raises:
        DataError: no class folder, a class without audio, or a class with fewer clips (recordings) than folds.
    """
    root = Path(path)
    classes = class_folders(root)
    if not classes:
        raise DataError(f"{root} has no class folders: put each class's clips into a subfolder named after the class.")
    ids: list[str] = []
    labels: list[int] = []
    left_out: Counter[str] = Counter()
    for label, name in enumerate(classes):
        files = sorted(_files_below(root / name))
        audio = [file for file in files if file.suffix.lower() in AUDIO_ENDINGS]
        left_out.update(file.suffix.lower() or "no ending" for file in set(files).difference(audio))
        if not audio:
            raise DataError(
                f"Class folder {root / name} has no audio file ({' '.join(AUDIO_ENDINGS)}). Add some, or delete it."
            )
        ids += [_clip_id(file, root) for file in audio]
        labels += [label] * len(audio)
    _warn_of_left_out(root, left_out)
    groups = None if group_prefix is None else prefix_groups(ids, group_prefix)
    return Clips(
        name=path_name(root.resolve().name).lower(),
        ids=np.array(ids),
        sources=[str(root / clip) for clip in ids],
        labels=np.array(labels),
        folds=make_folds(ids, np.array(labels), groups, classes, folds, seed),
        groups=np.array(ids) if groups is None else groups,
        class_names=tuple(classes),
    )


def class_folders(root: Path) -> list[str]:
    """The names of the subfolders of `root` that aren't hidden, sorted."""
    try:
        return sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        raise DataError(f"Can't read {root}: {error.strerror or error}.") from error


def _files_below(folder: Path) -> Iterator[Path]:
    """All files in `folder` and below; hidden ones and folders behind links are passed over."""
    for place, subfolders, files in os.walk(folder):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        yield from (Path(place, name) for name in files if not name.startswith("."))


def _clip_id(file: Path, root: Path) -> str:
    clip = file.relative_to(root).as_posix()
    try:
        clip.encode()
    except UnicodeEncodeError:  # bytes that are no UTF-8 can't be kept in a table
        raise DataError(f"The name of file {clip!r} in {root} is not UTF-8. Rename it.") from None
    return clip


def _warn_of_left_out(root: Path, left_out: Counter[str]) -> None:
    if left_out:
        kinds = ", ".join(f"{ending}: {count}" for ending, count in sorted(left_out.items()))
        warnings.warn(
            f"{left_out.total()} files below {root} are left out, because their ending is not that of audio that can "
            f"be decoded ({kinds}).",
            SoundprobeWarning,
            stacklevel=3,
        )

"""A folder for each class: the last resort, which doubts itself.

Folders are read by their names: `fold3` is a fold, `train` a split, `audio` holds the clips, and what is left is a
class. Where that leaves a clip without a class, or one class for all, the tree is refused with what to do.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from soundprobe.audio.formats import AUDIO_ENDINGS
from soundprobe.base.errors import DataError, SoundprobeWarning, note
from soundprobe.base.files import path_name
from soundprobe.base.records import Clips
from soundprobe.data.listing import (
    audio_below,
    counted_endings,
    files_below,
    folders_in,
    is_audio,
    is_shown,
    note_left_out,
    shown_entries,
)
from soundprobe.data.readers.assemble import (
    IGNORE,
    FoldOptions,
    Found,
    assemble,
    fold_number,
    ignoring,
    match_names,
    parts_among,
    split_of,
)
from soundprobe.data.readers.columns import choose_columns
from soundprobe.data.readers.locate import first_of_each_file
from soundprobe.data.readers.table import read_table

HOLDERS = frozenset(
    {"audio", "audios", "wav", "wavs", "flac", "mp3", "ogg", "data", "recordings", "clips", "sounds", "samples"}
)
"""What a folder of clips is called that is no class."""
NOISE = "_background_noise_"
TABLES = (".csv", ".tsv", ".jsonl", ".parquet")


@dataclass(frozen=True)
class Place:
    """What the folders above a clip are: its fold, split and class by their names; None where none says it.

    `below` is the folder in the class's, where there is one.
    """

    clip: str
    fold: int | None
    split: str | None
    label: str | None
    below: tuple[str, ...] = ()


def read_folders(path: str | Path, *, label_regex: str | None = None, **options: Any) -> Clips:
    """The clips below the folder `path`, each of the class that a folder above it is named after; the id is the path
    below `path`.

    Where folders name no folds, they are stratified by class and drawn with `seed`, the same ones in whatever order the
    system lists files. With `group_prefix`, clips whose file names are equal up to its first occurrence are of one
    recording and stay in one fold: "-" puts `dog/7-a.wav` beside `dog/7-b.wav`. Hidden files are passed over; other
    files that are not audio by their ending are, too, with a warning that counts them.

    Args:
        label_regex: the class is what this finds in the file's name, its first group where it has any.
        options: see `FoldOptions`.

    Raises:
        DataError: a clip's class is not known, there is only one class, a table beside the folders gives other classes,
            some clips are in a fold's or split's folder and others not, a class has no audio, or fewer clips
            (recordings) than folds.
    """
    root, how = Path(path), FoldOptions(**options)
    if label_regex is None:
        places = places_by_folder(root, how)
        if all(one.label is not None for one in places):
            _check_classes(root, places, how)
        _check_levels(root, places)
        made = assemble_places(root, places, how)
        if beside := _tables(root):
            for table in beside:
                _check_agreement(table, places)
            note(
                f"{beside[0]} is not read: the folders' names are taken for the classes. --data {beside[0]} reads it "
                "as a manifest."
            )
        return made
    clips = [_clip_id(file, root) for file in audio_below(root)]
    if not clips:
        raise DataError(f"{root} has no audio file ({' '.join(AUDIO_ENDINGS)}).")
    labels = match_names(clips, label_regex, "--label-regex", "class")
    parsed = [_place(clip, how) for clip in clips]
    places = [Place(one.clip, one.fold, one.split, label) for one, label in zip(parsed, labels, strict=True)]
    return assemble_places(root, places, how)


def assemble_places(
    root: Path, places: Sequence[Place], how: FoldOptions, groups: np.ndarray | None = None, source: str = ""
) -> Clips:
    """The clips at `places` below `root`, with their recordings (N,) where they are known.

    Args:
        source: names the data in messages; by default `root`.

    Raises:
        DataError: only some of them have a fold or a split, a class is not known, or there is only one.
    """
    folds = _all_or_none(root, places, [one.fold for one in places], "folds", how)
    splits = _all_or_none(root, places, [one.split for one in places], "splits", how)
    _check_classes(root, places, how)
    names = [str(one.label) for one in places]
    class_names = tuple(sorted(set(names)))
    ids = [one.clip for one in places]
    for row, other in enumerate(first_of_each_file([str(root / clip) for clip in ids])):
        if names[other] != names[row]:
            raise DataError(
                f"{root}: {ids[other]} and {ids[row]} are one file, and a clip can be of one class here. Remove "
                "the link from one of them."
            )
    found = Found(
        source=source or str(root),
        name=path_name(root.resolve().name).lower(),
        ids=ids,
        sources=[str(root / clip) for clip in ids],
        labels=np.array([class_names.index(name) for name in names]),
        class_names=class_names,
        folds=None if folds is None else np.array(folds),
        splits=splits,
        groups=groups,
    )
    return assemble(found, how)


def holds_clips(root: Path) -> bool:
    """Whether `root` is a folder with subfolders or audio files; quick."""
    return root.is_dir() and (bool(folders_in(root)) or any(is_audio(Path(one.name)) for one in shown_entries(root)))


def places_by_folder(root: Path, how: FoldOptions) -> list[Place]:
    """Every clip in the folders of `root`, but for Speech Commands' background noise, with what the folders' names say.

    Raises:
        DataError: a folder that is to be a class, or every folder, has no audio.
    """
    folders = folders_in(root)
    below: dict[str, list[Path]] = {name: [] for name in folders}
    loose = []
    for file in files_below(root):
        parts = file.relative_to(root).parts
        if len(parts) > 1:
            below[parts[0]].append(file)
        elif is_audio(file):
            loose.append(file)
    noise = below.pop(NOISE, None)
    places = [_place(_clip_id(file, root), how) for files in below.values() for file in sorted(filter(is_audio, files))]
    empty = [name for name, files in below.items() if not any(map(is_audio, files))]
    if not places:
        if loose:
            above = f" It is called like a part of the data in {root.resolve().parent}: give that." * _is_part(root)
            raise DataError(
                f"{root} has no class folders: it holds {len(loose)} audio files, and nothing says their classes."
                f"{above} {_other_ways(root)}"
            )
        others = counted_endings(file for files in below.values() for file in files)
        raise DataError(
            f"{root} has no audio file ({' '.join(AUDIO_ENDINGS)}) in its folders{others and f', but {others}'}."
            f"{_tables_beside(root)}"
        )
    if empty and all(one.fold is None and one.split is None for one in places):
        filled = [name for name in below if name not in empty]
        way = _way_in(root / filled[0]) if len(filled) == 1 else ""
        raise DataError(
            f"Folder {root / empty[0]} has no audio file ({' '.join(AUDIO_ENDINGS)}), so it can't be a class"
            f"{way and f', and {filled[0]} is the only one that has any'}. "
            f"{way or 'Give --data a folder that holds class folders only, or a manifest.'}{_tables_beside(root)}"
        )
    note_left_out(root, (file for files in below.values() for file in files if not is_audio(file)))
    if noise is not None:
        count = sum(map(is_audio, noise))
        note(f"{root / NOISE} is left out: its {count} files are background noise, probably no class.")
    if loose:
        note(f"{len(loose)} audio files beside the folders of {root} are left out: no folder says their class.")
    return places


def _way_in(folder: Path) -> str:
    """A sentence that proposes `folder`, the only one with audio, where class folders may be in it; else empty."""
    inner = [name for name in folders_in(folder) if not _is_part(Path(name))] if folder.is_dir() else []
    return f"The classes may be in it: --data {folder}." if len(inner) > 1 else ""


def _tables_beside(root: Path) -> str:
    """A sentence that proposes the table in `root`, if there is one."""
    tables = _tables(root)
    return f" --data {tables[0]} reads the table there." if tables else ""


def _is_part(folder: Path) -> bool:
    name = folder.resolve().name
    return fold_number(name) is not None or split_of(name) is not None


def _place(clip: str, how: FoldOptions) -> Place:
    fold, split, left = None, None, []
    for part in clip.split("/")[:-1]:
        number = fold_number(part)
        if number is not None:
            fold = number if fold is None else fold
        elif split_of(part) and how.splits != IGNORE:
            split = part if split is None else split
        elif part.casefold() not in HOLDERS:
            left.append(part)
    if how.splits == IGNORE:  # a class may be called "train"; the folder of a split is one where classes are in it
        left = [part for part in left if not split_of(part)] or left
    return Place(clip, fold, split, left[0] if left else None, tuple(left[1:2]))


def _all_or_none(
    root: Path, places: Sequence[Place], values: list[Any], what: str, how: FoldOptions
) -> list[Any] | None:
    """`values`; None where all of them are None."""
    given = [one.clip for one, value in zip(places, values, strict=True) if value is not None]
    if not given:
        return None
    if len(given) < len(places):
        other = next(one.clip for one, value in zip(places, values, strict=True) if value is None)
        remedy = f"If its folder is a class, say --splits {IGNORE}" if what == "splits" else "Sort them"
        raise DataError(
            f"{root}: by their folders' names {len(given)} of {len(places)} clips are in {what}, such as {given[0]}, "
            f"and others not, such as {other}. {remedy}, or give a manifest with the columns path and label."
        )
    return values


def _check_classes(root: Path, places: Sequence[Place], how: FoldOptions) -> None:
    labels = {str(one.label) for one in places if one.label is not None}
    parts = parts_among(labels, how.splits)
    unknown = [one.clip for one in places if one.label is None or one.label in parts]
    if unknown:
        taken = parts or sorted({part for clip in unknown for part in clip.split("/")[:-1]})
        shown = ", ".join(taken[:4]) + (", ..." if len(taken) > 4 else "")
        ignored = ignoring(labels) if parts else ""
        us8k = any(one.fold is not None for one in places)
        known = " UrbanSound8K needs its UrbanSound8K.csv, in metadata beside audio or beside fold1." if us8k else ""
        raise DataError(
            f"{root}: the class of {len(unknown)} of {len(places)} clips is not known, such as {unknown[0]}: {shown} "
            f"{'are' if len(taken) > 1 else 'is'} no class.{known} {_other_ways(root)[:-1]}{ignored}."
        )
    classes = sorted({str(one.label) for one in places})
    if len(classes) == 1:
        parts = places[0].clip.split("/")
        folder = root.joinpath(*parts[: parts.index(classes[0]) + 1]) if classes[0] in parts else root
        way = " ".join(filter(None, [_way_in(folder) * (folder != root), _other_ways(root)]))
        raise DataError(f"{root}: all clips are of one class, {classes[0]!r}. {way}")


def _check_levels(root: Path, places: Sequence[Place]) -> None:
    """Raises DataError where folders of the same names lie in several folders, or others in numbered ones: either level
    may be the classes. Where that is less plain, it is said in a note."""
    inner: dict[str, set[str]] = {}
    for one in places:
        if one.label is not None:
            inner.setdefault(one.label, set()).update(one.below)
    counts = Counter(name for names in inner.values() for name in names)
    outer, shared = sorted(inner), sorted(name for name, count in counts.items() if count > 1)
    numbered = (
        len(outer) > 1 and len({re.sub(r"\d+$", "", name) if name[-1].isdigit() else name for name in outer}) == 1
    )
    below = shared or sorted(counts) * numbered
    if not below and not numbered:
        return
    above = "[^/]+/" * next(one.clip.split("/").index(str(one.label)) for one in places if one.label is not None)
    ways = f"--label-regex '^{above}([^/]+)/' for {outer[0]}, or --label-regex '^{above}[^/]+/([^/]+)/' for "
    if len(shared) > 1 or (numbered and below):
        raise DataError(
            f"{root}: folders {', '.join(below[:3])} are in {', '.join(outer[:3])}, so either may be the classes. Say "
            f"which: {ways}{below[0]}."
        )
    note(
        f"{root}: the folders {', '.join(outer[:3])}{' ...' * (len(outer) > 3)} are taken for the classes. Where they "
        f"are speakers, sessions or the like, say what the class is: "
        + (f"{ways}{below[0]}." if below else "--label-regex, which looks in file names, or a manifest.")
    )


def _other_ways(root: Path) -> str:
    """What to do where folders don't tell the classes."""
    beside = _tables(root)
    table = f"Read the table beside them: --data {beside[0]}; or give" if beside else "Give"
    return (
        f"{table} a manifest (a .csv file with the columns path and label), or, where file names hold the class, "
        f"--label-regex, such as '^([^_]+)_' for dog_1.wav."
    )


def _tables(root: Path) -> list[Path]:
    """Tables beside the clips or in a folder of metadata."""
    places = [root, *(root / name for name in ("meta", "metadata"))]
    return [file for place in places if place.is_dir() for file in sorted(place.iterdir()) if _is_table(file)]


def _check_agreement(file: Path, places: Sequence[Place]) -> None:
    """Stops where the table gives a clip, found by its name, another class than its folder: either may be meant.

    A table that can't be read as one of clips and labels says nothing.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SoundprobeWarning)
            table = read_table(file)
            chosen = choose_columns(table, None)
    except DataError:
        return
    named = Counter(PurePosixPath(one.clip).name for one in places)
    folders = {PurePosixPath(one.clip).name: one.label for one in places if named[PurePosixPath(one.clip).name] == 1}
    folders |= {one.clip: one.label for one in places}
    for path, label in zip(table.columns[chosen["path"]], table.columns[chosen["label"]], strict=True):
        clip = path.replace("\\", "/")
        folder = folders.get(clip) or folders.get(PurePosixPath(clip).name)
        if folder and label.strip().casefold() != folder.casefold():
            raise DataError(
                f"{file} gives {path} the class {label}, its folder is {folder}. --data {file} takes the table's "
                "classes; move the table away to take the folders' names."
            )


def _is_table(file: Path) -> bool:
    return is_shown(file.name) and file.suffix.lower() in TABLES and file.is_file() and file.stat().st_size > 0


def _clip_id(file: Path, root: Path) -> str:
    clip = file.relative_to(root).as_posix()
    try:
        clip.encode()
    except UnicodeEncodeError:  # bytes that are no UTF-8 can't be kept in a table
        raise DataError(f"The name of file {clip!r} in {root} is not UTF-8. Rename it.") from None
    return clip

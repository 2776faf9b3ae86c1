"""Where the parts of a known data set lie: as its authors packed it, or as Kaggle and unpacking scatter it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from soundprobe.base.errors import DataError, note
from soundprobe.base.records import Source
from soundprobe.data.listing import is_shown
from soundprobe.data.readers.table import Table, read_table

INNER = ("audio", "meta", "metadata")
"""Folders of a known data set that people give instead of the one above."""


def find_table(path: Path, name: str, folder: str) -> Path | None:
    """The table `name` of the data set at `path`, which may be its folder, the one above it, or one in it.

    It lies in the folder `folder`, or beside the audio, as Kaggle has it. Raises DataError where several are in it.
    """
    inside = path.name.casefold() in INNER
    for root in [path, *([path.resolve().parent] if inside else [])]:
        for file in (root / folder / name, root / name):
            if file.is_file():
                return file
    if not path.is_dir():
        return None
    below = [child for child in path.iterdir() if is_shown(child.name) and child.is_dir()]
    found = [file for child in below for file in (child / folder / name, child / name) if file.is_file()]
    if len({file.resolve() for file in found}) > 1:
        raise DataError(f"{path} holds two data sets, {found[0]} and {found[1]}. Give --data the folder of one.")
    return found[0] if found else None


def find_audio(table: Path, clips: Sequence[str]) -> Path | None:
    """The folder that `clips` are paths below: the first in which one of them is, else the folder audio.

    None where there is no such folder at all.
    """
    beside = table.resolve().parent
    places = [beside.parent / "audio", beside / "audio", beside / "audio" / "audio", beside]
    for place in places:
        if any((place / clip).exists() for clip in clips):
            return place
    return next((place for place in places[:2] if place.is_dir()), None)


def read_beside(
    metadata: Path, files_in: Callable[[Table], Sequence[str]], given: Path, folder: str
) -> tuple[Table, list[Source], Path]:
    """The table, its clips' files, and the data set's folder, after which it is named.

    Says where that is, unless it is the folder `given`.

    Args:
        files_in: each clip's path below the audio's folder; folder: the metadata's name.

    Raises:
        DataError: there is no audio folder, or a table that can't be read.
    """
    table = read_table(metadata)
    files = files_in(table)
    audio = find_audio(metadata, files)
    if audio is None:
        raise DataError(
            f"{metadata.parent.parent / 'audio'} is missing: {metadata} is there, but no clips. Unpack the audio, too."
        )
    beside = metadata.resolve().parent
    root = beside.parent if beside.name == folder else beside
    if given.is_dir() and given.resolve() != root:
        note(f"Read is the data set in {root}.")
    return table, [str(audio / file) for file in files], root

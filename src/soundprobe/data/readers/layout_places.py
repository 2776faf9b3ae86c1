"""Where the parts of a known data set lie: as its authors packed it, or as Kaggle and unpacking scatter it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from soundprobe.base.errors import DataError, note
from soundprobe.data.listing import is_shown

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


def note_place(path: Path, root: Path) -> None:
    """Says where the data set is that was found above or below `path`."""
    if path.is_dir() and path.resolve() != root:
        note(f"Read is the data set in {root}.")


def root_of(table: Path, folder: str) -> Path:
    """The data set's folder, after which it is named."""
    beside = table.resolve().parent
    return beside.parent if beside.name == folder else beside

"""Speech Commands: a folder for each word, and lists of the clips of two splits.

Source: Warden, "Speech Commands: a dataset for limited-vocabulary speech recognition", 2018.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from soundprobe.base.errors import DataError, note
from soundprobe.base.records import Clips
from soundprobe.data.readers.assemble import FoldOptions
from soundprobe.data.readers.folders import assemble_places, places_by_folder
from soundprobe.data.readers.table import open_text

LISTS = {"validation_list.txt": "validation", "testing_list.txt": "test"}
SPEAKER = "_nohash_"
"""What stands behind the speaker in a file's name: "0a7c2a8d_nohash_0.wav"."""


def has_lists(path: Path) -> bool:
    """Whether `path` is a folder with Speech Commands' lists, one or both."""
    return any((path / name).is_file() for name in LISTS)


def read_speech_commands(path: str | Path, **options: Any) -> Clips:
    """The clips below the folder `path`: the word is the class, the speaker in a file's name is its recording.

    The lists say which clips are of the splits "validation" and "test"; all others are of "train". The folder
    _background_noise_ is left out.

    Args:
        options: see `FoldOptions`.

    Raises:
        DataError: a list names no clip that is there; else as `read_folders`.
    """
    root, how = Path(path), FoldOptions(**options)
    splits: dict[str, str] = {}
    for name, split in LISTS.items():
        if (root / name).is_file():
            with open_text(root / name) as file:
                lines = file.read().splitlines()
            splits |= {line.strip().replace("\\", "/").removeprefix("./"): split for line in lines if line.strip()}
    places = places_by_folder(root, how)
    absent = sorted(set(splits).difference(one.clip for one in places))
    if len(absent) == len(splits):
        gone = f"none of the {len(splits)} clips in {' and '.join(LISTS)} is there" if splits else "its lists are empty"
        raise DataError(
            f"{root}: {gone}. Put the lists of these clips "
            "there, or take them away: the folders are then read as classes."
        )
    if absent:
        text = f"{len(absent)} of {len(splits)} clips in the lists of {root} aren't there, such as {absent[0]}."
        note(text)
    places = [dataclasses.replace(one, split=splits.get(one.clip, "train")) for one in places]
    speakers = [Path(one.clip).name.partition(SPEAKER) for one in places]
    known = all(found for _, found, _ in speakers) and how.group_prefix is None and how.group_regex is None
    groups = np.array([one[0] for one in speakers]) if known else None
    lists = " and ".join(name for name in LISTS if (root / name).is_file())
    return assemble_places(root, places, how, groups, f"{root}, by its {lists},")

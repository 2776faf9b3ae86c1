"""ESC-50: `meta/esc50.csv` beside `audio/`, or Kaggle's `esc50.csv` in front of `audio/audio/`.

ESC-10 is the part of it that is marked `esc10`.
Source: Piczak, "ESC: dataset for environmental sound classification", 2015.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from soundprobe.base.errors import DataError
from soundprobe.base.records import Clips, Source
from soundprobe.base.texts import CompactTexts
from soundprobe.data.readers.layout_places import find_table, read_beside
from soundprobe.data.readers.made_folds import check_fold_counts
from soundprobe.data.readers.table import Table, has_columns

FOLDER, TABLE = "meta", "esc50.csv"
COLUMNS = ("filename", "fold", "target", "category", "esc10", "src_file", "take")
OFFICIAL_CLIPS = 2_000
OFFICIAL_FOLDS = dict.fromkeys(range(1, 6), 400)


def find_metadata(path: Path) -> Path | None:
    """The metadata of the ESC-50 at `path`, above it or in it; None where it is none."""
    return path if has_columns(path, COLUMNS) else find_table(path, TABLE, FOLDER)


def read_esc50(path: str | Path) -> Clips:
    """The clips of ESC-50 or a part of it, in its own layout or Kaggle's, grouped by src_file, their source recording.

    Targets may be sparse: labels number the targets that occur, in their order. The data set is named "esc10" where
    it is the ten classes of ESC-10, else "esc50".

    Args:
        path: the folder with meta and audio, one of these two, the folder above, one with esc50.csv beside audio, or
            the table itself.

    Raises:
        DataError: metadata or audio folder missing, a malformed row, a class with two numbers, or 2,000 rows that
            are not 400 in each of 5 folds.
    """
    metadata = find_metadata(Path(path))
    if metadata is None:
        raise DataError(f"{Path(path) / FOLDER / TABLE} is missing. ESC-50's layout needs it, with audio beside meta.")
    table, files, _ = read_beside(metadata, _files, Path(path), FOLDER)
    return build_esc50(table, files)


def build_esc50(table: Table, sources: Sequence[Source]) -> Clips:
    """The clips of a table with ESC-50's columns.

    Raises:
        DataError: a missing column, a malformed or inconsistent row, wrong official counts.
    """
    table.require(COLUMNS)
    labels, class_names = table.classes("target", "category")
    folds = table.integers("fold", lowest=1)
    if len(table) == OFFICIAL_CLIPS:
        check_fold_counts(table.source, folds, OFFICIAL_FOLDS)
    in_esc10 = _flags(table, "esc10")
    return Clips(
        name="esc10" if in_esc10.all() and len(class_names) == 10 else "esc50",
        ids=np.array(table.unique_texts("filename")),
        sources=sources,
        labels=labels,
        folds=folds,
        groups=np.array(table.texts("src_file")),
        class_names=class_names,
        columns={"esc10": in_esc10, "take": np.array(table.texts("take"))},
    )


def _files(table: Table) -> CompactTexts:
    table.require(COLUMNS)
    return table.inner_paths("filename")


def _flags(table: Table, name: str) -> np.ndarray:
    """A column of True and False as (N,) bool."""
    texts = table.texts(name)
    for row, text in enumerate(texts):
        if text not in ("True", "False"):
            raise table.error(row, f"{name} {text!r} is neither True nor False.")
    return np.array(texts) == "True"

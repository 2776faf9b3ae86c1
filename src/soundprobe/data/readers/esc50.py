"""ESC-50's layout: `meta/esc50.csv` and `audio/`. ESC-10 is the part of it that is marked `esc10`.

Source: Piczak, "ESC: dataset for environmental sound classification", 2015.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from soundprobe.base.errors import DataError
from soundprobe.base.records import Clips
from soundprobe.data.readers.made_folds import check_fold_counts
from soundprobe.data.readers.table import Table, read_table

METADATA = Path("meta", "esc50.csv")
COLUMNS = ("filename", "fold", "target", "category", "esc10", "src_file", "take")
OFFICIAL_CLIPS = 2_000
OFFICIAL_FOLDS = dict.fromkeys(range(1, 6), 400)


def read_esc50(path: str | Path) -> Clips:
    """The clips of a folder in ESC-50's layout, grouped by src_file, their source recording.

    Targets may be sparse: labels number the targets that occur, in their order. The data set is named "esc10" where
    it is the ten classes of ESC-10, else "esc50".

    Raises:
        DataError: metadata or audio folder missing, a malformed row, a class with two numbers, or 2,000 rows that
            are not 400 in each of 5 folds.
    """
    folder = Path(path)
    metadata = folder / METADATA
    if not metadata.is_file():
        raise DataError(f"{metadata} is missing. ESC-50's layout needs it, with the folder audio beside meta.")
    if not (folder / "audio").is_dir():
        raise DataError(f"{folder / 'audio'} is missing: {metadata} is there, but no clips. Unpack the audio, too.")
    table = read_table(metadata)
    table.require(COLUMNS)
    labels, class_names = table.classes("target", "category")
    folds = table.integers("fold", lowest=1)
    if len(table) == OFFICIAL_CLIPS:
        check_fold_counts(table.source, folds, OFFICIAL_FOLDS)
    ids = table.unique_texts("filename")
    in_esc10 = _flags(table, "esc10")
    return Clips(
        name="esc10" if in_esc10.all() and len(class_names) == 10 else "esc50",
        ids=np.array(ids),
        sources=[str(folder / "audio" / name) for name in ids],
        labels=labels,
        folds=folds,
        groups=np.array(table.texts("src_file")),
        class_names=class_names,
        columns={"esc10": in_esc10, "take": np.array(table.texts("take"))},
    )


def _flags(table: Table, name: str) -> np.ndarray:
    """A column of True and False as (N,) bool."""
    texts = table.texts(name)
    for row, text in enumerate(texts):
        if text not in ("True", "False"):
            raise table.error(row, f"{name} {text!r} is neither True nor False.")
    return np.array(texts) == "True"

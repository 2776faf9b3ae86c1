"""UrbanSound8K: `metadata/UrbanSound8K.csv` beside `audio/fold1` ..., or Kaggle's `UrbanSound8K.csv` beside `fold1` ...

Source: Salamon, Jacoby and Bello, "A dataset and taxonomy for urban sound research", 2014.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from soundprobe.base.errors import DataError
from soundprobe.base.files import path_name
from soundprobe.base.records import Clips, Source
from soundprobe.data.readers.layout_places import find_audio, find_table, read_beside
from soundprobe.data.readers.made_folds import check_fold_counts
from soundprobe.data.readers.table import Table, read_table
from soundprobe.scoring.notes import FOLD_CLIPS

FOLDER, TABLE = "metadata", "UrbanSound8K.csv"
COLUMNS = ("slice_file_name", "fsID", "start", "end", "salience", "fold", "classID", "class")
OFFICIAL_NAME = "urbansound8k"
OFFICIAL_CLIPS = 8_732
OFFICIAL_FOLDS = dict(enumerate(FOLD_CLIPS, start=1))


def find_metadata(path: Path) -> Path | None:
    """The metadata of the UrbanSound8K at `path`, above it or in it; None where it is none."""
    return find_table(path, TABLE, FOLDER)


def read_urbansound8k(path: str | Path, *, name: str | None = None) -> Clips:
    """The clips of UrbanSound8K: the whole data set or a part of it, in its own layout or Kaggle's.

    Clips are grouped by fsID, their source recording; salience, start and end (seconds in the recording) are further
    columns. A clip whose file is missing stays in: reading it says so by name. The data set is named `name`, or
    "urbansound8k" where it is whole, or after its folder.

    Args:
        path: the folder with metadata and audio, one of these two, the folder above, or one with UrbanSound8K.csv
            beside fold1.

    Raises:
        DataError: metadata or audio folder missing, a malformed row, a class with two numbers, or 8,732 rows whose
            folds are not of the official sizes.
    """
    metadata = find_metadata(Path(path))
    if metadata is None:
        raise DataError(
            f"{Path(path) / FOLDER / TABLE} is missing. UrbanSound8K's layout needs it, with audio/fold1 ... beside "
            "metadata."
        )
    table, files, root = read_beside(metadata, _files, Path(path), FOLDER)
    return build_clips(table, files, name or _name(table, root))


def read_urbansound8k_metadata(path: str | Path) -> Clips:
    """The clips that a metadata file names, whether or not their audio is there (looked for in the layouts' places).

    Enough for whatever needs no audio: counts, folds, recordings that sit in two folds.

    Raises:
        DataError: as `read_urbansound8k`.
    """
    file = Path(path)
    table = read_table(file)
    files = _files(table)
    audio = find_audio(file, files) or file.resolve().parent.parent / "audio"
    return build_clips(table, [str(audio / file) for file in files], _name(table, file.with_suffix("")))


def build_clips(table: Table, sources: Sequence[Source], name: str) -> Clips:
    """The clips of a table with UrbanSound8K's columns, the classes in the order of their classID.

    Raises:
        DataError: a missing column, a malformed or inconsistent row, wrong official counts.
    """
    table.require(COLUMNS)
    folds = table.integers("fold", lowest=1)
    labels, class_names = table.classes("classID", "class")
    if len(table) == OFFICIAL_CLIPS:
        check_fold_counts(table.source, folds, OFFICIAL_FOLDS)
    return Clips(
        name=name,
        ids=np.array(table.unique_texts("slice_file_name")),
        sources=sources,
        labels=labels,
        folds=folds,
        groups=np.array(table.texts("fsID")),
        class_names=class_names,
        columns={
            "salience": table.integers("salience", lowest=1),
            "start": table.numbers("start"),
            "end": table.numbers("end"),
        },
    )


def _files(table: Table) -> list[str]:
    """Each clip's path below the folder of the folds."""
    table.require(COLUMNS)
    folds = table.integers("fold", lowest=1).tolist()
    return [f"fold{fold}/{name}" for fold, name in zip(folds, table.inner_paths("slice_file_name"), strict=True)]


def _name(table: Table, folder: Path) -> str:
    return OFFICIAL_NAME if len(table) == OFFICIAL_CLIPS else path_name(folder.resolve().name).lower()

"""A CSV or TSV manifest: `path` and `label` of each clip, and `fold`, `group` and further columns if there are any."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from soundprobe.base.errors import DataError
from soundprobe.base.files import path_name
from soundprobe.base.records import Clips
from soundprobe.data.readers.made_folds import make_folds, prefix_groups
from soundprobe.data.readers.table import Table, read_table

ENDINGS = (".csv", ".tsv")
OWN_COLUMNS = ("path", "label", "fold", "group")


def read_manifest(path: str | Path, *, folds: int = 10, group_prefix: str | None = None, seed: int = 0) -> Clips:
    """The clips that a manifest names, one a row. The ending tells the delimiter: a comma in .csv, a tab in .tsv.

    Columns: `path`, below the manifest's folder or absolute, which is the clip's id too; `label`, the class's name;
    `fold`, a whole number (without it, folds are made as `read_folders` makes them); `group`, the source recording
    (without it, what `group_prefix` separates off the file's name, or each clip is one of its own). Any other column
    comes along as a further column of the clips, as numbers where all its values are.

    Raises:
        DataError: a missing or empty field, a path twice, a fold that is no whole number, both a `group` column and
            `group_prefix`, or too few clips for the folds that are to be made.
    """
    file = Path(path)
    if file.suffix.lower() not in ENDINGS:
        raise DataError(f"{file} is no manifest: its name must end in .csv (commas) or .tsv (tabs).")
    table = read_table(file)
    table.require(("path", "label"))
    ids = table.unique_texts("path")
    names = table.texts("label")
    class_names = tuple(sorted(set(names), key=_numbers_first))
    number = {name: label for label, name in enumerate(class_names)}
    labels = np.array([number[name] for name in names])
    groups = _groups(table, ids, group_prefix)
    if "fold" in table.columns:
        made = table.integers("fold")
    else:
        made = make_folds(ids, labels, groups, class_names, folds, seed)
    return Clips(
        name=path_name(file.stem).lower(),
        ids=np.array(ids),
        sources=[str(file.parent / clip) for clip in ids],
        labels=labels,
        folds=made,
        groups=np.array(ids) if groups is None else groups,
        class_names=class_names,
        columns={name: table.guessed(name) for name in table.columns if name not in OWN_COLUMNS},
    )


def _groups(table: Table, ids: list[str], group_prefix: str | None) -> np.ndarray | None:
    if "group" not in table.columns:
        return None if group_prefix is None else prefix_groups(ids, group_prefix)
    if group_prefix is not None:
        raise DataError(f"{table.source} has a column 'group' already; leave --group-prefix out.")
    return np.array(table.texts("group"))


def _numbers_first(name: str) -> tuple[int, int, str]:
    """Sorts "2" before "10", and numbers before words."""
    return (0, int(name), name) if name.isascii() and name.isdigit() else (1, 0, name)

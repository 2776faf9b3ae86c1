"""A data reader: a folder with index.json, a list of {"file", "label", "recording"}. Folds are made."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from soundprobe.base.errors import DataError
from soundprobe.base.records import Clips
from soundprobe.data.catalog import Layout
from soundprobe.data.readers.made_folds import make_folds


def read(path: Path, *, folds: int = 10, group_prefix: str | None = None, seed: int = 0) -> Clips:
    try:
        rows = json.loads((path / "index.json").read_text(encoding="utf-8"))
        ids, names, groups = (np.array([row[key] for row in rows]) for key in ("file", "label", "recording"))
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path / 'index.json'} is no list of file, label and recording ({error}). Mend it.") from None
    classes, labels = np.unique(names, return_inverse=True)
    return Clips(
        name=path.resolve().name.lower(),
        ids=ids,
        sources=[str(path / file) for file in ids],
        labels=labels,
        folds=make_folds(ids.tolist(), labels, groups, classes.tolist(), folds, seed),
        groups=groups,
        class_names=tuple(classes.tolist()),
    )


LAYOUT = Layout(
    name="json-index",
    detects=lambda path: (path / "index.json").is_file(),
    target="soundprobe_example.json_index:read",
    description="a folder with index.json, which names each file's label and recording",
    makes_folds=True,
)

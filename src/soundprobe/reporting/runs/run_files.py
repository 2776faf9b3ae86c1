"""The two files of a run's folder, `result.json` and `predictions.parquet`, read and checked one by one.

Letters: N predicted clips, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from soundprobe.base.errors import StoreError
from soundprobe.base.files import read_json

FORMAT = 1
KINDS = ("probe", "finetune")
NUMBER = (int, float)
FIELDS: Mapping[str, type | tuple[type, ...]] = {
    "dataset.name": str,
    "dataset.fingerprint": str,
    "dataset.clips": int,
    "dataset.failed": int,
    "dataset.class_names": list,
    "dataset.folds": list,
    "backbone.name": str,
    "backbone.title": str,
    "backbone.weights": str,
    "backbone.embedding_dim": int,
    "backbone.parameters": int,
    "backbone.key": str,
    "backbone.settings": dict,
    "head.name": str,
    "head.title": str,
    "head.settings": dict,
    "head.seed": int,
    "head.key": str,
    "folds": list,
    "summary": dict,
    "complete": bool,
    "command": str,
    "versions": dict,
    "created": str,
    "seconds": NUMBER,
}
"""The fields of result.json that a report needs, with their JSON types."""


class UnreadableRunError(Exception):
    """A run's folder can't be read. The message is the reason, short, for the list on the page."""


def read_info(folder: Path) -> dict[str, Any]:
    """result.json of `folder`, with every field that a report needs.

    Raises:
        UnreadableRunError: it is missing, not JSON, of another format, or lacks a field.
    """
    path = folder / "result.json"
    if not path.exists():
        raise UnreadableRunError("no result.json: the run is still going, or stopped before its end")
    try:
        info = read_json(path)
    except StoreError:
        raise UnreadableRunError("result.json is not a whole JSON object") from None
    if info.get("format") != FORMAT:
        raise UnreadableRunError(f"result.json has format {info.get('format')!r}; this version reads format {FORMAT}")
    if info.get("kind") not in KINDS:
        raise UnreadableRunError(f"result.json has kind {info.get('kind')!r}; known are {' and '.join(KINDS)}")
    for name, kind in FIELDS.items():
        value: Any = info
        for part in name.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if not isinstance(value, kind):
            raise UnreadableRunError(f"result.json has no valid field {name!r}")
    if not all(_is_fold(entry) for entry in info["folds"]):
        raise UnreadableRunError("result.json has no valid field 'folds': an entry lacks a figure")
    if len({entry["fold"] for entry in info["folds"]}) != len(info["folds"]):
        raise UnreadableRunError("result.json lists a fold more than once")
    dataset = info["dataset"]
    if not all(isinstance(fold, int) for fold in dataset["folds"]):
        raise UnreadableRunError("result.json has a fold in 'dataset.folds' that is not a whole number")
    if not dataset["class_names"] or not all(isinstance(name, str) for name in dataset["class_names"]):
        raise UnreadableRunError("result.json has no names in 'dataset.class_names'")
    return info


def _is_fold(entry: object) -> bool:
    whole, figures = ("fold", "train_clips", "test_clips"), ("accuracy", "macro_f1", "seconds")
    return (
        isinstance(entry, dict)
        and all(isinstance(entry.get(name), int) for name in whole)
        and all(isinstance(entry.get(name), NUMBER) for name in figures)
        and isinstance(entry.get("chosen"), dict)
    )


def read_predictions(folder: Path, classes: int) -> dict[str, np.ndarray]:
    """The columns of predictions.parquet: clip_id (N,) str; fold, label, predicted (N,) int64; proba (N, C) float32.

    Where the file has them also `group` (N,) str and the clips' further columns as `clip.<name>`, each (N,).

    Raises:
        UnreadableRunError: the file is missing, damaged, empty, or its values can't be predictions of C classes.
    """
    path = folder / "predictions.parquet"
    if not path.exists():
        raise UnreadableRunError("no predictions.parquet beside result.json")
    names = ["clip_id", "fold", "label", "predicted", "proba"]
    try:
        table = pq.read_table(path, partitioning=None)
        missing = [name for name in names if name not in table.column_names]
        if missing:
            raise UnreadableRunError(f"predictions.parquet has no column {missing[0]!r}")
        further = [name for name in table.column_names if name == "group" or name.startswith("clip.")]
        columns = {name: table[name].combine_chunks() for name in [*names, *further]}
        proba = columns.pop("proba")
        result = {name: column.to_numpy(zero_copy_only=False) for name, column in columns.items()}
        widths = pc.list_value_length(proba)
        result["proba"] = proba.flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    except (OSError, pa.ArrowException, AttributeError, TypeError, ValueError):
        raise UnreadableRunError("predictions.parquet is damaged or not a table of predictions") from None
    n = table.num_rows
    if n == 0:
        raise UnreadableRunError("predictions.parquet holds no predictions")
    if widths.null_count or pc.unique(widths).to_pylist() != [classes]:
        raise UnreadableRunError(f"predictions.parquet does not hold {classes} probabilities for each clip")
    result["proba"] = result["proba"].reshape(n, classes)
    return _checked(result, classes)


def _checked(table: dict[str, np.ndarray], classes: int) -> dict[str, np.ndarray]:
    """`table`, once its values are known to be predictions of C classes, each clip once."""
    ids = table["clip_id"].astype(np.str_)
    if "group" in table:
        table = {**table, "group": table["group"].astype(np.str_)}
    if len(np.unique(ids)) != len(ids):
        raise UnreadableRunError("predictions.parquet predicts a clip more than once")
    for name in ("fold", "label", "predicted"):
        if not np.issubdtype(table[name].dtype, np.integer):
            raise UnreadableRunError(f"predictions.parquet has a column {name!r} that is not of whole numbers")
    for name in ("label", "predicted"):
        if table[name].min() < 0 or table[name].max() >= classes:
            raise UnreadableRunError(f"predictions.parquet has a {name} outside 0 to {classes - 1}")
    proba = table["proba"]
    if not np.isfinite(proba).all():
        raise UnreadableRunError("predictions.parquet has a probability that is not a number")
    at_predicted = proba[np.arange(len(proba)), table["predicted"]]
    if (at_predicted < proba.max(axis=1) - 1e-6).any():
        raise UnreadableRunError("predictions.parquet has a predicted class that is not the most probable one")
    return {**table, "clip_id": ids}

"""`predictions.parquet`: what a run said of the clips that it tested, checked. No torch.

Letters: N predicted clips, C classes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from soundprobe.base.digests import read_checked
from soundprobe.base.errors import DamagedError, StoreError
from soundprobe.base.stored import RecordError
from soundprobe.scoring.bootstrap import Predictions
from soundprobe.scoring.copies import join_copies
from soundprobe.scoring.run_records import RunRecord


class UnreadableRunError(Exception):
    """A run's folder can't be read. The message is the reason, short, for the list on the page."""


def reason_of(error: StoreError) -> str:
    """Why a record can't be used, short, for the list on the page."""
    if isinstance(error, RecordError):
        return error.reason
    if isinstance(error, DamagedError):
        return f"is damaged: {error.why}" + (f"; run again: {error.again}" if error.again else "")
    return "can't be read"


def table_of(folder: Path, record: RunRecord) -> dict[str, np.ndarray]:
    """The columns of `read_predictions` of the run in `folder` with the record `record`.

    Raises:
        StoreError: they can't be read.
    """
    try:
        return read_predictions(folder, len(record.dataset.class_names), record.has_probabilities, record.command)
    except UnreadableRunError as error:
        raise StoreError(f"{folder}: {error}.") from error


def predictions_of(table: dict[str, np.ndarray], name: str, classes: int) -> Predictions:
    """What is scored, of a run's `table_of`; recordings that hold clips of the same bytes count as one."""
    ids, digests = table["clip_id"], table.get("clip.audio_sha256")
    groups = table.get("group", ids)
    together = groups if digests is None else join_copies(groups, digests)
    return Predictions(name, ids, table["label"], table["predicted"], table["fold"], together, classes)


def read_predictions(
    folder: Path, classes: int, has_probabilities: bool = True, again: str = ""
) -> dict[str, np.ndarray]:
    """The columns of predictions.parquet: clip_id (N,) str; fold, label, predicted (N,) int64; and where the run
    `has_probabilities` proba (N, C) float32.

    Where the file has them also `group` (N,) str and the clips' further columns as `clip.<name>`, each (N,).

    Args:
        again: the command that made the run, and makes the file again.

    Raises:
        UnreadableRunError: the file is missing, damaged, empty, or its values can't be predictions of C classes.
    """
    path, remedy = folder / "predictions.parquet", f"; run again: {again}" if again else ""
    if not path.exists():
        raise UnreadableRunError(f"no predictions.parquet beside result.json{remedy}")
    names = ["clip_id", "fold", "label", "predicted", *(["proba"] if has_probabilities else [])]
    try:
        # pq.read_table would import pandas where it is installed.
        content = read_checked(path)
        with pq.ParquetFile(pa.BufferReader(content)) as file:
            # Not by a column's own metadata: where those are damaged, asking for them ends the process.
            sizes = {kind.list_size for kind in file.schema_arrow.types if pa.types.is_fixed_size_list(kind)}
            if file.metadata.num_rows > len(content) or sizes - {classes}:  # clips have names of their own
                raise ValueError("it would inflate")
            table = file.read()
        missing = [name for name in names if name not in table.column_names]
        if missing:
            raise UnreadableRunError(f"predictions.parquet has no column {missing[0]!r}")
        further = [name for name in table.column_names if name == "group" or name.startswith("clip.")]
        columns = {name: table[name].combine_chunks() for name in [*names, *further]}
        proba = columns.pop("proba", None)
        result = {name: column.to_numpy(zero_copy_only=False) for name, column in columns.items()}
        if proba is not None:
            widths = pc.list_value_length(proba)
            result["proba"] = proba.flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    except DamagedError as error:
        raise UnreadableRunError(f"predictions.parquet {reason_of(error.by(again))}") from None
    except StoreError as error:
        raise UnreadableRunError(str(error)) from None
    except (OSError, pa.ArrowException, AttributeError, TypeError, ValueError, MemoryError):
        raise UnreadableRunError(f"predictions.parquet is damaged or not a table of predictions{remedy}") from None
    n = table.num_rows
    if n == 0:
        raise UnreadableRunError("predictions.parquet holds no predictions")
    if proba is not None:
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
    proba = table.get("proba")
    if proba is None:
        return {**table, "clip_id": ids}
    if not np.isfinite(proba).all():
        raise UnreadableRunError("predictions.parquet has a probability that is not a number")
    at_predicted = proba[np.arange(len(proba)), table["predicted"]]
    if (at_predicted < proba.max(axis=1) - 1e-6).any():
        raise UnreadableRunError("predictions.parquet has a predicted class that is not the most probable one")
    return {**table, "clip_id": ids}

"""Trained heads and results on disk: `heads/<dataset>/<backbone>-<key>/<head>-<key>/`.

`fold-01.safetensors` ... each hold one fold's head and what it said of its test fold, so a killed run loses one fold at
most. `predictions.parquet` and `result.json` are written from them at the end; the report needs only those two.
Letters: n clips of one test fold, C classes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from soundprobe.base.errors import StoreError
from soundprobe.base.files import atomic_path, read_json, write_json
from soundprobe.base.records import Clips, Embeddings, FoldResult, RunResult
from soundprobe.scoring import metrics

FORMAT = 1


def fold_path(folder: Path, fold: int) -> Path:
    return folder / f"fold-{fold:02d}.safetensors"


def network_path(folder: Path, fold: int) -> Path:
    return folder / f"fold-{fold:02d}-network.safetensors"


def write_fold(
    folder: Path,
    result: FoldResult,
    arrays: Mapping[str, np.ndarray],
    params: Mapping[str, Any],
    about: Mapping[str, Any],
) -> None:
    """Writes one fold's head and its predictions, atomically.

    Args:
        arrays: the head's own, as its `state_dict` gives them; params: its settings.
        about: what the head belongs to (embedding key, class names), kept with it for use on new audio.
    """
    tensors = {f"head.{name}": np.ascontiguousarray(array) for name, array in arrays.items()}
    tensors["test.proba"] = np.ascontiguousarray(result.proba, dtype=np.float32)
    tensors["test.label"] = np.ascontiguousarray(result.y_true, dtype=np.int64)
    metadata = {
        "fold": result.fold,
        "test_ids": [str(clip) for clip in result.ids],
        "chosen": dict(result.chosen),
        "history": [dict(step) for step in result.history],
        "train_clips": result.train_clips,
        "seconds": result.seconds,
        "params": dict(params),
        "about": dict(about),
    }
    with atomic_path(fold_path(folder, result.fold)) as temporary:
        save_file(tensors, temporary, metadata={"soundprobe": json.dumps(metadata)})


def read_fold(path: Path) -> tuple[FoldResult, dict[str, np.ndarray], dict[str, Any]]:
    """A fold's result, its head's arrays, and its metadata (`params`, `about`, ...).

    Raises:
        StoreError: the file is missing, cut short, or not one of ours.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = json.loads(file.metadata()["soundprobe"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a mapping)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"{path} can't be read as a trained head ({error}). Delete it and run the command again."
        ) from error
    result = FoldResult(
        fold=int(metadata["fold"]),
        ids=np.asarray(metadata["test_ids"], dtype=np.str_),
        y_true=tensors["test.label"],
        proba=tensors["test.proba"],
        chosen=metadata["chosen"],
        history=metadata["history"],
        train_clips=int(metadata["train_clips"]),
        seconds=float(metadata["seconds"]),
    )
    arrays = {name.removeprefix("head."): array for name, array in tensors.items() if name.startswith("head.")}
    return result, arrays, metadata


def read_finished_folds(folder: Path, folds: Sequence[int]) -> list[FoldResult]:
    """Those of `folds` that are on disk, in order."""
    return [read_fold(fold_path(folder, fold))[0] for fold in sorted(folds) if fold_path(folder, fold).exists()]


def write_result(folder: Path, run: RunResult, clips: Clips | Embeddings) -> None:
    """Writes `predictions.parquet`, then `result.json`, from which a reader knows that both are whole.

    An older result is taken away first, so that it never stands beside newer predictions.

    Args:
        clips: where the tested clips' recordings and further columns (as `clip.<name>`) come from, matched by id.
    """
    folds = sorted(run.folds, key=lambda result: result.fold)
    ids = np.concatenate([fold.ids for fold in folds])
    order = np.argsort(clips.ids)
    rows = order[np.searchsorted(clips.ids, ids, sorter=order)]
    columns = {f"clip.{name}": pa.array(np.asarray(column)[rows].tolist()) for name, column in clips.columns.items()}
    table = pa.table(
        {
            "clip_id": pa.array(ids.tolist(), pa.string()),
            "fold": pa.array(np.concatenate([np.full(len(fold.ids), fold.fold, dtype=np.int64) for fold in folds])),
            "label": pa.array(np.concatenate([fold.y_true for fold in folds]).astype(np.int64)),
            "predicted": pa.array(np.concatenate([fold.predicted for fold in folds]).astype(np.int64)),
            "proba": pa.array([row for fold in folds for row in fold.proba.astype(np.float32)], pa.list_(pa.float32())),
            "group": pa.array(clips.groups[rows].tolist(), pa.string()),
            **columns,
        }
    )
    forget_result(folder)
    with atomic_path(folder / "predictions.parquet") as temporary:
        pq.write_table(table, temporary)
    write_json(folder / "result.json", summarise(run))


def forget_result(folder: Path) -> None:
    """Takes `result.json` away: what is in the folder is about to change."""
    (folder / "result.json").unlink(missing_ok=True)


def is_current(folder: Path, folds: Sequence[int]) -> bool:
    """Whether the folder's result is there, readable, and of just those of `folds` whose files are there."""
    try:
        result = read_result(folder)
    except StoreError:
        return False
    return {entry["fold"] for entry in result["folds"]} == {fold for fold in folds if fold_path(folder, fold).exists()}


def read_result(folder: Path) -> dict[str, Any]:
    """The content of `result.json`.

    Raises:
        StoreError: it is missing, unreadable, or of another version.
    """
    content = read_json(folder / "result.json")
    if content.get("format") != FORMAT:
        raise StoreError(
            f"{folder} has format {content.get('format')!r}; this version reads format {FORMAT}. Run its command again."
        )
    return content


def summarise(run: RunResult) -> dict[str, Any]:
    """The content of `result.json`: the run's `info`, each fold's scores, and their mean and spread."""
    folds = [_fold_summary(result) for result in sorted(run.folds, key=lambda result: result.fold)]
    scores = {name: metrics.mean_std([fold[name] for fold in folds]) for name in ("accuracy", "macro_f1")}
    return {
        "format": FORMAT,
        **run.info,
        "folds": folds,
        "summary": {
            name: {
                "mean": float(score.mean),
                "std_population": float(score.std_population),
                "std_sample": None if len(folds) < 2 else float(score.std_sample),
            }
            for name, score in scores.items()
        },
        "complete": {fold["fold"] for fold in folds} == set(run.info["dataset"]["folds"]),
    }


def _fold_summary(result: FoldResult) -> dict[str, Any]:
    return {
        "fold": result.fold,
        "train_clips": result.train_clips,
        "test_clips": len(result.ids),
        "accuracy": float(metrics.accuracy(result.y_true, result.predicted)),
        "macro_f1": float(metrics.macro_f1(result.y_true, result.predicted)),
        "chosen": dict(result.chosen),
        "history": [dict(step) for step in result.history],
        "seconds": round(result.seconds, 4),
    }

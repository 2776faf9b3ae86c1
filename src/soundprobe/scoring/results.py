"""Trained heads and results on disk: `heads/<dataset>/<backbone>-<key>/<head>-<key>/`.

`fold-01.safetensors` ... each hold one fold's head and what it said of its test fold, so a killed run loses one fold at
most. `predictions.parquet` and `result.json` are written from them at the end; the report needs only those two. Each
carries a digest of itself (`base.digests`); what is damaged counts as not made yet.
Letters: n clips of one test fold, C classes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load, save

from soundprobe.base.digests import FIELD, UNSIGNED, check_file, checked_metadata, note_damage, read_checked
from soundprobe.base.display import MISSING, Shown, percent, plural
from soundprobe.base.errors import DamagedError, StoreError, one_line
from soundprobe.base.files import atomic_file, leading_digits, parse_json, remove_file
from soundprobe.base.records import Clips, Embeddings, FoldResult, RunResult
from soundprobe.base.remote import fetch
from soundprobe.base.stored import Record, RecordError
from soundprobe.scoring import metrics
from soundprobe.scoring.intervals import Interval
from soundprobe.scoring.run_records import FoldRecord, RunRecord
from soundprobe.scoring.tuning import fine_tuning_verdict

NO_EQUAL = {
    "same": "",
    "other": (
        "Its folds are not the data's, so it has no rank and is never clearly better or worse. "
        "To compare on its folds, give --data a table with path, label and fold."
    ),
    "unknown": (
        "Without a column fold nothing tells which clips it was trained on, so it has no rank and is never clearly "
        "better or worse."
    ),
}
"""What an import's folds mean for it, by `ImportRecord.folds`."""


@dataclass(frozen=True, repr=False)
class FinishedRun(Shown):
    """What a verb that trains came to: the run's folder, its record, and whether it was there before."""

    folder: Path
    record: RunRecord
    reused: bool

    @property
    def result(self) -> Mapping[str, Any]:
        """What stands in `result.json`."""
        return self.record.content

    @property
    def verdict(self) -> str:
        """Whether fine-tuning beat the frozen linear head where it chose, why an import is no equal, or nothing."""
        if self.record.imported is not None:
            return NO_EQUAL[self.record.imported.folds]
        return fine_tuning_verdict(self.record.folds)

    @cached_property
    def interval(self) -> Interval:
        """Of the accuracy, drawn again over recordings; see `scoring.bootstrap`.

        Raises:
            StoreError: the run's predictions can't be read.
        """
        from soundprobe.scoring.bootstrap import resample
        from soundprobe.scoring.out_of_fold import predictions_of, table_of

        table, classes = table_of(self.folder, self.record), len(self.record.dataset.class_names)
        return resample(predictions_of(table, str(self.folder), classes)).interval()

    def shown_lines(self) -> Sequence[str]:
        data = self.record.dataset
        counts = f"{plural(data.clips, 'clip')}, {len(data.class_names)} classes, {plural(len(data.folds), 'fold')}"
        return self.describe(), f"95 % interval of accuracy {self._between()}; {data.name}: {counts}", str(self.folder)

    def shown_table(self) -> Sequence[Sequence[object]]:
        scores = [
            (one.fold, one.train_clips, one.test_clips, percent(one.accuracy), percent(one.macro_f1))
            for one in self.record.folds
        ]
        return [("fold", "trained on", "tested on", "accuracy, %", "macro-F1, %"), *scores]

    def shown_row(self) -> Mapping[str, object]:
        backbone, head, summary = self.record.backbone, self.record.head, self.record.summary
        return {
            "backbone": backbone.name,
            "weights": backbone.how,
            "head": head.name,
            "seed": head.seed,
            "control": head.settings.get("control", ""),
            "accuracy, %": percent(summary.accuracy.mean),
            "95 % interval": self._between(),
            "macro-F1, %": percent(summary.macro_f1.mean),
            "folds": len(self.record.folds),
        }

    def _between(self) -> str:
        try:
            low, high = self.interval.low, self.interval.high
        except StoreError:  # gone since
            return MISSING
        return MISSING if low is None else f"{percent(low)} to {percent(high)}"

    def describe(self) -> str:
        """One line on what it was made of and what it scored."""
        backbone, head, score = self.record.backbone, self.record.head, self.record.summary
        control, folds = head.settings.get("control"), len(self.record.folds)
        spread = f" ± {100 * score.accuracy.std_population:.1f}" if folds > 1 else ""
        of = f" / {head.name if self.record.kind == 'probe' else head.title}" if self.record.imported is None else ""
        return (
            f"{backbone.name} ({backbone.how}){of}, "
            f"seed {head.seed}{f' [control: {control}]' if control else ''}: "
            f"accuracy {100 * score.accuracy.mean:.1f}{spread} %, "
            f"macro-F1 {100 * score.macro_f1.mean:.1f} % over {folds} fold{'s' * (folds != 1)}"
            f"{' (there before)' if self.reused else ''}"
        )


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
    sha256: Iterable[str] = (),
) -> None:
    """Writes one fold's head and its predictions, atomically.

    Args:
        arrays: the head's own, as its `state_dict` gives them; params: its settings.
        about: what the head belongs to (embedding key, class names), kept with it for use on new audio.
        sha256: of the tested clips' encoded audio.
    """
    tensors = {f"head.{name}": np.ascontiguousarray(array) for name, array in arrays.items()}
    tensors["test.proba"] = np.ascontiguousarray(result.proba, dtype=np.float32)
    tensors["test.label"] = np.ascontiguousarray(result.y_true, dtype=np.int64)
    tensors["test.sha256"] = leading_digits(sha256)
    record = FoldRecord.of(
        {
            "fold": result.fold,
            "test_ids": [str(clip) for clip in result.ids],
            "chosen": dict(result.chosen),
            "history": [dict(step) for step in result.history],
            **_tuning(result),
            "train_clips": result.train_clips,
            "seconds": result.seconds,
            "params": dict(params),
            "about": dict(about),
        },
        fold_path(folder, result.fold),
    )
    with atomic_file(fold_path(folder, result.fold)) as file:
        file.write(save(tensors, metadata=fold_metadata(record)))


def fold_metadata(record: Record) -> dict[str, str]:
    """What stands in the metadata of a safetensors file."""
    return {"soundprobe": json.dumps({FIELD: UNSIGNED, **record.content})}


def read_metadata(head: bytes, path: Path) -> dict[str, Any]:
    """What `fold_metadata` wrote, from the first bytes of the safetensors file at `path`, all of its header among them.

    Raises:
        DamagedError: it is none of ours.
    """
    try:
        size = int.from_bytes(head[:8], "little")
        about = parse_json(parse_json(head[8 : 8 + size].decode())["__metadata__"]["soundprobe"])
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedError(path, f"it has no metadata of soundprobe's ({one_line(error)[:100]})") from error
    return checked_metadata(about, path)


def read_fold(path: Path) -> tuple[FoldResult, dict[str, np.ndarray], FoldRecord]:
    """A fold's result, its head's arrays, and what is kept with them (`params`, `about`, ...).

    Raises:
        DamagedError: the file is not what was written, or not one of ours. StoreError: it is missing.
    """
    content = read_checked(path)
    record = FoldRecord.of(read_metadata(content, path), path)
    try:
        tensors = load(content)
        labels, proba = tensors["test.label"], tensors["test.proba"]
        if not len(labels) == len(proba) == len(record.test_ids) or labels.ndim != 1 or proba.ndim != 2:
            raise ValueError("labels, probabilities and ids of other numbers of clips")
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise DamagedError(path, f"it can't be read as a trained head ({one_line(error)[:100]})") from error
    result = FoldResult(
        fold=record.fold,
        ids=np.asarray(record.test_ids, dtype=np.str_),
        y_true=labels,
        proba=proba,
        chosen=record.chosen,
        history=record.history,
        tuning=record.content.get("tuning"),
        train_clips=record.train_clips,
        seconds=record.seconds,
    )
    arrays = {name.removeprefix("head."): array for name, array in tensors.items() if name.startswith("head.")}
    return result, arrays, record


def known_clips(folder: Path, folds: Sequence[Path]) -> np.ndarray:
    """(N,) uint64 the `leading_digits` of the clips that heads of the run in `folder` were trained on, as far as known.

    Of two heads or more, each tested clip trained all but one. Fold files of older versions don't have them.

    Args:
        folds: the run's fold files, which were read before.
    """
    found = [leading_digits(())]
    for path in folds if len(folds) > 1 else ():
        with safe_open(path, framework="numpy") as file:
            if "test.sha256" not in file.keys():  # noqa: SIM118  (not a mapping)
                return _clips_of_predictions(folder / "predictions.parquet")
            found.append(file.get_tensor("test.sha256"))
    return np.unique(np.concatenate(found))


def _clips_of_predictions(path: Path) -> np.ndarray:
    import pyarrow as pa
    import pyarrow.parquet as pq

    name = "clip.audio_sha256"
    fetch(path)
    try:
        with pq.ParquetFile(path) as file:
            told = name in file.schema_arrow.names
            return leading_digits(file.read(columns=[name])[name].to_pylist() if told else ())
    except (OSError, pa.ArrowException, UnicodeDecodeError):
        return leading_digits(())  # the run is not finished


def usable_folds(folder: Path, folds: Sequence[int]) -> list[int]:
    """Those of `folds` whose files are on disk and whole, that of the network among them where there should be one.

    What is damaged is named in a note.
    """
    found = []
    for fold in sorted(folds):
        path = fold_path(folder, fold)
        if not path.exists():
            continue
        try:
            record = read_fold(path)[2]
            if record.about.head == "finetune":
                check_network(network_path(folder, fold))
        except RecordError as error:
            note_damage(DamagedError(path, error.reason))
        except DamagedError as error:
            note_damage(error)
        else:
            found.append(fold)
    return found


def check_network(path: Path) -> None:
    """Raises DamagedError where the network file at `path` is missing or not what was written."""
    try:
        check_file(path)
        with safe_open(path, framework="numpy"):
            pass
    except (OSError, SafetensorError) as error:
        raise DamagedError(path, f"it can't be read as a network ({one_line(error)[:100]})") from error


def read_finished_folds(folder: Path, folds: Iterable[int]) -> list[FoldResult]:
    """The results of `folds`, in order."""
    return [read_fold(fold_path(folder, fold))[0] for fold in sorted(folds)]


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
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {f"clip.{name}": pa.array(column[rows].tolist()) for name, column in clips.columns.items()}
    proba = [row for fold in folds for row in fold.proba.astype(np.float32)]
    told = {"proba": pa.array(proba, pa.list_(pa.float32()))} if any(len(row) for row in proba) else {}
    table = pa.table(
        {
            "clip_id": pa.array(ids.tolist(), pa.string()),
            "fold": pa.array(np.concatenate([np.full(len(fold.ids), fold.fold, dtype=np.int64) for fold in folds])),
            "label": pa.array(np.concatenate([fold.y_true for fold in folds]).astype(np.int64)),
            "predicted": pa.array(np.concatenate([fold.predicted for fold in folds]).astype(np.int64)),
            **told,
            "group": pa.array(clips.groups[rows].tolist(), pa.string()),
            **columns,
        },
        metadata={"soundprobe.digest": UNSIGNED},
    )
    forget_result(folder)
    with atomic_file(folder / "predictions.parquet") as file:
        pq.write_table(table, file)
    path = folder / "result.json"
    RunRecord.of(summarise(run), path).write(path)


def forget_result(folder: Path) -> None:
    """Takes `result.json` away: what is in the folder is about to change."""
    remove_file(folder / "result.json")


def is_current(folder: Path, folds: Sequence[int]) -> bool:
    """Whether the folder's result and predictions are there, whole, and of just `folds`.

    What is damaged is named in a note.
    """
    path = folder / "result.json"
    if not path.exists():
        return False
    try:
        record = read_result(folder)
        path = folder / "predictions.parquet"
        if set(record.tested) != set(folds):
            return False
        if predicted_clips(path) != sum(entry.test_clips for entry in record.folds):
            raise DamagedError(path, "it holds another number of clips than result.json says")
    except DamagedError as error:
        note_damage(error)
        return False
    except StoreError:  # lost, or of another version
        return False
    return True


def predicted_clips(path: Path) -> int:
    """How many clips `predictions.parquet` at `path` has.

    Raises:
        DamagedError: it is not what was written, or no Parquet file. StoreError: it is missing.
    """
    content = read_checked(path)
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(pa.BufferReader(content)).metadata.num_rows
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise DamagedError(path, f"it can't be read as a table ({one_line(error)[:100]})") from error


def read_result(folder: Path) -> RunRecord:
    """`result.json` of the run in `folder`.

    Raises:
        DamagedError: it is not what was written. StoreError: it is missing, or of another version.
    """
    return RunRecord.read(folder / "result.json")


def summarise(run: RunResult) -> dict[str, Any]:
    """The content of `result.json`: the run's `info`, each fold's scores, and their mean and spread."""
    folds = [
        {
            "fold": result.fold,
            "train_clips": result.train_clips,
            "test_clips": len(result.ids),
            "accuracy": float(metrics.accuracy(result.y_true, result.predicted)),
            "macro_f1": float(metrics.macro_f1(result.y_true, result.predicted)),
            "chosen": dict(result.chosen),
            "history": [dict(step) for step in result.history],
            **_tuning(result),
            "seconds": None if result.seconds is None else round(result.seconds, 4),
        }
        for result in sorted(run.folds, key=lambda result: result.fold)
    ]
    scores = {name: metrics.mean_std([fold[name] for fold in folds]) for name in ("accuracy", "macro_f1")}
    return {
        "format": RunRecord.FORMAT,
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


def _tuning(result: FoldResult) -> dict[str, Any]:
    return {} if result.tuning is None else {"tuning": dict(result.tuning)}

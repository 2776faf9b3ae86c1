"""One run's folder -> `Run`: its predictions, and figures recomputed from them.

A run is `heads/<dataset>/<backbone>-<key>/<head>-<key>/` with `result.json` and `predictions.parquet`. Every figure
that a report shows comes from the predictions; those in `result.json` are only checked against them.

Letters: N predicted clips, n clips of one fold, C classes, F folds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from soundprobe.base.errors import StoreError
from soundprobe.scoring import metrics
from soundprobe.scoring.copies import join_copies
from soundprobe.scoring.measured import LearningCurveRecord, PeekingRecord, ShotsRecord
from soundprobe.scoring.out_of_fold import UnreadableRunError, read_predictions, reason_of
from soundprobe.scoring.results import read_result
from soundprobe.scoring.run_records import FoldScoresRecord, RunRecord, ScoreRecord

TOLERANCE = 1e-4
"""By how much a figure in result.json may differ from the recomputed one: it may be rounded to four digits."""


@dataclass(frozen=True, eq=False)
class Run:
    """One backbone, head and seed on one data set.

    Attributes:
        path: the run's folder below the heads folder, with "/" between its parts.
        record: result.json; info is its plain content.
        folds: F tested folds, in their order, with scores that were recomputed.
        ids: (N,) str; fold, y_true, predicted: (N,) int64; proba: (N, C) float32, or None where only classes were
            predicted. In the order of the file.
        groups: (N,) str, the recording of each clip; None where the file does not say it.
        columns: the clips' further columns by name ("salience", "duration_s", ...), each (N,).
        learning_curve, shots, peeking: what was measured beside the run; None where it was not.
        unreadable: why what was measured beside the run can't be used, by the file's name.
    """

    path: str
    record: RunRecord
    folds: tuple[FoldScoresRecord, ...]
    ids: np.ndarray
    fold: np.ndarray
    y_true: np.ndarray
    predicted: np.ndarray
    proba: np.ndarray | None
    groups: np.ndarray | None = None
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    learning_curve: Mapping[str, Any] | None = None
    shots: Mapping[str, Any] | None = None
    peeking: Mapping[str, Any] | None = None
    unreadable: Mapping[str, str] = field(default_factory=dict)

    @property
    def info(self) -> Mapping[str, Any]:
        return self.record.content

    @property
    def dataset(self) -> Mapping[str, Any]:
        return self.info["dataset"]

    @property
    def backbone(self) -> Mapping[str, Any]:
        return self.info["backbone"]

    @property
    def head(self) -> Mapping[str, Any]:
        return self.info["head"]

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(self.record.dataset.class_names)

    @property
    def recordings_known(self) -> bool:
        """Whether `groups` says the clips' recordings; else each clip is its own."""
        told = self.record.dataset.recordings_known
        return self.groups is not None and (bool((self.groups != self.ids).any()) if told is None else told)

    @cached_property
    def drawn_together(self) -> np.ndarray:
        """(N,) str, equal for clips that count as one: of a recording, or of recordings that hold the same bytes."""
        groups, digests = self.ids if self.groups is None else self.groups, self.columns.get("audio_sha256")
        return groups if digests is None else join_copies(groups, digests)

    @cached_property
    def per_class_f1(self) -> np.ndarray:
        """(C,) F1 of each class over all tested folds pooled."""
        return np.asarray(metrics.per_class_f1(self.y_true, self.predicted, len(self.class_names)))

    @cached_property
    def confusion(self) -> np.ndarray:
        """(C, C) counts over all tested folds pooled: rows are true classes, columns predicted ones."""
        return np.asarray(metrics.confusion(self.y_true, self.predicted, len(self.class_names)))


def read_run(folder: Path, heads_folder: Path) -> Run:
    """The run in `folder`.

    Raises:
        UnreadableRunError: a file is missing or damaged, another version of soundprobe wrote it, or result.json
            disagrees with the predictions beside it.
    """
    path = folder.relative_to(heads_folder).as_posix()
    if not (folder / "result.json").exists():
        raise UnreadableRunError("no result.json: the run is still going, or stopped before its end")
    try:
        record = read_result(folder)
    except StoreError as error:
        raise UnreadableRunError(f"result.json {reason_of(error)}") from None
    table = read_predictions(folder, len(record.dataset.class_names), record.has_probabilities, record.command)
    y_true, predicted, fold = table["label"], table["predicted"], table["fold"]
    told = {entry.fold: entry for entry in record.folds}
    _agree(record, "the folds of `folds`", sorted(told), np.unique(fold).tolist())
    scores = []
    for number in sorted(told):
        rows, entry = fold == number, told[number]
        found: dict[str, float] = {
            "test_clips": int(rows.sum()),
            "accuracy": metrics.accuracy(y_true[rows], predicted[rows]),
            "macro_f1": metrics.macro_f1(y_true[rows], predicted[rows]),
        }
        scores.append(entry.model_copy(update=found))
    run = Run(
        path,
        record,
        tuple(scores),
        table["clip_id"],
        fold,
        y_true,
        predicted,
        table.get("proba"),
        groups=table.get("group"),
        columns={name.removeprefix("clip."): table[name] for name in table if name.startswith("clip.")},
        **_read_extras(folder),
    )
    check_agreement(run)
    return run


def _read_extras(folder: Path) -> dict[str, Any]:
    """What was measured beside the run: `learning_curve`, `shots`, `peeking`; None where it was not, or can't be used.

    That is no reason to lose the run: `unreadable` says why, by the file's name. Never raises for what the files hold.
    """
    found: dict[str, Any] = {"unreadable": {}}
    kinds: dict[str, type[LearningCurveRecord | ShotsRecord | PeekingRecord]] = {
        "learning_curve": LearningCurveRecord,
        "shots": ShotsRecord,
        "peeking": PeekingRecord,
    }
    for name, kind in kinds.items():
        try:
            record = kind.read_if_there(folder / kind.FILE)
            found[name] = None if record is None else record.content
        except StoreError as error:
            why = f"{reason_of(error)}, so what it measured is left out; the run itself is not"
            found["unreadable"][kind.FILE] = why
    return found


def check_agreement(run: Run) -> None:
    """Compares result.json with what its predictions give.

    Raises:
        UnreadableRunError: a figure, a count or `complete` differs.
    """
    record = run.record
    for entry, scores in zip(sorted(record.folds, key=lambda entry: entry.fold), run.folds, strict=True):
        for name in ("test_clips", "accuracy", "macro_f1"):
            _agree(record, f"fold {scores.fold}: {name}", getattr(entry, name), getattr(scores, name))
    for name in ("accuracy", "macro_f1"):
        stats = metrics.mean_std([getattr(scores, name) for scores in run.folds])
        told = getattr(record.summary, name)
        for part in ScoreRecord.model_fields:
            _agree(record, f"summary: {name} {part}", getattr(told, part), getattr(stats, part))
    missing = set(record.dataset.folds) - set(record.tested)
    _agree(record, "complete", record.complete, not missing)
    clips, failed = record.dataset.clips - record.dataset.only_trained_on, record.dataset.failed
    clips -= record.imported.missing if record.imported else 0
    # Failed clips may be among those that are only trained on.
    possible = range(clips - failed, clips + 1) if record.dataset.only_trained_on else (clips, clips - failed)
    if record.complete and len(run.ids) not in possible:
        _agree(record, "dataset: clips", clips, len(run.ids))


def _agree(record: RunRecord, what: str, claimed: Any, found: Any) -> None:
    if _same(claimed, found):
        return
    raise UnreadableRunError(
        f"result.json says {what} is {claimed!r}, but its predictions.parquet gives {found!r}, so one of the two is "
        f"not this run's; delete the folder and run again: {record.command}"
    )


def _same(claimed: Any, found: Any) -> bool:
    if isinstance(found, float):
        if math.isnan(found):
            return claimed is None or (isinstance(claimed, float) and math.isnan(claimed))
        return claimed is not None and abs(claimed - found) <= TOLERANCE
    return bool(claimed == found)

"""What is measured after a run on request, and kept beside it. The run is finished by then, and is not touched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soundprobe.base.locks import locked
from soundprobe.base.progress import progress_bar
from soundprobe.base.records import Embeddings
from soundprobe.embeddings.head_plan import Plan, with_copies_joined
from soundprobe.extras import learning_curve, peeking
from soundprobe.scoring.measured import LearningCurveRecord, PeekingRecord
from soundprobe.scoring.run_records import RunRecord


@dataclass(frozen=True)
class Extra:
    """Something that can be measured after a run.

    Attributes:
        title: for the progress bar; record: what is kept, in a file of its own in the run's folder.
        measure: from embeddings and the run's plan and record to the content of that.
    """

    title: str
    record: type[LearningCurveRecord] | type[PeekingRecord]
    measure: Callable[..., dict[str, Any]]

    def measure_after(
        self,
        folder: Path,
        record: RunRecord,
        read: Callable[[], tuple[Embeddings, list[str]]],
        plan: Plan,
        *,
        progress: bool,
        again: bool,
    ) -> None:
        """Measures for the run in `folder`, unless that was done for the same folds before and not `again`."""
        folds, path = record.tested, folder / self.record.FILE
        with locked(folder):
            kept = None if again else self.record.read_or_make(path)
            if kept is not None and [entry.fold for entry in kept.folds] == folds:
                return
            embeddings = with_copies_joined(read()[0]) if plan.exclude_leaks else read()[0]
            title = f"{self.title} {plan.features.name} / {plan.head}"
            with progress_bar(title, len(folds), "folds", shown=progress) as bar:
                content = self.measure(
                    embeddings,
                    plan.head,
                    seed=plan.seed,
                    settings=plan.head_settings,
                    tested=record.folds,
                    exclude_leaks=plan.exclude_leaks,
                    on_fold=lambda fold: bar.advance(1),
                )
            self.record.of(content, path).write(path)


LEARNING_CURVE = Extra("learning curve", LearningCurveRecord, learning_curve.measure_learning_curve)
PEEKING = Extra("peeking", PeekingRecord, peeking.measure_peeking)

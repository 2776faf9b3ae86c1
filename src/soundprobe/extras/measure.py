"""What is measured after a run on request, and kept beside it. The run is finished by then, and is not touched."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from soundprobe.base.locks import locked
from soundprobe.base.progress import progress_bar
from soundprobe.base.records import Embeddings
from soundprobe.data.audit.leaks import copy_numbers, join_recordings, linked_recordings
from soundprobe.embeddings.sets import FeatureSet
from soundprobe.extras import learning_curve, peeking
from soundprobe.scoring.measured import LearningCurveRecord, PeekingRecord
from soundprobe.scoring.results import RunRecord


class Planned(Protocol):
    """What a run was asked to do, as far as an extra repeats it."""

    @property
    def features(self) -> FeatureSet: ...
    @property
    def head(self) -> str: ...
    @property
    def seed(self) -> int: ...
    @property
    def head_settings(self) -> Mapping[str, Any]: ...
    @property
    def exclude_leaks(self) -> bool: ...


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
        plan: Planned,
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


def with_copies_joined(embeddings: Embeddings) -> Embeddings:
    """`embeddings` with recordings that hold clips of the same bytes under one name, where digests are known."""
    digests = embeddings.columns.get("audio_sha256")
    if digests is None:
        return embeddings
    linked = linked_recordings(embeddings, copy_numbers(digests), None)
    return dataclasses.replace(embeddings, groups=join_recordings(embeddings.groups, linked))

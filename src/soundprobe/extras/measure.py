"""What is measured after a run on request, and kept beside it. The run is finished by then, and is not touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from soundprobe.base.locks import locked
from soundprobe.base.progress import progress_bar
from soundprobe.base.records import Embeddings
from soundprobe.embeddings.head_plan import Plan, with_copies_joined
from soundprobe.extras.learning_curve import DRAWS, SHARES, measure_shares, measure_shots
from soundprobe.extras.peeking import measure_peeking, summary
from soundprobe.heads.catalog import make_head
from soundprobe.scoring.folds import outer_splits
from soundprobe.scoring.measured import LearningCurveRecord, PeekingRecord, ShotsRecord
from soundprobe.scoring.run_records import FoldScoresRecord, RunRecord


@dataclass(frozen=True)
class Extra:
    """Something that can be measured after a run, fold by fold.

    Attributes:
        title: for the progress bar; record: what is kept, in a file of its own in the run's folder.
        measure: of one fold, see `extras.learning_curve.measure_shares`, to the content of its entry.
        asked: fields that say what was asked for; what was kept of anything else is measured again.
        summary: further fields, of all folds.
    """

    title: str
    record: type[LearningCurveRecord] | type[PeekingRecord] | type[ShotsRecord]
    measure: Callable[..., dict[str, Any]]
    asked: Mapping[str, Any] = field(default_factory=dict)
    summary: Callable[[Sequence[dict[str, Any]]], dict[str, Any]] = lambda folds: {}

    def of_folds(
        self,
        data: Embeddings,
        head: str,
        *,
        seed: int,
        settings: Mapping[str, Any],
        tested: Sequence[FoldScoresRecord],
        exclude_leaks: bool = False,
    ) -> Iterator[dict[str, Any]]:
        """The entry of each tested fold, as soon as it is there.

        Args:
            head, seed, settings, exclude_leaks: as in the run; tested: those of its folds that are to be measured.
        """
        told = {entry.fold: entry for entry in tested}
        make = partial(make_head, head, seed=seed, **settings)
        for fold, train, test in outer_splits(data.folds):
            if fold in told:
                if exclude_leaks:
                    train = train[~np.isin(data.groups[train], data.groups[test])]
                yield {"fold": fold, **self.measure(data, make, told[fold], train, test, seed)}

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
        """Measures those folds of the run in `folder` that weren't yet, or all `again`; each is kept at once."""
        path = folder / self.record.FILE
        with locked(folder):
            kept = None if again else self.record.read_or_make(path)
            usable = kept is not None and all(kept.content.get(name) == value for name, value in self.asked.items())
            done = {entry["fold"]: entry for entry in kept.content["folds"]} if kept is not None and usable else {}
            left = [entry for entry in record.folds if entry.fold not in done]
            if not left:
                return
            embeddings = with_copies_joined(read()[0]) if plan.exclude_leaks else read()[0]
            title = f"{self.title} {plan.features.name} / {plan.head}"
            with progress_bar(title, len(left), "folds", shown=progress) as bar:
                for entry in self.of_folds(
                    embeddings,
                    plan.head,
                    seed=plan.seed,
                    settings=plan.head_settings,
                    tested=left,
                    exclude_leaks=plan.exclude_leaks,
                ):
                    done[entry["fold"]] = entry
                    folds = [done[fold] for fold in record.tested if fold in done]
                    content = {"format": self.record.FORMAT, **self.asked, "folds": folds, **self.summary(folds)}
                    self.record.of(content, path).write(path)
                    bar.advance(1)


def learning_curve(shares: Sequence[float] = SHARES) -> Extra:
    """Scores on growing shares of the recordings."""
    asked = {"shares": [*shares, 1.0]}
    return Extra("learning curve", LearningCurveRecord, partial(measure_shares, shares=shares), asked)


def shots_curve(shots: Sequence[int]) -> Extra:
    """Scores on growing numbers of clips a class."""
    asked = {"shots": list(shots), "draws": DRAWS}
    return Extra("shots", ShotsRecord, partial(measure_shots, shots=shots), asked)


NOTE = "measured after the run and never used by it"
PEEKING = Extra("peeking", PeekingRecord, measure_peeking, {"note": NOTE}, summary)

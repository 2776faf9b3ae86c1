"""Scores of folds as somebody published them, without the predictions: a paper's, a log's, the notes'."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import Field

from soundprobe.base.stored import DatasetRecord, Entry, Fold, Record, Settings
from soundprobe.scoring.metrics import MeanStd, mean_std


@dataclass(frozen=True)
class PublishedFold:
    """One fold as published; `macro_f1` is None where only accuracies were."""

    fold: int
    accuracy: float
    macro_f1: float | None


@dataclass(frozen=True)
class Published:
    """The folds of one model.

    Attributes:
        name: in running text, such as "the notes' CNN"; title: in tables.
        folds: in their order; clips: how many each of the whole data set has.
        tests: the folds that are test results: all of them, but where `contamination` says, as half a sentence, why
            the others are none.
        backbone, recipe: what trains it again, fresh in each fold, and training: what that recipe says of all that
            changes how it is trained, as a run records it; empty where there is none.
    """

    name: str
    title: str
    folds: Sequence[PublishedFold]
    clips: Mapping[int, int]
    tests: tuple[int, ...]
    contamination: str = ""
    backbone: str = ""
    recipe: str = ""
    training: Mapping[str, Any] = field(default_factory=dict)

    @property
    def tested(self) -> tuple[PublishedFold, ...]:
        """The folds that are test results."""
        return tuple(one for one in self.folds if one.fold in self.tests)

    @property
    def tested_accuracy(self) -> float:
        """The mean over the folds that are test results."""
        return mean_std([one.accuracy for one in self.tested]).mean

    @property
    def where(self) -> str:
        """The folds that are test results, in words: "fold 1", "10 folds"."""
        return f"fold {self.tests[0]}" if len(self.tests) == 1 else f"{len(self.tests)} folds"

    @property
    def correct(self) -> int:
        """How many clips of the folds that are test results were right."""
        return sum(round(one.accuracy * self.clips[one.fold]) for one in self.tested)

    @property
    def tested_clips(self) -> int:
        """How many clips the folds that are test results hold."""
        return sum(self.clips[fold] for fold in self.tests)

    @property
    def accuracy(self) -> MeanStd:
        """Over all folds. Never show it without saying so where there is a `contamination`."""
        return mean_std([one.accuracy for one in self.folds])

    @property
    def macro_f1(self) -> MeanStd | None:
        """As `accuracy`; None where a fold has none."""
        scores = [one.macro_f1 for one in self.folds if one.macro_f1 is not None]
        return mean_std(scores) if len(scores) == len(self.folds) else None


class PublishedFoldRecord(Entry):
    """`clips` of the data are in the fold."""

    fold: Fold
    clips: int = Field(ge=1)
    accuracy: float = Field(ge=0, le=1)
    macro_f1: float | None = Field(default=None, ge=0, le=1)


class PublishedRecord(Record):
    """`published.json`: the fold scores that `soundprobe import --per-fold` was given."""

    FILE: ClassVar[str] = "published.json"
    REMEDY: ClassVar[str] = "Import it again."
    name: str
    dataset: DatasetRecord
    folds: list[PublishedFoldRecord] = Field(min_length=1)
    key: str
    command: str
    versions: Settings
    created: str

    @property
    def published(self) -> Published:
        """What it says, all folds taken for test results."""
        return Published(
            self.name,
            self.name,
            [PublishedFold(one.fold, one.accuracy, one.macro_f1) for one in self.folds],
            {one.fold: one.clips for one in self.folds},
            tuple(one.fold for one in self.folds),
        )

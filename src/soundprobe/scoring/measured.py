"""What is measured beside a run on request: the records `learning-curve.json` and `peeking.json`."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from soundprobe.base.stored import Count, Entry, Fold, Record, Settings


class CurvePoint(Entry):
    """One fold's scores when trained on a share of its training recordings, which are so many, of so many clips."""

    share: float
    recordings: Count
    clips: Count
    accuracy: float
    macro_f1: float


class CurveFold(Entry):
    fold: Fold
    points: list[CurvePoint]


class LearningCurveRecord(Record):
    """See `soundprobe.extras.learning_curve`. `shares` ascend to 1, the run itself."""

    FILE: ClassVar[str] = "learning-curve.json"
    shares: list[float]
    folds: list[CurveFold]


class Candidate(Entry):
    """A setting, and its accuracy on a fold's test clips."""

    setting: Settings
    accuracy: float


class PeekedFold(Entry):
    fold: Fold
    honest: Candidate
    candidates: list[Candidate]


class PeekingRecord(Record):
    """See `soundprobe.extras.peeking`. The last three are means over folds, and the last is of one setting for all."""

    FILE: ClassVar[str] = "peeking.json"
    note: str = ""
    folds: Annotated[list[PeekedFold], Field(min_length=1)]
    honest: float
    peeked_by_fold: float
    peeked_overall: float

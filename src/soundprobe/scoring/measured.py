"""What is measured beside a run on request: the records `learning-curve.json`, `shots.json` and `peeking.json`."""

from __future__ import annotations

from statistics import fmean
from typing import Annotated, ClassVar

from pydantic import Field

from soundprobe.base.display import percent, plural
from soundprobe.base.stored import Count, Entry, Fold, Record, Settings

Share = Annotated[float, Field(ge=0, le=1)]


class PartScores(Entry):
    """One fold's scores when trained on a part of its training clips: so many, of so many recordings."""

    recordings: Count
    clips: Count
    accuracy: Share
    macro_f1: Share


class CurvePoint(PartScores):
    """On a share of the recordings."""

    share: float


class CurveFold(Entry):
    fold: Fold
    points: list[CurvePoint]


class LearningCurveRecord(Record):
    """See `soundprobe.extras.learning_curve`. `shares` ascend to 1, the run itself."""

    FILE: ClassVar[str] = "learning-curve.json"
    shares: list[float]
    folds: list[CurveFold]


Shots = Annotated[int, Field(ge=1, lt=2**63)]


class ShotsPoint(PartScores):
    """On at most `shots` clips of each class, in the order number `draw`."""

    shots: Shots
    draw: Count


class ShotsFold(Entry):
    fold: Fold
    points: list[ShotsPoint]


class ShotsRecord(Record):
    """See `soundprobe.extras.learning_curve`. `shots` ascend; `draws` orders of the clips."""

    FILE: ClassVar[str] = "shots.json"
    shots: list[Shots]
    draws: Count
    folds: list[ShotsFold]

    def describe(self) -> str:
        """One line of mean accuracies over folds and draws."""
        scores: dict[int, list[float]] = {}
        for point in (point for fold in self.folds for point in fold.points):
            scores.setdefault(point.shots, []).append(point.accuracy)
        told = (f"{shots} {percent(fmean(own))} %" for shots, own in sorted(scores.items()))
        return f"accuracy by clips a class: {', '.join(told)} ({plural(self.draws, 'draw')})"


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

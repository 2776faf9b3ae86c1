"""The ranked chart of all runs; templates/chart.html draws it.

Positions are percentages of the plot's width, so that the drawing is as wide as the screen while its marks keep
their size.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from soundprobe.reporting.compared.comparison import Comparison, Standing
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.wording import percent
from soundprobe.scoring import notes
from soundprobe.scoring.intervals import Interval, wilson


@dataclass(frozen=True)
class Axis:
    """Accuracy from `low` to 1, drawn from 0 to 100 % of the width."""

    low: float

    def x(self, share: float) -> float:
        """Where `share` lies, in percent of the width; the ends hold what is beyond them."""
        return round(100 * min(max((share - self.low) / (1 - self.low), 0.0), 1.0), 3)

    def ticks(self) -> tuple[tuple[float, str], ...]:
        span = round(100 * (1 - self.low))
        step = next(step for step in (2, 5, 10, 20) if span / step <= 8)
        first = math.ceil(100 * self.low / step - 1e-9) * step
        return tuple((self.x(tick / 100), str(tick)) for tick in range(first, 101, step))


def axis_over(shares: Iterable[float]) -> Axis:
    """An axis that ends at 1 and begins at the ten below the least of `shares`."""
    return Axis(min(math.floor(min(shares) * 10 - 0.1) / 10, 0.9) if min(shares) > 0.05 else 0.0)


@dataclass(frozen=True, eq=False)
class Chart:
    """Each row's mean, interval and folds on one axis, in the table's order, and the notes' CNN.

    Attributes:
        rows: each with how it is drawn: "run", "baseline", "control", "contaminated" or "partial".
        notes: the interval of the notes' fold 1; None where their clips are neither these nor some of them.
        marks_clean_fold: whether the fold is marked on which rows and notes can be compared.
    """

    rows: tuple[tuple[Row, str], ...]
    axis: Axis
    notes: Interval | None
    marks_clean_fold: bool

    @property
    def styles(self) -> set[str]:
        return {style for _, style in self.rows}

    @property
    def controls(self) -> str:
        """What those drawn as controls are controls of: "random weights", "shuffled labels", ..., joined by "or"."""
        return " or ".join(sorted({row.control for row, style in self.rows if style == "control"}))

    def whisker(self, interval: Interval, mean: float) -> tuple[float, float]:
        """The ends of a whisker; without an interval it has no length."""
        ends = (mean if end is None else end for end in (interval.low, interval.high))
        low, high = map(self.axis.x, ends)
        return low, high

    def folds(self, row: Row | None, clean: bool) -> list[tuple[float, str]]:
        """Where the folds of a row, or of the notes, lie, with their titles: the fold to be compared, or the others."""
        if row and row.has_own_folds:
            return []
        told = {fold.fold: fold.accuracy for fold in notes.FOLDS}
        shares = dict(zip(row.folds, row.fold_accuracy, strict=True)) if row else told
        marked = {notes.CLEAN_FOLD} if self.marks_clean_fold or row is None else set()
        return [
            (self.axis.x(share), f"fold {fold}: {percent(share)} %")
            for fold, share in shares.items()
            if (fold in marked) is clean
        ]


def chart_of(comparison: Comparison) -> Chart:
    """The chart of every row, and of the notes' CNN where its clips are these or some of them."""
    published = None if comparison.standing is Standing.OTHER else clean_interval()
    shown = [share for row in comparison.rows for share in row.fold_accuracy]
    axis = axis_over([*shown, published.low or 0.0] if published else shown)
    rows = tuple((row, _style(row)) for row in comparison.rows)
    return Chart(rows, axis, published, comparison.standing is Standing.SAME)


def _style(row: Row) -> str:
    if not row.complete:
        return "partial"
    return "contaminated" if row.contaminated else row.role


def clean_interval() -> Interval:
    """The binomial interval of the notes' accuracy on fold 1, as if every clip were a draw of its own."""
    return wilson(notes.clean().accuracy, notes.FOLD_CLIPS[notes.CLEAN_FOLD - 1])

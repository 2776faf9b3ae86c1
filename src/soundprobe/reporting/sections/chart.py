"""The ranked chart of all runs as plain numbers; templates/chart.html draws it.

Positions are percentages of the plot's width, so that the drawing is as wide as the screen while its marks keep
their size.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from soundprobe.reporting.compared.comparison import Comparison, Standing
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.wording import between, percent
from soundprobe.scoring import notes
from soundprobe.scoring.against_notes import wilson
from soundprobe.scoring.bootstrap import Interval


@dataclass(frozen=True)
class FoldMark:
    """One fold's accuracy: where it lies, and whether it is the fold on which the notes can be compared."""

    x: float
    label: str
    clean: bool


@dataclass(frozen=True)
class ChartRow:
    """One run: a mark at the mean, a whisker over its 95 % interval, and its folds.

    Attributes:
        style: "run", "baseline", "control", "contaminated" or "partial".
        row: the row of the tables that it draws.
        low, mean, high: whisker and mark; without an interval the whisker has no length.
    """

    style: str
    row: Row
    low: float
    mean: float
    high: float
    folds: tuple[FoldMark, ...]


@dataclass(frozen=True)
class NotesRow:
    """The notes' CNN: fold 1 with its binomial interval, and the contaminated folds."""

    clean: FoldMark
    low: float
    high: float
    interval: str
    contaminated: tuple[FoldMark, ...]


@dataclass(frozen=True)
class Chart:
    """Everything that the drawing needs. `ticks` are positions with their labels."""

    rows: tuple[ChartRow, ...]
    notes: NotesRow | None
    ticks: tuple[tuple[float, str], ...]
    marks_clean_fold: bool

    @property
    def controls(self) -> str:
        """What those drawn as controls are controls of: "random weights", "shuffled labels", or both."""
        return " or ".join(sorted({bar.row.control for bar in self.rows if bar.style == "control"}))


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


def chart_of(comparison: Comparison) -> Chart:
    """The chart of every row, in the table's order, and of the notes' CNN where its clips are these or some of them."""
    shows_notes = comparison.standing is not Standing.OTHER
    marks_clean = comparison.standing is Standing.SAME
    shown = [share for row in comparison.rows for share in row.fold_accuracy]
    axis = axis_over([*shown, clean_interval().low or 0.0] if shows_notes else shown)
    rows = tuple(_chart_row(row, axis, marks_clean) for row in comparison.rows)
    return Chart(rows, _notes_row(axis) if shows_notes else None, axis.ticks(), marks_clean)


def axis_over(shares: Iterable[float]) -> Axis:
    """An axis that ends at 1 and begins at the ten below the least of `shares`."""
    return Axis(min(math.floor(min(shares) * 10 - 0.1) / 10, 0.9) if min(shares) > 0.05 else 0.0)


def _chart_row(row: Row, axis: Axis, marks_clean: bool) -> ChartRow:
    mean, interval = row.accuracy.mean, row.scores.interval()
    style = "contaminated" if row.contaminated else row.role
    return ChartRow(
        style=style if row.complete else "partial",
        row=row,
        low=axis.x(mean if interval.low is None else interval.low),
        mean=axis.x(mean),
        high=axis.x(mean if interval.high is None else interval.high),
        folds=tuple(
            _mark(axis, fold, share, marks_clean and fold == notes.CLEAN_FOLD)
            for fold, share in zip(row.folds, row.fold_accuracy, strict=True)
        ),
    )


def clean_interval() -> Interval:
    """The binomial interval of the notes' accuracy on fold 1, as if every clip were a draw of its own."""
    return wilson(notes.clean().accuracy, notes.FOLD_CLIPS[notes.CLEAN_FOLD - 1])


def _notes_row(axis: Axis) -> NotesRow:
    marks = [_mark(axis, fold.fold, fold.accuracy, fold.fold == notes.CLEAN_FOLD) for fold in notes.FOLDS]
    interval = clean_interval()
    return NotesRow(
        clean=next(mark for mark in marks if mark.clean),
        low=axis.x(interval.low or 0.0),
        high=axis.x(interval.high or 1.0),
        interval=between(interval),
        contaminated=tuple(mark for mark in marks if not mark.clean),
    )


def _mark(axis: Axis, fold: int, share: float, clean: bool) -> FoldMark:
    return FoldMark(axis.x(share), f"fold {fold}: {percent(share)} %", clean)

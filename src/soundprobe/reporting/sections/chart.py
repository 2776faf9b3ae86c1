"""The ranked chart of all runs; templates/chart.html draws it.

Positions are percentages of the plot's width, so that the drawing is as wide as the screen while its marks keep
their size.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from soundprobe.reporting.compared.baselines import PublishedHere
from soundprobe.reporting.compared.comparison import Comparison
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.wording import percent
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


@dataclass(frozen=True)
class PublishedMark:
    """How published scores are drawn: the mean of the folds that are test results, its interval, and each fold."""

    here: PublishedHere
    mean: float
    interval: Interval


@dataclass(frozen=True, eq=False)
class Chart:
    """Each row's mean, interval and folds on one axis, in the table's order, and what was published.

    Attributes:
        rows: each with how it is drawn: "run", "baseline", "control", "contaminated" or "partial".
        published: of these clips, or of clips that these are some of.
        marked: the folds on which rows and what was published can be compared, where these are not all.
    """

    rows: tuple[tuple[Row, str], ...]
    axis: Axis
    published: tuple[PublishedMark, ...]
    marked: frozenset[int]

    @property
    def styles(self) -> set[str]:
        return {style for _, style in self.rows}

    @property
    def controls(self) -> str:
        """What those drawn as controls are controls of: "random weights", "shuffled labels", ..., joined by "or"."""
        return " or ".join(sorted({row.control for row, style in self.rows if style == "control"}))

    @property
    def no_equals(self) -> str:
        """Why those drawn as rings can't be held against the others, joined by "or"."""
        unequal = [row for row, style in self.rows if style == "contaminated"]
        known = {"tested on clips that it had learnt from" for row in unequal if row.contaminated}
        return " or ".join(sorted(known | {row.but.removeprefix("but ") for row in unequal if row.no_equal}))

    def whisker(self, interval: Interval, mean: float) -> tuple[float, float]:
        """The ends of a whisker; without an interval it has no length."""
        ends = (mean if end is None else end for end in (interval.low, interval.high))
        low, high = map(self.axis.x, ends)
        return low, high

    def folds(self, row: Row, clean: bool) -> list[tuple[float, str]]:
        """Where the folds of a row lie, with their titles: those to be compared with what was published, or others."""
        shares = {} if row.has_own_folds else dict(zip(row.folds, row.fold_accuracy, strict=True))
        return self._places(shares, self.marked, clean)

    def published_folds(self, mark: PublishedMark, clean: bool) -> list[tuple[float, str]]:
        """Where published folds lie, with their titles: those that are test results, or the others."""
        one = mark.here.published
        return self._places({fold.fold: fold.accuracy for fold in one.folds}, frozenset(one.tests), clean)

    def _places(self, shares: Mapping[int, float], marked: frozenset[int], clean: bool) -> list[tuple[float, str]]:
        return [
            (self.axis.x(share), f"fold {fold}: {percent(share)} %")
            for fold, share in shares.items()
            if (fold in marked) is clean
        ]


def chart_of(comparison: Comparison) -> Chart:
    """The chart of every row, and of what was published of these clips or of more."""
    published = tuple(map(_mark, comparison.published))
    shown = [share for row in comparison.rows for share in row.fold_accuracy]
    shown += [low for row in comparison.rows if (low := row.scores.interval().low) is not None]
    axis = axis_over([*shown, *(one.interval.low or 0.0 for one in published)])
    marked = [one.here.published.tests for one in published if one.here.is_same and one.here.published.contamination]
    rows = tuple((row, _style(row)) for row in comparison.rows)
    return Chart(rows, axis, published, frozenset(fold for tests in marked for fold in tests))


def _mark(here: PublishedHere) -> PublishedMark:
    """The interval is binomial, as if every clip were a draw of its own."""
    one = here.published
    return PublishedMark(here, one.correct / one.tested_clips, wilson(one.correct / one.tested_clips, one.tested_clips))


def _style(row: Row) -> str:
    if not row.complete:
        return "partial"
    return "contaminated" if row.contaminated or row.no_equal else row.role

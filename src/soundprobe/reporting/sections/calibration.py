"""How far a run's probabilities can be believed: the reliability curve and the expected calibration error.

Letters: N clips, C classes, B bins.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from soundprobe.reporting.compared.comparison import Comparison
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.elements import Column, Element, Plotted, Table, Text, on_page
from soundprobe.reporting.plots import Plot, Variant, percent_axis
from soundprobe.reporting.sections.section import Section
from soundprobe.reporting.sections.shown_rows import row_line, run_table, shown_rows
from soundprobe.reporting.wording import count, percent

BINS = 10
DRAWS = 400
ERROR = "Calibration error, points"
FEWEST = 10
"""Bins with fewer clips are left out of the chart, where they would jump about; the table holds them."""


@dataclass(frozen=True)
class Bin:
    """The clips whose most probable class got between `low` and `high`: how many, how sure, and how often right."""

    low: float
    high: float
    clips: int
    confidence: float
    accuracy: float
    by_luck_low: float
    by_luck_high: float


@dataclass(frozen=True)
class Calibration:
    """A row's reliability, beside what a perfectly calibrated one would show on as many clips of as many recordings.

    Even such a run has an error, since a bin of few clips is never right in just the share that it promises.

    Attributes:
        ece: the mean of |accuracy - confidence| over clips, bin by bin.
        by_luck, by_luck_high: its mean and 95 % quantile for the perfectly calibrated run, drawn `DRAWS` times.
        bins: those with clips, each with the middle 95 % of the accuracies that were drawn.

    Sources: Guo et al., "On calibration of modern neural networks", ICML 2017 (B bins of equal width); Vaicenavicius et
    al., "Evaluating model calibration in classification", AISTATS 2019 (labels drawn from the probabilities).
    """

    ece: float
    by_luck: float
    by_luck_high: float
    confidence: float
    accuracy: float
    bins: tuple[Bin, ...]

    @property
    def verdict(self) -> str:
        """In words: whether it is surer than it is right, by more than luck explains."""
        if self.ece <= self.by_luck_high:
            return "calibrated, within luck"
        return "too sure" if self.confidence > self.accuracy else "not sure enough"


@lru_cache(maxsize=64)  # for the page and for report.json
def calibrate(row: Row) -> Calibration:
    """All folds and seeds together; empty bins are left out. Only of rows that have probabilities."""
    proba = [run.proba for run in row.runs if run.proba is not None]
    groups = [run.drawn_together for run in row.runs]
    return calibration_of(
        np.concatenate([one.max(axis=1) for one in proba]).astype(np.float64),
        np.concatenate([run.predicted == run.y_true for run in row.runs]),
        np.unique(np.concatenate(groups), return_inverse=True)[1],
    )


def calibration_of(confidence: np.ndarray, right: np.ndarray, recording: np.ndarray) -> Calibration:
    """The calibration of predictions that are so sure and right or not.

    A calibrated run is drawn by one number u for each recording: its clips, of all seeds, are right where u is below
    their confidence. So they are right or wrong together, as far as they can be: errors by luck come out rather too
    large than too small.

    Args:
        confidence: (N,) float64; right: (N,) bool; recording: (N,) int64 from 0.
    """
    bin_of = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    numbers, bin_of, clips = np.unique(bin_of, return_inverse=True, return_counts=True)
    sure = np.bincount(bin_of, weights=confidence) / clips  # (B,)
    rng, drawn = np.random.default_rng(0), np.empty((DRAWS, len(clips)))
    for one in range(DRAWS):
        u = rng.random(recording.max() + 1)[recording]
        drawn[one] = np.bincount(bin_of, weights=u < confidence) / clips
    found = np.bincount(bin_of, weights=right) / clips
    errors = np.abs(drawn - sure) @ clips / len(right)  # (DRAWS,)
    ends = np.quantile(drawn, [0.025, 0.975], axis=0)
    columns = zip(numbers / BINS, (numbers + 1) / BINS, clips, sure, found, *ends, strict=True)
    return Calibration(
        ece=float(np.abs(found - sure) @ clips / len(right)),
        by_luck=float(errors.mean()),
        by_luck_high=float(np.quantile(errors, 0.95)),
        confidence=float(confidence.mean()),
        accuracy=float(right.mean()),
        bins=tuple(Bin(float(low), float(high), int(n), *map(float, rest)) for low, high, n, *rest in columns),
    )


def _show(comparison: Comparison) -> Iterator[Element]:
    found = [(row, calibrate(row)) for row in comparison.rows if row.has_probabilities]
    if not found:
        return
    yield Text(
        "A run that says 90 % should be right nine times in ten",
        on_page(": on the dashed line it is, below it the run is surer than it is right"),
        ". The calibration error (ECE) is the mean distance from that",
        on_page(" line"),
        " over all clips, in ten bins",
        on_page("; the chart leaves bins of fewer than 10 clips out"),
        '. "By luck" is what a perfectly calibrated run would show on as many clips',
        on_page(" (shaded for the first run: where 95 % of its bins lie)"),
        ".",
        role="how",
    )
    shown = shown_rows(comparison)
    best, of_best = next(((row, one) for row, one in found if row is shown[0]), found[0])
    columns = [
        Column(
            f"{best.full_name} was sure to", lambda one: f"{percent(one.low, 0)} to {percent(one.high, 0)} %", text=True
        ),
        Column("Clips", lambda one: one.clips, count),
        Column("on average, %", lambda one: one.confidence, percent),
        Column("right, %", lambda one: one.accuracy, percent),
        Column("by luck, %", lambda one: f"{percent(one.by_luck_low)} to {percent(one.by_luck_high)}"),
    ]
    plot = _plot([(row, one) for row, one in found if row in shown or row is best])
    yield Plotted(plot, [Table(columns, of_best.bins, f"Reliability of {best.name}")])
    columns = [
        Column("found", lambda one: one[1].ece, percent, ERROR, sort="least", lead=True),
        Column("by luck", lambda one: one[1].by_luck, percent, ERROR),
        Column("95 % below", lambda one: one[1].by_luck_high, percent, ERROR),
        Column("Sure to, %", lambda one: one[1].confidence, percent, sort="number"),
        Column("Right, %", lambda one: one[1].accuracy, percent, sort="number"),
        Column("It is", lambda one: one[1].verdict, text=True, sort="text"),
    ]
    yield run_table(columns, found, "Calibration of every run", row=lambda one: one[0], sort=True)


def _plot(found: list[tuple[Row, Calibration]]) -> Plot:
    line = {"dash": "dash", "width": 1, "color": "var(--quiet)"}
    right = {"type": "scatter", "mode": "lines", "name": "as sure as right", "x": [0, 100], "y": [0, 100]}
    traces: list[dict[str, Any]] = [_band(found[0][1]), {**right, "line": line, "hoverinfo": "skip"}]
    for place, (row, one) in enumerate(found):
        bins = [each for each in one.bins if each.clips >= FEWEST]
        x, y = [100 * each.confidence for each in bins], [100 * each.accuracy for each in bins]
        hover = "sure to %{x:.0f} %, right in %{y:.0f} %<br>%{customdata} clips"
        traces.append(row_line(place, row, x, y, hover, customdata=[each.clips for each in bins]))
    layout = {
        "xaxis": percent_axis("how sure the run was", traces, "x"),
        "yaxis": percent_axis("how often it was right", traces),
    }
    return Plot("calibration", "How sure runs are against how often they are right", [Variant("", traces)], layout, 420)


def _band(one: Calibration) -> dict[str, Any]:
    """Where 95 % of a perfectly calibrated run's bins lie: there along the lower ends, and back along the upper."""
    bins = [each for each in one.bins if each.clips >= FEWEST]
    x = [100 * each.confidence for each in (*bins, *bins[::-1])]
    y = [100 * each.by_luck_low for each in bins] + [100 * each.by_luck_high for each in bins[::-1]]
    look = {"mode": "lines", "line": {"width": 0}, "fill": "toself", "fillcolor": "var(--accent-soft)"}
    return {"type": "scatter", "name": "by luck, if calibrated", "x": x, "y": y, "hoverinfo": "skip", **look}


SECTION = Section(
    "calibration",
    "How far probabilities can be believed",
    _show,
    row_facts=lambda comparison, row: {
        "calibration": dataclasses.asdict(calibrate(row)) if row.has_probabilities else None
    },
)

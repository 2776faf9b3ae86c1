"""How far a run's probabilities can be believed: the reliability curve and the expected calibration error.

Letters: N clips, C classes, B bins.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Calibration:
    """A row's reliability: `ece` is the mean of |accuracy - confidence| over clips, bin by bin.

    Source: Guo et al., "On calibration of modern neural networks", ICML 2017 (B bins of equal width).
    """

    ece: float
    confidence: float
    accuracy: float
    bins: tuple[Bin, ...]

    @property
    def verdict(self) -> str:
        """In words: whether it is surer than it is right."""
        if self.ece < 0.03:
            return "well calibrated"
        return "too sure" if self.confidence > self.accuracy else "not sure enough"


def calibrate(row: Row) -> Calibration:
    """All folds and seeds together; empty bins are left out."""
    confidence = np.concatenate([run.proba.max(axis=1) for run in row.runs]).astype(np.float64)
    right = np.concatenate([run.predicted == run.y_true for run in row.runs])
    place = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    bins = tuple(
        Bin(
            low=number / BINS,
            high=(number + 1) / BINS,
            clips=int((place == number).sum()),
            confidence=float(confidence[place == number].mean()),
            accuracy=float(right[place == number].mean()),
        )
        for number in range(BINS)
        if (place == number).any()
    )
    ece = sum(one.clips * abs(one.accuracy - one.confidence) for one in bins) / len(right)
    return Calibration(float(ece), float(confidence.mean()), float(right.mean()), bins)


def _show(comparison: Comparison) -> Iterator[Element]:
    yield Text(
        "A run that says 90 % should be right nine times in ten",
        on_page(": on the dashed line it is, below it the run is surer than it is right"),
        ". The calibration error (ECE) is the mean distance from that",
        on_page(" line"),
        " over all clips, in ten bins",
        on_page("; the chart leaves bins of fewer than 10 clips out"),
        ".",
        role="how",
    )
    shown = shown_rows(comparison)
    found = [(row, calibrate(row)) for row in comparison.rows]
    best = shown[0]
    bins = next(one.bins for row, one in found if row is best)
    columns = [
        Column(
            f"{best.full_name} was sure to", lambda one: f"{percent(one.low, 0)} to {percent(one.high, 0)} %", text=True
        ),
        Column("Clips", lambda one: one.clips, count),
        Column("on average, %", lambda one: one.confidence, percent),
        Column("right, %", lambda one: one.accuracy, percent),
    ]
    plot = _plot([(row, one) for row, one in found if row in shown])
    yield Plotted(plot, [Table(columns, bins, f"Reliability of {best.name}")])
    columns = [
        Column("Calibration error, points", lambda one: one[1].ece, percent, sort="least", lead=True),
        Column("Sure to, %", lambda one: one[1].confidence, percent, sort="number"),
        Column("Right, %", lambda one: one[1].accuracy, percent, sort="number"),
        Column("It is", lambda one: one[1].verdict, text=True, sort="text"),
    ]
    yield run_table(columns, found, "Calibration of every run", row=lambda one: one[0], sort=True)


def _plot(found: list[tuple[Row, Calibration]]) -> Plot:
    line = {"dash": "dash", "width": 1, "color": "var(--quiet)"}
    right = {"type": "scatter", "mode": "lines", "name": "as sure as right", "x": [0, 100], "y": [0, 100]}
    traces: list[dict[str, Any]] = [{**right, "line": line, "hoverinfo": "skip"}]
    for place, (row, one) in enumerate(found):
        bins = [each for each in one.bins if each.clips >= FEWEST]
        x, y = [100 * each.confidence for each in bins], [100 * each.accuracy for each in bins]
        hover = "sure to %{x:.0f} %, right in %{y:.0f} %<br>%{customdata} clips"
        traces.append(row_line(place, row, x, y, hover, customdata=[each.clips for each in bins]))
    layout = {
        "xaxis": percent_axis("how sure the run was", range=[0, 101]),
        "yaxis": percent_axis("how often it was right", range=[-2, 102]),
    }
    return Plot("calibration", "How sure runs are against how often they are right", [Variant("", traces)], layout, 420)


SECTION = Section(
    "calibration",
    "How far probabilities can be believed",
    _show,
    row_facts=lambda comparison, row: {"calibration": dataclasses.asdict(calibrate(row))},
)

"""How far a run's probabilities can be believed: the reliability curve and the expected calibration error.

Letters: N clips, C classes, B bins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from soundprobe.reporting.compared.comparison import Comparison
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.render.plots import PALETTE, Plot, Variant, label, percent_axis
from soundprobe.reporting.sections.conditions import shown_rows

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


def prepare_calibration(comparison: Comparison) -> dict[str, Any]:
    """Reliability curves of the best rows, and every row's error."""
    shown = shown_rows(comparison)
    found = [(row, calibrate(row)) for row in comparison.rows]
    return {"rows": found, "plot": _plot([(row, one) for row, one in found if row in shown]), "best": shown[0]}


def _plot(found: list[tuple[Row, Calibration]]) -> Plot:
    traces: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "lines",
            "x": [0, 100],
            "y": [0, 100],
            "line": {"dash": "dash", "width": 1, "color": "var(--quiet)"},
            "hoverinfo": "skip",
            "name": "as sure as right",
        }
    ]
    for place, (row, one) in enumerate(found):
        bins = [each for each in one.bins if each.clips >= FEWEST]
        color = PALETTE[-1] if row.is_control else PALETTE[place % (len(PALETTE) - 1)]
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": label(row.full_name, 60),
                "x": [100 * each.confidence for each in bins],
                "y": [100 * each.accuracy for each in bins],
                "customdata": [each.clips for each in bins],
                "line": {"color": color, "dash": "dot" if row.is_control else "solid"},
                "marker": {"color": color, "size": 7},
                "hovertemplate": "sure to %{x:.0f} %, right in %{y:.0f} %<br>%{customdata} clips"
                "<extra>%{fullData.name}</extra>",
            }
        )
    layout = {
        "xaxis": percent_axis("how sure the run was", range=[0, 101]),
        "yaxis": percent_axis("how often it was right", range=[-2, 102]),
    }
    return Plot("calibration", "How sure runs are against how often they are right", [Variant("", traces)], layout, 420)

"""Would more recordings help? Accuracy against the number of training recordings, or of clips a class.

Letters: F folds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from soundprobe.reporting.compared.comparison import Comparison
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.elements import Column, Element, Plotted, Text, on_page
from soundprobe.reporting.plots import Plot, Variant, percent_axis, reach
from soundprobe.reporting.sections.section import Section, Unmeasured
from soundprobe.reporting.sections.shown_rows import color_of, row_line, run_table
from soundprobe.reporting.wording import between, count, percent
from soundprobe.scoring.intervals import Interval
from soundprobe.scoring.paired_tests import corrected_t_test


@dataclass(frozen=True)
class CurvePoint:
    """Scores with a share of the training recordings: means over F folds, and the sample deviation between folds."""

    share: float
    recordings: float
    clips: float
    accuracy: float
    macro_f1: float
    spread: float
    folds: int


def learning_curve_of(row: Row) -> tuple[CurvePoint, ...]:
    """The points of the row's first run that has a curve; empty where none was measured."""
    content: Mapping[str, Any] = next((run.learning_curve for run in row.runs if run.learning_curve), {"shares": ()})
    found = []
    for share in content["shares"]:
        if here := _measured(content, "share", share):
            accuracies = [point["accuracy"] for _, point in here]
            found.append(CurvePoint(share, **_scores(here), spread=_spread(accuracies), folds=len(here)))
    return tuple(found)


@dataclass(frozen=True)
class ShotsPoint:
    """Scores with so many training clips of each class: means over F folds and several draws of the clips.

    Attributes:
        interval: of the accuracy, over folds; spread: its sample deviation between the draws' means.
    """

    shots: int
    recordings: float
    clips: float
    accuracy: float
    macro_f1: float
    interval: Interval
    spread: float
    draws: int
    folds: int


def shots_of(row: Row) -> tuple[ShotsPoint, ...]:
    """The points of the row's first run that was trained on few clips a class; empty where none was."""
    content: Mapping[str, Any] = next((run.shots for run in row.runs if run.shots), {"shots": ()})
    found = []
    for shots in content["shots"]:
        if here := _measured(content, "shots", shots):
            of_folds = _means((fold, point["accuracy"]) for fold, point in here)
            of_draws = _means((point["draw"], point["accuracy"]) for _, point in here)
            sizes = {"draws": len(of_draws), "folds": len(of_folds)}
            interval, spread = _over_folds(of_folds), _spread(of_draws)
            found.append(ShotsPoint(shots, **_scores(here), interval=interval, spread=spread, **sizes))
    return tuple(found)


Measured = Sequence[tuple[int, Mapping[str, Any]]]
"""Folds, each with what was measured on it."""


def _measured(content: Mapping[str, Any], name: str, value: float) -> Measured:
    """What was measured where `name` was `value`."""
    return [(fold["fold"], point) for fold in content["folds"] for point in fold["points"] if point[name] == value]


def _scores(here: Measured) -> dict[str, Any]:
    """Means over folds (and draws)."""
    names = ("recordings", "clips", "accuracy", "macro_f1")
    return {name: float(np.mean([point[name] for _, point in here])) for name in names}


def _spread(values: Sequence[float]) -> float:
    """The sample deviation; 0 of a single value."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def _means(values: Iterable[tuple[int, float]]) -> list[float]:
    """The mean of those that belong together."""
    together: dict[int, list[float]] = {}
    for of, value in values:
        together.setdefault(of, []).append(value)
    return [float(np.mean(own)) for own in together.values()]


def _over_folds(scores: Sequence[float]) -> Interval:
    """Of the folds' mean, by the corrected t-test: draws of one fold are tested on the same clips."""
    found, mean = corrected_t_test(scores, test_train_ratio=1 / max(len(scores) - 1, 1)), float(np.mean(scores))
    if found.low is None or found.high is None:
        return Interval(mean, None, None, "corrected t-test")
    return Interval(mean, max(found.low, 0.0), min(found.high, 1.0), "corrected t-test")


def _show(comparison: Comparison) -> Iterator[Element]:
    curves = [(row, points) for row in comparison.rows if (points := learning_curve_of(row))]
    if curves:
        yield Text(
            "Heads trained on a growing share of each fold's training recordings, settings chosen anew inside each "
            "share; the test folds are the run's own. ",
            on_page(
                "Where a line still climbs at its right end, more recordings would help. Bars are one sample standard "
                "deviation between folds."
            ),
            role="how",
        )
        columns = [
            Column("Share", lambda one: f"{percent(one[1].share, 0)} %"),
            Column("Recordings", lambda one: one[1].recordings, count),
            Column("Clips", lambda one: one[1].clips, count),
            Column("Accuracy, %", lambda one: one[1].accuracy, percent, lead=True),
            Column("± between folds", lambda one: one[1].spread, percent),
            Column("Macro-F1, %", lambda one: one[1].macro_f1, percent),
        ]
        yield _plotted("learning", "training recordings", curves, columns, lambda point: point.recordings, _deviations)
    few = [(row, shots) for row in comparison.rows if (shots := shots_of(row))]
    if few:
        draws = max(point.draws for _, shots in few for point in shots)
        yield Text(
            f"Heads trained on a few clips of each class, in {draws} draws: one of each recording before a second one "
            "of any, and all of a class that has fewer. Settings are chosen on these clips alone; of one clip a class, "
            "linear takes the strength nearest to 1, kNN the smallest k, and other heads have no such point. ",
            on_page("Bars are 95 % intervals over folds (corrected t-test)."),
            role="how",
        )
        columns = [
            Column("Clips a class", lambda one: one[1].shots, count),
            Column("Recordings", lambda one: one[1].recordings, count),
            Column("Accuracy, %", lambda one: one[1].accuracy, percent, lead=True),
            Column("95 % interval", lambda one: between(one[1].interval)),
            Column("± between draws", lambda one: one[1].spread, percent),
            Column("Macro-F1, %", lambda one: one[1].macro_f1, percent),
        ]
        yield _plotted("shots", "training clips a class", few, columns, lambda point: point.shots, _intervals)


def _deviations(points: Sequence[CurvePoint]) -> dict[str, Any]:
    return {"type": "data", "array": [100 * one.spread for one in points], "thickness": 1, "width": 0}


def _intervals(points: Sequence[ShotsPoint]) -> dict[str, Any]:
    return reach([one.interval for one in points], "")


def _unmeasured(comparison: Comparison) -> Iterator[Unmeasured]:
    if not any(learning_curve_of(row) for row in comparison.rows):
        yield Unmeasured("Whether more recordings would help", comparison.probe_command("--learning-curve"))


def _plotted(
    key: str,
    along: str,
    found: Sequence[tuple[Row, Sequence[Any]]],
    columns: Sequence[Column],
    amount: Callable[[Any], float],
    bars: Callable[[Sequence[Any]], dict[str, Any]],
) -> Plotted:
    """The accuracy of each row's points against the `amount` that they were trained on, `along` in words."""
    traces = []
    for place, (row, points) in enumerate(found):
        x, y = [amount(point) for point in points], [100 * point.accuracy for point in points]
        hover = f"%{{x:.0f}} {along}: %{{y:.1f}} %"
        traces.append(row_line(place, row, x, y, hover, error_y={**bars(points), "color": color_of(place, row)}))
    items = [(row, point) for row, points in found for point in points]
    ticks = sorted({round(amount(point)) for _, point in items})
    layout = {
        "xaxis": {"type": "log", "title": {"text": along}, "tickvals": ticks, "ticktext": ticks},
        "yaxis": percent_axis("accuracy", traces),
    }
    plot = Plot(key, f"Accuracy against the number of {along}", [Variant("", traces)], layout, 400)
    return Plotted(plot, [run_table(columns, items, row=lambda one: one[0])])


SECTION = Section(
    "learning",
    "Would more recordings help?",
    _show,
    row_facts=lambda comparison, row: {
        "learning_curve": [dataclasses.asdict(point) for point in learning_curve_of(row)],
        "shots": [dataclasses.asdict(point) for point in shots_of(row)],
    },
    unmeasured=_unmeasured,
)

"""Would more recordings help? Accuracy against the number of training recordings. Letters: F folds."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from soundprobe.reporting.compared.comparison import Comparison
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.elements import Column, Element, Plotted, Text, on_page
from soundprobe.reporting.plots import Plot, Variant, percent_axis
from soundprobe.reporting.sections.section import Section, Unmeasured
from soundprobe.reporting.sections.shown_rows import color_of, row_line, run_table
from soundprobe.reporting.wording import count, percent


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
    content = next((run.learning_curve for run in row.runs if run.learning_curve), None)
    if content is None:
        return ()
    points = []
    for share in content["shares"]:
        here = [point for fold in content["folds"] for point in fold["points"] if point["share"] == share]
        if not here:
            continue
        names = ("recordings", "clips", "accuracy", "macro_f1")
        means = {name: float(np.mean([point[name] for point in here])) for name in names}
        spread = float(np.std([point["accuracy"] for point in here], ddof=1)) if len(here) > 1 else 0.0
        points.append(CurvePoint(share, **means, spread=spread, folds=len(here)))
    return tuple(points)


def _show(comparison: Comparison) -> Iterator[Element]:
    found = [(row, points) for row in comparison.rows if (points := learning_curve_of(row))]
    if not found:
        return
    yield Text(
        "Heads trained on a growing share of each fold's training recordings, settings chosen anew inside each share; "
        "the test folds are the run's own. ",
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
    items = [(row, point) for row, points in found for point in points]
    yield Plotted(_plot(found), [run_table(columns, items, row=lambda one: one[0])])


def _unmeasured(comparison: Comparison) -> Iterator[Unmeasured]:
    if not any(learning_curve_of(row) for row in comparison.rows):
        yield Unmeasured("Whether more recordings would help", "soundprobe probe --learning-curve")


def _plot(found: Sequence[tuple[Row, Sequence[CurvePoint]]]) -> Plot:
    traces = []
    for place, (row, points) in enumerate(found):
        x, y = [point.recordings for point in points], [100 * point.accuracy for point in points]
        spread = [100 * point.spread for point in points]
        bars = {"type": "data", "array": spread, "thickness": 1, "width": 0, "color": color_of(place, row)}
        traces.append(row_line(place, row, x, y, "%{x:.0f} recordings: %{y:.1f} %", error_y=bars))
    ticks = sorted({round(point.recordings) for _, points in found for point in points})
    layout = {
        "xaxis": {"type": "log", "title": {"text": "training recordings"}, "tickvals": ticks, "ticktext": ticks},
        "yaxis": percent_axis("accuracy", traces),
    }
    title = "Accuracy against the number of training recordings"
    return Plot("learning", title, [Variant("", traces)], layout, 400)


SECTION = Section(
    "learning",
    "Would more recordings help?",
    _show,
    row_facts=lambda comparison, row: {
        "learning_curve": [dataclasses.asdict(point) for point in learning_curve_of(row)]
    },
    unmeasured=_unmeasured,
)

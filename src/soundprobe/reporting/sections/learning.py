"""Would more recordings help? Accuracy against the number of training recordings. Letters: F folds."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from soundprobe.reporting.compared.comparison import Comparison
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.elements import Column, Element, Plotted, Table, Text, lead, on_page
from soundprobe.reporting.plots import Plot, Variant, label, percent_axis
from soundprobe.reporting.sections.section import Section
from soundprobe.reporting.sections.shown_rows import color_of, row_line
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
        accuracy = [point["accuracy"] for point in here]
        points.append(
            CurvePoint(
                share=share,
                **{
                    name: float(np.mean([point[name] for point in here]))
                    for name in ("recordings", "clips", "accuracy", "macro_f1")
                },
                spread=float(np.std(accuracy, ddof=1)) if len(here) > 1 else 0.0,
                folds=len(here),
            )
        )
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
    names = ("Share", "Recordings", "Clips", "Accuracy, %", "± between folds", "Macro-F1, %")
    lines = [
        row_line(
            row,
            f"{percent(point.share, 0)} %",
            count(point.recordings),
            count(point.clips),
            lead(percent(point.accuracy)),
            percent(point.spread),
            percent(point.macro_f1),
        )
        for row, points in found
        for point in points
    ]
    yield Plotted(_plot(found), [Table([Column("Run", text=True), *map(Column, names)], lines)])


def _plot(found: Sequence[tuple[Row, Sequence[CurvePoint]]]) -> Plot:
    traces = []
    for place, (row, points) in enumerate(found):
        color = color_of(place, row)
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": label(row.full_name, 60),
                "line": {"color": color, "dash": "dot" if row.is_control else "solid"},
                "marker": {"color": color, "size": 7},
                "x": [point.recordings for point in points],
                "y": [100 * point.accuracy for point in points],
                "error_y": {
                    "type": "data",
                    "array": [100 * point.spread for point in points],
                    "thickness": 1,
                    "width": 0,
                    "color": color,
                },
                "hovertemplate": "%{x:.0f} recordings: %{y:.1f} %<extra>%{fullData.name}</extra>",
            }
        )
    ticks = sorted({round(point.recordings) for _, points in found for point in points})
    layout = {
        "xaxis": {"type": "log", "title": {"text": "training recordings"}, "tickvals": ticks, "ticktext": ticks},
        "yaxis": percent_axis("accuracy"),
    }
    title = "Accuracy against the number of training recordings"
    return Plot("learning", title, [Variant("", traces)], layout, 400)


def _row_facts(comparison: Comparison, row: Row) -> dict[str, Any]:
    return {"learning_curve": [dataclasses.asdict(point) for point in learning_curve_of(row)]}


SECTION = Section("learning", "Would more recordings help?", _show, row_facts=_row_facts)

"""What runs cost: parameters, width, the time to embed a clip and to train."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from soundprobe.reporting.compared.comparison import Comparison
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.elements import Cell, Column, Element, Line, Plotted, Table, Text, on_page
from soundprobe.reporting.plots import Plot, Variant, label, percent_axis
from soundprobe.reporting.sections.section import Section
from soundprobe.reporting.sections.shown_rows import color_of, row_line
from soundprobe.reporting.wording import MISSING, count, duration, percent


def _show(comparison: Comparison) -> Iterator[Element]:
    yield Text(
        "Parameters are the backbone's; width is its embedding's. Clips are embedded once for all heads. Training is "
        "choosing and training the head of every tested fold, for one seed; for a fine-tuned run, the whole training.",
        role="how",
    )
    timed = [row for row in comparison.rows if row.seconds_per_clip]
    if len({row.seconds_per_clip for row in timed}) > 1:
        yield Plotted(_plot(timed), [Text(on_page("The table below holds the same figures."), role="how")])
    columns = [Column("Run", text=True, sort="text"), Column("What it is", text=True, sort="text")]
    names = ("Parameters", "Width", "Embedding a clip", "Training")
    columns += [Column(one, sort="number", first="ascending") for one in names]
    columns.append(Column("Accuracy, %", sort="number"))
    yield Table(columns, [_line(row) for row in comparison.rows])


def _line(row: Row) -> Line:
    backbone, seconds = row.first.backbone, row.seconds_per_clip
    return row_line(
        row,
        Cell(row.title, row.title, style="wide"),
        Cell(count(backbone["parameters"]), backbone["parameters"]),
        Cell(count(backbone["embedding_dim"]), backbone["embedding_dim"]),
        Cell(MISSING if seconds is None else duration(seconds), "" if seconds is None else seconds),
        Cell(duration(row.seconds), row.seconds),
        Cell(percent(row.accuracy.mean), row.accuracy.mean),
        value=row.name,
    )


def _plot(timed: Sequence[Row]) -> Plot:
    """Accuracy against the time to embed a clip."""
    traces = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": label(row.full_name, 60),
            "x": [1000 * (row.seconds_per_clip or 0.0)],
            "y": [100 * row.accuracy.mean],
            "marker": {
                "size": 12,
                "color": color_of(place, row),
                "symbol": "circle-open" if row.is_control else "circle",
            },
            "hovertemplate": "%{x:.3g} ms a clip: %{y:.1f} %<extra>%{fullData.name}</extra>",
        }
        for place, row in enumerate(timed)
    ]
    layout = {
        "xaxis": {"type": "log", "title": {"text": "ms to embed a clip"}, "dtick": "D2"},
        "yaxis": percent_axis("accuracy"),
        "showlegend": len(timed) <= 8,
    }
    return Plot("cost", "Accuracy against the time to embed a clip", [Variant("", traces)], layout, 380)


def _row_facts(comparison: Comparison, row: Row) -> dict[str, Any]:
    return {"seconds": row.seconds, "seconds_per_clip": row.seconds_per_clip}


SECTION = Section("cost", "Cost", _show, row_facts=_row_facts)

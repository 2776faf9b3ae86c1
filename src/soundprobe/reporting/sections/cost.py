"""What runs cost: parameters, width, the time to embed a clip and to train."""

from __future__ import annotations

from collections.abc import Iterator

from soundprobe.reporting.compared.comparison import Comparison
from soundprobe.reporting.elements import Cell, Column, Element, Plotted, Text, on_page
from soundprobe.reporting.plots import Plot, Variant, log_axis, percent_axis
from soundprobe.reporting.sections.section import Section
from soundprobe.reporting.sections.shown_rows import row_trace, run_table
from soundprobe.reporting.wording import count, duration, percent


def _show(comparison: Comparison) -> Iterator[Element]:
    yield Text(
        "Parameters are the backbone's; width is its embedding's. Clips are embedded once for all heads. Training is "
        "choosing and training the head of every tested fold, for one seed; for a fine-tuned run, the whole training.",
        role="how",
    )
    timed = [row for row in comparison.rows if row.seconds_per_clip]
    if len({row.seconds_per_clip for row in timed}) > 1:
        traces = []
        for place, row in enumerate(timed):
            x, y = [1000 * (row.seconds_per_clip or 0.0)], [100 * row.accuracy.mean]
            traces.append(row_trace(place, row, x, y, "%{x:.3g} ms a clip: %{y:.1f} %", marker={"size": 12}))
        layout = {
            "xaxis": log_axis("ms to embed a clip", (1000 * (row.seconds_per_clip or 0.0) for row in timed)),
            "yaxis": percent_axis("accuracy", traces),
            "showlegend": len(timed) <= 8,
        }
        yield Plotted(
            Plot("cost", "Accuracy against the time to embed a clip", [Variant("", traces)], layout, 380),
            [Text(on_page("The table below holds the same figures."), role="how")],
        )
    columns = [
        Column("What it is", lambda row: Cell(row.title, row.title, "wide"), text=True, sort="text"),
        Column("Parameters", lambda row: row.first.backbone.get("parameters"), count, sort="least"),
        Column("Width", lambda row: row.first.backbone.get("embedding_dim"), count, sort="least"),
        Column("Embedding a clip", lambda row: row.seconds_per_clip, duration, sort="least"),
        Column("Training", lambda row: row.seconds, duration, sort="least"),
        Column("Accuracy, %", lambda row: row.accuracy.mean, percent, sort="number"),
    ]
    yield run_table(columns, comparison.rows, sort=True)


SECTION = Section(
    "cost",
    "Cost",
    _show,
    row_facts=lambda comparison, row: {"seconds": row.seconds, "seconds_per_clip": row.seconds_per_clip},
    folded=True,
)

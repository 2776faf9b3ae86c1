"""Accuracy and macro-F1 of every run, fold by fold. Letters: F folds."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from soundprobe.reporting.compared.comparison import Comparison, Standing
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.elements import (
    Cell,
    Column,
    Element,
    Heading,
    Line,
    Plotted,
    Span,
    Table,
    Text,
    Words,
    lead,
    on_page,
)
from soundprobe.reporting.plots import Plot, Variant, label, named_axis, percent_axis, reach
from soundprobe.reporting.sections.section import Section
from soundprobe.reporting.sections.shown_rows import color_of, notes_name, row_line, shown_rows
from soundprobe.reporting.wording import MISSING, heat, percent
from soundprobe.scoring import notes
from soundprobe.scoring.metrics import MeanStd


def _show(comparison: Comparison) -> Iterator[Element]:
    same = comparison.standing is Standing.SAME
    yield Text(
        on_page("The best runs fold by fold, with 95 % intervals (bootstrap over the fold's recordings)."), role="how"
    )
    figures: list[Element] = []
    for title, measure in (("Accuracy", "accuracy"), ("Macro-F1", "macro_f1")):
        folds = [Column(str(fold)) for fold in comparison.folds]
        columns = [Column("Run", text=True), *folds, Column("mean", style="sum")]
        lines = [_line(row, comparison.folds, measure) for row in comparison.rows]
        own = [_notes_line(comparison, measure)] if same else []
        figures += [
            Heading(f"{title}, percent"),
            Table(columns, lines, f"{title} fold by fold", "heat", notes=own),
        ]
    yield Plotted(_plot(comparison), figures)
    struck = f" The notes' struck-out figures are {notes.CONTAMINATION_BRIEF}." if same else ""
    yield Text(f"± is the population standard deviation over folds.{struck}", role="how")


def _line(row: Row, folds: Sequence[int], measure: str) -> Line:
    shares = dict(zip(row.folds, getattr(row, f"fold_{measure}").tolist(), strict=True))
    cells = [
        Cell(percent(shares[fold]), tint=heat(shares[fold]))
        if fold in shares
        else Cell(MISSING, style="quiet", title="not tested")
        for fold in folds
    ]
    stats: MeanStd = getattr(row, measure)
    return row_line(row, *cells, (lead(percent(stats.mean)), f" ± {percent(stats.std_population)}"))


def _notes_line(comparison: Comparison, measure: str) -> Line:
    cells: list[Cell | Words] = []
    for fold in notes.FOLDS:
        share = getattr(fold, measure)
        clean = fold.fold == notes.CLEAN_FOLD
        shown = Span("strong", percent(share)) if clean else Span("struck", percent(share), "contaminated")
        cells.append(Cell(shown, tint=heat(share) if clean else ""))
    stats = notes.accuracy() if measure == "accuracy" else notes.macro_f1()
    mean = Span("struck", f"{percent(stats.mean)} ± {percent(stats.std_population)}", "contaminated")
    return Line([notes_name(comparison.standing), *cells, mean])


def _plot(comparison: Comparison) -> Plot:
    rows, folds = shown_rows(comparison), list(comparison.folds)
    traces: list[dict[str, Any]] = []
    for place, row in enumerate(rows):
        color = color_of(place, row)
        intervals = [row.scores.fold_interval("accuracy", fold) for fold in row.folds]
        shift = (place - (len(rows) - 1) / 2) * 0.1
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": label(row.full_name, 60),
                "x": [folds.index(fold) + shift for fold in row.folds],
                "y": [100 * one.value for one in intervals],
                "error_y": reach(intervals, color),
                "marker": {"color": color, "size": 8, "symbol": "circle-open" if row.is_control else "circle"},
                "hovertemplate": "%{y:.1f} %<extra>%{fullData.name}</extra>",
            }
        )
    if comparison.standing is Standing.SAME:
        traces.append(_notes_trace(folds))
    layout = {
        "xaxis": named_axis([str(fold) for fold in folds], title={"text": "fold"}, showgrid=False),
        "yaxis": percent_axis("accuracy"),
    }
    return Plot("folds", "Accuracy of each fold, with 95 % intervals", [Variant("", traces)], layout, 400)


def _notes_trace(folds: Sequence[int]) -> dict[str, Any]:
    clean = [fold.fold == notes.CLEAN_FOLD for fold in notes.FOLDS]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": f"{notes.TITLE}: contaminated but for fold {notes.CLEAN_FOLD}",
        "x": [folds.index(fold.fold) for fold in notes.FOLDS],
        "y": [100 * fold.accuracy for fold in notes.FOLDS],
        "marker": {
            "color": "var(--notes)",
            "size": 10,
            "symbol": ["diamond" if one else "x-thin-open" for one in clean],
        },
        "hovertemplate": "%{y:.1f} %<extra>%{fullData.name}</extra>",
    }


def _row_facts(comparison: Comparison, row: Row) -> dict[str, Any]:
    return {
        "folds": [
            {
                "fold": fold,
                "accuracy": float(accuracy),
                "macro_f1": float(macro_f1),
                "interval": dataclasses.asdict(row.scores.fold_interval("accuracy", fold)),
            }
            for fold, accuracy, macro_f1 in zip(row.folds, row.fold_accuracy, row.fold_macro_f1, strict=True)
        ]
    }


SECTION = Section("folds", "Fold by fold", _show, row_facts=_row_facts)

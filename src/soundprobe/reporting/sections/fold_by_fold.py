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
    Plotted,
    Span,
    Text,
    Words,
    columns_of,
    lead,
    on_page,
    struck,
)
from soundprobe.reporting.plots import Plot, Variant, named_axis, percent_axis, reach, scatter
from soundprobe.reporting.sections.section import Section
from soundprobe.reporting.sections.shown_rows import color_of, notes_name, row_trace, run_table, shown_rows
from soundprobe.reporting.wording import MISSING, give_or_take, heat, percent
from soundprobe.scoring import notes
from soundprobe.scoring.metrics import MeanStd


def _show(comparison: Comparison) -> Iterator[Element]:
    same = comparison.standing is Standing.SAME
    yield Text(
        on_page("The best runs fold by fold, with 95 % intervals (bootstrap over the fold's recordings)."), role="how"
    )
    figures: list[Element] = []
    for title, measure in (("Accuracy", "accuracy"), ("Macro-F1", "macro_f1")):
        columns = list(_columns(comparison.folds, measure))
        own = [_notes_line(comparison, measure)] if same else []
        rows = [row for row in comparison.rows if not row.has_own_folds]
        table = run_table(columns, rows, f"{title} fold by fold", "heat", notes=own)
        figures += [Heading(f"{title}, percent"), table]
    yield Plotted(_plot(comparison), figures)
    struck = f" The notes' struck-out figures are {notes.CONTAMINATION_BRIEF}." if same else ""
    yield Text(f"± is the population standard deviation over folds.{struck}", role="how")


def _columns(folds: Sequence[int], measure: str) -> Iterator[Column]:
    def on(row: Row, place: int) -> Cell:
        if folds[place] not in row.folds:
            return Cell(MISSING, style="quiet", title="not tested")
        share = getattr(row, f"fold_{measure}")[row.folds.index(folds[place])]
        return Cell(percent(share), tint=heat(share))

    def mean(row: Row) -> Words:
        stats: MeanStd = getattr(row, measure)
        return (lead(percent(stats.mean)), give_or_take(stats))

    yield from columns_of(map(str, folds), on)
    yield Column("mean", mean, style="sum")


def _notes_line(comparison: Comparison, measure: str) -> list[Cell | Words]:
    cells: list[Cell | Words] = [notes_name(comparison.standing)]
    for fold in notes.FOLDS:
        share = getattr(fold, measure)
        clean = fold.fold == notes.CLEAN_FOLD
        cells.append(Cell(Span("strong", percent(share)), tint=heat(share)) if clean else struck(percent(share)))
    stats = notes.accuracy() if measure == "accuracy" else notes.macro_f1()
    return [*cells, struck(f"{percent(stats.mean)} ± {percent(stats.std_population)}")]


def _plot(comparison: Comparison) -> Plot:
    rows, folds = shown_rows(comparison), list(comparison.folds)
    traces: list[dict[str, Any]] = []
    for place, row in enumerate(rows):
        intervals = [row.scores.fold_interval("accuracy", fold) for fold in row.folds]
        shift = (place - (len(rows) - 1) / 2) * 0.1
        x, y = [folds.index(fold) + shift for fold in row.folds], [100 * one.value for one in intervals]
        traces.append(row_trace(place, row, x, y, "%{y:.1f} %", error_y=reach(intervals, color_of(place, row))))
    if comparison.standing is Standing.SAME:
        traces.append(_notes_trace(folds))
    layout = {
        "xaxis": named_axis([str(fold) for fold in folds], title={"text": "fold"}, showgrid=False),
        "yaxis": percent_axis("accuracy"),
    }
    return Plot("folds", "Accuracy of each fold, with 95 % intervals", [Variant("", traces)], layout, 400)


def _notes_trace(folds: Sequence[int]) -> dict[str, Any]:
    x, y = [folds.index(fold.fold) for fold in notes.FOLDS], [100 * fold.accuracy for fold in notes.FOLDS]
    symbols = ["diamond" if fold.fold == notes.CLEAN_FOLD else "x-thin-open" for fold in notes.FOLDS]
    name = f"{notes.TITLE}: contaminated but for fold {notes.CLEAN_FOLD}"
    return scatter(name, x, y, "%{y:.1f} %", marker={"color": "var(--notes)", "size": 10, "symbol": symbols})


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

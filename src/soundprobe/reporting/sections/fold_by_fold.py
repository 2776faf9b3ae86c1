"""Accuracy and macro-F1 of every run, fold by fold. Letters: F folds."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from soundprobe.reporting.compared.baselines import PublishedHere
from soundprobe.reporting.compared.comparison import Comparison
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.elements import (
    Cell,
    Column,
    Element,
    Heading,
    Plotted,
    Text,
    Words,
    columns_of,
    lead,
    on_page,
)
from soundprobe.reporting.plots import Plot, Variant, label, named_axis, percent_axis, reach, scatter
from soundprobe.reporting.sections.section import Section
from soundprobe.reporting.sections.shown_rows import (
    color_of,
    published_fold,
    published_mean,
    published_name,
    row_trace,
    run_table,
    shown_rows,
)
from soundprobe.reporting.wording import MISSING, give_or_take, heat, percent
from soundprobe.scoring.metrics import MeanStd
from soundprobe.scoring.published import Published


def _show(comparison: Comparison) -> Iterator[Element]:
    same = [here for here in comparison.published if here.is_same]
    yield Text(
        on_page("The best runs fold by fold, with 95 % intervals (bootstrap over the fold's recordings)."), role="how"
    )
    figures: list[Element] = []
    for title, measure in (("Accuracy", "accuracy"), ("Macro-F1", "macro_f1")):
        columns = list(_columns(comparison.folds, measure))
        own = [_published_line(here, comparison.folds, measure) for here in same]
        rows = [row for row in comparison.rows if not row.has_own_folds]
        table = run_table(columns, rows, f"{title} fold by fold", "heat", below=own)
        figures += [Heading(f"{title}, percent"), table]
    yield Plotted(_plot(comparison), figures)
    wrong = [one for here in same if (one := here.published).contamination]
    struck_out = "".join(f" The struck-out figures of {one.name} are {one.contamination}." for one in wrong)
    yield Text(f"± is the population standard deviation over folds.{struck_out}", role="how")


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


def _published_line(here: PublishedHere, folds: Sequence[int], measure: str) -> list[Cell | Words]:
    one, cells = here.published, [Cell(published_name(here))]
    for fold in folds:
        told = next((told for told in one.folds if told.fold == fold), None)
        share = None if told is None else getattr(told, measure)
        if share is None:
            cells.append(Cell(MISSING, style="quiet"))
            continue
        tint = heat(share) if fold in one.tests else ""
        cells.append(Cell(published_fold(one, fold, percent(share)), tint=tint))
    stats: MeanStd | None = getattr(one, measure)
    return [*cells, published_mean(one, percent(stats.mean) + give_or_take(stats)) if stats else MISSING]


def _plot(comparison: Comparison) -> Plot:
    rows, folds = shown_rows(comparison), list(comparison.folds)
    traces: list[dict[str, Any]] = []
    for place, row in enumerate(rows):
        intervals = [row.scores.fold_interval("accuracy", fold) for fold in row.folds]
        shift = (place - (len(rows) - 1) / 2) * 0.1
        x, y = [folds.index(fold) + shift for fold in row.folds], [100 * one.value for one in intervals]
        traces.append(row_trace(place, row, x, y, "%{y:.1f} %", error_y=reach(intervals, color_of(place, row))))
    traces += [_published_trace(here.published, folds) for here in comparison.published if here.is_same]
    layout = {
        "xaxis": named_axis([str(fold) for fold in folds], title={"text": "fold"}, showgrid=False),
        "yaxis": percent_axis("accuracy", traces),
    }
    return Plot("folds", "Accuracy of each fold, with 95 % intervals", [Variant("", traces)], layout, 400)


def _published_trace(one: Published, folds: Sequence[int]) -> dict[str, Any]:
    x, y = [folds.index(fold.fold) for fold in one.folds], [100 * fold.accuracy for fold in one.folds]
    symbols = ["diamond" if fold.fold in one.tests else "x-thin-open" for fold in one.folds]
    name = f"{one.title}: {f'contaminated but for {one.where}' if one.contamination else 'as published'}"
    return scatter(label(name, 60), x, y, "%{y:.1f} %", marker={"color": "var(--notes)", "size": 10, "symbol": symbols})


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

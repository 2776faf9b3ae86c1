"""Precision, recall and F1 of each class. Letters: C classes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from soundprobe.reporting.compared.comparison import Comparison
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.elements import (
    Cell,
    Column,
    Element,
    Heading,
    Plotted,
    Table,
    Text,
    Words,
    columns_of,
    name,
    on_page,
    pick,
)
from soundprobe.reporting.plots import PALETTE, Plot, Variant, named_axis, percent_axis, reach, scatter
from soundprobe.reporting.sections.section import Section
from soundprobe.reporting.sections.shown_rows import run_table, shown_rows
from soundprobe.reporting.wording import MISSING, between, count, heat, one_line, percent
from soundprobe.scoring.intervals import Interval

ClassFigures = tuple[str, int, dict[str, Interval]]
"""A class, its clips, and its intervals by "precision", "recall" and "f1"."""


def _show(comparison: Comparison) -> Iterator[Element]:
    best = shown_rows(comparison)[0]
    yield Text(
        "All tested folds together, with 95 % intervals: precision is how many of the clips called a class are of it, "
        "recall how many of its clips were found, F1 their harmonic mean. The class that goes worst stands first.",
        role="how",
    )
    rows = (best, *(row for row in comparison.rows if row is not best))
    variants = []
    for row in rows:
        figures = class_figures(row)
        traces = []
        for place, (key, symbol) in enumerate((("f1", "circle"), ("precision", "triangle-up"), ("recall", "diamond"))):
            there = [(number, one[2][key]) for number, one in enumerate(figures) if key in one[2]]
            color = PALETTE[place]
            x, y = [100 * cell.value for _, cell in there], [number + 0.22 * (place - 1) for number, _ in there]
            look = {"error_x": reach([cell for _, cell in there], color)}
            look["marker"] = {"symbol": symbol, "size": 8, "color": color}
            traces.append(scatter({"f1": "F1"}.get(key, key), x, y, "%{x:.1f} %", **look))
        layout = {
            "xaxis": percent_axis("with 95 % intervals", traces, "x"),
            "yaxis": named_axis([one[0] for one in figures], autorange="reversed"),
        }
        variants.append(Variant(row.full_name, traces, layout))
    layout = {"yaxis": {"showgrid": True}}
    height = 130 + 46 * len(rows[0].first.class_names)
    yield Plotted(Plot("classes", "Precision, recall and F1 of each class", variants, layout, height), [_table(best)])
    yield Heading("F1 of each class, every run")
    seeds = ", averaged over seeds" if comparison.has_seeds else ""
    yield Text(
        f"F1 in percent, over the predictions of all tested folds together{seeds}.",
        on_page(" The stronger the tint, the better."),
        role="how",
    )
    columns = columns_of(map(one_line, comparison.class_names), _f1, turned=True)
    yield run_table(columns, comparison.rows, style="heat")


def _f1(row: Row, label: int) -> Cell:
    share = row.per_class_f1[label]
    return Cell(percent(share, 0), tint=heat(share))


def _table(row: Row) -> Table:
    """The row's classes; items are those of `class_figures`."""
    number = {one: label for label, one in enumerate(row.first.class_names)}
    picked = partial(_picked, number)
    named = Column(row.full_name, picked, text=True, sort="text", by=lambda one: one_line(one[0]))
    columns = [named, Column("Clips", lambda one: one[1], count, sort="number")]
    for heading in ("Precision", "Recall", "F1"):
        columns += [
            Column(f"{heading}, %", partial(_value, heading.lower()), percent, sort="number", lead=True),
            Column("95 % interval", partial(_interval, heading.lower()), between),
        ]
    return Table(columns, class_figures(row), f"Precision, recall and F1 of {row.name}")


def _picked(number: Mapping[str, int], one: ClassFigures) -> Words:
    return pick(name(one[0]), true=number[one[0]])


def _value(key: str, one: ClassFigures) -> float | None:
    return one[2][key].value if key in one[2] else None


def _interval(key: str, one: ClassFigures) -> Interval | Cell:
    return one[2].get(key, Cell(MISSING, style="quiet"))


def class_figures(row: Row) -> list[ClassFigures]:
    """Each class with its clips and its intervals, the lowest F1 first."""
    clips = row.confusion.sum(axis=1) / len(row.runs)
    found = [
        (name, round(float(count)), figures)
        for name, count, figures in zip(row.first.class_names, clips, row.scores.class_intervals(), strict=True)
    ]
    return sorted(found, key=lambda one: one[2]["f1"].value if "f1" in one[2] else -1.0)


def _row_facts(comparison: Comparison, row: Row) -> dict[str, Any]:
    return {
        "per_class": [
            {key: dataclasses.asdict(one) for key, one in figures.items()} for figures in row.scores.class_intervals()
        ],
        "per_class_f1": row.per_class_f1,
    }


SECTION = Section("classes", "Class by class", _show, row_facts=_row_facts)

"""Rows as sections show them: names with what must be said of them, colours, and which of them charts draw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from soundprobe.reporting.compared.baselines import PublishedHere
from soundprobe.reporting.compared.comparison import Comparison
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.elements import Cell, Column, Span, Table, Words, name, struck
from soundprobe.reporting.plots import PALETTE, label, scatter
from soundprobe.reporting.wording import percent
from soundprobe.scoring.published import Published

SHOWN = 5


def shown_rows(comparison: Comparison) -> tuple[Row, ...]:
    """The best contenders and the best one's control; whatever there is where nothing is ranked."""
    best = (comparison.contenders or comparison.ranked or comparison.rows)[:SHOWN]
    control = comparison.control_of(best[0])
    return (*best, control) if control is not None and control not in best else tuple(best)


def run_name(row: Row) -> Words:
    """The row's name, with what must be said of its weights and folds. The same in every table."""
    partial = "" if row.complete else f"{len(row.folds)} of {len(row.first.dataset['folds'])} folds"
    tags = [(row.tag, row.tag_kind), (partial, "partial")]
    return (name(row.name), *((" ", Span("tag", text, style=style)) for text, style in tags if text))


def seed_spread(row: Row) -> Words:
    """How much accuracy differs between the row's seeds, in points: population standard deviation, "± 1.2 of 3"."""
    return (f"± {percent(row.over_seeds('accuracy').std_population)} ", Span("aside", f"of {len(row.runs)}"))


def published_tags(here: PublishedHere) -> list[str]:
    """What must be said of published figures."""
    one = here.published
    tags = [f"contaminated but for {one.where}" if one.contamination else "as published, without predictions"]
    return tags if here.is_same else [*tags, "on other clips"]


def published_name(here: PublishedHere) -> Words:
    """The title of a published model, with what must be said of its figures."""
    return (name(here.published.title), *((" ", Span("tag", text, style="notes")) for text in published_tags(here)))


def published_fold(one: Published, fold: int, shown: str) -> Words:
    """A fold's figure as `shown`: struck out where it is no test result."""
    if not one.contamination:
        return shown
    return Span("strong", shown) if fold in one.tests else struck(shown)


def published_mean(one: Published, shown: str) -> Words:
    """A mean over all folds as `shown`: struck out where some are no test results."""
    return struck(shown) if one.contamination else shown


def run_table(
    columns: Sequence[Column],
    items: Sequence[Any],
    aria: str = "",
    style: str = "",
    *,
    row: Callable[[Any], Row] = lambda item: item,
    heading: str = "Run",
    sort: bool = False,
    below: Sequence[Sequence[Cell | Words]] = (),
) -> Table:
    """A table of rows, or of items that `row` takes their row from: their names, then `columns`; controls are quiet."""
    named = Column(
        heading,
        lambda item: run_name(row(item)),
        text=True,
        sort="text" if sort else "",
        by=lambda item: row(item).name,
    )
    return Table([named, *columns], items, aria, style, lambda item: "control" * row(item).is_control, below)


def color_of(place: int, row: Row) -> str:
    """The colour of the row that is drawn at `place` of a chart; controls share one."""
    return PALETTE[-1] if row.is_control else PALETTE[place % (len(PALETTE) - 1)]


def row_trace(place: int, row: Row, x: Sequence[Any], y: Sequence[Any], hover: str, **more: Any) -> dict[str, Any]:
    """The row's marks in a chart, of `place`'s colour; `more` is what it has besides, or other than usual."""
    symbol = {"control": "circle-open", "baseline": "square", "run": "circle"}[row.role]
    marker = {"color": color_of(place, row), "size": 8, "symbol": symbol, **more.pop("marker", {})}
    return scatter(label(row.full_name, 60), x, y, hover, marker=marker, **more)


def row_line(place: int, row: Row, x: Sequence[Any], y: Sequence[Any], hover: str, **more: Any) -> dict[str, Any]:
    """As `row_trace`, its marks joined by a line."""
    color = color_of(place, row)
    line = {"color": color, "dash": "dot" if row.is_control else "solid"}
    marker = {"size": 7, "symbol": "square" if row.is_baseline else "circle"}
    usual = {"mode": "lines+markers", "line": line, "marker": marker}
    return row_trace(place, row, x, y, hover, **usual, **more)

"""Rows as sections show them: names with what must be said of them, colours, and which of them charts draw."""

from __future__ import annotations

from soundprobe.reporting.compared.comparison import Comparison, Standing
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.elements import Cell, Line, Span, Words, name
from soundprobe.reporting.plots import PALETTE
from soundprobe.scoring import notes

SHOWN = 5


def shown_rows(comparison: Comparison, limit: int = SHOWN) -> tuple[Row, ...]:
    """The best contenders and the best one's control; whatever there is where nothing is ranked."""
    best = comparison.contenders[:limit] or comparison.ranked[:limit] or comparison.rows[:limit]
    control = comparison.control_of(best[0])
    return (*best, control) if control is not None and control not in best else tuple(best)


def run_name(row: Row) -> Words:
    """The row's name, with what must be said of its weights and folds. The same in every table."""
    partial = "" if row.complete else f"{len(row.folds)} of {len(row.first.dataset['folds'])} folds"
    tags = [(row.tag, row.tag_kind), (partial, "partial")]
    return (name(row.name), *((" ", Span("tag", text, style=style)) for text, style in tags if text))


def notes_name(standing: Standing) -> Words:
    """The notes' CNN, with what must be said of its figures."""
    tags = [f"contaminated but for fold {notes.CLEAN_FOLD}"]
    tags += [] if standing is Standing.SAME else ["on other clips"]
    return (name(notes.TITLE), *((" ", Span("tag", text, style="notes")) for text in tags))


def row_line(row: Row, *cells: Cell | Words, value: object = None) -> Line:
    """A row of a table: its name, then `cells`; controls are drawn as such."""
    return Line([Cell(run_name(row), value), *cells], "control" if row.is_control else "")


def color_of(place: int, row: Row) -> str:
    """The colour of the row that is drawn at `place` of a chart; controls share one."""
    return PALETTE[-1] if row.is_control else PALETTE[place % (len(PALETTE) - 1)]

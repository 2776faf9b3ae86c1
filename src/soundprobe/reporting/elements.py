"""What a section of the report shows, apart from how: words, tables, charts, lists. Renderers turn them into a format.

Words are text, a span of a kind, or several of them in a row. An element is a paragraph, a table or another block of
words. Neither holds HTML or Markdown, so whoever renders them escapes everything, whoever wrote it.

    Text("Best is ", name("mn04"), ".")
    Table([Column("Class", lambda one: one.name, name, text=True), Column("Clips", lambda one: one.clips)], found)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from soundprobe.reporting.plots import Plot
from soundprobe.reporting.wording import MISSING, one_line

SpanKind = Literal[
    "strong",  # counts more than what is around it
    "lead",  # what the eye is to fall on first, where there are weights to choose from
    "struck",  # shown, but not to be believed
    "name",  # from data: a class, a recording, a run
    "code",
    "command",  # code to be copied whole
    "tag",  # what must be said of the name before it
    "quiet",
    "aside",  # after what it belongs to, in brackets where there is no smaller type
    "below",  # the same on a line of its own
    "small",
    "mark",  # stands for its title
    "setting",
    "thin",
    "break",
    "page",  # speaks of what only the page has, such as the marks of a chart
    "pick",  # on the page, a click selects the clips that `style`, a JSON object, tells
]


@dataclass(frozen=True)
class Span:
    """Words of one kind. `title` explains them; `style` tells tags apart: "control", "origin", "partial", ..."""

    kind: SpanKind
    words: Words = ""
    title: str = ""
    style: str = ""


Words = str | Span | tuple["Words", ...]

BREAK = Span("break")
"""Ends a line; where lines can't be ended, a semicolon."""


def name(text: object) -> Span:
    """A name from data, on one line."""
    return Span("name", one_line(text))


def lead(words: Words) -> Span:
    return Span("lead", words)


def code(text: object) -> Span:
    return Span("code", one_line(text))


def struck(words: Words) -> Span:
    return Span("struck", words, "contaminated")


def on_page(*words: Words) -> Span:
    return Span("page", words)


def pick(words: Words, **clips: int | str) -> Span:
    """Words that a click, on the page, selects clips by.

    Args:
        clips: which: `true` and `said` are classes by number, `recording` a recording, `set` the name of a `ClipSet`,
            or "wrong" for all mistakes.
    """
    return Span("pick", words, style=json.dumps(clips))


def joined(parts: Sequence[Words], separator: Words = ", ") -> Words:
    """`parts` with `separator` between them."""
    return tuple(word for part in parts for word in (separator, part))[1:]


class Element:
    """A block of a section; `kind` names its macro in templates/elements.html."""

    @property
    def kind(self) -> str:
        return type(self).__name__.lower()


class Text(Element):
    """A paragraph: to be read, or "how" figures were made, or a "caveat" on what they can't bear."""

    def __init__(self, *words: Words, role: Literal["", "how", "caveat"] = "") -> None:
        self.words, self.role = words, role


@dataclass(frozen=True)
class Heading(Element):
    """A heading inside a section."""

    words: Words


@dataclass(frozen=True)
class Bullets(Element):
    """A list; `style` "caveats" for what must be known to read the figures above it."""

    items: Sequence[Words]
    style: str = ""


@dataclass(frozen=True)
class Definitions(Element):
    """Terms, each with what it is."""

    items: Sequence[tuple[str, Words]]


@dataclass(frozen=True)
class Cell:
    """Words of a table, and what they are beside them.

    Attributes:
        value: what their column is sorted by; None for none, "" for a cell that stays below.
        style: CSS classes: "quiet", "right", "wrong", "thin", "wide".
        tint: how strongly it is coloured, "0" to "100".
        title: explains it.
        span: how many columns it covers.
    """

    words: Words
    value: object = None
    style: str = ""
    tint: str = ""
    title: str = ""
    span: int = 1


@dataclass(frozen=True)
class Column:
    """A column of a table: what it shows of each item, and how.

    Attributes:
        of: what an item has here: a value, words, or a whole cell; None is shown as a dash.
        shown: puts a value into words.
        group: stands above the headings of neighbouring columns that share it.
        text: whether its cells are words; else numbers, which stand to the right. The first such column names the rows.
        sort: how a reader's click sorts it, if at all; "least" are numbers whose least is first wanted.
        by: what it is sorted by, where that is not the value itself.
        lead: whether the eye is to fall on it.
        turned: whether the heading is written upwards, to save width.
        style: CSS classes of heading and cells: "sum" stands for the other columns.
    """

    heading: Words
    of: Callable[[Any], Any]
    shown: Callable[[Any], Words] = lambda value: value if isinstance(value, Span | tuple) else str(value)
    group: str = ""
    text: bool = False
    sort: Literal["", "number", "least", "text"] = ""
    by: Callable[[Any], object] | None = None
    lead: bool = False
    turned: bool = False
    style: str = ""

    def cell(self, item: Any) -> Cell:
        found = self.of(item)
        if isinstance(found, Cell):
            return found
        words = MISSING if found is None else self.shown(found)
        value = None
        if self.sort:
            value = self.by(item) if self.by else found
            value = "" if value is None else value
        return Cell(lead(words) if self.lead and found is not None else words, value)


def columns_of(names: Iterable[Words], cell: Callable[[Any, int], Any], **more: Any) -> list[Column]:
    """A column for each of `names`; `cell` makes an item's cell from the item and the column's place among them."""
    return [
        Column(one, partial(lambda place, item: cell(item, place), place), **more) for place, one in enumerate(names)
    ]


@dataclass(frozen=True)
class Line:
    """A row of a table; `style` "control" or "best"."""

    cells: Sequence[Cell]
    style: str = ""


@dataclass(frozen=True)
class Table(Element):
    """A table with a row for each of `items`.

    Attributes:
        label: says what it is to those who can't see it; "" takes the section's title.
        style: CSS classes: "heat" (tinted cells), "square", "tight", "roomy", "counts".
        styled: how an item's row is drawn.
        below: rows of what was published, which stand below the others however these are sorted.
        named: whether the first column of words names the rows.
    """

    columns: Sequence[Column]
    items: Sequence[Any]
    label: str = ""
    style: str = ""
    styled: Callable[[Any], str] = lambda _: ""
    below: Sequence[Sequence[Cell | Words]] = ()
    named: bool = True

    @property
    def lines(self) -> list[Line]:
        return [Line([column.cell(item) for column in self.columns], self.styled(item)) for item in self.items]

    @property
    def lines_below(self) -> list[Line]:
        return [Line([one if isinstance(one, Cell) else Cell(one) for one in cells]) for cells in self.below]

    @property
    def sortable(self) -> bool:
        return any(column.sort for column in self.columns)

    @property
    def naming(self) -> int:
        """Which column names the rows; -1 for none."""
        return next((place for place, column in enumerate(self.columns) if column.text), -1) if self.named else -1

    @property
    def groups(self) -> list[tuple[str, int]]:
        """Each group of columns with how many they are; none where no column has one."""
        found: list[tuple[str, int]] = []
        for column in self.columns:
            if found and found[-1][0] == column.group:
                found[-1] = (column.group, found[-1][1] + 1)
            else:
                found.append((column.group, 1))
        return found if any(group for group, _ in found) else []

    def placed(self, line: Line) -> list[tuple[int, Cell]]:
        """The cells of `line`, each with the number of its (first) column."""
        found, place = [], 0
        for cell in line.cells:
            found.append((place, cell))
            place += cell.span
        assert place == len(self.columns), f"{place} cells for {len(self.columns)} columns"
        return found


@dataclass(frozen=True)
class Plotted(Element):
    """A chart, and the same figures for where there is none: on paper, without scripts, in Markdown."""

    plot: Plot
    figures: Sequence[Element]


@dataclass(frozen=True)
class Fold(Element):
    """What is folded away under its summary where a page can fold."""

    summary: Words
    elements: Sequence[Element]


@dataclass(frozen=True)
class Beside(Element):
    """Two columns of elements where there is room, else one below the other."""

    main: Sequence[Element]
    margin: Sequence[Element]


@dataclass(frozen=True)
class Interactive(Element):
    """What only a page can show: a template of its own, what it knows, and the words that stand for it elsewhere."""

    template: str
    instead: Words
    values: Mapping[str, Any] = field(default_factory=dict)

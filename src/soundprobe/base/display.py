"""How results show themselves: a few lines where they are printed; the same and a small table in a notebook."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

from markupsafe import Markup

from soundprobe.base.errors import one_line

MISSING = "–"
UNKNOWN_RECORDINGS = "recordings unknown: every file counts as its own"
ROWS = 50
"""So many rows a notebook gets of one table: its file keeps them."""


class Shown:
    """Shows what `shown_lines` and `shown_table` give, whoever wrote it: on one line each, and escaped."""

    def shown_lines(self) -> Sequence[str]:
        """Up to three lines."""
        raise NotImplementedError

    def shown_table(self) -> Sequence[Sequence[object]]:
        """A heading and then rows, or nothing."""
        return ()

    def shown_row(self) -> Mapping[str, object]:
        """Its row in the table of a list of its kind, by heading."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return "\n".join(map(one_line, self.shown_lines()))

    def _repr_html_(self) -> str:
        lines = Markup("<br>").join(map(one_line, self.shown_lines()))
        return str(Markup("<p>{}</p>{}").format(lines, table_html(self.shown_table())))


AnyShown = TypeVar("AnyShown", bound=Shown)


class ShownList(Shown, list[AnyShown]):
    """A list of results: a line each of the first where it is printed, a row each in a notebook."""

    def shown_lines(self) -> Sequence[str]:
        if len(self) <= 3:
            return [one.shown_lines()[0] for one in self] or ["none"]
        return [*(one.shown_lines()[0] for one in self[:2]), f"and {len(self) - 2} more"]

    def shown_table(self) -> Sequence[Sequence[object]]:
        rows = [one.shown_row() for one in self]
        return [list(rows[0]), *(list(row.values()) for row in rows)] if rows else ()

    def _repr_html_(self) -> str:
        return table_html(self.shown_table())


def table_html(rows: Sequence[Sequence[object]]) -> Markup:
    """A heading and then rows as an HTML table, everything escaped; what is beyond `ROWS` is counted below it."""
    if not rows:
        return Markup("")
    heading, *body = rows
    head = Markup("").join(Markup('<th scope="col">{}</th>').format(one_line(cell)) for cell in heading)
    lines = Markup("\n").join(
        Markup("<tr>{}</tr>").format(Markup("").join(Markup("<td>{}</td>").format(one_line(cell)) for cell in row))
        for row in body[:ROWS]
    )
    table = Markup("<table>\n<thead><tr>{}</tr></thead>\n<tbody>\n{}\n</tbody>\n</table>").format(head, lines)
    return table + (Markup("\n<p>and {} more</p>").format(count(len(body) - ROWS)) if len(body) > ROWS else "")


def percent(share: float | None, digits: int = 1) -> str:
    """A share in [0, 1] as percent, without the sign: 0.8312 -> "83.1". Rounded as ".831" is: once, in binary."""
    if share is None or math.isnan(share):
        return MISSING
    return f"{100 * round(float(share), digits + 2):.{digits}f}"  # numpy's own numbers round otherwise


def count(number: float) -> str:
    """A whole number with thousands separated: 8732 -> "8,732"."""
    return f"{number:,.0f}"


def plural(number: int, noun: str) -> str:
    """ "1 fold", "10 folds"."""
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"

"""Markdown that shows names and texts from data literally: escapes, code spans, tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.render.wording import MISSING, one_line


def escape(text: object) -> str:
    """`text` as Markdown that shows it literally, in running text and in a table's cell."""
    shown = one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    shown = re.sub(r"([\\`*|\[\]~$#!])", r"\\\1", shown)
    # Inside a word an underscore is only itself; at its edge it could begin emphasis.
    return re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", shown)


def code(text: object) -> str:
    """`text` as a code span, whatever backticks it holds; for running text, not for tables."""
    shown = one_line(text) or MISSING
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    return f"{fence} {shown} {fence}" if len(fence) > 1 else f"`{shown}`"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> str:
    """A Markdown table from cells that are escaped already; the first `left` columns are text, the others numbers."""
    rule = ["---" if column < left else "---:" for column in range(len(head))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def row_name(row: Row) -> str:
    """The row's name, with what must be said of its weights and folds."""
    partial = "" if row.complete else f"{len(row.folds)} of {len(row.first.dataset['folds'])} folds"
    return " ".join([escape(row.name), *(f"(**{escape(mark)}**)" for mark in (row.tag, partial) if mark)])

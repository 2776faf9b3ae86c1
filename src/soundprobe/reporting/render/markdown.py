"""The report's content -> report.md: the page's words and tables, for places that show Markdown (GitHub, an editor)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from soundprobe.reporting.content import Content, Part, Shown
from soundprobe.reporting.elements import (
    Beside,
    Bullets,
    Definitions,
    Element,
    Fold,
    Heading,
    Interactive,
    Plotted,
    Table,
    Text,
    Words,
)
from soundprobe.reporting.wording import MISSING, one_line

WRAPS = {"strong": "**{}**", "struck": "~~{}~~", "tag": "(**{}**)", "aside": "({})", "below": " ({})"}
"""What stands around a span of a kind; around others nothing."""


def render_markdown(content: Content) -> str:
    """The whole report as GitHub-flavoured Markdown, every name from data escaped."""
    blocks = [f"# {escape(content.title)}"]
    for part in content.parts:
        blocks += _part(part)
    for shown in content.appendix:
        blocks += _section(shown, "##")
    return "\n\n".join(blocks) + "\n"


def _part(part: Part) -> Iterator[str]:
    comparison, verdict = part.comparison, part.verdict
    yield f"## {escape(comparison.shown_name)}"
    yield f"{part.counts}; fingerprint {code(comparison.fingerprint)}"
    yield f"**{escape(verdict.headline)}**"
    if verdict.figures:
        yield "\n".join(f"- **{one.figure} {one.unit}** {escape(one.what)}" for one in verdict.figures)
    yield "; ".join(f"{'✓' if one.passed else '**!**'} {escape(one.said)}" for one in part.checks)
    if part.steps:
        steps = (f"- {escape(one.said)}{f' {code(one.command)}' if one.command else ''}" for one in part.steps)
        yield "\n".join(["What to do next:", "", *steps])
    if verdict.sure:
        yield f"How sure? {escape(' '.join(verdict.sure))}"
    for chapter in part.chapters:
        blocks = [block for shown in chapter.sections for block in _section(shown, "####")]
        if blocks:
            yield f"### {escape(chapter.title)}"
            yield from blocks


def _section(shown: Shown, level: str) -> list[str]:
    """The section's blocks; none where all that it shows needs a page."""
    blocks = list(_blocks(shown.elements, f"{level}#"))
    return [f"{level} {escape(shown.title)}", *blocks] if blocks else []


def _blocks(elements: Iterable[Element], level: str) -> Iterator[str]:
    """What each element is in Markdown; `level` begins a heading inside the section."""
    for one in elements:
        if isinstance(one, Text):
            if shown := words_markdown(one.words).strip():
                yield shown
        elif isinstance(one, Heading):
            yield f"{level} {words_markdown(one.words)}"
        elif isinstance(one, Bullets):
            yield "\n".join(f"- {words_markdown(item)}" for item in one.items)
        elif isinstance(one, Definitions):
            yield "\n".join(f"- **{escape(term)}**: {words_markdown(what)}" for term, what in one.items)
        elif isinstance(one, Table):
            head = [f"{escape(one.group)}: " * bool(one.group) + words_markdown(one.heading) for one in one.columns]
            rule = ["---" if column.text or not place else "---:" for place, column in enumerate(one.columns)]
            rows: list[Sequence[str]] = [head, rule]
            for line in (*one.lines, *one.lines_below):
                cells: list[str] = []
                for place, cell in one.placed(line):
                    cells += [""] * (place - len(cells))  # the columns that the cell before covers
                    cells.append(words_markdown(cell.words))
                rows.append([*cells, *[""] * (len(one.columns) - len(cells))])
            yield "\n".join(f"| {' | '.join(cells)} |" for cells in rows)
        elif isinstance(one, Plotted):
            yield from _blocks(one.figures, level)
        elif isinstance(one, Fold):
            yield f"{level} {words_markdown(one.summary)}"
            yield from _blocks(one.elements, level)
        elif isinstance(one, Beside):
            yield from _blocks([*one.main, *one.margin], level)
        elif isinstance(one, Interactive):
            yield words_markdown(one.instead)
        else:
            raise TypeError(f"{type(one).__name__} has no Markdown; add a case here")


def words_markdown(words: Words) -> str:
    """`words` as Markdown that shows them literally, in running text and, but for code, in a table's cell."""
    if isinstance(words, str):
        before, after = words[:1].isspace(), len(words) > 1 and words[-1:].isspace()
        return f"{' ' if before else ''}{escape(words)}{' ' if after else ''}"
    if isinstance(words, tuple):
        return "".join(map(words_markdown, words))
    if words.kind == "page":
        return ""
    if words.kind == "break":
        return "; "
    if words.kind in ("code", "command"):
        return code(words.words)
    inner = words_markdown(words.words)
    if words.kind == "mark":
        return f"{inner} ({escape(words.title)})"
    return WRAPS.get(words.kind, "{}").format(inner)


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

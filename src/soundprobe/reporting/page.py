"""Comparisons -> one self-contained HTML page.

The page is a list of sections for each data set. A section is a template in `templates/sections/` and, where it needs
more than the comparison itself, a function that prepares what it shows; a new one is one more entry in `SECTIONS`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from soundprobe import notes
from soundprobe.reporting import breakdown, wording
from soundprobe.reporting.chart import chart_of
from soundprobe.reporting.collect import UnreadableRun
from soundprobe.reporting.comparison import Comparison, Standing, compare
from soundprobe.reporting.rows import Row, setting_text
from soundprobe.reporting.verdict import verdict_of


@dataclass(frozen=True)
class Section:
    """One part of the page.

    Attributes:
        key: its template is `sections/<key>.html`, its anchor `<key>-<number of the data set>`.
        title: its heading.
        prepare: what the template knows besides `comparison`; None where there is nothing to show.
    """

    key: str
    title: str
    prepare: Callable[[Comparison], dict[str, Any] | None]


def _ranking(comparison: Comparison) -> dict[str, Any]:
    entries = []
    for rank, row in enumerate(comparison.rows, start=1):
        control = comparison.control_of(row)
        entries.append((rank if row.complete else None, row, compare(row, control) if control else None))
    return {"entries": entries, "shows_clean_fold": comparison.standing is not Standing.OTHER}


def _confusion(comparison: Comparison) -> dict[str, Any] | None:
    best = comparison.best
    if best is None:
        return None
    return {
        "row": best,
        "shares": breakdown.row_shares(best.confusion),
        "frequent": breakdown.most_frequent(best),
    }


def _rows(comparison: Comparison) -> dict[str, Any]:
    return {"rows": comparison.rows}


def _chosen(comparison: Comparison) -> dict[str, Any] | None:
    rows = [row for row in comparison.rows if row.chosen]
    return {"rows": rows} if rows else None


SECTIONS = (
    Section("ranking", "All runs", _ranking),
    Section("folds", "Fold by fold", _rows),
    Section("classes", "F1 of each class", _rows),
    Section("confusion", "Confusions of the best run", _confusion),
    Section("chosen", "Chosen settings", _chosen),
    Section("cost", "Cost", _rows),
    Section("reproduce", "What reproduces it", _rows),
)


def render_page(
    comparisons: Sequence[Comparison], unreadable: Sequence[UnreadableRun], title: str | None = None
) -> str:
    """The whole page: no request to any network, every name from data escaped, the same for the same input."""
    templates = _environment()
    parts = []
    for number, comparison in enumerate(comparisons, start=1):
        prepared = [(section, section.prepare(comparison)) for section in SECTIONS]
        parts.append(
            {
                "number": number,
                "comparison": comparison,
                "verdict": verdict_of(comparison),
                "chart": chart_of(comparison),
                "sections": [(section, view) for section, view in prepared if view is not None],
            }
        )
    script = _static("page.js")
    return templates.get_template("page.html").render(
        title=title or page_title(comparisons),
        parts=parts,
        unreadable=unreadable,
        style=Markup(_static("page.css")),  # noqa: S704 - our own file
        script=Markup(script),  # noqa: S704 - our own file
        script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def page_title(comparisons: Sequence[Comparison]) -> str:
    """The heading where the user gave none."""
    names = list(dict.fromkeys(wording.one_line(comparison.name) for comparison in comparisons))
    where = wording.listing(names) if len(names) <= 3 else f"{len(names)} data sets"
    return f"Sound embeddings compared on {where}"


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("soundprobe.reporting", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=wording.percent,
        points=wording.points,
        count=wording.count,
        duration=wording.duration,
        one_line=wording.one_line,
        published=notes.published,
        setting=setting_text,
        heat=heat,
        sentence=wording.sentence,
        together=together,
    )
    environment.globals.update(notes=notes, Standing=Standing, plural=wording.plural, Row=Row)
    return environment


def heat(share: float, power: float = 2.0) -> str:
    """How strongly a cell is tinted, from "0" to "100". A power above 1 tells high shares apart, below 1 low ones."""
    return "0" if share != share else f"{100 * min(max(share, 0.0), 1.0) ** power:.0f}"


def together(text: str) -> str:
    """`text` with its percent signs kept on the line of their figure."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%")


def _static(name: str) -> str:
    return resources.files("soundprobe.reporting").joinpath("static", name).read_text(encoding="utf-8")

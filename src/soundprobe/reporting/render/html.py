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

from soundprobe.reporting.compared.comparison import Comparison, Standing, compare
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.render import wording
from soundprobe.reporting.render.plots import plotly_script
from soundprobe.reporting.runs.collect import UnreadableRun
from soundprobe.reporting.sections.calibration import prepare_calibration
from soundprobe.reporting.sections.chart import chart_of
from soundprobe.reporting.sections.checks import prepare_controls
from soundprobe.reporting.sections.class_plots import prepare_classes, prepare_confusion, prepare_folds
from soundprobe.reporting.sections.conditions import prepare_conditions
from soundprobe.reporting.sections.curves import prepare_cost, prepare_learning, prepare_training
from soundprobe.reporting.sections.data_audit import prepare_audit
from soundprobe.reporting.sections.embedding_map import prepare_map
from soundprobe.reporting.sections.evidence import cautions_of, prepare_statistics
from soundprobe.reporting.sections.gallery import prepare_gallery
from soundprobe.reporting.sections.recordings import prepare_recordings
from soundprobe.reporting.sections.verdict import verdict_of
from soundprobe.scoring import notes
from soundprobe.viewing import player


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
    for row in comparison.rows:
        control = comparison.control_of(row)
        entries.append((comparison.rank_of(row), row, compare(row, control) if control else None))
    return {"entries": entries, "shows_clean_fold": comparison.standing is not Standing.OTHER}


def _rows(comparison: Comparison) -> dict[str, Any]:
    return {"rows": comparison.rows}


def _chosen(comparison: Comparison) -> dict[str, Any] | None:
    rows = [row for row in comparison.rows if row.chosen]
    return {"rows": rows, "cautions": cautions_of(comparison)} if rows else None


SECTIONS = (
    Section("ranking", "All runs", _ranking),
    Section("statistics", "How sure is it?", prepare_statistics),
    Section("controls", "Controls", prepare_controls),
    Section("audit", "Can the folds be trusted?", prepare_audit),
    Section("folds", "Fold by fold", prepare_folds),
    Section("classes", "Class by class", prepare_classes),
    Section("confusion", "What is taken for what", prepare_confusion),
    Section("gallery", "The worst mistakes", prepare_gallery),
    Section("map", "A map of the embeddings", prepare_map),
    Section("recordings", "The hardest recordings", prepare_recordings),
    Section("conditions", "Foreground, background and length", prepare_conditions),
    Section("calibration", "How far probabilities can be believed", prepare_calibration),
    Section("learning", "Would more recordings help?", prepare_learning),
    Section("training", "Training curves", prepare_training),
    Section("chosen", "Chosen settings", _chosen),
    Section("cost", "Cost", prepare_cost),
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
    own = "\n".join([_static("page.js"), player.static("player.js"), _static("map.js"), _static("plots.js")])
    scripts = [plotly_script(), own]
    style = "\n".join([_static("page.css"), player.static("player.css"), _static("media.css")])
    return templates.get_template("page.html").render(
        title=title or page_title(comparisons),
        parts=parts,
        unreadable=unreadable,
        style=Markup(style),  # noqa: S704 - our own file
        scripts=[Markup(script) for script in scripts],  # noqa: S704 - our own files, and plotly's
        digests=[digest_of(script) for script in scripts],
    )


def digest_of(script: str) -> str:
    """The source expression by which the page's policy knows an inline script."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


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
        between=wording.between,
        points_between=wording.points_between,
        p_value=wording.p_value,
        count=wording.count,
        duration=wording.duration,
        one_line=wording.one_line,
        published=notes.published,
        setting=wording.setting_text,
        heat=heat,
        sentence=wording.sentence,
        together=together,
    )
    environment.globals.update(
        empty_player=player.empty_player, notes=notes, Standing=Standing, plural=wording.plural, Row=Row
    )
    return environment


def heat(share: float, power: float = 2.0) -> str:
    """How strongly a cell is tinted, from "0" to "100". A power above 1 tells high shares apart, below 1 low ones."""
    return "0" if share != share else f"{100 * min(max(share, 0.0), 1.0) ** power:.0f}"


def together(text: str) -> str:
    """`text` with its percent signs kept on the line of their figure."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%")


def _static(name: str) -> str:
    return resources.files("soundprobe.reporting").joinpath("static", name).read_text(encoding="utf-8")

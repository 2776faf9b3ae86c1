"""The report's content -> one self-contained HTML page; templates/elements.html has a macro a kind of element."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup, escape

from soundprobe.reporting import wording
from soundprobe.reporting.content import Content
from soundprobe.reporting.elements import Words
from soundprobe.reporting.sections.shown_rows import published_name, run_name
from soundprobe.viewing import player

TAGS = {
    "strong": ("b", ""),
    "lead": ("b", ""),
    "struck": ("s", ""),
    "code": ("code", ""),
    "command": ("code", "command"),
    "aside": ("small", "inline"),
    "below": ("small", ""),
    "small": ("small", "inline"),
    "mark": ("abbr", ""),
}
"""The tag and the CSS class of each kind of span; of others <span> and the kind."""
BREAKS = re.compile(r"(?<=[/:])(?=\w)")
"""Where a long name breaks first."""
PLOTLY = "plotly-scatter-heatmap.min.js"


def render_page(content: Content) -> str:
    """The whole page: no request to any network, every name from data escaped, the same for the same input."""
    own = "\n".join([_static("page.js"), player.static("player.js"), _static("clips.js"), _static("plots.js")])
    scripts = [plotly_script(), own]
    style = "\n".join([_static("page.css"), player.static("player.css"), _static("media.css")])
    return (
        _templates()
        .get_template("page.html")
        .render(
            title=content.title,
            parts=content.parts,
            appendix=content.appendix,
            style=Markup(style),  # noqa: S704 - our own file
            scripts=[Markup(script) for script in scripts],  # noqa: S704 - our own files, and plotly.js's
            digests=[digest_of(script) for script in scripts],
        )
    )


def words_html(words: Words) -> Markup:
    """`words` as HTML, whatever is in them escaped."""
    if isinstance(words, str):
        return escape(words)
    if isinstance(words, tuple):
        return Markup("").join(map(words_html, words))
    if words.kind == "break":
        return Markup("<br>")
    inner = words_html(words.words)
    if words.kind == "name":
        inner = Markup(BREAKS.sub("<wbr>", inner))  # noqa: S704 - escaped already
    if words.kind == "page":
        return inner
    if words.kind == "pick":
        return Markup('<span class="pick" data-pick="{}">{}</span>').format(words.style, inner)
    tag, css = TAGS.get(words.kind, ("span", words.kind))
    attributes = Markup("")
    if css or words.style:
        attributes += Markup(' class="{}"').format(_classes(css, words.style))
    if words.title:
        attributes += Markup(' title="{}"').format(words.title)
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(tag), attributes, inner)  # noqa: S704 - a tag of `TAGS`


def digest_of(script: str) -> str:
    """The source expression by which the page's policy knows an inline script."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


@cache
def plotly_script() -> str:
    """plotly.js, cut to the traces that `static/plotly.json` names."""
    return _static(PLOTLY)


@cache
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("soundprobe.reporting", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        words=words_html,
        percent=wording.percent,
        between=wording.between,
        count=wording.count,
        one_line=wording.one_line,
        together=wording.together,
    )
    environment.globals.update(
        classes=_classes,
        empty_player=player.empty_player,
        published_name=published_name,
        plural=wording.plural,
        render=_render,
        run_name=run_name,
    )
    return environment


def _render(template: str, values: Mapping[str, Any], number: int) -> Markup:
    """What an interactive element shows, in the part of the data set of this number."""
    return Markup(_templates().get_template(template).render(number=number, **values))  # noqa: S704 - it escapes


def _classes(*names: str | None) -> str | None:
    """The class attribute of all `names` that there are; None for none."""
    return " ".join(filter(None, names)) or None


def _static(name: str) -> str:
    return resources.files("soundprobe.reporting").joinpath("static", name).read_text(encoding="utf-8")

"""What an interactive chart is: a Plotly figure as plain values, drawn by static/plots.js when it comes into view.

Colours are names of the page's own CSS variables ("var(--accent)"), so that a chart follows light and dark. Texts go
through `label`, because Plotly takes `<b>` and the like in a text for formatting. Every chart stands beside a table of
the same figures, which is what print, and a browser without scripts, show.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from soundprobe.reporting.wording import one_line
from soundprobe.scoring.intervals import Interval

PALETTE = tuple(f"var(--series-{number})" for number in range(1, 7))
"""The page's colours for lines and marks that stand beside each other."""
DIGITS = 5  # of a share: 0.001 points
WIDEST = 44  # characters of a name beside an axis


@dataclass(frozen=True, eq=False)
class Variant:
    """One view of a chart: its traces, what it changes in the layout, and the name to choose it by."""

    name: str
    data: Sequence[Mapping[str, Any]]
    layout: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Plot:
    """A chart with one or several variants, a run each, of which the reader chooses; the first is drawn first.

    `key` names it among the charts of one data set, `title` says what it shows to those who can't see it, `layout` is
    Plotly's and common to all variants, `height` is in CSS pixels.
    """

    key: str
    title: str
    variants: Sequence[Variant]
    layout: Mapping[str, Any]
    height: int = 360

    def to_json(self) -> Markup:
        """The figure for a `<script type="application/json">`: nothing in it can end the element."""
        variants = [{"data": list(one.data), "layout": dict(one.layout)} for one in self.variants]
        figure = rounded({"layout": dict(self.layout), "variants": variants, "height": self.height})
        text = json.dumps(figure, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        for char in "<>&\u2028\u2029":
            text = text.replace(char, f"\\u{ord(char):04x}")
        return Markup(text)  # noqa: S704 - JSON without any character that HTML knows


def label(text: object, widest: int = WIDEST) -> str:
    """`text` as Plotly shows it literally, cut to `widest` characters."""
    shown = one_line(text)
    shown = shown if len(shown) <= widest else f"{shown[: widest - 1]}…"
    return shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def rounded(value: Any) -> Any:
    """`value` with floats cut to what can be seen, and null for what is no number."""
    if isinstance(value, float):
        return round(value, DIGITS) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): rounded(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    return value.item() if hasattr(value, "item") else value


def scatter(name: str, x: Sequence[Any], y: Sequence[Any], hover: str, **more: Any) -> dict[str, Any]:
    """A trace of marks, or with `mode` of lines, that say `hover` and their name when they are pointed at."""
    hover = f"{hover}<extra>%{{fullData.name}}</extra>"
    return {"type": "scatter", "mode": "markers", "name": name, "x": x, "y": y, "hovertemplate": hover, **more}


def reach(intervals: Sequence[Interval], color: str) -> dict[str, Any]:
    """Plotly's error bars from intervals of shares, for figures in percent."""
    above = [100 * (one.high - one.value) if one.high is not None else 0.0 for one in intervals]
    below = [100 * (one.value - one.low) if one.low is not None else 0.0 for one in intervals]
    ends = {"symmetric": False, "array": above, "arrayminus": below}
    return {"type": "data", **ends, "thickness": 1.5, "width": 0, "color": color}


def named_axis(names: Sequence[str], *, below: Sequence[str] = (), **more: Any) -> dict[str, Any]:
    """An axis that places the given names at 0, 1, 2, ...; names that are equal or look like numbers stay apart.

    `below` holds a second line for each name.
    """
    lines = [f"{label(name)}<br>{label(second)}" for name, second in zip(names, below, strict=False)]
    return {"tickvals": list(range(len(names))), "ticktext": lines or [label(name) for name in names], **more}


def percent_axis(title: str, **more: Any) -> dict[str, Any]:
    return {"title": {"text": title}, "ticksuffix": " %", **more}

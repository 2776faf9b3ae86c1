"""What an interactive chart is: a Plotly figure as plain values, drawn by static/plots.js when it comes into view.

Colours are names of the page's own CSS variables ("var(--accent)"), so that a chart follows light and dark. Texts go
through `label`, because Plotly takes `<b>` and the like in a text for formatting. Every chart stands beside a table of
the same figures, which is what print, and a browser without scripts, show.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from markupsafe import Markup

from soundprobe.reporting.wording import one_line
from soundprobe.scoring.intervals import Interval

PALETTE = tuple(f"var(--series-{number})" for number in range(1, 7))
"""The page's colours for lines and marks that stand beside each other."""
DIGITS = 5  # of a share: 0.001 points
WIDEST = 44  # characters of a name beside an axis
STEPS = (0.1, 0.5, 1, 2, 5, 10, 20)
"""Between the ticks of an axis in percent."""
LEAST_PERCENT = 10
"""How far an axis in percent reaches to either side of the only value on it."""
LEAST_SPAN = 4.0
"""A logarithmic axis reaches at least so many times up and down from its middle: 10 and 11 ms lie close together."""


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


def percent_axis(title: str, traces: Iterable[Mapping[str, Any]], along: Literal["x", "y"] = "y") -> dict[str, Any]:
    """The axis in percent that holds `traces` with their error bars, by round steps, and never more than 0 to 100.

    Its ends lie a little outside its last ticks, so that marks there are drawn whole.
    """
    found = [0.0, 100.0]
    if shown := [end for trace in traces for end in _ends(trace, along)]:
        found = [max(min(shown), 0.0), min(max(shown), 100.0)]
    if found[0] == found[1]:  # one value fills no axis
        found = [max(found[0] - LEAST_PERCENT, 0), min(found[0] + LEAST_PERCENT, 100)]
    step = next(step for step in STEPS if found[1] - found[0] <= 7 * step)
    low, high = step * math.floor(found[0] / step), min(step * math.ceil(found[1] / step), 100)
    low = low if low < high else max(low - step, 0)
    margin = 0.03 * (high - low)
    range_ = {"range": [low - margin, high + margin], "tick0": low, "dtick": step}
    return {"title": {"text": title}, "ticksuffix": " %", **range_}


def _ends(trace: Mapping[str, Any], along: str) -> Iterator[float]:
    """How far the marks of a trace reach along an axis, with their error bars."""
    bars = trace.get(f"error_{along}", {})
    values = trace[along]
    above = bars.get("array", [0.0] * len(values))
    for value, up, down in zip(values, above, bars.get("arrayminus", above), strict=True):
        if value is not None and math.isfinite(value):
            yield from (value - down, value + up)


def log_axis(title: str, values: Iterable[float], **more: Any) -> dict[str, Any]:
    """A logarithmic axis that holds positive `values`, with labels at 1, 2 and 5 of each power of ten."""
    shown = list(values)
    low, high = min(shown), max(shown)
    middle = math.sqrt(low * high)
    low, high = min(low / 1.15, middle / LEAST_SPAN), max(high * 1.15, middle * LEAST_SPAN)
    ends = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [tick for power in ends for digit in (1, 2, 5) if low <= (tick := digit * 10.0**power) <= high]
    labels = [f"{tick:,.10g}" for tick in ticks]
    found = {"tickvals": ticks, "ticktext": labels, "range": [math.log10(low), math.log10(high)]}
    return {"type": "log", "title": {"text": title}, **found, **more}

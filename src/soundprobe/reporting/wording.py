"""How names and numbers are put into words, the same in every output."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from soundprobe.base.display import MISSING as MISSING
from soundprobe.base.display import UNKNOWN_RECORDINGS as UNKNOWN_RECORDINGS
from soundprobe.base.display import count as count
from soundprobe.base.display import percent as percent
from soundprobe.base.display import plural as plural
from soundprobe.base.errors import one_line as one_line

if TYPE_CHECKING:
    from soundprobe.scoring.intervals import Interval
    from soundprobe.scoring.metrics import MeanStd
    from soundprobe.scoring.paired_tests import SignTest


BARS = "▁▂▃▄▅▆▇█"


def of_100(shares: Sequence[float]) -> list[str]:
    """Each of `shares` as so many of 100, for people: "84"; 1 alone is "100".

    With a decimal where two that differ would look alike, or one like all.
    """
    shares = [float(share) for share in shares]  # as in `percent`
    said = [f"{math.floor(100 * round(share, 3) + 0.5):d}" for share in shares]  # as the figure with a decimal rounds
    alike = len(set(said)) < len({round(share, 3) for share in shares})
    if alike or any(text == "100" and share < 1 for text, share in zip(said, shares, strict=True)):
        said = [percent(share) for share in shares]
    ends = {"100.0": "more than 99.9", "0.0": "0"}
    return ["100" if share == 1 else ends.get(text, text) for text, share in zip(said, shares, strict=True)]


def give_or_take(stats: MeanStd) -> str:
    """The population standard deviation in points, " ± 3.1"; empty where there is one fold, which has no spread."""
    return "" if math.isnan(stats.std_sample) else f" ± {percent(stats.std_population)}"


def between(interval: Interval, shown: Callable[[float], str] = percent) -> str:
    """The ends of an interval of shares, in percent: "92.1 to 96.4"; "at least 90.4" of what is at its upper end."""
    if interval.low is None or interval.high is None:
        return MISSING
    if interval.value == interval.high:
        return f"at least {shown(interval.low)}"
    if interval.value == interval.low:
        return f"at most {shown(interval.high)}"
    return f"{shown(interval.low)} to {shown(interval.high)}"


def points_between(interval: Interval) -> str:
    """The ends of an interval of differences, in points: "−0.3 to +2.8"."""
    return between(interval, points)


def lead_in_folds(test: SignTest) -> str:
    """In how many folds a run is ahead: "ahead in all 10 folds", "ahead in 3, equal in 5 of 10 folds"."""
    told = {"ahead": test.ahead, "equal": test.ties, "behind": test.behind}
    found = [(how, times) for how, times in told.items() if times]
    folds = plural(sum(told.values()), "fold")
    if len(found) == 1:
        return f"{found[0][0]} in {'all ' * (found[0][1] > 1)}{folds}"
    named = found[:2] if test.ties else found[:1]
    return f"{', '.join(f'{how} in {times}' for how, times in named)} of {folds}"


def p_value(p: float | None) -> str:
    """A p value: ".032", "< .001", "1"; a dash where no test was possible."""
    if p is None:
        return MISSING
    if p < 0.001:
        return "< .001"
    return "1" if p >= 0.9995 else f"{p:.3f}".removeprefix("0")


def points(difference: float) -> str:
    """A difference of two shares in percentage points, with its sign: 0.104 -> "+10.4"."""
    text = f"{100 * round(float(difference), 3):+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", "−")


def on_threads(threads: Sequence[int]) -> str:
    """On how many threads a network was trained: ", 2 threads"; empty where that isn't told."""
    return f", {listing(list(map(str, threads)))} threads (its last digits depend on them)" if threads else ""


def duration(seconds: float) -> str:
    """A time for people: "38 ms", "0.42 s", "12 s", "3 min 20 s", "2 h 5 min"."""
    if seconds < 0.1:
        return f"{1000 * seconds:.2g} ms"
    if seconds < 10:
        return f"{seconds:.2g} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def listing(names: list[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def sentence(text: str) -> str:
    """`text` with a capital first letter and a full stop."""
    return text[:1].upper() + text[1:].rstrip(".") + "."


def setting_text(value: Any) -> str:
    """A setting's value, short: numbers to 4 digits, lists with commas, text as it is."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(setting_text(item) for item in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{one_line(name)} {setting_text(item)}" for name, item in value.items())
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return one_line(value)


def bars(shares: Iterable[float]) -> str:
    """A bar for each of some shares, as high as it is beside the largest."""
    found = list(shares)
    return "".join(BARS[round(share / max(found) * (len(BARS) - 1))] for share in found)


def together(text: str) -> str:
    """`text` with its percent signs kept on the line of their figure."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%")


def heat(share: float, power: float = 2.0) -> str:
    """How strongly a cell is tinted, from "0" to "100". A power above 1 tells high shares apart, below 1 low ones."""
    return "0" if share != share else f"{100 * min(max(share, 0.0), 1.0) ** power:.0f}"

"""What a report says, before it is HTML, Markdown or JSON.

It is made once: showing a clip takes of the page's room for sound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from soundprobe.reporting.compared.comparison import Comparison
from soundprobe.reporting.elements import Element
from soundprobe.reporting.runs.collect import UnreadableRun
from soundprobe.reporting.sections import notes_cnn, sections, unreadable_runs
from soundprobe.reporting.sections.chart import Chart, chart_of
from soundprobe.reporting.sections.verdict import Verdict, verdict_of
from soundprobe.reporting.wording import count, listing, one_line, plural


@dataclass(frozen=True)
class Shown:
    """A section with what it shows; `key` is its anchor, that of a data set's section with the data set's number."""

    key: str
    title: str
    elements: Sequence[Element]


@dataclass(frozen=True, eq=False)
class Part:
    """The report on one data set: its first screen, and the sections that apply to it."""

    comparison: Comparison
    verdict: Verdict
    chart: Chart
    sections: Sequence[Shown]

    @property
    def counts(self) -> str:
        """How much data there is, in words."""
        one, classes = self.comparison, len(self.comparison.class_names)
        failed = f" ({count(one.failed)} could not be used)" if one.failed else ""
        of_classes = "1 class" if classes == 1 else f"{classes} classes"
        return f"{plural(one.clips, 'clip')}{failed}, {of_classes}, {plural(len(one.folds), 'fold')}"


@dataclass(frozen=True, eq=False)
class Content:
    """A report: a part for each data set, and what stands once below them."""

    title: str
    parts: Sequence[Part]
    appendix: Sequence[Shown]
    unreadable: Sequence[UnreadableRun]


def content_of(
    comparisons: Sequence[Comparison], unreadable: Sequence[UnreadableRun], title: str | None = None
) -> Content:
    """The report of `comparisons`; without a `title` it is called after the data sets."""
    appendix = []
    if unreadable:
        appendix.append(Shown("unreadable", unreadable_runs.TITLE, list(unreadable_runs.show(unreadable))))
    if notes_cnn.applies(comparisons):
        appendix.append(Shown("notes", notes_cnn.TITLE, list(notes_cnn.show())))
    return Content(title or _title(comparisons), [_part(one) for one in comparisons], appendix, unreadable)


def _part(comparison: Comparison) -> Part:
    found = [Shown(one.key, one.title, list(one.show(comparison))) for one in sections()]
    shown = [one for one in found if one.elements]
    return Part(comparison, verdict_of(comparison), chart_of(comparison), shown)


def _title(comparisons: Sequence[Comparison]) -> str:
    names = list(dict.fromkeys(one_line(comparison.name) for comparison in comparisons))
    where = listing(names) if len(names) <= 3 else f"{len(names)} data sets"
    return f"Sound embeddings compared on {where}"

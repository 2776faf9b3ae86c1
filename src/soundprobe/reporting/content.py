"""What a report says, before it is HTML, Markdown or JSON.

It is made once: showing a clip takes of the page's room for sound.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from soundprobe.reporting.compared.comparison import Comparison
from soundprobe.reporting.elements import Bullets, Element, Words, code
from soundprobe.reporting.runs.collect import UnreadableRun
from soundprobe.reporting.sections import chapters, notes_cnn, sections, unreadable_runs
from soundprobe.reporting.sections.chart import Chart, chart_of
from soundprobe.reporting.sections.next_steps import Step, steps_of
from soundprobe.reporting.sections.section import Unmeasured
from soundprobe.reporting.sections.trust import Check, checks_of
from soundprobe.reporting.sections.verdict import Verdict, verdict_of
from soundprobe.reporting.wording import count, listing, one_line, plural


@dataclass(frozen=True)
class Shown:
    """A section with what it shows; `key` is its anchor, that of a data set's section with the data set's number."""

    key: str
    title: str
    elements: Sequence[Element]
    folded: bool = False


@dataclass(frozen=True)
class Chapter:
    """Sections that answer one question of a reader's."""

    title: str
    sections: Sequence[Shown]


@dataclass(frozen=True, eq=False)
class Part:
    """The report on one data set: its first screen, and the chapters with the sections that apply to it."""

    comparison: Comparison
    verdict: Verdict
    checks: Sequence[Check]
    chart: Chart
    steps: Sequence[Step]
    chapters: Sequence[Chapter]
    unmeasured: Sequence[Unmeasured]

    @property
    def counts(self) -> str:
        """How much data there is, in words."""
        one, classes = self.comparison, len(self.comparison.class_names)
        failed = f" ({count(one.failed)} could not be used)" if one.failed else ""
        of_classes = "1 class" if classes == 1 else f"{classes} classes"
        return f"{plural(one.clips, 'clip')}{failed}, {of_classes}, {plural(len(one.folds), 'fold')}"

    @property
    def keys(self) -> set[str]:
        """The sections that are shown."""
        return {shown.key for chapter in self.chapters for shown in chapter.sections}


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
    unmeasured = [one for section in sections() for one in section.unmeasured(comparison)]
    return Part(
        comparison,
        verdict_of(comparison),
        checks_of(comparison),
        chart_of(comparison),
        steps_of(comparison),
        list(_chapters(comparison, unmeasured)),
        unmeasured,
    )


def _chapters(comparison: Comparison, unmeasured: Sequence[Unmeasured]) -> Iterator[Chapter]:
    found = {
        title: [Shown(one.key, one.title, list(one.show(comparison)), one.folded) for one in some]
        for title, some in chapters().items()
    }
    if unmeasured:
        items: list[Words] = [(one.what, ": ", code(one.command)) for one in unmeasured]
        found[list(found)[-1]].append(Shown("unmeasured", f"Not measured ({len(items)})", [Bullets(items)], True))
    for title, sections_ in found.items():
        shown = [one for one in sections_ if one.elements]
        if shown:  # what is folded stands below, so that what can be read comes first
            yield Chapter(title, sorted(shown, key=lambda one: one.folded))


def _title(comparisons: Sequence[Comparison]) -> str:
    names = list(dict.fromkeys(one_line(comparison.name) for comparison in comparisons))
    where = listing(names) if len(names) <= 3 else f"{len(names)} data sets"
    return f"Sound embeddings compared on {where}"

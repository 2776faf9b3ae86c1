"""What `soundprobe report` prints: the ranked tables, in a terminal's words."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from soundprobe.reporting.compared.comparison import Comparison, comparisons_of
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.runs.collect import Collection
from soundprobe.reporting.sections.shown_rows import published_tags
from soundprobe.reporting.sections.verdict import verdict_of
from soundprobe.reporting.wording import MISSING, between, give_or_take, one_line, percent, plural
from soundprobe.scoring.metrics import MeanStd


@dataclass(frozen=True)
class Summary:
    """Text for a terminal: with colours for rich's `print`, plain for Python's own."""

    content: Group

    def __rich__(self) -> Group:
        return self.content

    def __str__(self) -> str:
        console = Console(file=io.StringIO(), width=110, color_system=None, force_terminal=False)
        with console.capture() as capture:
            console.print(self.content)
        return capture.get().rstrip()


class _Report(Protocol):
    """A report that knows what it is of: `soundprobe.reporting.write.ReportPaths`."""

    @property
    def collection(self) -> Collection: ...


def format_summary(source: _Report | Collection) -> Summary:
    """For each data set of a report its verdict and ranked table, then what could not be read."""
    collection = source if isinstance(source, Collection) else source.collection
    parts: list[RenderableType] = []
    for comparison in comparisons_of(collection.by_dataset(), collection.published, collection.baseline):
        headline = Text(verdict_of(comparison).headline, style="bold")
        remarks = list(verdict_of(comparison).sure[1:])
        remarks += [
            f"The mean of {one.name}, {percent(one.accuracy.mean)} %, is {one.contamination}."
            for one in comparison.marked_folds
        ]
        remarks += [row.no_equal for row in comparison.rows if row.no_equal and row.no_equal not in " ".join(remarks)]
        parts += [headline, format_table(comparison), Text("\n".join(remarks)), Text()]
    parts += [
        Text(f"Left out: {one_line(run.path)}: {one_line(run.reason)}.", style="yellow")
        for run in collection.unreadable
    ]
    if collection.trials_left_out:
        left_out = plural(collection.trials_left_out, "trial")
        parts.append(Text(f"{left_out} of fewer clips or folds left out; report --trials shows them beside the rest."))
    return Summary(Group(*parts))


def format_table(comparison: Comparison) -> Table:
    """One data set's rows with accuracy and macro-F1, mean ± population standard deviation over folds, in percent."""
    told = comparison.marked_folds
    over = plural(len(comparison.folds), "fold")
    spread = "mean ± population std between folds, " if len(comparison.folds) > 1 else ""
    title = f"{comparison.shown_name}: percent, {spread}95 % interval, over {over}"
    table = Table(title=Text(title), title_justify="left", box=None, pad_edge=False)
    table.add_column("#", justify="right")
    table.add_column("run", overflow="fold")
    for heading in ("accuracy", "95 %", "macro-F1", *(one.where for one in told)):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in comparison.rows:
        rank = str(comparison.rank_of(row) or MISSING)
        cells = (_spread(row.accuracy), between(row.scores.interval()), _spread(row.macro_f1))
        clean = [percent(row.accuracy_on(*one.tests)) for one in told]
        table.add_row(rank, _name(row), *cells, *clean, style="dim" if row.is_control else "")
    if comparison.published:
        table.add_section()
    for here in comparison.published:
        one = here.published
        tags = "".join(f" [{tag}]" for tag in published_tags(here))
        means = [_spread(one.accuracy), _spread(one.macro_f1) if one.macro_f1 else MISSING]
        if one.contamination:  # a terminal has no way to strike its mean out
            means = [MISSING, MISSING]
        clean = [percent(one.tested_accuracy) if other is one else MISSING for other in told]
        name = Text.assemble(one_line(one.title), (tags, "yellow"))
        table.add_row(MISSING, name, means[0], MISSING, means[1], *clean)
    return table


def _name(row: Row) -> Text:
    spread = percent(row.over_seeds("accuracy").std_population)
    seeds = f"{plural(len(row.runs), 'seed')}, ± {spread} between them" if len(row.runs) > 1 else ""
    partial = "" if row.complete else f"{len(row.folds)} of {len(row.first.dataset['folds'])} folds"
    marks = "".join(f" [{mark}]" for mark in (row.tag, partial, seeds) if mark)
    return Text.assemble(row.name, (marks, "yellow" if row.tag else ""))


def _spread(stats: MeanStd) -> str:
    return percent(stats.mean) + give_or_take(stats)

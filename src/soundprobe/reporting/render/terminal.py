"""What `soundprobe report` prints: the ranked tables, in a terminal's words."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from soundprobe.reporting.compared.comparison import Comparison, Standing, comparisons_of
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.runs.collect import Collection
from soundprobe.reporting.sections.verdict import verdict_of
from soundprobe.reporting.wording import MISSING, between, give_or_take, one_line, percent, plural
from soundprobe.scoring import notes
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
    for comparison in comparisons_of(collection.by_dataset()):
        headline = Text(verdict_of(comparison).headline, style="bold")
        parts += [headline, format_table(comparison), Text(_remarks(comparison)), Text()]
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
    shows_notes = comparison.standing is not Standing.OTHER
    over = plural(len(comparison.folds), "fold")
    spread = "mean ± population std between folds, " if len(comparison.folds) > 1 else ""
    title = f"{one_line(comparison.name)}: percent, {spread}95 % interval, over {over}"
    table = Table(title=Text(title), title_justify="left", box=None, pad_edge=False)
    table.add_column("#", justify="right")
    table.add_column("run", overflow="fold")
    for heading in ("accuracy", "95 %", "macro-F1", *([f"fold {notes.CLEAN_FOLD}"] if shows_notes else [])):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in comparison.rows:
        rank = str(comparison.rank_of(row) or MISSING)
        cells = (_spread(row.accuracy), between(row.scores.interval()), _spread(row.macro_f1))
        clean = [percent(row.accuracy_on(notes.CLEAN_FOLD))] if shows_notes else []
        table.add_row(rank, _name(row), *cells, *clean, style="dim" if row.is_control else "")
    if shows_notes:
        table.add_section()
        where = "" if comparison.standing is Standing.SAME else " [on other clips]"
        name = Text.assemble(notes.TITLE, (f" [contaminated but for fold {notes.CLEAN_FOLD}]{where}", "yellow"))
        table.add_row(MISSING, name, MISSING, MISSING, MISSING, percent(notes.clean().accuracy))
    return table


def _name(row: Row) -> Text:
    spread = percent(row.over_seeds("accuracy").std_population)
    seeds = f"{plural(len(row.runs), 'seed')}, ± {spread} between them" if len(row.runs) > 1 else ""
    partial = "" if row.complete else f"{len(row.folds)} of {len(row.first.dataset['folds'])} folds"
    marks = "".join(f" [{mark}]" for mark in (row.tag, partial, seeds) if mark)
    return Text.assemble(row.name, (marks, "yellow" if row.tag else ""))


def _spread(stats: MeanStd) -> str:
    return percent(stats.mean) + give_or_take(stats)


def _remarks(comparison: Comparison) -> str:
    remarks = [finding.sentence for finding in verdict_of(comparison).findings[1:]]
    if comparison.standing is not Standing.OTHER:
        remarks.append(f"The notes' mean of {percent(notes.accuracy().mean)} % is {notes.CONTAMINATION_BRIEF}.")
    return "\n".join(remarks)

"""All runs, best first: means over folds with their intervals."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from soundprobe.reporting.compared.baselines import PublishedHere
from soundprobe.reporting.compared.comparison import Comparison
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.elements import Cell, Column, Element, Span, Table, Text, Words
from soundprobe.reporting.sections.section import Section
from soundprobe.reporting.sections.shown_rows import published_mean, published_name, run_name, seed_spread
from soundprobe.reporting.wording import MISSING, between, percent
from soundprobe.scoring.bootstrap import METRICS
from soundprobe.scoring.intervals import Interval
from soundprobe.scoring.published import Published


def _show(comparison: Comparison) -> Iterator[Element]:
    marked = comparison.marked_folds
    columns = [
        Column(
            "Rank",
            lambda row: Cell(str(comparison.rank_of(row) or MISSING), comparison.rows.index(row) + 1),
            sort="least",
        ),
        Column("Run", run_name, text=True, sort="text", by=lambda row: row.name),
        Column("Accuracy, %", lambda row: row.accuracy.mean, percent, sort="number", lead=True),
        Column("95 % interval", _interval, between, sort="number", by=lambda row: _interval(row).low),
        Column("Macro-F1, %", lambda row: row.macro_f1.mean, percent, sort="number"),
        *([Column("± between seeds", _between_seeds, sort="number")] if comparison.has_seeds else []),
        *map(_on, marked),
    ]
    own = [_published_line(here, marked, len(columns)) for here in comparison.published]
    yield Table(columns, comparison.rows, style="tight", styled=lambda row: _style(comparison, row), below=own)
    for here in comparison.published:
        if (one := here.published).contamination:
            where = "" if here.is_same else ", on other clips than these"
            tested = one.tested[0]
            figures = f"accuracy {percent(tested.accuracy)} %, macro-F1 {percent(tested.macro_f1)} %{where}"
            yield Text(f"The struck-out figures of {one.name} are {one.contamination}: {figures}.", role="caveat")
    for row in comparison.rows:
        if row.no_equal:
            yield Text(row.no_equal, role="caveat")


def _on(one: Published) -> Column:
    """Accuracy on the folds that are published as test results."""
    return Column(f"{one.where.capitalize()}, %", lambda row: row.accuracy_on(*one.tests), percent, sort="number")


def _interval(row: Row) -> Interval:
    return row.scores.interval()


def _between_seeds(row: Row) -> Cell | None:
    spread = row.over_seeds("accuracy").std_population
    return None if len(row.runs) == 1 else Cell(seed_spread(row), spread)


def _style(comparison: Comparison, row: Row) -> str:
    kinds = {"control": row.is_control, "best": row is comparison.best}
    return " ".join(kind for kind, applies in kinds.items() if applies)


def _published_line(here: PublishedHere, marked: Sequence[Published], columns: int) -> list[Cell | Words]:
    none, one = Cell(MISSING, style="quiet"), here.published
    accuracy, macro_f1 = (
        published_mean(one, percent(stats.mean) if stats else MISSING) for stats in (one.accuracy, one.macro_f1)
    )
    cells: list[Cell | Words] = [MISSING, published_name(here), accuracy, none, macro_f1]
    cells += [none] * (columns - len(cells) - len(marked))
    own = Span("strong", percent(one.tested_accuracy))
    return [*cells, *(own if other is one else none for other in marked)]


def _row_facts(comparison: Comparison, row: Row) -> dict[str, Any]:
    return {
        "rank": comparison.rank_of(row),
        "accuracy": row.accuracy._asdict(),
        "macro_f1": row.macro_f1._asdict(),
        "seed_spread": {metric: row.over_seeds(metric)._asdict() for metric in METRICS},
        "intervals": {metric: dataclasses.asdict(row.scores.interval(metric)) for metric in METRICS},
    }


SECTION = Section("ranking", "Ranking", _show, row_facts=_row_facts)

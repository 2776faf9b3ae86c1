"""All runs, best first: means over folds, their intervals, and their spreads between folds and between seeds."""

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
from soundprobe.reporting.wording import MISSING, between, give_or_take, percent
from soundprobe.scoring.bootstrap import METRICS
from soundprobe.scoring.intervals import Interval
from soundprobe.scoring.metrics import MeanStd, mean_std
from soundprobe.scoring.published import Published


def _show(comparison: Comparison) -> Iterator[Element]:
    seeds = " Rows of several seeds show their mean." if comparison.has_seeds else ""
    leans = (
        f" Being the best of {comparison.field}, by these very figures, the first row leans a little high."
        if len(comparison.contenders) > 2
        else ""
    )
    yield Text(
        "Percent. Means over folds with their 95 % intervals (bootstrap over recordings within folds), and standard "
        "deviations: between folds, population and sample; and between seeds, population, of the "
        f"seeds' means.{seeds}{leans}",
        role="how",
    )
    columns = [
        Column(
            "Rank",
            lambda row: Cell(str(comparison.rank_of(row) or MISSING), comparison.rows.index(row) + 1),
            sort="least",
        ),
        Column("Run", run_name, text=True, sort="text", by=lambda row: row.name),
        *_figures("Accuracy", "accuracy"),
        *_figures("Macro-F1", "macro_f1"),
    ]
    columns.insert(5, Column("± between seeds", _between_seeds, group="Accuracy", sort="number"))
    marked = comparison.marked_folds
    columns += [_on(one, one.where.capitalize()) for one in marked]
    own = [_published_line(here, marked) for here in comparison.published]
    yield Table(columns, comparison.rows, style="tight", styled=lambda row: _style(comparison, row), below=own)
    for here in comparison.published:
        if (one := here.published).contamination:
            where = "" if here.is_same else ", on other clips than these"
            tested = one.tested[0]
            figures = f"accuracy {percent(tested.accuracy)} %, macro-F1 {percent(tested.macro_f1)} %{where}"
            whose = f"{one.name[:1].upper()}{one.name[1:]}"
            yield Text(f"{whose}: the struck-out figures are {one.contamination}: {figures}.", role="caveat")
    for row in comparison.rows:
        if row.no_equal:
            yield Text(row.no_equal, role="caveat")


def _on(one: Published, group: str) -> Column:
    """Accuracy on the folds that are published as test results."""
    return Column("accuracy", lambda row: row.accuracy_on(*one.tests), percent, group, sort="number")


def _figures(group: str, metric: str) -> list[Column]:
    """Mean, interval and both deviations."""

    def stats(row: Row) -> MeanStd:
        found: MeanStd = getattr(row, metric)
        return found

    def spreads(row: Row) -> Cell:
        return Cell(_both(stats(row)) if give_or_take(stats(row)) else MISSING, stats(row).std_population)

    def interval(row: Row) -> Interval:
        return row.scores.interval(metric)

    return [
        Column("mean", lambda row: stats(row).mean, percent, group, sort="number", lead=True),
        Column("95 % interval", interval, between, group, sort="number", by=lambda row: interval(row).low),
        Column("± between folds, pop. / sample", spreads, group=group, sort="number"),
    ]


def _both(stats: MeanStd) -> str:
    return f"{percent(stats.std_population)} / {percent(stats.std_sample)}"


def _between_seeds(row: Row) -> Cell | None:
    spread = row.over_seeds("accuracy").std_population
    return None if len(row.runs) == 1 else Cell(seed_spread(row), spread)


def _style(comparison: Comparison, row: Row) -> str:
    kinds = {"control": row.is_control, "best": row is comparison.best}
    return " ".join(kind for kind, applies in kinds.items() if applies)


def _published_line(here: PublishedHere, marked: Sequence[Published]) -> list[Cell | Words]:
    none, one = Cell(MISSING, style="quiet"), here.published
    cells: list[Cell | Words] = [MISSING, published_name(here)]
    for stats in (one.accuracy, one.macro_f1):
        mean, spread = (percent(stats.mean), _both(stats)) if stats else (MISSING, MISSING)
        cells += [published_mean(one, mean), none, published_mean(one, spread)]
    cells.insert(5, none)
    own = Span("strong", percent(mean_std([fold.accuracy for fold in one.tested]).mean))
    return [*cells, *(own if other is one else none for other in marked)]


def _row_facts(comparison: Comparison, row: Row) -> dict[str, Any]:
    return {
        "rank": comparison.rank_of(row),
        "accuracy": row.accuracy._asdict(),
        "macro_f1": row.macro_f1._asdict(),
        "seed_spread": {metric: row.over_seeds(metric)._asdict() for metric in METRICS},
        "intervals": {metric: dataclasses.asdict(row.scores.interval(metric)) for metric in METRICS},
    }


SECTION = Section("ranking", "All runs", _show, row_facts=_row_facts)

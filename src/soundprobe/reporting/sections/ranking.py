"""All runs, best first: means over folds, their intervals, and their spreads between folds and between seeds."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from soundprobe.reporting.compared.comparison import Comparison, Standing
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.elements import Cell, Column, Element, Span, Table, Text, Words, struck
from soundprobe.reporting.sections.section import Section
from soundprobe.reporting.sections.shown_rows import notes_name, run_name, seed_spread
from soundprobe.reporting.wording import MISSING, between, give_or_take, percent
from soundprobe.scoring import notes
from soundprobe.scoring.bootstrap import METRICS
from soundprobe.scoring.intervals import Interval
from soundprobe.scoring.metrics import MeanStd


def _show(comparison: Comparison) -> Iterator[Element]:
    clean = comparison.standing is not Standing.OTHER
    seeds = " Rows of several seeds show their mean." if comparison.has_seeds else ""
    leans = (
        f" Being the best of {comparison.field}, by these very figures, the first row leans a little high."
        if len(comparison.contenders) > 2
        else ""
    )
    yield Text(
        "Percent. Means over folds with their 95 % intervals (bootstrap over recordings within folds), and standard "
        "deviations: between folds, population (as in the notes) and sample; and between seeds, population, of the "
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
    fold = Column("accuracy", _on_clean_fold, percent, f"Fold {notes.CLEAN_FOLD}", sort="number")
    columns += [fold] if clean else []
    own = [_notes_line(comparison)] if clean else []
    yield Table(columns, comparison.rows, style="tight", styled=lambda row: _style(comparison, row), notes=own)
    if clean:
        where = "" if comparison.standing is Standing.SAME else ", on other clips than these"
        yield Text(
            f"The notes' struck-out figures are {notes.CONTAMINATION_BRIEF}: accuracy "
            f"{percent(notes.clean().accuracy)} %, macro-F1 {percent(notes.clean().macro_f1)} %{where}.",
            role="caveat",
        )


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


def _on_clean_fold(row: Row) -> float | None:
    return row.accuracy_on(notes.CLEAN_FOLD)


def _between_seeds(row: Row) -> Cell | None:
    spread = row.over_seeds("accuracy").std_population
    return None if len(row.runs) == 1 else Cell(seed_spread(row), spread)


def _style(comparison: Comparison, row: Row) -> str:
    kinds = {"control": row.is_control, "best": row is comparison.best}
    return " ".join(kind for kind, applies in kinds.items() if applies)


def _notes_line(comparison: Comparison) -> list[Cell | Words]:
    none = Cell(MISSING, style="quiet")
    cells: list[Cell | Words] = [MISSING, notes_name(comparison.standing)]
    for stats in (notes.accuracy(), notes.macro_f1()):
        cells += [struck(percent(stats.mean)), none, struck(_both(stats))]
    cells.insert(5, none)
    return [*cells, Span("strong", percent(notes.clean().accuracy))]


def _row_facts(comparison: Comparison, row: Row) -> dict[str, Any]:
    return {
        "rank": comparison.rank_of(row),
        "accuracy": row.accuracy._asdict(),
        "macro_f1": row.macro_f1._asdict(),
        "seed_spread": {metric: row.over_seeds(metric)._asdict() for metric in METRICS},
        "intervals": {metric: dataclasses.asdict(row.scores.interval(metric)) for metric in METRICS},
    }


SECTION = Section("ranking", "All runs", _show, row_facts=_row_facts)

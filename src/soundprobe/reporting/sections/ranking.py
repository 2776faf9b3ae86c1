"""All runs, best first: means over folds with their intervals."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from soundprobe.reporting.compared.comparison import Comparison, Standing
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.elements import Cell, Column, Element, Span, Table, Text, Words, struck
from soundprobe.reporting.sections.section import Section
from soundprobe.reporting.sections.shown_rows import notes_name, run_name, seed_spread
from soundprobe.reporting.wording import MISSING, between, percent
from soundprobe.scoring import notes
from soundprobe.scoring.bootstrap import METRICS
from soundprobe.scoring.intervals import Interval


def _show(comparison: Comparison) -> Iterator[Element]:
    clean = comparison.standing is not Standing.OTHER
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
        *([Column(f"Fold {notes.CLEAN_FOLD}, %", _on_clean_fold, percent, sort="number")] if clean else []),
    ]
    own = [_notes_line(comparison, len(columns))] if clean else []
    yield Table(columns, comparison.rows, style="tight", styled=lambda row: _style(comparison, row), notes=own)
    if clean:
        where = "" if comparison.standing is Standing.SAME else ", on other clips than these"
        yield Text(
            f"The notes' struck-out figures are {notes.CONTAMINATION_BRIEF}: accuracy "
            f"{percent(notes.clean().accuracy)} %, macro-F1 {percent(notes.clean().macro_f1)} %{where}.",
            role="caveat",
        )


def _interval(row: Row) -> Interval:
    return row.scores.interval()


def _on_clean_fold(row: Row) -> float | None:
    return row.accuracy_on(notes.CLEAN_FOLD)


def _between_seeds(row: Row) -> Cell | None:
    spread = row.over_seeds("accuracy").std_population
    return None if len(row.runs) == 1 else Cell(seed_spread(row), spread)


def _style(comparison: Comparison, row: Row) -> str:
    kinds = {"control": row.is_control, "best": row is comparison.best}
    return " ".join(kind for kind, applies in kinds.items() if applies)


def _notes_line(comparison: Comparison, columns: int) -> list[Cell | Words]:
    none = Cell(MISSING, style="quiet")
    cells: list[Cell | Words] = [MISSING, notes_name(comparison.standing), struck(percent(notes.accuracy().mean)), none]
    cells.append(struck(percent(notes.macro_f1().mean)))
    cells += [none] * (columns - len(cells) - 1)
    return [*cells, Span("strong", percent(notes.clean().accuracy))]


def _row_facts(comparison: Comparison, row: Row) -> dict[str, Any]:
    return {
        "rank": comparison.rank_of(row),
        "accuracy": row.accuracy._asdict(),
        "macro_f1": row.macro_f1._asdict(),
        "seed_spread": {metric: row.over_seeds(metric)._asdict() for metric in METRICS},
        "intervals": {metric: dataclasses.asdict(row.scores.interval(metric)) for metric in METRICS},
    }


SECTION = Section("ranking", "Ranking", _show, row_facts=_row_facts)

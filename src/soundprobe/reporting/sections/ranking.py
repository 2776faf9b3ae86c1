"""All runs, best first: means over folds, their intervals and spreads, and the lead over random weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from soundprobe.reporting.compared.comparison import Comparison, Difference, Standing, compare
from soundprobe.reporting.compared.pairs import place_of
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.elements import Cell, Column, Element, Line, Span, Table, Text, Words, lead
from soundprobe.reporting.sections.section import Section
from soundprobe.reporting.sections.shown_rows import notes_name, run_name
from soundprobe.reporting.wording import MISSING, between, percent, points
from soundprobe.scoring import notes
from soundprobe.scoring.bootstrap import METRICS, Interval
from soundprobe.scoring.metrics import MeanStd

CONTAMINATED = "contaminated"


def _show(comparison: Comparison) -> Iterator[Element]:
    clean = comparison.standing is not Standing.OTHER
    seeds = (
        " Rows of several seeds show their mean; the ± beside their number is the spread between seeds."
        if comparison.has_seeds
        else ""
    )
    leans = (
        f" Being the best of {comparison.field}, by these very figures, the first row leans a little high."
        if len(comparison.contenders) > 2
        else ""
    )
    yield Text(
        "Percent. Means over folds with their 95 % intervals (bootstrap over recordings within folds), and the "
        f"standard deviations over folds, population (as in the notes) and sample, which say how much folds differ."
        f'{seeds} "Over control" is the lead, in points, over the same backbone and head with random weights.{leans}',
        role="how",
    )
    columns = [Column("Rank", sort="number", first="ascending"), Column("Run", text=True, sort="text")]
    for group in ("Accuracy", "Macro-F1"):
        columns += [Column(heading, group, sort="number") for heading in ("mean", "95 % interval", "± pop. / sample")]
    columns += [Column("accuracy", f"Fold {notes.CLEAN_FOLD}", sort="number")] if clean else []
    columns += [Column("points", "Over control", sort="number"), Column("Seeds", sort="number")]
    lines = [_line(comparison, place, row, clean) for place, row in enumerate(comparison.rows, start=1)]
    yield Table(columns, lines, style="tight", notes=[_notes_line(comparison)] if clean else ())
    if clean:
        where = "" if comparison.standing is Standing.SAME else ", on other clips than these"
        yield Text(
            f"The notes' struck-out figures are {notes.CONTAMINATION_BRIEF}: accuracy "
            f"{percent(notes.clean().accuracy)} %, macro-F1 {percent(notes.clean().macro_f1)} %{where}.",
            role="caveat",
        )


def _line(comparison: Comparison, place: int, row: Row, clean: bool) -> Line:
    cells: list[Cell | Words] = [
        Cell(str(comparison.rank_of(row) or MISSING), place),
        Cell(run_name(row), row.name),
        *_figures(row.accuracy, row.scores.interval("accuracy")),
        *_figures(row.macro_f1, row.scores.interval("macro_f1")),
    ]
    if clean:
        share = row.accuracy_on(notes.CLEAN_FOLD)
        cells.append(Cell(percent(share), "" if share is None else share))
    control = comparison.control_of(row)
    difference = compare(row, control) if control else None
    if difference:
        other = () if difference.matched else Span("mark", "*", "the nearest control has other settings")
        cells.append(Cell((points(difference.mean), other), difference.mean))
    else:
        cells.append(Cell(Span("quiet", "control" if row.is_control else "no control"), ""))
    spread: Words = ()
    if len(row.runs) > 1:
        title = "population standard deviation of the seeds' mean accuracies"
        spread = (" ", Span("aside", f"± {percent(row.accuracy_over_seeds.std_population)}", title))
    cells.append(Cell((str(len(row.runs)), spread), len(row.runs)))
    best = " best" if row is comparison.best else ""
    return Line(cells, f"{'control' if row.is_control else ''}{best}".strip())


def _figures(stats: MeanStd, interval: Interval) -> list[Cell]:
    """Mean, interval and both deviations."""
    return [
        Cell(lead(percent(stats.mean)), stats.mean),
        Cell(between(interval), "" if interval.low is None else interval.low),
        Cell(f"{percent(stats.std_population)} / {percent(stats.std_sample)}", stats.std_population),
    ]


def _notes_line(comparison: Comparison) -> Line:
    none = Cell(MISSING, style="quiet")
    cells: list[Cell | Words] = [MISSING, notes_name(comparison.standing)]
    for stats in (notes.accuracy(), notes.macro_f1()):
        spread = f"{percent(stats.std_population)} / {percent(stats.std_sample)}"
        cells += [Span("struck", percent(stats.mean), CONTAMINATED), none, Span("struck", spread, CONTAMINATED)]
    return Line([*cells, Span("strong", percent(notes.clean().accuracy)), none, none])


def _row_facts(comparison: Comparison, row: Row) -> dict[str, Any]:
    control = comparison.control_of(row)
    return {
        "rank": comparison.rank_of(row),
        "accuracy": row.accuracy._asdict(),
        "macro_f1": row.macro_f1._asdict(),
        "seed_spread": {
            "accuracy": row.accuracy_over_seeds._asdict(),
            "macro_f1": row.macro_f1_over_seeds._asdict(),
        },
        "intervals": {metric: dataclasses.asdict(row.scores.interval(metric)) for metric in METRICS},
        "control": place_of(control, comparison.rows),
        "over_control": _difference(compare(row, control) if control else None),
    }


def _difference(found: Difference | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {"mean": found.mean, "folds_better": found.better, "folds": found.folds, "matched": found.matched}


SECTION = Section("ranking", "All runs", _show, row_facts=_row_facts)

"""The best pretrained run less what does without pretraining, and each network less its untrained self."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from soundprobe.reporting.compared.baselines import Baseline, PublishedHere
from soundprobe.reporting.compared.comparison import Comparison
from soundprobe.reporting.compared.pairs import Pair, pair_of, place_of
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.elements import Cell, Column, Element, Heading, Plotted, Span, Table, Text, Words
from soundprobe.reporting.sections.next_steps import no_network, retrain
from soundprobe.reporting.sections.section import Section, Unmeasured
from soundprobe.reporting.sections.shown_rows import published_name, run_name
from soundprobe.reporting.sections.statistics import clearly, forest
from soundprobe.reporting.wording import lead_in_folds, percent, points, points_between, sentence

Yardstick = tuple[Baseline, Pair | None]
"""A baseline, and the best pretrained run less it, where there is one."""


def _show(comparison: Comparison) -> Iterator[Element]:
    yield from _baselines(comparison)
    pairs = comparison.against_controls
    if pairs:
        yield Heading("Each network against its untrained self")
        yield Text("The same network and head, once with pretrained and once with random weights.", role="how")
        plot = forest("pretraining", "Pretrained less random weights, in points of accuracy", pairs)
        columns = [
            Column(
                "Run", lambda pair: (run_name(pair.row), Span("below", f"against {pair.other.full_name}")), text=True
            ),
            Column("Accuracy, %", lambda pair: pair.row.accuracy.mean, percent),
            Column("Random weights, %", lambda pair: pair.other.accuracy.mean, percent),
            *_lead(),
        ]
        yield Plotted(plot, [Table(columns, pairs, "Pretrained less random weights")])


def _baselines(comparison: Comparison) -> Iterator[Element]:
    best = comparison.pretrained
    if best and comparison.baselines:
        yield Text(
            "The best frozen pretrained run, ",
            run_name(best),
            f" with {percent(best.accuracy.mean)} %, less the best run of each kind that does without pretraining, "
            "whatever its head. The first is the one to beat.",
        )
    elif comparison.baselines:
        yield Text("No frozen run with pretrained weights has tested every fold; this is what does without.")
    pairs = {pair.other: pair for pair in comparison.over_baselines}
    columns = [
        Column("Without pretraining", _kind, text=True),
        Column("Accuracy, %", lambda one: one[0].row.accuracy.mean, percent, lead=True),
        *(_of_lead(column) for column in _lead()),
    ]
    found = [(one, pairs.get(one.row)) for one in comparison.baselines]
    own = [_published(here, len(columns)) for here in comparison.published if here.published.recipe]
    if found or own:
        yield Table(
            columns, found, "What does without pretraining", "tight", lambda one: "control" * one[0].row.is_control, own
        )


def _of_lead(column: Column) -> Column:
    """A column of pairs, as one of yardsticks; a dash where nothing was pretrained."""

    def of(one: Yardstick) -> object:
        return None if one[1] is None else column.of(one[1])

    return replace(column, of=of, group="Lead of the pretrained run")


def _kind(one: Yardstick) -> Words:
    return (run_name(one[0].row), " ", Span("below", sentence(one[0].kind.name).rstrip(".")))


def _published(here: PublishedHere, columns: int) -> list[Cell | Words]:
    """What was published of a network that is trained from scratch, on the folds that are test results."""
    one = here.published
    name = (published_name(here), " ", Span("below", f"As published, {one.where} alone"))
    return [name, Span("strong", percent(one.tested_accuracy)), Cell("", style="quiet", span=columns - 2)]


def _lead() -> list[Column]:
    """How far a pair's row is ahead, and how sure that is."""
    return [
        Column("points", lambda pair: pair.accuracy.mean.value, points, lead=True),
        Column("95 % interval", lambda pair: pair.accuracy.interval, points_between),
        Column("in folds", lambda pair: lead_in_folds(pair.accuracy.sign_test)),
        Column("is", clearly, text=True),
    ]


def _facts(comparison: Comparison) -> dict[str, Any]:
    return {
        "baselines": [
            {"kind": one.kind.key, "row": place_of(one.row, comparison.rows)} for one in comparison.baselines
        ],
        "over_baselines": [pair.facts(comparison.rows) for pair in comparison.over_baselines],
        "own": _own_facts(comparison),
        "over_own": [pair.facts(comparison.rows) for pair in comparison.over_own],
    }


def _own_facts(comparison: Comparison) -> dict[str, Any] | None:
    own, lead = comparison.own, comparison.lead_over_own
    if own is None:
        return None
    facts = {"name": own.name, "row": place_of(own.row, comparison.rows)}
    if lead is None or lead.interval is None:
        return {**facts, "lead": None}
    return {
        **facts,
        "lead": {
            "row": place_of(lead.row, comparison.rows),
            "unit": lead.unit,
            "interval": dataclasses.asdict(lead.interval),
            "p_holm": lead.p,
            "clear": lead.is_clear,
            "caution": lead.caution,
            "classes": [{**dataclasses.asdict(one), "difference": one.difference} for one in lead.classes],
        },
    }


def _row_facts(comparison: Comparison, row: Row) -> dict[str, Any]:
    pair, over = pair_of(row, comparison.against_controls), pair_of(row, comparison.over_control)
    return {
        "against_control": pair and pair.facts(comparison.rows),
        "control": over and place_of(over.other, comparison.rows),
        "over_control": over
        and {
            "mean": over.accuracy.mean.value,
            "folds_better": over.accuracy.sign_test.ahead,
            "folds": len(over.accuracy.folds),
            "matched": row.matches(over.other),
        },
    }


def _unmeasured(comparison: Comparison) -> Iterator[Unmeasured]:
    if all(one.kind.key != "no_network" for one in comparison.baselines):
        yield Unmeasured("What no network at all reaches", no_network(comparison))
    own = comparison.own
    if own and own.retrain and own.row is None:
        yield Unmeasured(f"What {own.name} reaches, trained on these clips", retrain(comparison, own))


SECTION = Section("pretraining", "What pretraining is worth", _show, _facts, _row_facts, _unmeasured)

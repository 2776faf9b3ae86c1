"""The controls: what pretraining is worth, whether shuffled labels stay at chance, what peeking and leaks would add."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from soundprobe.reporting.compared.comparison import Comparison
from soundprobe.reporting.compared.pairs import Pair, facts_of
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.elements import (
    Column,
    Element,
    Heading,
    Line,
    Plotted,
    Span,
    Table,
    Text,
    code,
    lead,
)
from soundprobe.reporting.sections.section import Section
from soundprobe.reporting.sections.shown_rows import run_name
from soundprobe.reporting.sections.statistics import clearly, forest
from soundprobe.reporting.wording import between, count, p_value, percent, plural, points, points_between
from soundprobe.scoring.bootstrap import Interval

PEEKED = ("honest", "peeked_by_fold", "peeked_overall")
DEALS = 4000


@dataclass(frozen=True, eq=False)
class Shuffled:
    """A row with shuffled labels against chance.

    Clips of a class lie together, so a head calls most of them by one name, right or wrong: what such a run scores
    jumps by whole classes, far more than recordings would make it. `chance_low` and `chance_high` are where 95 % of
    scores lie when the names of its predicted classes are dealt out anew at random.

    Attributes:
        accuracy: with its interval over recordings.
        chance: the mean of those scores, about 1 / classes.
    """

    row: Row
    accuracy: Interval
    chance: float
    chance_low: float
    chance_high: float

    @property
    def near_chance(self) -> bool:
        return self.accuracy.value <= self.chance_high


@dataclass(frozen=True, eq=False)
class Peeked:
    """A row's honest accuracy beside what choosing on the test folds would have given: means over folds."""

    row: Row
    honest: float
    by_fold: float
    overall: float
    candidates: int

    @property
    def gap(self) -> float:
        return self.by_fold - self.honest

    @property
    def overall_gap(self) -> float:
        return self.overall - self.honest


def _show(comparison: Comparison) -> Iterator[Element]:
    """The four checks, each with what was measured or how to measure it."""
    yield Heading("What pretraining is worth")
    yield from _pretraining(comparison.against_controls)
    yield Heading("Shuffled labels")
    yield from _shuffled(shuffled_of(comparison))
    yield Heading("What peeking would have added")
    yield from _peeked(peeked_of(comparison))
    yield Heading("Leaking training clips left out")
    yield from _leaks(comparison.without_leaks)


def _not_measured(command: str, does: str) -> Text:
    return Text("Not measured. ", code(f"soundprobe probe {command}"), f" {does}", role="how")


def _pretraining(pairs: Sequence[Pair]) -> Iterator[Element]:
    if not pairs:
        yield Text(
            "Not measured: no pretrained run here has a control of the same backbone and head. Extract again with ",
            code("--weights random"),
            ", then probe both.",
            role="how",
        )
        return
    yield Text(
        "The same network, once with its pretrained and once with random weights, and the same head: what lies between "
        "them, pretraining has brought."
    )
    names = ("Accuracy, %", "Random weights, %", "Lead, points", "95 % interval", "Folds ahead", "p (Holm)")
    columns = [Column("Run", text=True), *map(Column, names), Column("Lead", text=True)]
    lines = [
        Line(
            [
                (run_name(pair.row), Span("below", f"against {pair.other.full_name}")),
                percent(pair.row.accuracy.mean),
                percent(pair.other.accuracy.mean),
                lead(points(pair.accuracy.mean.value)),
                points_between(pair.accuracy.mean),
                f"{pair.accuracy.sign_test.ahead} of {len(pair.accuracy.folds)}",
                p_value(pair.accuracy.p_holm),
                clearly(pair),
            ]
        )
        for pair in pairs
    ]
    plot = forest("pretraining", "Pretrained less random weights, in points of accuracy", pairs)
    yield Plotted(plot, [Table(columns, lines, "Pretrained less random weights")])


def _shuffled(found: Sequence[Shuffled]) -> Iterator[Element]:
    if not found:
        yield _not_measured("--control shuffled-labels", "does it.")
        return
    yield Text(
        "Heads trained on labels that were shuffled within each fold can have learnt nothing. What such a run scores "
        "above chance, the protocol would leak. It has no rank. Clips of a class lie together, so such a run gets "
        "whole classes right or wrong by luck: the last column is where 95 % of scores lie when the names of its "
        "predicted classes are dealt out at random."
    )
    names = ("Accuracy, %", "95 % interval", "Guessing, %", "95 % of guesses, %")
    columns = [Column("Run", text=True), *map(Column, names), Column("Verdict", text=True)]
    lines = [
        Line(
            [
                run_name(one.row),
                lead(percent(one.accuracy.value)),
                between(one.accuracy),
                percent(one.chance),
                f"{percent(one.chance_low)} to {percent(one.chance_high)}",
                "at chance, as it must be" if one.near_chance else "above chance: something leaks",
            ],
            "control",
        )
        for one in found
    ]
    yield Table(columns, lines, "Shuffled labels")


def _peeked(found: Sequence[Peeked]) -> Iterator[Element]:
    if not found:
        yield _not_measured("--measure-peeking", "does it, after and apart from the run.")
        return
    yield Text(
        "After each of these runs was finished, every setting it could have chosen was scored on the test folds as "
        "well. Who picks the best of them there reports a struck-out figure instead of the honest one. Nothing on "
        "this page uses them."
    )
    columns = [Column("Run", text=True), Column("accuracy, %", "Honest choice")]
    for group in ("Best setting on average", "Best setting of each fold"):
        columns += [Column("accuracy, %", group), Column("gap, points", group)]
    columns.append(Column("Settings tried"))
    why = "chosen on the test folds"
    lines = [
        Line(
            [
                run_name(one.row),
                lead(percent(one.honest)),
                Span("struck", percent(one.overall), why),
                points(one.overall_gap),
                Span("struck", percent(one.by_fold), why),
                lead(points(one.gap)),
                count(one.candidates),
            ]
        )
        for one in found
    ]
    yield Table(columns, lines, "Honest and peeked choices")


def _leaks(pairs: Sequence[Pair]) -> Iterator[Element]:
    if not pairs:
        yield _not_measured("--exclude-leaks", "trains the same run without them.")
        return
    yield Text(
        "The same run without the training clips whose recording is also tested: how much of the score the leaks were."
    )
    names = ("Leaks left out, %", "All training clips, %", "Change, points", "95 % interval", "Clips left out")
    columns = [Column("Run", text=True), *map(Column, names), Column("Change", text=True)]
    lines = [
        Line(
            [
                run_name(pair.row),
                percent(pair.row.accuracy.mean),
                percent(pair.other.accuracy.mean),
                lead(points(pair.accuracy.mean.value)),
                points_between(pair.accuracy.mean),
                f"{count(pair.row.excluded_clips)} in {plural(pair.row.folds_with_exclusions, 'fold')}",
                clearly(pair),
            ]
        )
        for pair in pairs
    ]
    yield Table(columns, lines, "With and without leaks")


def shuffled_of(comparison: Comparison) -> tuple[Shuffled, ...]:
    """Every row that was trained on shuffled labels."""
    found = []
    for row in comparison.rows:
        if row.control == "shuffled labels":
            by_luck = _renamed([run.confusion for run in row.runs])
            low, high = np.quantile(by_luck, [0.025, 0.975])
            found.append(Shuffled(row, row.scores.interval(), float(by_luck.mean()), float(low), float(high)))
    return tuple(found)


def _renamed(confusions: Sequence[np.ndarray]) -> np.ndarray:
    """(DEALS,) pooled accuracies of confusion matrices (C, C) whose columns are in random orders."""
    rng = np.random.default_rng(0)
    classes = np.arange(len(confusions[0]))
    hits = np.zeros(DEALS)
    for confusion in confusions:
        orders = rng.permuted(np.tile(classes, (DEALS, 1)), axis=1)  # (DEALS, C)
        hits += confusion[classes, orders].sum(axis=1)
    return hits / sum(confusion.sum() for confusion in confusions)


def peeked_of(comparison: Comparison) -> tuple[Peeked, ...]:
    """Every row for whose runs the candidates were scored on the test folds; the first such seed."""
    found = []
    for row in comparison.rows:
        content = next((run.peeking for run in row.runs if run.peeking), None)
        if content is None:
            continue
        candidates = max(len(fold["candidates"]) for fold in content["folds"])
        honest, by_fold, overall = (float(content[name]) for name in PEEKED)
        found.append(Peeked(row, honest, by_fold, overall, candidates))
    return tuple(found)


def _facts(comparison: Comparison) -> dict[str, Any]:
    return {"without_leaks": [pair.facts(comparison.rows) for pair in comparison.without_leaks]}


def _row_facts(comparison: Comparison, row: Row) -> dict[str, Any]:
    peeking = next((run.peeking for run in row.runs if run.peeking), None)
    return {
        "peeking": None if peeking is None else {name: peeking[name] for name in PEEKED},
        "against_control": facts_of(row, comparison.against_controls, comparison.rows),
    }


SECTION = Section("controls", "Controls", _show, _facts, _row_facts)

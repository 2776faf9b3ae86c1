"""The controls: whether shuffled labels stay at chance, what peeking and leaks would add."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from soundprobe.reporting.compared.comparison import Comparison
from soundprobe.reporting.compared.pairs import Pair
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.elements import Column, Element, Heading, Span, Table, Text, code
from soundprobe.reporting.sections.section import Section
from soundprobe.reporting.sections.shown_rows import run_name, run_table
from soundprobe.reporting.sections.statistics import clearly
from soundprobe.reporting.wording import between, count, percent, plural, points, points_between
from soundprobe.scoring.intervals import Interval

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
    """The checks, each with what was measured or how to measure it."""
    yield Heading("Shuffled labels")
    yield from _shuffled(shuffled_of(comparison))
    yield Heading("What peeking would have added")
    yield from _peeked(peeked_of(comparison))
    yield Heading("Leaking training clips left out")
    yield from _leaks(comparison.without_leaks)


def _not_measured(command: str, does: str) -> Text:
    return Text("Not measured. ", code(f"soundprobe probe {command}"), f" {does}", role="how")


def _change(heading: str) -> list[Column]:
    """A pair's difference with its interval."""
    return [
        Column(heading, lambda pair: pair.accuracy.mean.value, points, lead=True),
        Column("95 % interval", lambda pair: pair.accuracy.interval, points_between),
    ]


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
    at_chance, leaks = "at chance, as it must be", "above chance: something leaks"
    columns = [
        Column("Accuracy, %", lambda one: one.accuracy.value, percent, lead=True),
        Column("95 % interval", lambda one: one.accuracy, between),
        Column("Guessing, %", lambda one: one.chance, percent),
        Column("95 % of guesses, %", lambda one: f"{percent(one.chance_low)} to {percent(one.chance_high)}"),
        Column("Verdict", lambda one: at_chance if one.near_chance else leaks, text=True),
    ]
    yield run_table(columns, found, "Shuffled labels", row=lambda one: one.row)


def _peeked(found: Sequence[Peeked]) -> Iterator[Element]:
    if not found:
        yield _not_measured("--measure-peeking", "does it, after and apart from the run.")
        return
    yield Text(
        "After each of these runs was finished, every setting it could have chosen was scored on the test folds as "
        "well. Who picks the best of them there reports a struck-out figure instead of the honest one. Nothing on "
        "this page uses them."
    )
    average, each = "Best setting on average", "Best setting of each fold"

    def peeked(share: float) -> Span:
        return Span("struck", percent(share), "chosen on the test folds")

    columns = [
        Column("Run", lambda one: run_name(one.row), text=True),
        Column("accuracy, %", lambda one: one.honest, percent, "Honest choice", lead=True),
        Column("accuracy, %", lambda one: one.overall, peeked, average),
        Column("gap, points", lambda one: one.overall_gap, points, average),
        Column("accuracy, %", lambda one: one.by_fold, peeked, each),
        Column("gap, points", lambda one: one.gap, points, each, lead=True),
        Column("Settings tried", lambda one: one.candidates, count),
    ]
    yield Table(columns, found, "Honest and peeked choices")


def _leaks(pairs: Sequence[Pair]) -> Iterator[Element]:
    if not pairs:
        yield _not_measured("--exclude-leaks", "trains the same run without them.")
        return
    yield Text(
        "The same run without the training clips whose recording is also tested: how much of the score the leaks were."
    )
    columns = [
        Column("Run", lambda pair: run_name(pair.row), text=True),
        Column("Leaks left out, %", lambda pair: pair.row.accuracy.mean, percent),
        Column("All training clips, %", lambda pair: pair.other.accuracy.mean, percent),
        *_change("Change, points"),
        Column("Clips left out", lambda pair: _left_out(pair.row)),
        Column("Change", clearly, text=True),
    ]
    yield Table(columns, pairs, "With and without leaks")


def _left_out(row: Row) -> str:
    clips = [int(scores.chosen.get("excluded_clips", 0)) for scores in row.first.folds]
    return f"{count(sum(clips))} in {plural(sum(map(bool, clips)), 'fold')}"


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
        if content := _peeking(row):
            candidates = max(len(fold["candidates"]) for fold in content["folds"])
            honest, by_fold, overall = (float(content[name]) for name in PEEKED)
            found.append(Peeked(row, honest, by_fold, overall, candidates))
    return tuple(found)


def _peeking(row: Row) -> Mapping[str, Any] | None:
    return next((run.peeking for run in row.runs if run.peeking), None)


def _facts(comparison: Comparison) -> dict[str, Any]:
    return {"without_leaks": [pair.facts(comparison.rows) for pair in comparison.without_leaks]}


def _row_facts(comparison: Comparison, row: Row) -> dict[str, Any]:
    peeking = _peeking(row)
    return {"peeking": peeking and {name: peeking[name] for name in PEEKED}}


SECTION = Section("controls", "Controls", _show, _facts, _row_facts)

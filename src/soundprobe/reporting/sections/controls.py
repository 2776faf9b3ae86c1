"""The controls: whether shuffled labels stay at chance, what other protocols, peeking and leaks would add."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from soundprobe.reporting.compared.baselines import PublishedHere
from soundprobe.reporting.compared.comparison import Comparison
from soundprobe.reporting.compared.pairs import place_of
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.elements import Cell, Column, Element, Heading, Span, Table, Text, Words, code, struck
from soundprobe.reporting.runs.marks import could_not_fail, has_shuffled_labels
from soundprobe.reporting.sections.section import Section, Unmeasured
from soundprobe.reporting.sections.shown_rows import published_name, run_name, run_table
from soundprobe.reporting.sections.statistics import clearly
from soundprobe.reporting.wording import MISSING, count, listing, percent, plural, points, points_between
from soundprobe.scoring.protocol_controls import accuracies_by_luck, in_training_too

CARRIED_OVER = "network carried over from fold to fold"
PEEKED = ("honest", "peeked_by_fold", "peeked_overall")


@dataclass(frozen=True, eq=False)
class Shuffled:
    """A row with shuffled labels against chance.

    Attributes:
        accuracy: its mean over folds.
        chance: the mean of what its predictions score on labels that are dealt out anew; chance_low, chance_high: where
            95 % of those scores lie.
    """

    row: Row
    accuracy: float
    chance: float
    chance_low: float
    chance_high: float

    @property
    def near_chance(self) -> bool:
        return self.accuracy <= self.chance_high + 1e-9  # sums of thirds and sevenths differ in their last bits


@dataclass(frozen=True, eq=False)
class Optimistic:
    """A row by a protocol that scores too high, beside the same run as it should be; None where that was not made.

    Attributes:
        how: what the protocol does.
    """

    row: Row
    honest: Row | None
    how: str

    @property
    def gap(self) -> float | None:
        return self.row.accuracy.mean - self.honest.accuracy.mean if self.honest else None


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
    """What was measured."""
    for heading, shown in (
        ("Shuffled labels", _shuffled(comparison)),
        ("What folds without regard to recordings would have added", _optimistic(comparison)),
        ("What peeking would have added", _peeked(peeked_of(comparison))),
        ("Leaking training clips left out", _leaks(comparison)),
    ):
        if elements := list(shown):
            yield Heading(heading)
            yield from elements


def _unmeasured(comparison: Comparison) -> Iterator[Unmeasured]:
    audit = comparison.audit

    def probed(what: str, option: str) -> Unmeasured:
        return Unmeasured(what, comparison.probe_command(option))

    if not any(has_shuffled_labels(row.first) for row in comparison.rows):
        yield probed("Whether the protocol leaks: shuffled labels must stay at chance", "--control shuffled-labels")
    if not any(one.row.has_own_folds for one in optimistic_of(comparison)):
        yield probed("What folds without regard to recordings would add", "--control reshuffled-folds")
    if not peeked_of(comparison):
        yield probed("What choosing settings on the test folds would add", "--measure-peeking")
    copies = audit is None or audit.identical is None or any(one.across_folds for one in audit.identical)
    if not comparison.without_leaks and (copies or audit is None or audit.shared_recordings):
        yield probed("What leaking training clips are worth", "--exclude-leaks")


def _shuffled(comparison: Comparison) -> Iterator[Element]:
    found = shuffled_of(comparison)
    if old := [row for row in comparison.rows if could_not_fail(row.first)]:
        names = listing([row.name for row in old])
        again = code(comparison.probe_command("--control shuffled-labels"))
        yield Text(f"{names}: judged by the true labels: it could not fail. Run again: ", again, ".", role="caveat")
    if not found:
        return
    yield Text(
        "Labels were shuffled by recording, so nothing in a sound tells them, and heads trained on them are judged by "
        "them. What such a run scores above chance it remembers: it was trained on clips or recordings that it is "
        "tested on. What it can't see: copies under the name of another recording, features or backbones that were "
        "fitted on the test clips, a choice by test scores. One honest run in 40 lies above what guessing reaches."
    )
    at_chance, leaks = "at chance, as it must be", "above chance: something leaks"
    columns = [
        Column("Accuracy, %", lambda one: one.accuracy, percent, lead=True),
        Column("Guessing, %", lambda one: one.chance, percent),
        Column("95 % of guesses, %", lambda one: f"{percent(one.chance_low)} to {percent(one.chance_high)}"),
        Column("Verdict", lambda one: at_chance if one.near_chance else leaks, text=True),
    ]
    yield run_table(columns, found, "Shuffled labels", row=lambda one: one.row)


def _optimistic(comparison: Comparison) -> Iterator[Element]:
    found = optimistic_of(comparison)
    if not found:
        return
    carried = bool(comparison.marked_folds) or any(one.row.contaminated for one in found)
    yield Text(
        "Where folds are drawn clip by clip, pieces of one recording are trained on and tested, and knowing the "
        "recording is enough. Published figures are often made so: MTEB's UrbanSound8K task splits its clips by "
        "KFold(5, shuffle=True). Here folds keep their numbers of clips, so that nothing is gained by more "
        "training clips.",
        " A network that is carried over from fold to fold has met the test clips themselves." * carried,
    )
    columns = [
        Column("Protocol", lambda one: one.how, text=True),
        Column("As it should be, %", lambda one: one.honest and one.honest.accuracy.mean, percent, lead=True),
        Column("So, %", lambda one: struck(percent(one.row.accuracy.mean))),
        Column("gap, points", lambda one: MISSING if one.gap is None else points(one.gap), lead=True),
        Column("Clips whose recording is trained on, %", _siblings),
    ]
    below = [_published(here) for here in comparison.published if here.published.contamination]
    title = "Protocols that score too high"
    yield run_table(columns, found, title, row=lambda one: one.row, below=below)


def _published(here: PublishedHere) -> list[Cell | Words]:
    one = here.published
    clean, mean = one.tested_accuracy, one.accuracy.mean
    honest, gap = f"{percent(clean)} ({one.where})", points(mean - clean)
    return [published_name(here), CARRIED_OVER, honest, struck(percent(mean)), gap, MISSING]


def _siblings(one: Optimistic) -> str:
    """How many tested clips have a sibling among the training clips, by this protocol and as it should be."""
    shares = [_in_training(row) for row in (one.row, one.honest) if row is not None]
    return " instead of ".join(MISSING if share is None else percent(share, 0) for share in shares)


def _in_training(row: Row) -> float | None:
    run = row.first
    return None if run.groups is None else in_training_too(run.fold, run.groups)


def _peeked(found: Sequence[Peeked]) -> Iterator[Element]:
    if not found:
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


def _leaks(comparison: Comparison) -> Iterator[Element]:
    pairs = comparison.without_leaks
    if not pairs:
        return
    yield Text(
        "The same run without the training clips whose recording is also tested: how much of the score the leaks were."
    )
    columns = [
        Column("Run", lambda pair: run_name(pair.row), text=True),
        Column("Leaks left out, %", lambda pair: pair.row.accuracy.mean, percent),
        Column("All training clips, %", lambda pair: pair.other.accuracy.mean, percent),
        Column("Change, points", lambda pair: pair.accuracy.mean.value, points, lead=True),
        Column("95 % interval", lambda pair: pair.accuracy.interval, points_between),
        Column("Clips left out", lambda pair: _left_out(pair.row)),
        Column("Change", clearly, text=True),
    ]
    yield Table(columns, pairs, "With and without leaks")


def _left_out(row: Row) -> str:
    clips = [int(scores.chosen.get("excluded_clips", 0)) for scores in row.first.folds]
    return f"{count(sum(clips))} in {plural(sum(map(bool, clips)), 'fold')}"


def shuffled_of(comparison: Comparison) -> tuple[Shuffled, ...]:
    """Every row that was trained on shuffled labels and judged by them."""
    found = []
    for row in comparison.rows:
        if has_shuffled_labels(row.first) and not could_not_fail(row.first):
            run = row.first
            by_luck = accuracies_by_luck(run.y_true, run.predicted, run.fold, run.drawn_together)
            low, high = np.quantile(by_luck, [0.025, 0.975])
            found.append(Shuffled(row, row.accuracy.mean, float(by_luck.mean()), float(low), float(high)))
    return tuple(found)


def optimistic_of(comparison: Comparison) -> tuple[Optimistic, ...]:
    """Every row on reshuffled folds, and every network that was carried over, beside the same run as it should be."""
    found = []
    for row in comparison.rows:
        if row.complete and (row.has_own_folds or row.contaminated):
            setting, how = (
                ("control", "folds drawn clip by clip") if row.has_own_folds else ("carry_over", CARRIED_OVER)
            )
            honest = comparison.without_setting(row, setting)
            found.append(Optimistic(row, honest if honest and honest.complete else None, how))
    return tuple(found)


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
    return {
        "without_leaks": [pair.facts(comparison.rows) for pair in comparison.without_leaks],
        "optimistic": [
            {
                "row": place_of(one.row, comparison.rows),
                "honest": place_of(one.honest, comparison.rows),
                "gap": one.gap,
                "in_training": _in_training(one.row),
                "honest_in_training": one.honest and _in_training(one.honest),
            }
            for one in optimistic_of(comparison)
        ],
    }


def _row_facts(comparison: Comparison, row: Row) -> dict[str, Any]:
    peeking = _peeking(row)
    return {"peeking": peeking and {name: peeking[name] for name in PEEKED}}


SECTION = Section("controls", "Controls", _show, _facts, _row_facts, _unmeasured)

"""The controls: what pretraining is worth, whether shuffled labels stay at chance, what peeking and leaks would add."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from soundprobe.reporting.compared.comparison import Comparison
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.sections.evidence import forest
from soundprobe.scoring.bootstrap import Interval

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


def prepare_controls(comparison: Comparison) -> dict[str, Any]:
    """The four checks, each with what was measured or how to measure it."""
    pairs = comparison.against_controls
    title = "Pretrained less random weights, in points of accuracy"
    return {
        "pairs": pairs,
        "plot": forest("pretraining", title, pairs) if pairs else None,
        "shuffled": shuffled_of(comparison),
        "peeked": peeked_of(comparison),
        "leaks": comparison.without_leaks,
    }


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
        honest, by_fold, overall = (float(content[name]) for name in ("honest", "peeked_by_fold", "peeked_overall"))
        found.append(Peeked(row, honest, by_fold, overall, candidates))
    return tuple(found)

"""Two rows on the same clips: the difference, its interval and its tests, with Holm's correction among several.

The statistics are `soundprobe.scoring.paired_tests`'s; this module brings rows to them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from soundprobe.reporting.compared.rows import Row
from soundprobe.scoring.bootstrap import METRICS, Predictions, Scores, resample
from soundprobe.scoring.paired_tests import Paired, average, holm, kfold_ratio, on_shared_clips, paired


@dataclass(frozen=True, eq=False)
class Pair:
    """`row` less `other` on the `clips` that both tested; `same_clips` where neither tested one more."""

    row: Row
    other: Row
    accuracy: Paired
    macro_f1: Paired
    clips: int
    same_clips: bool

    @property
    def is_clear(self) -> bool:
        """Whether the difference is clear; never where a row is not fair, and so has no p."""
        return self.accuracy.is_clear

    def facts(self, rows: Sequence[Row]) -> dict[str, Any]:
        """The pair for report.json, which knows it by its places in `rows`."""
        return {
            "row": place_of(self.row, rows),
            "other": place_of(self.other, rows),
            "clips": self.clips,
            **{metric: _facts(getattr(self, metric)) for metric in METRICS},
        }

    @property
    def verdict(self) -> str:
        """ "ahead" or "behind" where the difference is clear, else "not clear"."""
        if not self.is_clear:
            return "not clear"
        return "ahead" if self.accuracy.mean.value > 0 else "behind"


def pair_rows(row: Row, other: Row) -> Pair | None:
    """`row` against `other`, or None where they share no clip."""
    mine, theirs = row.scores, other.scores
    same = np.array_equal(mine.predictions.ids, theirs.predictions.ids)
    if not same:
        shared = np.intersect1d(mine.predictions.ids, theirs.predictions.ids)
        if len(shared) == 0:
            return None
        mine, theirs = _scores_on(row, shared), _scores_on(other, shared)
    ratio = _test_train_ratio(row)
    return Pair(
        row,
        other,
        paired(mine, theirs, test_train_ratio=ratio),
        paired(mine, theirs, test_train_ratio=ratio, metric="macro_f1"),
        len(mine.predictions),
        same,
    )


def _test_train_ratio(row: Row) -> float:
    """n_test / n_train of a fold; of a data set in splits the test split's clips over those that are trained on."""
    dataset = row.first.record.dataset
    if not dataset.only_trained_on:
        return kfold_ratio(len(dataset.folds))
    tested = (dataset.clips - dataset.only_trained_on) / len(dataset.folds)
    return tested / (dataset.clips - tested)


def pair_all(couples: Iterable[tuple[Row, Row | None]]) -> tuple[Pair, ...]:
    """The pair of each couple that shares a clip; a row without another has none."""
    pairs = (pair_rows(row, other) for row, other in couples if other is not None)
    return tuple(pair for pair in pairs if pair is not None)


def with_holm(pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    """`pairs` with each metric's p values corrected for the number of pairs that have one: pairs of equals."""
    found = list(pairs)
    for metric in METRICS:
        equals = [pair.row.is_fair and pair.other.is_fair for pair in pairs]
        corrected = holm(
            [getattr(pair, metric).t_test.p if equal else None for pair, equal in zip(pairs, equals, strict=True)]
        )
        tested = max(1, sum(p is not None for p in corrected))
        for place, p in enumerate(corrected):
            one = dataclasses.replace(getattr(found[place], metric), p_holm=p, comparisons=tested)
            found[place] = dataclasses.replace(found[place], **{metric: one})
    return tuple(found)


def place_of(row: Row | None, rows: Sequence[Row]) -> int | None:
    """Where `row` stands in `rows`, from 0; None where it does not."""
    return next((place for place, other in enumerate(rows) if other is row), None)


def pair_of(row: Row, pairs: Sequence[Pair]) -> Pair | None:
    """The pair in which `row` comes first; None where there is none."""
    return next((pair for pair in pairs if pair.row is row), None)


def _facts(one: Paired) -> dict[str, Any]:
    named = ("mean", "folds", "differences", "t_test", "sign_test", "p_holm", "comparisons")
    content = dataclasses.asdict(one)
    own = {"interval": dataclasses.asdict(one.interval), "detectable": one.detectable, "clear": one.is_clear}
    return {**{name: content[name] for name in named}, **own}


def _scores_on(row: Row, ids: np.ndarray) -> Scores:
    predictions: list[Predictions] = on_shared_clips([one.take(np.isin(one.ids, ids)) for one in row.predictions])
    return average([resample(one) for one in predictions], row.name)

"""What a row's runs say of each clip, as one.

Letters: N clips, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import numpy as np

from soundprobe.reporting.compared.rows import Row


@dataclass(frozen=True, eq=False)
class Judgements:
    """What a row's runs say of each clip, as one: the mean of their probabilities.

    Attributes:
        ids: (N,) str, sorted; fold, label, predicted: (N,) int64; proba: (N, C) float32.
    """

    ids: np.ndarray
    fold: np.ndarray
    label: np.ndarray
    predicted: np.ndarray
    proba: np.ndarray

    @property
    def confidence(self) -> np.ndarray:
        """(N,) the probability of the predicted class."""
        return self.proba.max(axis=1)


def judgements_of(row: Row) -> Judgements:
    """Of the clips that all seeds' runs of `row`, which has probabilities, predicted."""
    ids = reduce(np.intersect1d, [run.ids for run in row.runs])
    aligned = []
    for run in row.runs:
        order = np.argsort(run.ids)
        aligned.append(order[np.searchsorted(run.ids, ids, sorter=order)])
    told = [run.proba for run in row.runs if run.proba is not None]
    proba = np.mean([one[rows] for one, rows in zip(told, aligned, strict=True)], axis=0)
    first, rows = row.first, aligned[0]
    predicted = first.predicted[rows] if len(row.runs) == 1 else proba.argmax(axis=1)
    return Judgements(ids, first.fold[rows], first.y_true[rows], predicted, proba)

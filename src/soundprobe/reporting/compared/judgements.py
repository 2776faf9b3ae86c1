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
        ids: (N,) str, sorted; fold, label, predicted: (N,) int64; proba: (N, C) float32, NaN where there are none.
    """

    ids: np.ndarray
    fold: np.ndarray
    label: np.ndarray
    predicted: np.ndarray
    proba: np.ndarray

    @property
    def confidence(self) -> np.ndarray:
        """(N,) the probability of the predicted class; NaN where there is none."""
        return self.proba[np.arange(len(self.ids)), self.predicted]

    @property
    def wrong(self) -> np.ndarray:
        """(N,) bool."""
        return self.predicted != self.label

    def surest(self, rows: np.ndarray) -> np.ndarray:
        """`rows` with the most confident first; those without probabilities last, by their ids."""
        sure = np.nan_to_num(self.confidence[rows], nan=-1.0)
        return rows[np.lexsort([self.ids[rows], -sure])]


def judgements_of(row: Row) -> Judgements:
    """Of the clips that all seeds' runs of `row` predicted; without probabilities, what most seeds say."""
    ids = np.unique(reduce(np.intersect1d, [run.ids for run in row.runs]))  # one run's stay as they are
    aligned = []
    for run in row.runs:
        order = np.argsort(run.ids)
        aligned.append(order[np.searchsorted(run.ids, ids, sorter=order)])
    first, rows = row.first, aligned[0]
    said = np.stack([run.predicted[own] for run, own in zip(row.runs, aligned, strict=True)])
    known = [run.proba for run in row.runs if run.proba is not None]
    if len(known) == len(row.runs):
        proba = np.mean([values[own] for values, own in zip(known, aligned, strict=True)], axis=0)
        predicted = said[0] if len(said) == 1 else proba.argmax(axis=1)
    else:
        proba = np.full((len(ids), len(first.class_names)), np.nan, dtype=np.float32)
        predicted = np.apply_along_axis(lambda votes: np.bincount(votes).argmax(), 0, said)
    return Judgements(ids, first.fold[rows], first.y_true[rows], predicted, proba)

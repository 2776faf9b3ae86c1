"""How sure a head must be of each class for a stated precision, from what heads said of clips that they never saw.

Letters: N clips, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NEVER = float("inf")
"""The threshold of a class that no threshold makes precise enough: it is never told."""


@dataclass(frozen=True, eq=False)
class Reached:
    """What thresholds come to on clips that had no part in choosing them.

    Attributes:
        told: (C,) int64, how often each class was told: most probable, at its threshold or above; right: how often
            rightly; clips: how many clips of it there are.
    """

    told: np.ndarray
    right: np.ndarray
    clips: np.ndarray

    @property
    def precision(self) -> float | None:
        """Of all classes together: the share of what was told that is right; None where nothing was told."""
        return float(self.right.sum() / self.told.sum()) if self.told.sum() else None

    @property
    def recall(self) -> float:
        """The share of all clips that were told rightly."""
        return float(self.right.sum() / self.clips.sum())


def choose_thresholds(labels: np.ndarray, proba: np.ndarray, precision: float) -> np.ndarray:
    """(C,) the lowest probability of each class from which on that share of the clips called so are.

    Only probabilities that occurred are candidates, so nothing is told less surely than anything that was judged.

    Args:
        labels: (N,) 0 .. C-1; proba: (N, C), of each clip by a head that never saw it.
        precision: above 0, at most 1.

    Returns:
        `NEVER` for a class of which no threshold keeps so many right.
    """
    predicted, surest = proba.argmax(axis=1), proba.max(axis=1)
    found = np.full(proba.shape[1], NEVER)
    for c in range(proba.shape[1]):
        called = np.flatnonzero(predicted == c)
        called = called[np.argsort(-surest[called], kind="stable")]
        right = (labels[called] == c).cumsum() / np.arange(1, len(called) + 1)
        # All clips of one probability are told together, or none.
        last = np.append(np.diff(surest[called]) != 0, True)[: len(called)]
        enough = np.flatnonzero(last & (right >= precision))
        if len(enough):
            found[c] = surest[called[enough[-1]]]
    return found


def cross_fitted(
    labels: np.ndarray, proba: np.ndarray, folds: np.ndarray, groups: np.ndarray, precision: float
) -> Reached:
    """What `choose_thresholds` reaches: each fold's clips are judged by thresholds that were chosen on the others.

    Args:
        folds: (N,) of at least two; groups: (N,) the recordings, whose clips in other folds choose nothing, either;
            else as `choose_thresholds`.
    """
    n_classes = proba.shape[1]
    predicted, told = proba.argmax(axis=1), np.zeros(len(labels), dtype=bool)
    for fold in np.unique(folds):
        own = folds == fold
        others = ~np.isin(groups, groups[own])
        thresholds = choose_thresholds(labels[others], proba[others], precision)
        told[own] = proba[own].max(axis=1) >= thresholds[predicted[own]]
    right = told & (predicted == labels)
    return Reached(*(np.bincount(of, minlength=n_classes) for of in (predicted[told], labels[right], labels)))

"""How unlike its training clips an embedding is, so that what is none of the classes need not be called one of them.

The distance is Mahalanobis' to the nearest class's mean, all classes sharing one covariance, shrunk as Ledoit and Wolf
do, divided by the square root of D: about 1 for clips like those that it was fitted on. Of what was measured
(docs/fit.md) it told unheard classes apart best, and its size doesn't grow with the clips.

Sources: Lee et al., "A simple unified framework for detecting out-of-distribution samples", NeurIPS 2018; Ledoit and
Wolf, "A well-conditioned estimator for large-dimensional covariance matrices", J. Multivariate Analysis 88, 2004.

Letters: N clips, D the embedding's dimension, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np

from soundprobe.base.errors import DataError, StoreError

ROWS_AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class Novelty:
    """A fitted distance.

    Attributes:
        centre, scale: (D,) float32; whitening: (D, D) float32, which makes the classes' shared covariance the identity;
            means: (C, D) float32, the classes' whitened means.
        threshold: of the distance, above which a clip is none of the classes.
    """

    centre: np.ndarray
    scale: np.ndarray
    whitening: np.ndarray
    means: np.ndarray
    threshold: float

    @classmethod
    def of(cls, features: np.ndarray, labels: np.ndarray) -> Self:
        """The distance from clips with these embeddings (N, D) and labels (N,), without a threshold."""
        from sklearn.covariance import ledoit_wolf

        X = np.asarray(features, dtype=np.float64)
        centre, scale = X.mean(axis=0), X.std(axis=0)
        scale[scale == 0] = 1.0
        Z = (X - centre) / scale
        classes, of_row = np.unique(labels, return_inverse=True)
        means = np.stack([Z[of_row == c].mean(axis=0) for c in range(len(classes))])
        covariance, _ = ledoit_wolf(Z - means[of_row], assume_centered=True)
        # A set without any spread has the identity's distance.
        covariance += np.eye(len(covariance)) * max(1e-6 * float(np.trace(covariance)) / len(covariance), 1e-12)
        whitening = np.linalg.inv(np.linalg.cholesky(covariance)).T
        parts = dict(zip(ARRAYS, (centre, scale, whitening, means @ whitening), strict=True))
        return cls.from_arrays({name: part.astype(np.float32) for name, part in parts.items()}, float("inf"))

    def at(self, threshold: float) -> Novelty:
        """The same distance with this threshold."""
        return replace(self, threshold=threshold)

    def score(self, features: np.ndarray) -> np.ndarray:
        """(N,) float64 distances of embeddings (N, D); in float64, so that a row's does not hang on the others'."""
        centre, scale, whitening, means = self._in_float64
        X = np.asarray(features, dtype=np.float64)
        found = np.empty(len(X))
        for start in range(0, len(X), ROWS_AT_ONCE):
            Z = ((X[start : start + ROWS_AT_ONCE] - centre) / scale) @ whitening
            squares = [((Z - mean) ** 2).sum(axis=1) for mean in means]
            found[start : start + ROWS_AT_ONCE] = np.sqrt(np.min(squares, axis=0) / len(centre))
        return found

    @cached_property
    def _in_float64(self) -> tuple[np.ndarray, ...]:
        return tuple(getattr(self, name).astype(np.float64) for name in ARRAYS)

    def is_unknown(self, scores: np.ndarray) -> np.ndarray:
        """(N,) bool, which of the distances (N,) are too far for any class."""
        far: np.ndarray = np.asarray(scores) > self.threshold
        return far

    def arrays(self) -> dict[str, np.ndarray]:
        """What `from_arrays` needs besides the threshold."""
        return {name: np.ascontiguousarray(getattr(self, name)) for name in ARRAYS}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], threshold: float) -> Self:
        """The distance that gave these `arrays`.

        Raises:
            StoreError: one is missing or holds what is no number, or they don't fit each other.
        """
        lacking = [name for name in ARRAYS if name not in arrays]
        if lacking:
            raise StoreError(f"The distance from the training clips lacks {', '.join(lacking)}. Fit again.")
        given: dict[str, Any] = {name: np.asarray(arrays[name]) for name in ARRAYS}
        found = cls(**given, threshold=threshold)
        D, C = len(found.centre), len(found.means)
        shapes = [np.shape(getattr(found, name)) for name in ARRAYS]
        if shapes != [(D,), (D,), (D, D), (C, D)] or C == 0:
            raise StoreError(
                f"The distance from the training clips has arrays of {shapes}, which don't fit. Fit again."
            )
        if not all(np.isfinite(array).all() for array in given.values()) or not given["scale"].all():
            raise StoreError("The distance from the training clips is not finite. Fit again.")
        return found


ARRAYS = ("centre", "scale", "whitening", "means")


def out_of_fold(
    features: np.ndarray, labels: np.ndarray, folds: np.ndarray, groups: np.ndarray, tested: Sequence[int]
) -> np.ndarray:
    """(n,) the distances of the clips in the `tested` folds, each from the other folds' clips of other recordings.

    Args:
        features: (N, D); labels, folds: (N,); groups: (N,) the recordings, those that hold copies under one name.

    Raises:
        DataError: there are no such clips.
    """
    found = np.empty(len(labels))
    for fold in tested:
        own, others = folds == fold, _others(folds, groups, fold)
        found[own] = Novelty.of(features[others], labels[others]).score(features[own])
    return found[np.isin(folds, tested)]


def _others(folds: np.ndarray, groups: np.ndarray, fold: int) -> np.ndarray:
    """(N,) bool, the clips that share no recording with `fold`."""
    others: np.ndarray = ~np.isin(groups, groups[folds == fold])
    if not others.any():
        raise DataError(
            "All clips share recordings, or copies, with one fold, so no distance can be judged on clips that had no "
            "part in it. Add recordings."
        )
    return others


def threshold_for(scores: np.ndarray, passing: float) -> float:
    """The least distance at which that share of the `scores` (n,) passes."""
    return float(np.quantile(scores, passing, method="inverted_cdf"))


def passed(scores: np.ndarray, folds: np.ndarray, groups: np.ndarray, passing: float) -> float:
    """The share of clips that pass where each fold's are judged by the threshold of the others' other recordings.

    Args, Raises: as `out_of_fold`, for its n clips; scores: (n,).
    """
    found = np.empty(len(scores), dtype=bool)
    for fold in np.unique(folds):
        own = folds == fold
        found[own] = scores[own] <= threshold_for(scores[_others(folds, groups, fold)], passing)
    return float(found.mean())

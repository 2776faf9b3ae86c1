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
from soundprobe.heads.scaling import CHUNK_ROWS, Rows, scaler_of
from soundprobe.heads.stored_rows import rows_of

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
    def of(cls, features: Rows, labels: np.ndarray) -> Self:
        """The distance from clips with these embeddings (N, D) and labels (N,), without a threshold.

        Read in chunks, three times, and summed in float64: of features on disk no more is held, and the bits are equal.
        """
        centre, scale = (part.astype(np.float64) for part in scaler_of(features))
        (N, D), (classes, of_row) = features.shape, np.unique(labels, return_inverse=True)
        chunks = [slice(start, start + CHUNK_ROWS) for start in range(0, N, CHUNK_ROWS)]
        sums, numbers = np.zeros((len(classes), D)), np.arange(len(classes))[:, None]
        for own in chunks:
            sums += (of_row[own] == numbers).astype(np.float64) @ ((features[own] - centre) / scale)
        means = sums / np.bincount(of_row)[:, None]
        products, fourth_powers = np.zeros((D, D)), 0.0
        for own in chunks:
            apart = (features[own] - centre) / scale - means[of_row[own]]
            products += apart.T @ apart
            fourth_powers += float(np.square(np.square(apart).sum(axis=1)).sum())
        covariance = _shrunk(products / N, fourth_powers / N, N)
        # A set without any spread has the identity's distance.
        covariance += np.eye(len(covariance)) * max(1e-6 * float(np.trace(covariance)) / len(covariance), 1e-12)
        whitening = np.linalg.inv(np.linalg.cholesky(covariance)).T
        parts = dict(zip(ARRAYS, (centre, scale, whitening, means @ whitening), strict=True))
        return cls.from_arrays({name: part.astype(np.float32) for name, part in parts.items()}, float("inf"))

    def at(self, threshold: float) -> Novelty:
        """The same distance with this threshold."""
        return replace(self, threshold=threshold)

    def score(self, features: Rows) -> np.ndarray:
        """(N,) float64 distances of embeddings (N, D); in float64, so that a row's does not hang on the others'."""
        centre, scale, whitening, means = self._in_float64
        found = np.empty(len(features))
        for start in range(0, len(features), ROWS_AT_ONCE):
            Z = ((features[start : start + ROWS_AT_ONCE] - centre) / scale) @ whitening
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


def _shrunk(covariance: np.ndarray, fourth_powers: float, n: int) -> np.ndarray:
    """Ledoit and Wolf's covariance (D, D), from that of n centred rows and the mean of their lengths' fourth powers.

    `sklearn.covariance.ledoit_wolf` gives the same, of rows that are all in memory.
    """
    D = len(covariance)
    mean = float(np.trace(covariance)) / D
    size = float(np.square(covariance).sum())
    spread, error = (size - D * mean**2) / D, (fourth_powers - size) / (D * n)
    share = min(error / spread, 1.0) if spread > 0 and error > 0 else 0.0
    return (1 - share) * covariance + share * mean * np.eye(D)


def out_of_fold(
    features: Rows, labels: np.ndarray, folds: np.ndarray, groups: np.ndarray, tested: Sequence[int]
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
        found[own] = Novelty.of(rows_of(features, others), labels[others]).score(rows_of(features, own))
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

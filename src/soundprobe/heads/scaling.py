"""Standardising features by the rows that a head was given. numpy only.

Letters: N rows, D features.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from soundprobe.base.frame_rows import split_rows

CHUNK_ROWS = 1024


class Rows(Protocol):
    """(N, D) float32: an array, or `heads.stored_rows.StoredRows`."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    def __len__(self) -> int: ...
    def __getitem__(self, own: Any, /) -> Any: ...


def scaler_of(X: Rows, sample_weight: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Mean and scale, each (D,) float32, of X (N, D); the scale of a constant feature is 1.

    A row of sample_weight (N,) k counts as k rows. Summed in one pass in float64, each chunk's squares around its own
    mean, so that features of 1e6 with a spread of 1 are measured as well as those of 1e-6.

    Source: Chan, Golub and LeVeque 1983, "Algorithms for computing the sample variance".
    """
    weights = np.ones(len(X)) if sample_weight is None else sample_weight
    total, D = 0.0, X.shape[1]
    mean, squares = np.zeros(D), np.zeros(D)
    lowest, highest = np.full(D, np.inf, dtype=np.float32), np.full(D, -np.inf, dtype=np.float32)
    for start in range(0, len(X), CHUNK_ROWS):
        own = slice(start, start + CHUNK_ROWS)
        chunk, of_row = X[own], weights[own]
        more = of_row.sum()
        centre = of_row @ chunk / more
        apart = centre - mean
        squares += (np.square(chunk - centre) * of_row[:, None]).sum(axis=0)
        squares += np.square(apart) * (total * more / (total + more))
        mean += apart * (more / (total + more))
        total += more
        lowest, highest = np.minimum(lowest, chunk.min(axis=0)), np.maximum(highest, chunk.max(axis=0))
    scale, constant = np.sqrt(squares / total), lowest == highest
    mean, scale = np.where(constant, lowest, mean), np.where(constant, 1.0, scale)
    # Below float32's normal range 1 / scale would overflow; such a feature carries nothing that float32 can hold.
    return mean.astype(np.float32), np.maximum(scale, np.finfo(np.float32).tiny).astype(np.float32)


def standardised(X: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """(N, D) float32, a copy in C order."""
    Z = np.subtract(X, mean, dtype=np.float32, order="C")
    Z /= scale
    return Z


def standardised_rows(rows: np.ndarray, columns: int, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Rows of which each clip's own frames are standardised by mean and scale (D,)."""
    if not columns:
        return standardised(rows, mean, scale)
    frames, own = split_rows(rows, columns)
    found = np.zeros(rows.shape, dtype=np.float32)
    found[:, 0] = rows[:, 0]
    split_rows(found, columns)[0][own] = standardised(frames[own], mean, scale)
    return found


def split_scalers(
    Z: Rows, splits: list[tuple[np.ndarray, np.ndarray]], sample_weight: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and scale, each (S, D) float64, of the training rows of each of S splits of standardised rows Z (N, D).

    A row of sample_weight (N,) k counts as k rows. The sums over a training part are those over all rows less those
    over its validation part; in float64, and on features that are already standardised, the difference keeps 10 digits.
    """
    weights = np.ones(len(Z)) if sample_weight is None else sample_weight
    total, total_squares = _sums(Z, weights, np.arange(len(Z)))
    means, scales = [], []
    for train, val in splits:
        part, part_squares = _sums(Z, weights, val)
        rows = weights[train].sum()
        mean = (total - part) / rows
        variance = (total_squares - part_squares) / rows - mean**2
        means.append(mean)
        scales.append(np.sqrt(np.where(variance > 1e-10, variance, 1.0)))  # constant among the training rows: 1
    return np.stack(means), np.stack(scales)


def _sums(Z: Rows, weights: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums over `rows` of Z and of its squares, each (D,) float64."""
    total, squares = np.zeros(Z.shape[1]), np.zeros(Z.shape[1])
    for start in range(0, len(rows), CHUNK_ROWS):
        own = rows[start : start + CHUNK_ROWS]
        chunk, of_row = Z[own].astype(np.float64), weights[own, None]
        total += (chunk * of_row).sum(axis=0)
        squares += (np.square(chunk) * of_row).sum(axis=0)
    return total, squares

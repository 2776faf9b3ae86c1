"""Standardising features by the rows that a head was given. numpy only.

Letters: N rows, D features.
"""

from __future__ import annotations

import numpy as np

from soundprobe.base.frame_rows import split_rows

CHUNK_ROWS = 1024


def scaler_of(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and scale, each (D,) float32, of X (N, D); the scale of a constant feature is 1.

    Summed in float64 in two passes, so that features of 1e6 with a spread of 1 are measured as well as those of 1e-6.
    """
    mean = X.mean(axis=0, dtype=np.float64)
    squares = np.zeros(X.shape[1])
    for start in range(0, len(X), CHUNK_ROWS):
        squares += np.square(X[start : start + CHUNK_ROWS] - mean).sum(axis=0)
    scale = np.sqrt(squares / len(X))
    constant = X.min(axis=0) == X.max(axis=0)
    mean, scale = np.where(constant, X[0], mean), np.where(constant, 1.0, scale)
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


def split_scalers(Z: np.ndarray, splits: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and scale, each (S, D) float64, of the training rows of each of S splits of standardised rows Z (N, D).

    The sums over a training part are those over all rows less those over its validation part; in float64, and on
    features that are already standardised, the difference keeps 10 digits.
    """
    total, total_squares = _sums(Z, np.arange(len(Z)))
    means, scales = [], []
    for train, val in splits:
        part, part_squares = _sums(Z, val)
        mean = (total - part) / len(train)
        variance = (total_squares - part_squares) / len(train) - mean**2
        means.append(mean)
        scales.append(np.sqrt(np.where(variance > 1e-10, variance, 1.0)))  # constant among the training rows: 1
    return np.stack(means), np.stack(scales)


def _sums(Z: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums over `rows` of Z and of its squares, each (D,) float64."""
    total, squares = np.zeros(Z.shape[1]), np.zeros(Z.shape[1])
    for start in range(0, len(rows), CHUNK_ROWS):
        chunk = Z[rows[start : start + CHUNK_ROWS]].astype(np.float64)
        total += chunk.sum(axis=0)
        squares += np.square(chunk).sum(axis=0)
    return total, squares

"""Rows of features that stay on disk: heads train on them block by block, where all would not fit into memory.

Letters: N rows, D features, n rows that a head was given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np

from soundprobe.base.records import FoldFeatures
from soundprobe.heads.scaling import Rows, standardised


@dataclass(frozen=True)
class StoredMatrix:
    """(N, D) float32 in a `.npy` file, which is mapped in each process that asks for rows."""

    path: str
    shape: tuple[int, int]

    @cached_property
    def rows(self) -> np.ndarray:
        found: np.ndarray = np.load(self.path, mmap_mode="r")
        return found

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "shape": self.shape}


@dataclass(frozen=True, eq=False)
class StoredRows:
    """n rows of a matrix: read, and standardised where mean and scale (D,) are given, as they are asked for.

    Attributes:
        numbers: (n,) int64, the rows of the matrix; columns: (D,) those that are taken, or all.
    """

    matrix: StoredMatrix
    numbers: np.ndarray
    columns: np.ndarray | None = None
    mean: np.ndarray | None = None
    scale: np.ndarray | None = None

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.numbers), self.matrix.shape[1] if self.columns is None else len(self.columns)

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, own: Any) -> Any:
        """(m, D) float32 of a slice or an index array; of `[:, columns]` all rows, still on disk."""
        if isinstance(own, tuple):
            return replace(self, columns=own[1])
        rows = self.matrix.rows[self.numbers[own]]
        taken = np.ascontiguousarray(rows if self.columns is None else rows[:, self.columns])
        return taken if self.mean is None or self.scale is None else standardised(taken, self.mean, self.scale)

    def standardised(self, mean: np.ndarray, scale: np.ndarray) -> StoredRows:
        return replace(self, mean=mean, scale=scale)


def rows_of(X: Rows, which: np.ndarray) -> Rows:
    """Those of rows X (N, D) that `which` (N,) bool names; still on disk where X is."""
    return replace(X, numbers=X.numbers[which]) if isinstance(X, StoredRows) else X[which]


class StoredRowsHead:
    """A head that is given rows' numbers and looks the rows up, so that whoever deals rows out holds no features.

    Args:
        head: unfitted, of a kind that trains out of core.
        matrices: what X (n, 2) int64 points into: the matrix, and the row in it. All of one X are of one matrix.
    """

    def __init__(self, head: Any, matrices: tuple[StoredMatrix, ...]) -> None:
        self.head, self.matrices = head, matrices

    def fit(self, X: np.ndarray, y: np.ndarray, groups: np.ndarray | None = None) -> Self:
        """As `Head.fit`."""
        self.head.fit(self._rows(X), y, groups)
        self.classes_, self.chosen_, self.history_ = self.head.classes_, self.head.chosen_, self.head.history_
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """(n, C) float64."""
        proba: np.ndarray = self.head.predict_proba(self._rows(X))
        return proba

    def _rows(self, X: np.ndarray) -> StoredRows:
        return StoredRows(self.matrices[int(X[0, 0])], X[:, 1])

    def state_dict(self) -> dict[str, np.ndarray]:
        found: dict[str, np.ndarray] = self.head.state_dict()
        return found

    def state_params(self) -> dict[str, Any]:
        found: dict[str, Any] = self.head.state_params()
        return found


def stored_rows_head(make: Callable[[], Any], matrices: tuple[StoredMatrix, ...]) -> StoredRowsHead:
    """The head that `make` makes, on rows of `matrices`."""
    return StoredRowsHead(make(), matrices)


def numbers_of(
    features: np.ndarray | FoldFeatures,
) -> tuple[np.ndarray | FoldFeatures, tuple[StoredMatrix, ...]]:
    """What stands for mapped features (N, D) in `cross_validate`, and what it points into, see `StoredRowsHead`; those
    in memory stand for themselves, and point into nothing.
    """
    by_fold: Mapping[int, Any] = features.by_fold if isinstance(features, FoldFeatures) else {0: features}
    if not all(isinstance(rows, np.memmap) for rows in by_fold.values()):
        return features, ()
    pointers = {
        fold: np.stack([np.full(len(rows), at), np.arange(len(rows))], axis=1)
        for at, (fold, rows) in enumerate(by_fold.items())
    }
    matrices = tuple(StoredMatrix(str(rows.filename), rows.shape) for rows in by_fold.values())
    return FoldFeatures(pointers) if isinstance(features, FoldFeatures) else pointers[0], matrices

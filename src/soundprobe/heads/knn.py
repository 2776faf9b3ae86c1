"""Nearest neighbours by cosine on standardised features. numpy only.

Letters: N rows, D features, C classes, K the largest number of neighbours, Q queries.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from soundprobe.base.errors import ConfigError, unknown
from soundprobe.heads.head import Head, check_numbers
from soundprobe.heads.scaling import split_scalers
from soundprobe.scoring.folds import inner_split

QUERIES_AT_ONCE = 512
METRICS = ("cosine",)


class KNNHead(Head):
    """The classes of the k rows that point in the most similar direction, k chosen on grouped inner splits.

    A neighbour's vote weighs (1 + cosine) / 2. That is bounded, so that a duplicate does not outvote everybody as it
    would with 1 / distance, and a tie in numbers goes to the class whose neighbours are nearer.

    k is the one with the highest mean inner accuracy, the larger of equals: with few neighbours votes are often
    0, where a log loss would be infinite and would judge nothing else.

    Args:
        ks: the numbers of neighbours to choose from; one above the number of rows means all rows.
        metric: "cosine".
        inner_splits: fewer are made where there are fewer recordings.
        seed: of the inner splits.

    Attributes:
        rows_: (N, D) float32, the standardised training rows at length 1.
        labels_: (N,) int32, indices into `classes_`.
    """

    choices: ClassVar = {"k": "ks"}

    def __init__(
        self,
        ks: tuple[int, ...] = (1, 3, 5, 10, 20, 50),
        metric: str = "cosine",
        inner_splits: int = 5,
        seed: int = 0,
    ) -> None:
        self.ks = ks
        self.metric = metric
        self.inner_splits = inner_splits
        self.seed = seed

    @property
    def array_names(self) -> tuple[str, ...]:
        return ("rows", "labels")

    def check_settings(self) -> None:
        check_numbers("ks", self.ks, low=1, whole=True)
        if self.metric not in METRICS:
            raise ConfigError(unknown("metric", str(self.metric), METRICS))
        check_numbers("inner_splits", [self.inner_splits], low=2, whole=True)
        check_numbers("seed", [self.seed], low=0, whole=True)

    def train_rows(self, Z: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> None:
        ks = sorted({min(int(k), len(Z)) for k in self.ks})
        history: list[dict[str, Any]] = []
        chosen = ks[0]
        if len(ks) > 1:
            splits = inner_split(labels, groups, self.inner_splits, self.seed)
            means, scales = split_scalers(Z, splits)
            for split, (train, val) in enumerate(splits):
                mean, scale = means[split].astype(np.float32), scales[split].astype(np.float32)
                rows, queries = _unit((Z[train] - mean) / scale), _unit((Z[val] - mean) / scale)
                votes = _votes(queries, rows, labels[train], len(self.classes_), ks)
                for k, of_k in zip(ks, votes, strict=True):
                    right = of_k.argmax(axis=1) == labels[val]
                    history.append({"k": k, "split": split, "accuracy": float(right.mean())})
            accuracies = [np.mean([h["accuracy"] for h in history if h["k"] == k]) for k in ks]
            chosen = max(zip(accuracies, ks, strict=True))[1]
        self.rows_, self.labels_ = _unit(Z), labels.astype(np.int32)
        self.chosen_ = {"k": chosen}
        self.history_ = history

    def proba_rows(self, Z: np.ndarray) -> np.ndarray:
        return _votes(_unit(Z), self.rows_, self.labels_, len(self.classes_), [self.chosen_["k"]])[0]


def _unit(Z: np.ndarray) -> np.ndarray:
    """Z (N, D) with rows of length 1; a row of zeros stays one, at cosine 0 to every other."""
    norms = np.linalg.norm(Z, axis=1, keepdims=True)
    return Z / np.where(norms > 0, norms, 1)


def _votes(queries: np.ndarray, rows: np.ndarray, labels: np.ndarray, C: int, ks: list[int]) -> np.ndarray:
    """(len(ks), Q, C) float64: the classes' shares of the weighted votes among the k nearest of `rows`, for each k.

    Neighbours are found and sorted once, for the largest k; rows at the same cosine are taken in their order.
    """
    votes = np.zeros((len(ks), len(queries), C))
    largest = min(max(ks), len(rows))
    for start in range(0, len(queries), QUERIES_AT_ONCE):
        cosines = (queries[start : start + QUERIES_AT_ONCE] @ rows.T).astype(np.float64)  # (Q, N)
        nearest = _largest(cosines, largest)  # (Q, K)
        weights = np.maximum(1 + np.take_along_axis(cosines, nearest, axis=1), 1e-6)
        by_class = np.zeros((len(cosines), largest, C))
        np.put_along_axis(by_class, labels[nearest][:, :, None], weights[:, :, None], axis=2)
        running = by_class.cumsum(axis=1)
        for i, k in enumerate(ks):
            votes[i, start : start + QUERIES_AT_ONCE] = running[:, min(k, largest) - 1]
    return votes / votes.sum(axis=2, keepdims=True)


def _largest(cosines: np.ndarray, count: int) -> np.ndarray:
    """(Q, count) the columns of the largest values of each row, largest first."""
    if count < cosines.shape[1]:
        found = np.sort(np.argpartition(-cosines, count - 1, axis=1)[:, :count], axis=1)
    else:
        found = np.broadcast_to(np.arange(count), cosines.shape)
    values = np.take_along_axis(cosines, found, axis=1)
    return np.take_along_axis(found, np.argsort(-values, axis=1, kind="stable"), axis=1)

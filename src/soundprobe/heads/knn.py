"""Nearest neighbours by cosine on standardised features. numpy only.

Letters: N rows, D features, C classes, K the largest number of neighbours, Q queries.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import clone

from soundprobe.base.errors import ConfigError, unknown
from soundprobe.heads.head import Head, check_numbers
from soundprobe.heads.inference import knn_proba, unit, votes
from soundprobe.heads.scaling import split_scalers
from soundprobe.scoring.folds import inner_split

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

    Examples:
        >>> from sklearn.datasets import load_iris
        >>> from soundprobe.heads import KNNHead
        >>> X, y = load_iris(return_X_y=True)
        >>> head = KNNHead().fit(X, y)
        >>> head.chosen_
        {'k': 3}
        >>> head.predict(X[:2]).tolist()
        [0, 0]
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
                rows, queries = unit((Z[train] - mean) / scale), unit((Z[val] - mean) / scale)
                shares = votes(queries, rows, labels[train], len(self.classes_), ks)
                for k, of_k in zip(ks, shares, strict=True):
                    right = of_k.argmax(axis=1) == labels[val]
                    history.append({"k": k, "split": split, "accuracy": float(right.mean())})
            accuracies = [np.mean([h["accuracy"] for h in history if h["k"] == k]) for k in ks]
            accuracy, chosen = max(zip(accuracies, ks, strict=True))
            self.inner_loss_ = 1 - float(accuracy)
        self.rows_, self.labels_ = unit(Z), labels.astype(np.int32)
        self.chosen_ = {"k": chosen}
        self.history_ = history

    def without_choice(self) -> Self:
        """The smallest k."""
        return clone(self).set_params(ks=(min(self.ks),))

    def proba_rows(self, Z: np.ndarray) -> np.ndarray:
        return knn_proba(self, Z)

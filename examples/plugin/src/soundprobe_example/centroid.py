"""A head without settings to choose: the nearer a class's mean, the more probable the class.

Letters: N rows, D features, C classes.
"""

from __future__ import annotations

import numpy as np

from soundprobe.heads.head import Head
from soundprobe.heads.inference import softmax


class CentroidHead(Head):
    """Nearest class mean on standardised features."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed  # every head is given one; nothing here is random

    @property
    def array_names(self) -> tuple[str, ...]:
        return ("means",)

    def train_rows(self, Z: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> None:
        self.means_ = np.stack([Z[labels == label].mean(axis=0) for label in np.unique(labels)])  # (C, D)

    def proba_rows(self, Z: np.ndarray) -> np.ndarray:
        distances = ((Z[:, None].astype(np.float64) - self.means_) ** 2).mean(axis=2)  # (N, C)
        return softmax(-distances)

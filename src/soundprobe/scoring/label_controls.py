"""A control that must fail: heads trained on shuffled labels. What they score above chance, the protocol has leaked.

N is the number of clips.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from soundprobe.base.errors import ConfigError, unknown
from soundprobe.base.records import FoldResult

SHUFFLED_LABELS = "shuffled-labels"
CONTROLS = (SHUFFLED_LABELS,)


def check_control(name: str | None) -> None:
    """Raises ConfigError where `name` is no control."""
    if name is not None and name not in CONTROLS:
        raise ConfigError(unknown("control", name, CONTROLS))


def shuffle_labels(labels: np.ndarray, folds: np.ndarray, seed: int) -> np.ndarray:
    """(N,) the labels, dealt out anew among the clips of each fold: every fold keeps its counts of classes.

    Training with these, a fold's head sees as many clips of each class as it would, but nothing that tells them apart.
    """
    shuffled = np.array(labels)
    for fold in np.unique(folds):
        rows = np.flatnonzero(folds == fold)
        rng = np.random.default_rng([seed, int(fold) % 2**32])
        shuffled[rows] = labels[rows[rng.permutation(len(rows))]]
    return shuffled


def judged_by(result: FoldResult, ids: np.ndarray, labels: np.ndarray) -> FoldResult:
    """`result` with the clips' true `labels` (N,), matched by their `ids` (N,): only training saw shuffled ones."""
    order = np.argsort(ids)
    rows = order[np.searchsorted(ids, result.ids, sorter=order)]
    return dataclasses.replace(result, y_true=labels[rows].astype(np.int64))

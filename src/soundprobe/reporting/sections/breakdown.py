"""Where the best run fails: its confusion matrix, and the confusions in it that weigh most.

Letters: C classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from soundprobe.reporting.compared.rows import Row


@dataclass(frozen=True)
class Confusion:
    """One kind of mistake: `count` clips of class `true` were taken for `predicted`, a share of all clips of `true`."""

    true: str
    predicted: str
    count: int
    share: float


def row_shares(confusion: np.ndarray) -> np.ndarray:
    """(C, C) counts as shares of each true class; a class without clips gives a row of zeros."""
    totals = confusion.sum(axis=1, keepdims=True)
    return np.divide(confusion, totals, out=np.zeros(confusion.shape), where=totals > 0)


def most_frequent(row: Row, limit: int = 5) -> tuple[Confusion, ...]:
    """The mistakes of `row` that concern most clips, at most `limit`; counts are averaged over seeds."""
    counts, shares = row.confusion, row_shares(row.confusion)
    names, seeds = row.first.class_names, len(row.runs)
    wrong = counts * (1 - np.eye(len(names), dtype=counts.dtype))
    order = np.argsort(-wrong, axis=None, kind="stable")[:limit]
    cells = [np.unravel_index(cell, wrong.shape) for cell in order]
    return tuple(
        Confusion(names[i], names[j], round(wrong[i, j] / seeds), float(shares[i, j]))
        for i, j in cells
        if wrong[i, j] > 0
    )

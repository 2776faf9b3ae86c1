"""scikit-learn's own contract, on every head with quick settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sklearn.utils.estimator_checks import parametrize_with_checks

from soundprobe.heads.attention import AttentionHead
from soundprobe.heads.knn import KNNHead
from soundprobe.heads.linear import LinearHead
from soundprobe.heads.mlp import MLPHead

QUICK = [
    LinearHead(strengths=(0.01, 1.0), inner_splits=2),
    MLPHead(widths=(16,), learning_rates=(1e-2,), max_epochs=25, patience=5, batch_size=32, inner_splits=2),
    KNNHead(ks=(1, 3, 10), inner_splits=2),
    AttentionHead(widths=(16,), learning_rates=(1e-2,), max_epochs=25, patience=5, batch_size=32, inner_splits=2),
]


@parametrize_with_checks(QUICK)
def test_head_meets_scikit_learns_contract(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)

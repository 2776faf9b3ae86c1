"""Blocks of rows, plain and packed: the products of float64, in their order, and the same end for the solver."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.metrics import accuracy_score, log_loss

from onednn import HAS_ONEDNN, NO_ONEDNN
from soundprobe.heads import feature_matrix
from soundprobe.heads.feature_matrix import FeatureMatrix, PackedBlock, PlainBlock
from soundprobe.heads.linear import LinearHead
from soundprobe.heads.softmax_stack import SoftmaxStack
from soundprobe.scoring.folds import inner_split

needs_packing = pytest.mark.skipif(not HAS_ONEDNN, reason=NO_ONEDNN)
KINDS = [pytest.param(PackedBlock, marks=needs_packing), PlainBlock]


def of_kind(kind: type, monkeypatch: pytest.MonkeyPatch, rows_at_once: int = 64) -> None:
    """From here on every feature matrix consists of blocks of this kind."""
    monkeypatch.setattr(feature_matrix, "PACKED_NUMBERS", (0, 2**28) if kind is PackedBlock else (2**28, 0))
    monkeypatch.setattr(feature_matrix, "PACKED_ROWS", rows_at_once)
    monkeypatch.setattr(feature_matrix, "PLAIN_ROWS", rows_at_once)


def drawn(N: int, D: int, C: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    y = rng.permutation(np.arange(N) % C)
    return (rng.normal(size=(N, D)) + rng.normal(size=(C, D))[y]).astype(np.float32), y


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("N", [1, 63, 64, 65, 200])
def test_feature_matrix_blocks_cover_every_row_once_and_give_its_products(kind, N, monkeypatch):
    of_kind(kind, monkeypatch)
    values = torch.from_numpy(drawn(N, 9)[0])
    weights, factors = torch.from_numpy(drawn(4, 9)[0]), torch.from_numpy(drawn(4, N)[0])
    matrix = FeatureMatrix.of(values.numpy())
    assert all(isinstance(block, kind) for _, block in matrix)
    assert [row for rows, _ in matrix for row in range(N)[rows]] == list(range(N))
    scores = torch.cat([block.scores(weights) for _, block in matrix], dim=1)
    sums = sum(block.sums(factors[:, rows]) for rows, block in matrix)
    torch.testing.assert_close(scores.double(), weights.double() @ values.double().T, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(sums.double(), factors.double() @ values.double(), rtol=1e-5, atol=1e-4)


@needs_packing
def test_feature_matrix_is_packed_only_where_it_is_neither_small_nor_enormous(monkeypatch):
    least, most = feature_matrix.PACKED_NUMBERS
    assert isinstance(FeatureMatrix.of(np.zeros((100, 100), np.float32)).held[0], PlainBlock)
    assert isinstance(FeatureMatrix.of(np.zeros((1024, 1024), np.float32)).held[0], PackedBlock)
    monkeypatch.setattr(feature_matrix, "PACKED_NUMBERS", (least, 2**20 - 1))
    assert isinstance(FeatureMatrix.of(np.zeros((1024, 1024), np.float32)).held[0], PlainBlock)
    assert most * 4 == 2**30


@needs_packing
def test_linear_head_chooses_and_predicts_the_same_with_packed_features(monkeypatch):
    X, y = drawn(300, 20)
    found = {}
    for kind in (PackedBlock, PlainBlock):
        of_kind(kind, monkeypatch)
        head = LinearHead().fit(X, y)
        found[kind] = head.chosen_, head.predict_proba(X)
    assert found[PackedBlock][0] == found[PlainBlock][0]
    np.testing.assert_allclose(found[PackedBlock][1], found[PlainBlock][1], atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_judge_of_a_stack_scores_validation_rows_standardised_by_each_split(kind, monkeypatch):
    of_kind(kind, monkeypatch)
    X, y = drawn(150, 6)
    splits, weights = inner_split(y, None, 3), np.random.default_rng(1).uniform(0.5, 2, size=150)
    x = torch.randn(3, 3 * 7, generator=torch.Generator().manual_seed(0))
    judged = SoftmaxStack.of_splits(FeatureMatrix.of(X), y, splits).judge(x, splits, weights)
    for split, (train, val) in enumerate(splits):
        own = (X - X[train].mean(axis=0)) / X[train].std(axis=0)
        coefficients = x[split].view(3, 7).numpy()
        proba = softmax(own[val] @ coefficients[:, :-1].T + coefficients[:, -1], axis=1)
        loss = log_loss(y[val], proba, sample_weight=weights[val], labels=[0, 1, 2])
        assert judged[split] == pytest.approx((loss, accuracy_score(y[val], proba.argmax(axis=1))), rel=1e-5)

"""Heads on rows that stay on disk: the same bits as in memory, and no memory for features."""

from __future__ import annotations

import functools
import tracemalloc

import numpy as np
import pytest
from test_feature_matrix import KINDS, drawn, of_kind

from soundprobe.base.records import FoldFeatures
from soundprobe.heads import softmax_stack
from soundprobe.heads.catalog import make_head
from soundprobe.heads.feature_matrix import PlainBlock
from soundprobe.heads.linear import LinearHead
from soundprobe.heads.stored_rows import StoredRowsHead, numbers_of, stored_rows_head
from soundprobe.scoring.folds import cross_validate


def mapped(X, path):
    """X (N, D) in a file."""
    np.save(path, X)
    return np.load(path, mmap_mode="r")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("settings", [{"class_weight": "balanced"}, {"columns": {"last": 12, "middle": 8}}])
def test_linear_head_on_stored_rows_chooses_and_learns_the_same_bits(kind, settings, tmp_path, monkeypatch):
    of_kind(kind, monkeypatch)
    X, y = drawn(300, 20)
    X, settings = 3 * X + 5, {"strengths": [1e-3, 1e-2], **settings}
    train, test = np.arange(300) % 4 > 0, np.arange(300) % 4 == 0
    head = make_head("linear", **settings).fit(X[train], y[train])
    numbers, matrices = numbers_of(mapped(X, tmp_path / "X.npy"))
    found = StoredRowsHead(make_head("linear", **settings), matrices).fit(numbers[train], y[train])
    assert (found.chosen_, found.history_) == (head.chosen_, head.history_)
    said, its = found.state_dict(), head.state_dict()
    assert {name: array.tobytes() for name, array in said.items()} == {k: v.tobytes() for k, v in its.items()}
    assert found.predict_proba(numbers[test]).tobytes() == head.predict_proba(X[test]).tobytes()


def test_stored_rows_of_networks_tuned_in_folds_are_each_fold_s_own(tmp_path):
    X, y = drawn(120, 5)
    folds, ids = np.arange(120) % 2 + 1, np.array([f"{row:03d}" for row in range(120)])
    of_folds = {1: X, 2: X[:, ::-1] * 2}
    rows, matrices = numbers_of(FoldFeatures({f: mapped(own, tmp_path / f"{f}.npy") for f, own in of_folds.items()}))
    make = functools.partial(make_head, "linear", strengths=[1e-3, 1e-2])
    expected = cross_validate(make, FoldFeatures(of_folds), y, folds, ids, ids, 3)
    found = cross_validate(functools.partial(stored_rows_head, make, matrices), rows, y, folds, ids, ids, 3)
    for (said, _), (its, _) in zip(found, expected, strict=True):
        assert said.proba.tobytes() == its.proba.tobytes()


def test_linear_head_on_stored_rows_holds_a_block_of_features_at_a_time(tmp_path, monkeypatch):
    of_kind(PlainBlock, monkeypatch)
    monkeypatch.setattr(softmax_stack, "GRAM_NUMBERS", 2**17)
    peaks = []
    for D in (16, 256):
        X, y = drawn(16_000, D)
        numbers, matrices = numbers_of(mapped(X, tmp_path / f"{D}.npy"))
        del X
        head = StoredRowsHead(LinearHead(strengths=(1e-3,), tol=0.1), matrices)
        tracemalloc.start()
        head.fit(numbers, y).predict_proba(numbers[:4096])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 0.5 * 4 * 240 * 16_000  # the further features'

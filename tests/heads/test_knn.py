"""Neighbours and votes, against brute force and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from soundprobe.heads.knn import KNNHead


def blobs(n: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 4
    return (rng.normal(size=(4, 8))[y] + rng.normal(size=(n, 8))).astype(np.float32), y


@pytest.mark.parametrize("k", [1, 3, 10, 50, 150])
def test_knn_votes_are_those_of_scikit_learn_with_the_same_weights(k: int) -> None:
    X, y = blobs()
    head = KNNHead(ks=(k,)).fit(X[:150], y[:150])
    Z, queries = ((X[rows] - X[:150].mean(axis=0)) / X[:150].std(axis=0) for rows in (slice(150), slice(150, None)))
    peer = KNeighborsClassifier(k, metric="cosine", weights=lambda distances: 2 - distances, algorithm="brute")
    peer.fit(Z, y[:150])
    np.testing.assert_allclose(head.predict_proba(X[150:]), peer.predict_proba(queries), atol=1e-5)


def test_knn_with_k_above_the_number_of_rows_takes_all_of_them() -> None:
    X, y = blobs(40)
    np.testing.assert_allclose(
        KNNHead(ks=(10**6,)).fit(X, y).predict_proba(X), KNNHead(ks=(40,)).fit(X, y).predict_proba(X)
    )
    assert KNNHead(ks=(3, 500)).fit(X, y).chosen_["k"] in (3, 40)


def test_knn_tie_in_votes_goes_to_the_nearer_neighbour() -> None:
    X = np.array([[1, 0], [0.9, 0.2], [-1, 0], [-0.9, -0.2]], dtype=np.float32)
    head = KNNHead(ks=(4,)).fit(X, np.array([1, 0, 0, 1]))
    # Two votes each; class 1 holds the query's own twin.
    assert head.predict(X[:1])[0] == 1


def test_knn_with_equal_scores_takes_the_larger_k() -> None:
    X, y = np.array([[i % 2 * 2 - 1, 0.01 * i] for i in range(40)], dtype=np.float32), np.arange(40) % 2
    X[:, 1] = 0
    assert KNNHead(ks=(1, 3, 5)).fit(X, y).chosen_["k"] == 5


def test_knn_chooses_k_across_recordings_and_not_within_them() -> None:
    # Clips of a recording are near-twins with a label of their own that nothing else tells: only a split
    # through recordings would find a k of 1 perfect.
    rng = np.random.default_rng(0)
    recordings = rng.normal(size=(60, 6))
    X, groups = np.repeat(recordings, 4, axis=0) + 0.01 * rng.normal(size=(240, 6)), np.repeat(np.arange(60), 4)
    y = np.repeat(rng.permutation(60) % 2, 4)
    score = {}
    for name, given in (("grouped", groups), ("not grouped", None)):
        history = KNNHead(ks=(1, 50)).fit(X.astype(np.float32), y, groups=given).history_
        score[name] = np.mean([h["accuracy"] for h in history if h["k"] == 1])
    assert score["not grouped"] > 0.95
    assert score["grouped"] < 0.7


def test_knn_of_a_row_at_the_mean_gives_finite_votes() -> None:
    X, y = blobs(40)
    proba = KNNHead(ks=(3,)).fit(X, y).predict_proba(np.vstack([X.mean(axis=0), np.full(8, 1e15)]))
    np.testing.assert_allclose(proba.sum(axis=1), 1)

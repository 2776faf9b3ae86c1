"""Heads in a graph say what they say in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from soundprobe.base.errors import ExportError
from soundprobe.heads.catalog import HEADS, HeadSpec, load_head, make_head
from soundprobe.heads.head_graph import HeadGraph

QUICK = {"mlp": {"widths": (8,), "learning_rates": (1e-2,), "max_epochs": 3}}


def rows(n: int, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """(n, dim) features of labels (n,) 0, 2 and 3: one class of four was never heard."""
    rng = np.random.default_rng(5)
    labels = np.array([0, 2, 3])[np.arange(n) % 3]
    return (rng.normal(size=(n, dim)) * [*range(1, dim + 1)] + labels[:, None]).astype(np.float32), labels


@pytest.mark.parametrize("columns", [None, {"last": 5, "middle": 3}])
@pytest.mark.parametrize("name", [spec.name for spec in HEADS.own.values() if spec.graph])
def test_head_in_a_graph_gives_the_saved_heads_probabilities(name, columns):
    X, y = rows(60, 8)
    fitted = make_head(name, columns=columns, **QUICK.get(name, {})).fit(X[:45], y[:45])
    head = load_head(name, fitted.state_dict(), fitted.state_params())
    with torch.no_grad():
        said = HeadGraph(name, head, n_classes=4)(torch.from_numpy(X[45:]))
    assert not said[:, 1].any()
    np.testing.assert_allclose(said[:, [0, 2, 3]], head.predict_proba(X[45:]), atol=1e-6)
    np.testing.assert_allclose(said.sum(dim=1), 1, atol=1e-6)


@pytest.mark.parametrize("columns", [None, {"last": 5, "middle": 3}])
@pytest.mark.parametrize("name", list(HEADS.own))
def test_saved_head_gives_back_what_it_was_made_of(name, columns):
    X, y = rows(30, 8)
    fitted = make_head(name, columns=columns, **QUICK.get(name, {})).fit(X, y)
    first = load_head(name, fitted.state_dict(), fitted.state_params())
    again = load_head(name, first.state_dict(), first.state_params())
    np.testing.assert_array_equal(again.predict_proba(X), first.predict_proba(X))


def test_head_that_says_nothing_of_graphs_is_refused(monkeypatch):
    X, y = rows(30, 8)
    monkeypatch.setitem(HEADS.own, "plain", HeadSpec("plain", "Plain", HEADS["knn"].target, "as another package's"))
    with pytest.raises(ExportError, match="names no `graph`"):
        HeadGraph("plain", make_head("plain").fit(X, y), n_classes=4)

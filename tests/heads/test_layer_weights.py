"""Weights over layers that are learnt with a head: where they go, what they equal, and what they never see."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import numpy as np
import pytest
import torch

from soundprobe.base.errors import ConfigError
from soundprobe.heads.catalog import load_head, make_head
from soundprobe.heads.feature_matrix import FeatureMatrix
from soundprobe.heads.layer_weights import WeightedStack
from soundprobe.heads.linear import LinearHead
from soundprobe.heads.softmax_stack import SoftmaxStack
from soundprobe.scoring.folds import cross_validate, inner_split

D = 12
COLUMNS = {"last": D, "0": D, "1": D, "2": D}
QUICK: dict[str, dict[str, Any]] = {
    "linear": {"inner_splits": 3},
    "mlp": {"widths": [16], "learning_rates": [3e-3], "max_epochs": 20, "inner_splits": 2},
}
every_head = pytest.mark.parametrize("name", sorted(QUICK))


def rows(layer: str, n: int = 160) -> dict[str, Any]:
    """n clips of 4 classes, 2 of each recording, in 4 folds; only the columns of `layer` tell the classes."""
    rng = np.random.default_rng(0)
    recording = np.arange(n) // 2
    labels = recording % 4
    features = rng.normal(size=(n, len(COLUMNS), D))
    features[:, list(COLUMNS).index(layer)] += rng.normal(size=(4, D))[labels]
    return {
        "features": features.reshape(n, -1).astype(np.float32),
        "labels": labels,
        "folds": 1 + recording // 4 % 4,
        "groups": np.array([f"rec {r}" for r in recording]),
        "ids": np.array([f"clip {i}" for i in range(n)]),
        "n_classes": 4,
    }


def fitted(name: str, data: dict[str, Any], layers: str = "weighted") -> Any:
    head = make_head(name, columns=COLUMNS, layers=layers, **QUICK[name])
    return head.fit(data["features"], data["labels"], data["groups"])


@cache
def fitted_on_layer_1(name: str) -> Any:
    return fitted(name, rows("1"))


@every_head
def test_weight_goes_to_the_one_layer_that_tells_the_classes(name: str):
    head = fitted_on_layer_1(name)
    weights = head.chosen_["layer_weights"]
    assert list(weights) == ["0", "1", "2", "last"]
    assert sum(weights.values()) == pytest.approx(1, abs=1e-3)
    assert weights["1"] > 0.9
    alone = fitted(name, rows("1"), "1")
    assert head.fitted_.inner_loss_ < alone.fitted_.inner_loss_ + 0.05


@every_head
def test_layer_that_told_the_classes_gets_no_more_than_others_once_labels_are_shuffled(name: str):
    data = rows("1")
    weights, losses = [], []
    for seed in range(4):
        of_recording = np.random.default_rng(seed).permutation(data["labels"][::2])
        head = fitted(name, {**data, "labels": np.repeat(of_recording, 2)})
        weights.append(head.chosen_["layer_weights"]["1"])
        losses.append(head.fitted_.inner_loss_)
    assert np.mean(weights) < 0.5
    assert np.mean(losses) > np.log(4) - 0.05


@every_head
def test_head_on_layers_that_are_the_same_is_the_head_on_one_of_them(name: str):
    data = rows("last")
    one = data["features"][:, :D]
    data["features"] = np.tile(one, len(COLUMNS))
    head = fitted(name, data)
    assert set(head.chosen_["layer_weights"].values()) == {0.25}
    alone = make_head(name, **QUICK[name]).fit(one, data["labels"], data["groups"])
    assert {**head.chosen_, **alone.chosen_} == head.chosen_
    assert head.fitted_.inner_loss_ == pytest.approx(alone.inner_loss_, rel=1e-3)
    np.testing.assert_allclose(head.predict_proba(data["features"]), alone.predict_proba(one), atol=2e-3)


@every_head
def test_weighted_head_saved_and_loaded_predicts_the_same_bits(name: str):
    data, head = rows("1"), fitted_on_layer_1(name)
    again = load_head(name, head.state_dict(), head.state_params())
    np.testing.assert_array_equal(again.predict_proba(data["features"]), head.predict_proba(data["features"]))


@every_head
def test_layer_weights_are_learnt_without_the_test_folds_features_and_labels(name: str):
    plain, changed = rows("1"), rows("1")
    tested = changed["folds"] == 2
    changed["features"][tested] = np.random.default_rng(5).normal(size=(tested.sum(), len(COLUMNS) * D))
    changed["labels"][tested] = (changed["labels"][tested] + 1) % 4
    factory = partial(make_head, name, columns=COLUMNS, layers=["weighted", "0"], **QUICK[name])
    ((mine, head),) = cross_validate(factory, **plain, only_folds=[2])
    ((theirs, other),) = cross_validate(factory, **changed, only_folds=[2])
    assert mine.chosen == theirs.chosen
    assert mine.chosen["layers"] == "weighted"  # layer 0 by itself tells nothing
    for array, same in zip(head.state_dict().values(), other.state_dict().values(), strict=True):
        np.testing.assert_array_equal(array, same)


def test_gradient_on_weighted_layers_is_that_of_differences():
    data = rows("1", n=40)
    splits = inner_split(data["labels"], None, 3)
    stack = SoftmaxStack.of_splits(FeatureMatrix.of(data["features"]), data["labels"], splits)
    weighted = WeightedStack.over(stack, len(COLUMNS))
    problems, penalties = torch.arange(3), weighted.penalties(1.0)
    x = torch.randn(3, len(weighted.penalised), generator=torch.Generator().manual_seed(0))
    _, gradient = weighted.evaluate(penalties, x, problems)
    for place in (0, D, 2 * D + 3, -4, -1):  # weights, a bias, weights, layers
        step = torch.zeros_like(x)
        step[:, place] = 1e-2
        ahead, behind = (weighted.evaluate(penalties, x + sign * step, problems)[0] for sign in (1, -1))
        np.testing.assert_allclose((ahead - behind) / 2e-2, gradient[:, place], atol=2e-4)


@pytest.mark.parametrize(
    ("name", "columns", "message"),
    [
        ("knn", COLUMNS, "KNNHead learns no weights over layers; linear"),
        ("mlp", {"last": 384, "middle": 224}, r"layers of several widths \(last 384, middle 224\)"),
    ],
)
def test_weights_over_layers_that_cannot_be_are_refused(name: str, columns: dict[str, int], message: str):
    with pytest.raises(ConfigError, match=message):
        make_head(name, columns=columns, layers="weighted")


def test_columns_that_are_not_so_many_layers_are_refused():
    with pytest.raises(ConfigError, match="weighted_layers: 10 columns are not 3 layers of one width"):
        LinearHead(weighted_layers=3).fit(np.ones((4, 10)), [0, 1, 0, 1])

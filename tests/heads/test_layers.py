"""A head on several layers: which it takes is chosen on inner splits; it then is the head on their columns alone."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

from soundprobe.base.errors import ConfigError
from soundprobe.heads.catalog import HEADS, load_head, make_head
from soundprobe.scoring.folds import cross_validate

COLUMNS = {"last": 6, "middle": 4}
OF = {"last": np.arange(6), "middle": np.arange(6, 10), "both": np.arange(10)}
QUICK: dict[str, dict[str, Any]] = {
    "linear": {"strengths": [1e-3, 1e-1, 10], "inner_splits": 3},
    "mlp": {"widths": [16], "learning_rates": [1e-2], "max_epochs": 20, "inner_splits": 2},
    "knn": {"ks": [1, 5, 15], "inner_splits": 3},
}
every_head = pytest.mark.parametrize("name", sorted(name for name, spec in HEADS.own.items() if not spec.takes_frames))


def rows(signal: str, n: int = 160, seed: int = 0) -> dict[str, Any]:
    """n clips of 4 classes, 2 of each recording, in 4 folds; only the columns of `signal` tell the classes."""
    rng = np.random.default_rng(seed)
    recording = np.arange(n) // 2
    labels = recording % 4
    features = rng.normal(size=(n, 10)) * 3
    columns = OF[signal]
    features[:, columns] = rng.normal(size=(4, len(columns)))[labels] * 2 + rng.normal(size=(n, len(columns)))
    return {
        "features": features.astype(np.float32),
        "labels": labels,
        "folds": 1 + recording // 4 % 4,
        "groups": np.array([f"rec {r}" for r in recording]),
        "ids": np.array([f"clip {i}" for i in range(n)]),
        "n_classes": 4,
    }


@every_head
@pytest.mark.parametrize("signal", ["last", "middle"])
def test_layers_that_tell_the_classes_are_chosen_in_every_fold(name: str, signal: str):
    found = cross_validate(partial(make_head, name, columns=COLUMNS, **QUICK[name]), **rows(signal))
    assert [result.chosen["layers"] for result, _ in found] == [signal] * 4
    assert {step["layers"] for result, _ in found for step in result.history} == {"last", "middle", "both"}


@every_head
@pytest.mark.parametrize("layers", ["last", "middle", "both"])
def test_head_with_its_layers_given_is_to_the_bit_the_head_on_their_columns(name: str, layers: str):
    data = rows("last")
    X, y, groups = data["features"], data["labels"], data["groups"]
    ours = make_head(name, columns=COLUMNS, layers=layers, **QUICK[name]).fit(X, y, groups)
    alone = make_head(name, **QUICK[name]).fit(X[:, OF[layers]], y, groups)
    np.testing.assert_array_equal(ours.predict_proba(X), alone.predict_proba(X[:, OF[layers]]))
    assert ours.chosen_ == {"layers": layers, **alone.chosen_}


@every_head
def test_head_on_layers_saved_and_loaded_predicts_the_same_bits_from_all_columns(name: str):
    data = rows("middle")
    X = data["features"]
    head = make_head(name, columns=COLUMNS, **QUICK[name]).fit(X, data["labels"], data["groups"])
    again = load_head(name, head.state_dict(), head.state_params())
    assert again.n_features_in_ == 10
    np.testing.assert_array_equal(again.predict_proba(X), head.predict_proba(X))
    params = {key: value for key, value in head.state_params().items() if key != "n_features"}
    with pytest.raises(ConfigError, match="n_features missing. Train the head again"):
        load_head(name, head.state_dict(), params)
    for wrong in (again.columns + 10**9, -again.columns, again.columns[:-1], again.columns.astype(float)):
        with pytest.raises(ConfigError, match="columns don't fit its features. Train the head again"):
            load_head(name, {**head.state_dict(), "columns": wrong}, head.state_params())


@every_head
def test_layers_are_chosen_without_the_test_folds_features_and_labels(name: str):
    plain, changed = rows("middle"), rows("middle")
    tested = changed["folds"] == 2
    changed["features"][tested] = np.random.default_rng(5).normal(size=(tested.sum(), 10))
    changed["labels"][tested] = (changed["labels"][tested] + 1) % 4
    factory = partial(make_head, name, columns=COLUMNS, **QUICK[name])
    ((mine, head),) = cross_validate(factory, **plain, only_folds=[2])
    ((theirs, other),) = cross_validate(factory, **changed, only_folds=[2])
    assert mine.chosen == theirs.chosen
    for array, same in zip(head.state_dict().values(), other.state_dict().values(), strict=True):
        np.testing.assert_array_equal(array, same)


def test_every_setting_on_every_layers_is_a_candidate_for_peeking():
    data = rows("last")
    head = make_head("linear", columns=COLUMNS, **QUICK["linear"])
    tried = [setting for setting, _ in head.candidates(data["features"], data["labels"], data["features"][:3])]
    assert tried == [
        {"layers": name, "strength": strength} for name in ("last", "middle", "both") for strength in (1e-3, 1e-1, 10)
    ]


def test_of_more_than_two_layers_each_is_tried_alone_and_all_side_by_side_where_they_are_asked_for():
    data, columns = rows("middle"), {"last": 3, "0": 3, "1": 4}
    each = make_head("linear", columns=columns, **QUICK["linear"]).fit(data["features"], data["labels"], data["groups"])
    assert {step["layers"] for step in each.history_} == {"last", "0", "1"}
    assert each.chosen_["layers"] == "1"  # the columns that tell the classes
    every = make_head("linear", columns=columns, layers=["all", "0"], **QUICK["linear"])
    every.fit(data["features"], data["labels"], data["groups"])
    assert every.chosen_["layers"] == "all"
    assert every.fitted_.n_features_in_ == 10
    assert make_head("linear", columns=columns, layers=1).layers == ("1",)  # as --set layers=1 gives it


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"columns": COLUMNS, "layers": "first"}, "Unknown layers 'first'"),
        ({"columns": COLUMNS, "layers": ["last", "frist"]}, "Unknown layers 'frist'"),
        (
            {"layers": "last"},
            "layers can be chosen only on embeddings of several, of one frozen backbone by itself; side by side",
        ),
    ],
)
def test_layers_that_are_not_there_are_refused(settings: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        make_head("linear", **settings)


def test_layers_can_not_be_judged_by_a_head_that_chooses_nothing_else():
    data = rows("last")
    head = make_head("linear", columns=COLUMNS, strengths=[0.1])
    with pytest.raises(ConfigError, match=r"LinearHead chooses no other setting .* --layer last"):
        head.fit(data["features"], data["labels"], data["groups"])

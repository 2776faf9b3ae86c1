"""The table of heads and what it refuses."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from sklearn.base import is_classifier

from soundprobe.base.errors import ConfigError
from soundprobe.heads.catalog import HEADS, make_head


@pytest.mark.parametrize("name", sorted(HEADS))
def test_every_head_is_listed_under_its_name_and_can_be_made(name: str) -> None:
    spec = HEADS[name]
    assert spec.name == name
    assert spec.title
    assert spec.description
    module, class_name = spec.target.split(":")
    head = make_head(name, seed=7)
    assert type(head) is getattr(importlib.import_module(module), class_name)
    assert head.seed == 7
    assert is_classifier(head)


def test_make_head_takes_lists_and_whole_numbers_as_toml_gives_them() -> None:
    head = make_head("linear", strengths=[1, 0.1], inner_splits=2)
    assert head.strengths == (1.0, 0.1)
    assert all(isinstance(strength, float) for strength in head.strengths)
    assert make_head("mlp", widths=[32]).widths == (32,)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("liner", {}, "Unknown head 'liner'. Did you mean 'linear'\\? Available: "),
        ("", {}, "Unknown head ''. Available: "),
        ("mlp", {"width": [3]}, "Unknown setting of head 'mlp' 'width'. Did you mean 'widths'\\?"),
        ("knn", {"ks": 5}, r"knn.ks: 5 is not valid; give a list, such as \[1, 3"),
        ("knn", {"ks": [5, 2.5]}, "knn.ks: 2.5 is not valid; give a whole number"),
        ("knn", {"ks": []}, "ks: no value is not valid; give whole numbers from 1"),
        ("knn", {"ks": [1, 0]}, "ks: 0 is not valid"),
        ("knn", {"metric": "cosin"}, "Unknown metric 'cosin'. Did you mean 'cosine'"),
        ("linear", {"strengths": ["1"]}, "linear.strengths: '1' is not valid; give a number"),
        ("linear", {"strengths": [True]}, "linear.strengths: True is not valid"),
        ("linear", {"strengths": [0.1, -1.0]}, "strengths: -1.0 is not valid"),
        ("linear", {"strengths": [float("nan")]}, "strengths: nan is not valid"),
        ("linear", {"inner_splits": 1}, "inner_splits: 1 is not valid; give whole numbers from 2"),
        ("linear", {"max_iter": 0}, "max_iter: 0 is not valid"),
        ("mlp", {"dropout": 1.0}, "dropout: 1.0 is not valid; give numbers from 0 to 0.95"),
        ("mlp", {"hidden_layers": 3}, "hidden_layers: 3 is not valid; give whole numbers from 1 to 2"),
        ("mlp", {"seed": -1}, "seed: -1 is not valid"),
        ("mlp", {"class_weight": "even"}, "class_weight: 'even' is not valid; give balanced"),
        ("linear", {"class_weight": {0: -1.0}}, "class_weight: -1.0 is not valid; give numbers from 1e-08 to 1e"),
        ("knn", {"class_weight": "balanced"}, "Unknown setting of head 'knn' 'class_weight'"),
        ("mlp", {"learning_rates": [float("inf")]}, "learning_rates: inf is not valid"),
    ],
)
def test_make_head_with_a_bad_name_or_setting_says_what_is_valid(
    name: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        make_head(name, **settings)
    assert "\n" not in str(caught.value)

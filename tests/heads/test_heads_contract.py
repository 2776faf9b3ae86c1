"""What every head in the catalogue must do, honesty first."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from soundprobe.base.errors import ConfigError
from soundprobe.heads.catalog import HEADS, make_head
from soundprobe.scoring.folds import SplitError, cross_validate

QUICK: dict[str, dict[str, Any]] = {
    "linear": {"strengths": [1e-3, 1e-1, 10], "inner_splits": 3},
    "mlp": {"widths": [8, 16], "learning_rates": [1e-2], "max_epochs": 20, "patience": 4, "inner_splits": 2},
    "knn": {"ks": [1, 5, 15], "inner_splits": 3},
}
QUICK["attention"] = QUICK["mlp"]


def chooses(name: str) -> bool:
    """Whether the head has a setting to choose: inner splits are for that."""
    return hasattr(make_head(name), "inner_splits")


every_head = pytest.mark.parametrize("name", sorted(HEADS))
choosing_head = pytest.mark.parametrize("name", sorted(name for name in HEADS if chooses(name)))


def quick(name: str, seed: int = 0) -> Any:
    return make_head(name, seed=seed, **QUICK.get(name, {}))


def clips(n: int = 240, n_classes: int = 4, dimension: int = 12, seed: int = 0) -> dict[str, Any]:
    """n clips, 2 of each recording, in 4 folds, whose classes overlap."""
    rng = np.random.default_rng(seed)
    recording = np.arange(n) // 2
    labels, centres = recording % n_classes, rng.normal(size=(n_classes, dimension))
    own = rng.normal(size=(n // 2, dimension))
    features = centres[labels] + own[recording] + 0.3 * rng.normal(size=(n, dimension))
    return {
        "features": (features * np.logspace(-3, 3, dimension) + 5).astype(np.float32),
        "labels": labels,
        "folds": 1 + recording // n_classes % 4,
        "groups": np.array([f"rec {r}" for r in recording]),
        "ids": np.array([f"clip {i}" for i in range(n)]),
        "n_classes": n_classes,
    }


def accuracy_of(results: list[tuple[Any, Any]]) -> float:
    return float(np.mean(np.concatenate([result.predicted == result.y_true for result, _ in results])))


@every_head
def test_head_on_learnable_clips_beats_chance_and_gives_probabilities(name: str) -> None:
    results = cross_validate(partial(quick, name), **clips())
    assert accuracy_of(results) > 0.6
    for result, head in results:
        np.testing.assert_allclose(result.proba.sum(axis=1), 1, atol=1e-6)
        assert (result.proba >= 0).all()
        assert bool(result.chosen) == chooses(name)
        assert bool(result.history) == chooses(name)
        json.dumps([dict(result.chosen), list(result.history), head.state_params()], allow_nan=False)


@every_head
def test_head_on_shuffled_labels_stays_near_chance(name: str) -> None:
    data = clips(n=480)
    # Whole recordings change their class, so that twins of a clip still agree: what an ungrouped choice would use.
    of_recording = np.random.default_rng(5).permutation(data["labels"][::2])
    data["labels"] = np.repeat(of_recording, 2)
    # Twins share a fold, so 240 recordings are the independent trials: chance plus 4 standard deviations.
    assert accuracy_of(cross_validate(partial(quick, name), **data)) < 0.25 + 4 * (0.25 * 0.75 / 240) ** 0.5


@every_head
@pytest.mark.parametrize("rubbish", ["noise", "huge"])
def test_head_with_the_test_folds_features_replaced_is_fitted_to_the_same_bits(name: str, rubbish: str) -> None:
    data = clips(n=160)
    spoilt, own = dict(data), data["folds"] == 2
    noise = np.random.default_rng(9).normal(size=data["features"][own].shape)
    spoilt["features"] = data["features"].copy()
    spoilt["features"][own] = noise if rubbish == "noise" else 1e6 * np.sign(noise)
    ((one, head),) = cross_validate(partial(quick, name), **data, only_folds=[2])
    ((other, other_head),) = cross_validate(partial(quick, name), **spoilt, only_folds=[2])
    assert not np.array_equal(one.proba, other.proba)
    assert one.chosen == other.chosen
    assert one.history == other.history
    for key, array in head.state_dict().items():
        assert array.tobytes() == other_head.state_dict()[key].tobytes()


@every_head
def test_head_with_the_test_folds_labels_changed_predicts_the_same(name: str) -> None:
    data = clips(n=160)
    spoilt = {**data, "labels": np.where(data["folds"] == 2, (data["labels"] + 1) % 4, data["labels"])}
    ((one, _),) = cross_validate(partial(quick, name), **data, only_folds=[2])
    ((other, _),) = cross_validate(partial(quick, name), **spoilt, only_folds=[2])
    np.testing.assert_array_equal(one.proba, other.proba)


@every_head
def test_head_saved_and_loaded_predicts_the_same_bits(name: str) -> None:
    data = clips()
    names = np.array(["dog bark", "sirène", "<script>", "jackhammer"])
    head = quick(name).fit(data["features"], names[data["labels"]], groups=data["groups"])
    arrays, params = load(save(head.state_dict())), json.loads(json.dumps(head.state_params()))
    loaded = type(head).from_state(arrays, params)
    np.testing.assert_array_equal(loaded.predict_proba(data["features"]), head.predict_proba(data["features"]))
    np.testing.assert_array_equal(loaded.predict(data["features"]), head.predict(data["features"]))
    assert loaded.get_params() == head.get_params()
    assert loaded.chosen_ == head.chosen_
    assert all(array.dtype in (np.float32, np.int32) for array in arrays.values())


@every_head
def test_head_loaded_from_half_a_state_names_what_is_missing(name: str) -> None:
    data = clips(n=80)
    head = quick(name).fit(data["features"], data["labels"])
    arrays, params = head.state_dict(), head.state_params()
    del arrays["scale"], params["classes"]
    with pytest.raises(ConfigError, match="classes, scale missing. Train the head again"):
        type(head).from_state(arrays, params)


@every_head
def test_head_predicts_a_clip_alone_as_in_a_batch_and_in_any_order(name: str) -> None:
    data = clips()
    head = quick(name).fit(data["features"], data["labels"], groups=data["groups"])
    together = head.predict_proba(data["features"])
    alone = np.concatenate([head.predict_proba(row[None]) for row in data["features"]])
    np.testing.assert_allclose(alone, together, atol=1e-6)
    np.testing.assert_allclose(head.predict_proba(data["features"][::-1])[::-1], together, atol=1e-6)


@every_head
def test_head_fitted_twice_with_one_seed_is_the_same_and_disturbs_no_global_state(name: str) -> None:
    import torch

    data = clips()
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), torch.get_num_threads()  # noqa: NPY002
    heads = []
    for disturbance in (1, 2):
        head = quick(name, seed=3).fit(data["features"], data["labels"], groups=data["groups"])
        heads.append(head)
        if disturbance == 1:
            after = torch.get_rng_state(), np.random.get_state()[1].tolist(), torch.get_num_threads()  # noqa: NPY002
            assert torch.equal(before[0], after[0])
            assert before[1:] == after[1:]
            torch.rand(7)
    assert heads[0].history_ == heads[1].history_
    for key, array in heads[0].state_dict().items():
        assert array.tobytes() == heads[1].state_dict()[key].tobytes()


@choosing_head
def test_head_in_which_no_recording_can_be_held_out_says_so(name: str) -> None:
    data = clips(n=40)
    with pytest.raises(SplitError, match="each class comes from one recording"):
        quick(name).fit(data["features"], data["labels"], groups=data["labels"])


@every_head
def test_head_on_one_class_or_misfit_groups_says_so(name: str) -> None:
    data = clips(n=40)
    with pytest.raises(ValueError, match="at least 2 classes; the data has 1 class only"):
        quick(name).fit(data["features"], np.zeros(40, dtype=int))
    with pytest.raises(ValueError, match=r"groups has shape \(3,\) for 40 rows"):
        quick(name).fit(data["features"], data["labels"], groups=np.arange(3))


@every_head
def test_head_on_constant_duplicated_and_extreme_features_still_learns(name: str) -> None:
    data = clips(n=160)
    signal = (data["features"] - data["features"].mean(axis=0)) / data["features"].std(axis=0)
    hostile = np.hstack(
        [signal * 1e-6, signal * 1e6 + 1e6, np.full((160, 3), 0.1), np.zeros((160, 2)), signal[:, :2]]
    ).astype(np.float32)
    doubled = np.vstack([hostile, hostile])
    labels, groups = np.tile(data["labels"], 2), np.tile(data["groups"], 2)
    head = quick(name).fit(doubled, labels, groups=groups)
    assert np.isfinite(head.predict_proba(doubled)).all()
    assert (head.predict(doubled) == labels).mean() > 0.8


@every_head
def test_head_with_more_dimensions_than_clips_learns(name: str) -> None:
    data = clips(n=80, dimension=200)
    assert accuracy_of(cross_validate(partial(quick, name), **data)) > 0.9

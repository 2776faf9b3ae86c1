"""Frames pooled by learnt weights: what is pooled, and that padding and test clips have no part in it."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from soundprobe.base.frame_rows import frame_rows, mean_frames, split_rows
from soundprobe.heads.catalog import load_head, make_head
from soundprobe.heads.inference import mlp_proba
from soundprobe.heads.mlp import MLPHead
from soundprobe.scoring.folds import cross_validate

D = 6
QUICK: dict[str, Any] = {"widths": [16], "learning_rates": [1e-2], "max_epochs": 40, "inner_splits": 2}


def frames_of(n: int = 160, seed: int = 0, short: int = 8) -> dict[str, Any]:
    """n clips of 4 classes, 2 of each recording, in 4 folds. One of 8 frames, or of fewer, tells the class: its first
    number is large, and the others' small.
    """
    rng = np.random.default_rng(seed)
    recording = np.arange(n) // 2
    labels = recording % 4
    centres = np.random.default_rng(1).normal(size=(4, D))
    clips = []
    for clip in range(n):
        frames = 3 * rng.normal(size=(8 if clip % 2 else short, D))
        frames[:, 0] = -2
        frames[rng.integers(len(frames))] = [2, *centres[labels[clip], 1:] + 0.2 * rng.normal(size=D - 1)]
        clips.append((frames * np.logspace(-2, 2, D) + 5).astype(np.float32))
    return {
        "features": frame_rows(clips),
        "labels": labels,
        "folds": 1 + recording // 4 % 4,
        "groups": recording.astype(str),
        "ids": np.arange(n).astype(str),
        "n_classes": 4,
    }


def quick(seed: int = 0) -> Any:
    return make_head("attention", seed=seed, frame_columns=D, **QUICK)


def accuracy(factory: Any, data: dict[str, Any]) -> float:
    return float(np.mean([result.predicted == result.y_true for result, _ in cross_validate(factory, **data)]))


def test_attention_finds_the_frame_that_tells_the_class_where_their_mean_does_not() -> None:
    data = frames_of(n=320)
    pooled = {**data, "features": mean_frames(data["features"], D)}
    how = {**QUICK, "learning_rates": [3e-2], "patience": 20}  # at first there is nothing to be gained
    assert accuracy(partial(make_head, "attention", frame_columns=D, **how), data) > 0.9
    assert accuracy(partial(make_head, "mlp", **how), pooled) < 0.7


def test_attention_on_shuffled_labels_stays_near_chance() -> None:
    data = frames_of(n=480)
    data["labels"] = np.repeat(np.random.default_rng(5).permutation(data["labels"][::2]), 2)
    assert accuracy(quick, data) < 0.25 + 4 * (0.25 * 0.75 / 240) ** 0.5


def test_attention_with_the_test_folds_frames_replaced_is_fitted_to_the_same_bits() -> None:
    data = frames_of(short=3)
    own = data["folds"] == 2
    spoilt = {**data, "features": data["features"].copy()}
    spoilt["features"][own, 1:] = 1e6
    spoilt["features"][own, 0] = 1
    ((one, head),) = cross_validate(quick, **data, only_folds=[2])
    ((other, other_head),) = cross_validate(quick, **spoilt, only_folds=[2])
    assert not np.array_equal(one.proba, other.proba)
    assert (one.chosen, one.history) == (other.chosen, other.history)
    for name, array in head.state_dict().items():
        assert array.tobytes() == other_head.state_dict()[name].tobytes()


def test_attention_head_saved_and_loaded_says_the_same_of_rows_of_any_length() -> None:
    data = frames_of(short=3)
    head = quick().fit(data["features"], data["labels"], groups=data["groups"])
    arrays, params = load(save(head.state_dict())), json.loads(json.dumps(head.state_params()))
    loaded = load_head("attention", arrays, params)
    expected = head.predict_proba(data["features"])
    np.testing.assert_array_equal(loaded.predict_proba(data["features"]), expected)
    longer = np.pad(data["features"], ((0, 0), (0, 5 * D)), constant_values=np.float32(7))  # padding isn't looked at
    np.testing.assert_allclose(loaded.predict_proba(longer), expected, rtol=0, atol=1e-12)
    alone = frame_rows([split_rows(data["features"], D)[0][0, :3]])
    np.testing.assert_allclose(loaded.predict_proba(alone), expected[:1], rtol=0, atol=1e-12)


def test_attention_begins_as_the_mlp_on_the_mean_of_a_clips_frames() -> None:
    """After an epoch at a rate of nearly 0, nothing is learnt, and both are as they were drawn with their seed."""
    data = frames_of(short=3)
    how = {"widths": (16,), "learning_rates": (1e-8,), "max_epochs": 1, "inner_splits": 2}
    ours = make_head("attention", frame_columns=D, **how).fit(data["features"], data["labels"])
    means = (mean_frames(data["features"], D) - ours.mean_) / ours.scale_
    theirs = MLPHead(**how).fit(means, data["labels"])
    expected = mlp_proba(theirs, means)
    np.testing.assert_allclose(ours.predict_proba(data["features"]), expected, rtol=0, atol=1e-5)
    frames, own = split_rows(data["features"], D)
    np.testing.assert_allclose(ours.mean_, frames[own].mean(axis=0), rtol=1e-5)


@pytest.mark.parametrize("count", [0, 9, 1.5])
def test_rows_with_no_such_number_of_frames_are_refused(count: float) -> None:
    data = frames_of()
    data["features"][3, 0] = count
    with pytest.raises(ValueError, match="don't hold frames of 6 after their number"):
        quick().fit(data["features"], data["labels"])

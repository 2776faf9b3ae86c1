"""Confident learning: worked by hand, and equal to cleanlab's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import soundprobe
from made_sets import store_set
from soundprobe.base.errors import SoundprobeError
from soundprobe.scoring.label_errors import (
    class_thresholds,
    confident_joint,
    find_label_errors,
    joint_counts,
    normalised_margin,
    with_labels_beside,
)

# Mean probability of the given label: of class 0 (.9 + .8 + .1 + .6) / 4 = .6, of class 1 (.9 + .7 + .2) / 3 = .6.
LABELS = np.array([0, 0, 0, 0, 1, 1, 1])
PROBA = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.6, 0.4], [0.1, 0.9], [0.3, 0.7], [0.8, 0.2]])


def noisy(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """N labels of C classes, a fifth of them drawn anew, and (N, C) probabilities that know more of the true ones."""
    rng = np.random.default_rng(seed)
    classes, n = int(rng.integers(2, 12)), int(rng.integers(60, 400))
    true = rng.integers(classes, size=n)
    labels = np.where(rng.random(n) < 0.2, rng.integers(classes, size=n), true)
    scores = rng.normal(size=(n, classes))
    scores[np.arange(n), true] += rng.uniform(0.5, 4)
    proba = np.exp(scores)
    return labels, proba / proba.sum(axis=1, keepdims=True)


def test_thresholds_and_joint_by_hand():
    np.testing.assert_allclose(class_thresholds(LABELS, PROBA), [0.6, 0.6])
    # Of class 0 rows 0, 1 and 3 reach its threshold and row 2 the other's; of class 1 row 6 reaches the other's.
    assert confident_joint(LABELS, PROBA).tolist() == [[3, 1], [1, 2]]
    assert joint_counts(LABELS, PROBA).tolist() == [[3, 1], [1, 2]]


def test_label_errors_by_hand_most_contradicted_first():
    assert find_label_errors(LABELS, PROBA).tolist() == [2, 6]
    np.testing.assert_allclose(normalised_margin(LABELS, PROBA)[[2, 6]], [0.1, 0.2])


def test_joint_of_clips_that_reach_no_threshold_is_scaled_to_all():
    # Means .7 and .9: rows 1, 3 and 4 reach none, and the three that do stand for all five.
    labels = np.array([0, 0, 0, 1, 1])
    proba = np.array([[0.9, 0.1], [0.4, 0.6], [0.8, 0.2], [0.12, 0.88], [0.08, 0.92]])
    assert confident_joint(labels, proba).tolist() == [[2, 0], [0, 1]]
    assert joint_counts(labels, proba).tolist() == [[3, 0], [0, 2]]
    assert find_label_errors(labels, proba).tolist() == []


def test_joint_rows_are_whole_numbers_that_sum_to_the_labels():
    for seed in range(20):
        labels, proba = noisy(seed)
        joint = joint_counts(labels, proba)
        assert joint.sum(axis=1).tolist() == np.bincount(labels, minlength=proba.shape[1]).tolist()
        assert (joint >= 0).all()


def test_labels_beside_are_votes_right_as_often_as_labels_of_a_recording_agree():
    # Of recording 0 a clip each of classes 0 and 1; of recording 1 three of class 2: 6 of 8 ordered pairs agree.
    labels, recordings, clips = np.array([0, 1, 2]), np.array([0, 0, 1]), np.array([1, 1, 3])
    proba = np.array([[0.4, 0.4, 0.2], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]])
    told = with_labels_beside(labels, proba, recordings, clips)
    # A vote of .75 for the other's label, .125 for either other: (.05, .3, .025) / .375 and (.075, .1, .0125) / .1875.
    np.testing.assert_allclose(told[:2], [[2 / 15, 12 / 15, 1 / 15], [6 / 15, 8 / 15, 1 / 15]])
    np.testing.assert_array_equal(told[2], proba[2])


def test_labels_beside_of_fewer_clips_have_no_vote():
    proba = np.array([[0.6, 0.4], [0.6, 0.4]])
    told = with_labels_beside(np.array([0, 1]), proba, np.array([0, 0]), np.array([2, 1]))
    np.testing.assert_allclose(told, proba)  # of 3 clips two agree: 2 of 6 pairs, no more than chance, so no vote
    labels, recordings, clips = np.array([0, 1, 0]), np.array([0, 0, 1]), np.array([2, 1, 3])
    told = with_labels_beside(labels, proba[[0, 1, 1]], recordings, clips)  # 8 of 12 pairs
    np.testing.assert_allclose(told, [[0.6, 0.4], [0.75, 0.25], [0.6, 0.4]])


def test_labels_beside_where_recordings_never_agree_are_worth_nothing():
    proba = np.array([[0.7, 0.3], [0.2, 0.8]])
    told = with_labels_beside(np.array([0, 1]), proba, np.array([0, 0]), np.array([1, 1]))
    np.testing.assert_allclose(told, proba)


def test_the_only_item_of_a_class_is_never_an_error():
    labels = np.array([0, 0, 0, 1])
    proba = np.array([[0.9, 0.1], [0.9, 0.1], [0.8, 0.2], [1.0, 0.0]])
    assert find_label_errors(labels, proba).tolist() == []


@pytest.mark.parametrize(
    ("labels", "proba", "message"),
    [
        ([0, 1], [[0.5, 0.5]], r"shape \(2,\) and probabilities of shape \(1, 2\)"),
        ([0], [[1.0]], "at least two classes"),
        ([], np.empty((0, 2)), "at least two classes"),
        ([0, 2], [[0.5, 0.5], [0.5, 0.5]], "Labels from 0 to 2 don't fit 2 classes"),
    ],
)
def test_label_errors_of_what_does_not_fit_are_refused(labels, proba, message):
    with pytest.raises(SoundprobeError, match=message):
        find_label_errors(np.array(labels, dtype=np.int64), np.array(proba))


@pytest.mark.parametrize("seed", range(8))
def test_label_errors_equal_cleanlab(seed):
    from cleanlab.count import compute_confident_joint, get_confident_thresholds
    from cleanlab.filter import find_label_issues

    labels, proba = noisy(seed)
    np.testing.assert_allclose(class_thresholds(labels, proba), get_confident_thresholds(labels, proba))
    theirs = compute_confident_joint(labels, proba, calibrate=False)
    assert confident_joint(labels, proba).tolist() == theirs.tolist()
    calibrated = compute_confident_joint(labels, proba)
    assert np.abs(joint_counts(labels, proba) - calibrated).max() <= 1  # of equal remainders either may give way
    found = find_label_issues(
        labels,
        proba,
        confident_joint=joint_counts(labels, proba),
        filter_by="both",
        return_indices_ranked_by="normalized_margin",
        n_jobs=1,
    )
    assert len(found)
    assert find_label_errors(labels, proba).tolist() == found.tolist()


def test_cleanlab_finds_flipped_labels_in_a_runs_predictions_by_the_block_of_the_docs(tmp_path, monkeypatch):
    (block,) = re.findall(
        r"```python\n((?:(?!```).)*cleanlab.*?)```",
        Path(__file__).parents[2].joinpath("docs", "python.md").read_text(encoding="utf-8"),
        re.DOTALL,
    )
    rng = np.random.default_rng(0)
    labels, folds = np.arange(120) % 3, np.arange(120) // 3 % 4
    features = 8 * np.eye(3)[labels] + rng.normal(size=(120, 3))
    flipped = [7, 50, 93]
    told = labels.copy()
    told[flipped] = (labels[flipped] + 1) % 3
    monkeypatch.chdir(tmp_path)
    store_set(tmp_path / "embeddings", features, told, folds, np.arange(120).astype(str))
    soundprobe.probe(progress=False)
    names: dict[str, Any] = {"soundprobe": soundprobe}
    exec(block, names)
    assert {f"c{row:04d}" for row in flipped} == set(names["suspects"]["clip_id"])

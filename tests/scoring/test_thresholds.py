"""Thresholds for a stated precision, on predictions that can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from soundprobe.scoring.thresholds import NEVER, choose_thresholds, cross_fitted


def proba_of(predicted: list[int], surest: list[float], classes: int = 2) -> np.ndarray:
    """(N, C) with the given class at the given probability and the rest shared."""
    proba = np.repeat((1 - np.array(surest)[:, None]) / (classes - 1), classes, axis=1)
    proba[np.arange(len(predicted)), predicted] = surest
    return proba


def test_threshold_is_the_lowest_probability_that_keeps_the_precision():
    labels = np.array([0, 0, 1, 0, 0, 1, 1])
    proba = proba_of([0, 0, 0, 0, 0, 1, 1], [0.95, 0.9, 0.85, 0.8, 0.7, 0.9, 0.6])
    # Class 0 from the surest: right, right, wrong, right, right: shares 1, 1, 2/3, 3/4, 4/5.
    for precision, lowest in ((1.0, 0.9), (0.8, 0.7), (0.76, 0.7), (0.5, 0.7)):
        np.testing.assert_allclose(choose_thresholds(labels, proba, precision), [lowest, 0.6])


def test_clips_of_one_probability_are_told_together_or_not_at_all():
    labels, proba = np.array([0, 1, 0]), proba_of([0, 0, 0], [0.9, 0.9, 0.8])
    np.testing.assert_array_equal(choose_thresholds(labels, proba, 0.6), [0.8, NEVER])
    np.testing.assert_array_equal(choose_thresholds(labels[:2], proba[:2], 0.6), [NEVER, NEVER])


def test_class_that_is_never_right_often_enough_is_never_told():
    found = choose_thresholds(np.array([1, 1, 1]), proba_of([0, 0, 1], [0.9, 0.8, 0.7]), 0.5)
    np.testing.assert_array_equal(found, [NEVER, 0.7])


def test_folds_own_labels_have_no_part_in_the_thresholds_that_judge_it():
    rng = np.random.default_rng(0)
    folds, labels, proba = np.repeat([1, 2], 100), rng.integers(0, 2, 200), rng.dirichlet(np.ones(2), 200)
    first, second = folds == 1, folds == 2
    expected = np.zeros(200, dtype=bool)
    for own, others in ((first, second), (second, first)):
        thresholds = choose_thresholds(labels[others], proba[others], 0.6)
        expected[own] = proba[own].max(axis=1) >= thresholds[proba[own].argmax(axis=1)]
    reached = cross_fitted(labels, proba, folds, np.arange(200), 0.6)
    assert reached.told.sum() == expected.sum()
    assert reached.right.sum() == (expected & (proba.argmax(axis=1) == labels)).sum()
    assert reached.precision == reached.right.sum() / reached.told.sum()
    in_sample = choose_thresholds(labels, proba, 0.6)
    assert (proba.max(axis=1) >= in_sample[proba.argmax(axis=1)]).sum() != expected.sum()


def test_copy_in_another_fold_chooses_no_threshold_that_judges_it():
    labels, folds = np.array([0, 0, 0, 0]), np.array([1, 1, 2, 2])
    proba = proba_of([0, 0, 0, 0], [0.9, 0.6, 0.9, 0.6])
    assert cross_fitted(labels, proba, folds, np.arange(4), 1.0).told.tolist() == [4, 0]
    assert cross_fitted(labels, proba, folds, np.array([0, 1, 2, 1]), 1.0).told.tolist() == [2, 0]


@pytest.mark.parametrize("precision", [0.8, 0.9, 1.0])
def test_precision_is_reached_about_as_stated_on_clips_that_chose_nothing(precision):
    rng = np.random.default_rng(1)
    n = 4000
    surest = rng.uniform(0.5, 1, n)
    predicted = rng.integers(0, 2, n)
    labels = np.where(rng.random(n) < surest, predicted, 1 - predicted)  # calibrated
    reached = cross_fitted(
        labels, proba_of(predicted.tolist(), surest.tolist()), np.arange(n) % 4, np.arange(n), precision
    )
    assert reached.precision == pytest.approx(precision, abs=0.02)
    assert 0 < reached.recall < 1

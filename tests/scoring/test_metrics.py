"""Scores, against hand-computed values and scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from soundprobe.base.errors import SoundprobeError
from soundprobe.scoring.metrics import accuracy, confusion, macro_f1, mean_std, per_class_f1

LABELS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=60)


@given(LABELS)
@settings(max_examples=80, deadline=None)
def test_scores_of_any_labels_equal_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    true, pred = np.array(pairs).T
    occurring = np.union1d(true, pred)
    assert accuracy(true, pred) == pytest.approx(accuracy_score(true, pred))
    assert macro_f1(true, pred) == pytest.approx(f1_score(true, pred, average="macro"))
    np.testing.assert_array_equal(confusion(true, pred, 6), confusion_matrix(true, pred, labels=range(6)))
    of_classes = per_class_f1(true, pred, 6)
    np.testing.assert_allclose(of_classes[occurring], f1_score(true, pred, average=None, labels=occurring))
    assert np.isnan(np.delete(of_classes, occurring)).all()


def test_per_class_f1_with_an_absent_class_is_nan_there_and_counts_by_hand_elsewhere() -> None:
    f1 = per_class_f1(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 3]), 5)
    np.testing.assert_allclose(f1, [2 / 3, 1 / 2, math.nan, 0, math.nan])


def test_macro_f1_of_a_class_that_is_only_predicted_counts_it_as_zero() -> None:
    assert macro_f1(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 3])) == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)


def test_mean_std_of_the_notes_accuracies_gives_both_spreads() -> None:
    folds = [0.7056, 0.8446, 0.9600, 0.9667, 0.9776, 0.9830, 0.9523, 0.9839, 0.9853, 0.9952]
    assert [round(value, 4) for value in mean_std(folds)] == [0.9354, 0.0868, 0.0915]


def test_mean_std_of_one_fold_has_no_sample_spread() -> None:
    mean, population, sample = mean_std([0.5])
    assert (mean, population) == (0.5, 0.0)
    assert math.isnan(sample)


@pytest.mark.parametrize(
    ("true", "pred", "message"),
    [
        ([], [], "at least one clip"),
        ([0, 1], [0], "one prediction for each clip"),
        ([0, -1], [0, 0], "Labels from -1 to 0 don't fit 3 classes; labels are 0 to 2"),
        ([0, 3], [0, 0], "Labels from 0 to 3 don't fit 3 classes"),
    ],
)
def test_confusion_of_bad_labels_names_what_is_wrong(true: list[int], pred: list[int], message: str) -> None:
    with pytest.raises(SoundprobeError, match=message):
        confusion(np.array(true), np.array(pred), 3)


def test_accuracy_and_f1_of_no_clips_are_errors() -> None:
    for score in (accuracy, macro_f1):
        with pytest.raises(SoundprobeError, match="at least one clip"):
            score(np.array([], dtype=int), np.array([], dtype=int))
    with pytest.raises(SoundprobeError, match="at least one value"):
        mean_std([])

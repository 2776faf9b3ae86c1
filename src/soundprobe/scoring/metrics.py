"""Scores of predicted classes, and their spread over folds.

Letters: n clips, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from soundprobe.base.errors import SoundprobeError


class MeanStd(NamedTuple):
    """A mean over folds with both spreads: `std_population` divides by the count, `std_sample` by one less.

    The two differ by 5 % at 10 folds, so a table must say which it shows. One value has no sample spread: NaN.
    """

    mean: float
    std_population: float
    std_sample: float


def confusion(y_true: np.ndarray, y_pred: np.ndarray, n_classes: int) -> np.ndarray:
    """(C, C) int64: how many clips of class `row` were called class `column`.

    Raises:
        SoundprobeError: the columns' lengths differ, are 0, or a label is not in 0 .. C-1.
    """
    true, pred = np.asarray(y_true, dtype=np.int64), np.asarray(y_pred, dtype=np.int64)
    if true.shape != pred.shape or true.ndim != 1 or len(true) == 0:
        raise SoundprobeError(
            f"Labels of shape {true.shape} and predictions of shape {pred.shape} can't be scored; "
            "give one prediction for each clip, and at least one clip."
        )
    low, high = min(true.min(), pred.min()), max(true.max(), pred.max())
    if low < 0 or high >= n_classes:
        raise SoundprobeError(
            f"Labels from {low} to {high} don't fit {n_classes} classes; labels are 0 to {n_classes - 1}."
        )
    return np.bincount(true * n_classes + pred, minlength=n_classes**2).reshape(n_classes, n_classes)


def accuracy(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    """The share of clips whose class was found."""
    table = confusion(y_true, y_pred, _classes_in(y_true, y_pred))
    return float(np.trace(table) / table.sum())


def per_class_f1(y_true: np.ndarray, y_pred: np.ndarray, n_classes: int) -> np.ndarray:
    """(C,) float64: each class's F1 = 2 TP / (2 TP + FP + FN); NaN for a class in neither truth nor prediction."""
    table = confusion(y_true, y_pred, n_classes)
    hits, occurrences = np.diag(table), table.sum(axis=0) + table.sum(axis=1)
    return np.divide(2.0 * hits, occurrences, out=np.full(n_classes, np.nan), where=occurrences > 0)


def macro_f1(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    """The mean of the classes' F1, over the classes that occur in truth or prediction.

    This is `sklearn.metrics.f1_score(average="macro")` with its default labels. A class that a fold has no clip of
    counts only if it was predicted there (with F1 0), so folds without a class are not punished for it.
    """
    return float(np.nanmean(per_class_f1(y_true, y_pred, _classes_in(y_true, y_pred))))


def mean_std(values: Sequence[float] | np.ndarray) -> MeanStd:
    """The mean of `values`, one a fold, with both standard deviations.

    Raises:
        SoundprobeError: there are no values.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.ndim != 1 or len(numbers) == 0:
        raise SoundprobeError(f"A mean over folds needs at least one value; got shape {numbers.shape}.")
    sample = float(numbers.std(ddof=1)) if len(numbers) > 1 else float("nan")
    return MeanStd(float(numbers.mean()), float(numbers.std()), sample)


def _classes_in(y_true: np.ndarray, y_pred: np.ndarray) -> int:
    """The least C that the labels fit; 1 where there are none, so that `confusion` reports it."""
    return 1 + int(max(np.max(y_true, initial=0), np.max(y_pred, initial=0)))

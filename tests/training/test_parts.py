"""Which training clips train and which validate."""

from __future__ import annotations

import numpy as np
import pytest

from soundprobe.base.errors import ConfigError, DataError
from soundprobe.training.parts import keep_salience, part_training
from soundprobe.training.recipes import DataTable, ValidationTable

N = 60
LABELS = np.arange(N) % 3
FOLDS = np.repeat([1, 2, 4, 5], N // 4)
GROUPS = np.array([f"r{row // 3}" for row in range(N)])


@pytest.mark.parametrize(("test_fold", "validates"), [(3, 4), (5, 1), (6, 1), (1, 2)])
def test_next_fold_goes_round_the_training_folds(test_fold: int, validates: int):
    rows = np.flatnonzero(test_fold != FOLDS)
    training, validation = part_training(
        LABELS[rows], FOLDS[rows], GROUPS[rows], test_fold=test_fold, table=ValidationTable(kind="next-fold"), seed=0
    )
    assert set(FOLDS[rows][validation]) == {validates}
    assert validates not in FOLDS[rows][training]


@pytest.mark.parametrize("kind", ["next-fold", "share"])
def test_no_recording_is_on_both_sides(kind: str):
    groups = GROUPS.copy()
    groups[FOLDS == 4] = groups[FOLDS == 5]  # recordings that sit in two folds
    training, validation = part_training(
        LABELS, FOLDS, groups, test_fold=2, table=ValidationTable(kind=kind, share=0.25), seed=0
    )
    assert validation is not None
    assert not set(groups[training]) & set(groups[validation])


def test_share_is_about_the_share():
    _, validation = part_training(LABELS, FOLDS, GROUPS, test_fold=2, table=ValidationTable(kind="share"), seed=0)
    assert validation is not None
    assert 0.1 < len(validation) / N < 0.2


def test_next_fold_of_a_single_training_fold_is_refused():
    with pytest.raises(DataError, match="at least 3 folds"):
        part_training(LABELS, np.ones(N), GROUPS, test_fold=2, table=ValidationTable(), seed=0)


def test_salience_is_kept_by_kind_and_missing_salience_is_an_error():
    salience = np.array([1, 2, 1])
    assert keep_salience(salience, DataTable()) is None
    assert keep_salience(salience, DataTable(salience="foreground")).tolist() == [True, False, True]
    assert keep_salience(salience, DataTable(salience="background")).tolist() == [False, True, False]
    with pytest.raises(ConfigError, match="needs a column 'salience'"):
        keep_salience(None, DataTable(salience="foreground"))

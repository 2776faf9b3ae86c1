"""Outer folds, inner splits, and that nothing of a test fold reaches a head."""

from __future__ import annotations

import hashlib
import pickle
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soundprobe.base.errors import DataError, SoundprobeError
from soundprobe.base.parallel import run_tasks
from soundprobe.base.records import FoldFeatures
from soundprobe.scoring.folds import PROTOCOL_VERSION, SplitError, cross_validate, inner_split, outer_splits

GROUPED_LABELS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12)), min_size=2, max_size=60)


class Recorder:
    """A head that keeps what it was fitted on, and predicts the classes' shares in it."""

    def fit(self, X: np.ndarray, y: np.ndarray, groups: np.ndarray | None = None) -> Recorder:
        self.X, self.groups = X.copy(), groups
        self.classes_, counts = np.unique(y, return_counts=True)
        self.shares = counts / len(y)
        self.chosen_: dict[str, Any] = {"width": 3}
        self.history_: list[dict[str, Any]] = [{"epoch": 1}]
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        return np.tile(self.shares, (len(X), 1))


def rows(n: int = 24, folds: int = 4, n_classes: int = 3) -> dict[str, Any]:
    """n clips whose features name them: row i holds i in every column."""
    return {
        "features": np.repeat(np.arange(n, dtype=np.float32)[:, None], 2, axis=1),
        "labels": np.arange(n) % n_classes,
        "folds": 10 - np.arange(n) % folds,
        "groups": np.array([f"rec {i // 2}" for i in range(n)]),
        "ids": np.array([f"clip {i}.wav" for i in range(n)]),
        "n_classes": n_classes,
    }


def test_outer_splits_of_folds_are_in_order_disjoint_and_complete() -> None:
    folds = np.array([10, 2, 2, 1, 10])
    splits = list(outer_splits(folds))
    assert [fold for fold, _, _ in splits] == [1, 2, 10]
    for fold, train, test in splits:
        assert set(folds[test]) == {fold}
        assert fold not in folds[train]
        assert sorted([*train, *test]) == [0, 1, 2, 3, 4]


def test_outer_splits_of_two_folds_train_on_one_another() -> None:
    splits = [(fold, train.tolist(), test.tolist()) for fold, train, test in outer_splits(np.array([2, 1, 2]))]
    assert splits == [(1, [0, 2], [1]), (2, [1], [0, 2])]


def test_outer_splits_of_one_fold_says_so() -> None:
    with pytest.raises(DataError, match="at least 2 folds, and every clip is in fold 7"):
        list(outer_splits(np.full(4, 7)))


def rows_of(counts: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Labels and recordings 0, 1, ... of so many rows of class 0 and 1 each."""
    recordings = np.repeat(np.arange(len(counts)), [sum(one) for one in counts])
    return np.concatenate([np.repeat([0, 1], one) for one in counts]), recordings


def test_inner_split_never_holds_out_all_others_of_a_class():
    labels, recordings = rows_of([(2, 0), (1, 1), (0, 2)])
    validated = []
    for seed in range(8):
        splits = inner_split(labels, recordings, 2, seed)
        assert all(set(labels[train]) == {0, 1} for train, _ in splits)
        validated.append({int(one) for _, rows in splits for one in recordings[rows]})
    # Dealt last, the second recording would take the last of a class from either part's training rows.
    assert {0, 2} in validated
    assert {0, 1, 2} in validated


def test_inner_split_weighs_classes_by_the_square_of_their_rows():
    labels, recordings = rows_of([(1, 3), (0, 1), (2, 0), (0, 1), (1, 1)])
    # Of 4 and 6 rows of the classes the last recording adds 1/16 + 3/36 beside the first, 2/16 beside the third.
    (_, one), (_, other) = inner_split(labels, recordings, 2, seed=0)
    assert (set(recordings[one]), set(recordings[other])) == ({0}, {1, 2, 3, 4})


@given(GROUPED_LABELS, st.integers(2, 6), st.integers(0, 3))
@settings(max_examples=200, deadline=None)
def test_inner_split_of_anything_keeps_recordings_whole_and_classes_in_every_training_part(
    pairs: list[tuple[int, int]], n_splits: int, seed: int
) -> None:
    y, groups = np.array(pairs).T
    try:
        splits = inner_split(y, groups, n_splits, seed)
    except SplitError:
        # Only right where each recording is the only one of some class.
        for group in np.unique(groups):
            assert set(y[groups == group]) - set(y[groups != group])
        return
    assert 1 <= len(splits) <= n_splits
    for train, val in splits:
        assert len(val)
        assert not set(groups[train]) & set(groups[val])
        assert sorted([*train, *val]) == list(range(len(y)))
        assert set(y[train]) == set(y)
    validated = np.concatenate([val for _, val in splits])
    assert len(np.unique(validated)) == len(validated)


def test_inner_split_of_balanced_rows_stratifies_them() -> None:
    y = np.repeat(np.arange(4), 50)
    for groups in (None, np.arange(200) // 2):
        splits = inner_split(y, groups, 5, seed=1)
        assert [np.bincount(y[val]).tolist() for _, val in splits] == [[10] * 4] * 5


def test_inner_split_of_shuffled_rows_is_the_same_by_recording() -> None:
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 40, 300)
    y, order = groups % 5, rng.permutation(300)
    one = {frozenset(groups[val]) for _, val in inner_split(y, groups, 4, seed=3)}
    other = {frozenset(groups[order][val]) for _, val in inner_split(y[order], groups[order], 4, seed=3)}
    assert one == other
    assert one != {frozenset(groups[val]) for _, val in inner_split(y, groups, 4, seed=4)}


def test_inner_split_without_a_seed_is_that_of_seed_0() -> None:
    labels = np.arange(40) % 2
    usual, zero, one = (
        [val.tolist() for _, val in inner_split(labels, None, 4, **seed)] for seed in ({}, {"seed": 0}, {"seed": 1})
    )
    assert usual == zero != one


def test_inner_split_of_protocol_2_gives_what_it_always_gave() -> None:
    rng, parts = np.random.default_rng(0), []
    for seed in range(40):  # uneven classes and recordings, some of several classes, some classes of one recording
        recordings = rng.integers(3, 16)
        own = np.minimum(rng.geometric(0.4, recordings) - 1, 3)
        groups = np.repeat(np.arange(recordings), rng.geometric(0.3, recordings))
        labels = np.where(rng.random(len(groups)) < 0.2, rng.integers(0, 4, len(groups)), own[groups])
        part = np.full(len(labels), -1)
        for number, (_, val) in enumerate(inner_split(labels, groups, 2 + seed % 4, seed)):
            part[val] = number
        parts.append("".join(map(str, part)))
    assert parts[:2] == ["11100000000000111110111111100000110011111100000", "220000000000022222211111111"]
    found = hashlib.sha256(" ".join(parts).encode()).hexdigest()
    assert (PROTOCOL_VERSION, found[:16]) == (2, "111f88eff028ddeb"), "raise PROTOCOL_VERSION: runs must be made anew"


def test_inner_split_with_fewer_recordings_than_splits_makes_fewer() -> None:
    groups = np.array([0, 0, 1, 1, 2, 2])
    assert len(inner_split(np.array([0, 1] * 3), groups, 5)) == 3


def test_inner_split_never_holds_out_the_only_recording_of_a_class() -> None:
    y, groups = np.array([0, 0, 0, 0, 1, 1]), np.array(["a", "b", "c", "d", "only", "only"])
    for train, _ in inner_split(y, groups, 3):
        assert {4, 5} <= set(train)


@pytest.mark.parametrize("groups", [["one"] * 4, ["a", "a", "b", "b"]])
def test_inner_split_where_nothing_can_be_held_out_says_why(groups: list[str]) -> None:
    with pytest.raises(SplitError, match="each class comes from one recording") as caught:
        inner_split(np.array([0, 0, 1, 1]), np.array(groups), 3)
    assert "\n" not in str(caught.value)


def test_inner_split_into_one_part_is_refused() -> None:
    with pytest.raises(SplitError, match="1 inner splits can't be made; give 2 or more"):
        inner_split(np.array([0, 1]), None, 1)


def test_cross_validate_hands_a_fresh_head_training_rows_only() -> None:
    data = rows()
    seen = []
    results = cross_validate(Recorder, **data, on_fold=lambda result, head: seen.append(result.fold))
    assert [result.fold for result, _ in results] == seen == [7, 8, 9, 10]
    assert len({id(head) for _, head in results}) == 4
    for result, head in results:
        fitted_on = head.X[:, 0].astype(int)
        assert set(fitted_on) == set(np.flatnonzero(data["folds"] != result.fold))
        assert list(head.groups) == list(data["groups"][fitted_on])
        assert list(result.ids) == list(data["ids"][data["folds"] == result.fold])
        assert result.train_clips == 18
        assert (result.chosen, result.history) == ({"width": 3}, [{"epoch": 1}])


def test_cross_validate_without_training_clips_of_a_class_gives_it_probability_zero() -> None:
    data = rows()
    data["labels"] = np.where(data["folds"] == 8, 2, data["labels"] % 2)  # class 2 in fold 8 only
    data["n_classes"] = 5
    for result, _ in cross_validate(Recorder, **data):
        assert result.proba.shape == (6, 5)
        assert result.proba.dtype == np.float32
        np.testing.assert_allclose(result.proba.sum(axis=1), 1, atol=1e-6)
        assert (result.proba[:, 3:] == 0).all()
        assert bool((result.proba[:, 2] == 0).all()) == (result.fold == 8)


def test_cross_validate_of_some_folds_trains_on_all_the_others() -> None:
    all_folds = {r.fold: head.X for r, head in cross_validate(Recorder, **rows())}
    ((result, head),) = cross_validate(Recorder, **rows(), only_folds=[9])
    assert result.fold == 9
    np.testing.assert_array_equal(head.X, all_folds[9])


def test_cross_validate_excluding_shared_recordings_drops_them_and_counts() -> None:
    data = rows()
    data["groups"] = np.array([f"rec {i}" for i in range(24)])
    data["groups"][[0, 1, 5]] = "leaks"  # folds 10, 9, 9
    kept = dict(cross_validate(Recorder, **data, exclude_shared_recordings=True))
    by_fold = {result.fold: (result, head) for result, head in kept.items()}
    assert {fold: result.chosen["excluded_clips"] for fold, (result, _) in by_fold.items()} == {7: 0, 8: 0, 9: 1, 10: 2}
    assert {1.0, 5.0}.isdisjoint(by_fold[10][1].X[:, 0])
    assert by_fold[10][0].train_clips == 16
    assert "excluded_clips" not in cross_validate(Recorder, **data)[0][0].chosen


def test_cross_validate_in_processes_gives_the_same_results() -> None:
    one = cross_validate(Recorder, **rows())
    for runner in (run_tasks, partial(run_tasks, engine="threads")):
        other = cross_validate(Recorder, **rows(), jobs=2, run=runner)
        for (a, _), (b, _) in zip(one, other, strict=True):
            assert a.fold == b.fold
            np.testing.assert_array_equal(a.proba, b.proba)


def test_cross_validate_of_features_by_fold_trains_each_fold_on_its_own_and_takes_plain_lists() -> None:
    data = rows()
    of_fold = {fold: data["features"] + 100 * fold for fold in (7, 8, 9, 10)}
    for result, head in cross_validate(Recorder, **{**data, "features": FoldFeatures(of_fold)}):
        assert (head.X[:, 0] // 100 == result.fold).all()
    ((_, one), *_), ((_, other), *_) = (
        cross_validate(Recorder, **{**data, "features": one}) for one in (data["features"], data["features"].tolist())
    )
    np.testing.assert_array_equal(one.X, other.X)


def test_cross_validate_without_jobs_asks_its_runner_for_one_and_tells_each_folds_seconds() -> None:
    asked = []

    def run(function: Callable[..., Any], arguments: Any, *, jobs: int) -> Any:
        asked.append(jobs)
        return (function(*each) for each in arguments)

    assert all(0 <= result.seconds < 60 for result, _ in cross_validate(Recorder, **rows(), run=run))
    assert asked == [1]


def test_cross_validate_makes_shares_of_a_heads_scores() -> None:
    class Doubled(Recorder):
        def predict_proba(self, X: np.ndarray) -> np.ndarray:
            return 2 * super().predict_proba(X)

    for (one, _), (other, _) in zip(*(cross_validate(head, **rows()) for head in (Recorder, Doubled)), strict=True):
        np.testing.assert_array_equal(one.proba, other.proba)


def set_nan(data: dict[str, Any], broken: int = 6) -> None:
    data["features"][3 : 3 + broken, 1] = [np.nan, np.inf, -np.inf, np.nan, np.nan, np.nan][:broken]


def set_one(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda data: data.update({name: value})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            set_nan,
            r"of 6 of 24 clips hold NaN or infinity: 'clip 3.wav', ('clip \d.wav', ){3}'clip 7.wav', \.{4} Extract",
        ),
        (partial(set_nan, broken=5), r"of 5 of 24 clips .* ('clip \d.wav', ){4}'clip 7.wav'\. Extract"),
        (set_one("labels", np.arange(24) % 4), "Labels from 0 to 3 .* don't fit 3 classes"),
        (set_one("folds", np.ones(24, int)), "at least 2 folds, and every clip is in fold 1"),
        (set_one("labels", np.arange(24)), "Labels from 0 to 23 .* don't fit 3 classes"),
        (set_one("labels", np.linspace(0, 2, 24)), "whole numbers from 0 to 2 are needed"),
        (set_one("labels", np.where(rows()["folds"] == 8, 1, 0)), "for fold 8 have fewer than 2 classes"),
        (set_one("groups", np.arange(5)), "5 groups for 24 clips"),
        (set_one("features", np.zeros(24)), r"Features have shape \(24,\)"),
        (set_one("features", np.zeros((24, 0))), r"Features have shape \(24, 0\)"),
        (set_one("only_folds", [8, 11]), "Fold 11 is not among the data's folds: 7, 8, 9, 10"),
        (set_one("only_folds", []), "is not among the data's folds"),
    ],
)
def test_cross_validate_of_bad_rows_names_what_is_wrong(spoil: Callable[[dict[str, Any]], None], message: str) -> None:
    data = rows()
    spoil(data)
    with pytest.raises(SoundprobeError, match=message) as caught:
        cross_validate(Recorder, **data)
    assert "\n" not in str(caught.value)


def test_split_error_survives_a_trip_between_processes() -> None:
    with pytest.raises(SplitError) as caught:
        inner_split(np.array([0, 1]), np.array(["a", "b"]), 2)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_importing_crossval_metrics_and_the_catalogue_loads_neither_torch_nor_scikit_learn() -> None:
    code = (
        "import sys, soundprobe.scoring.folds, soundprobe.scoring.metrics, soundprobe.heads.catalog\n"
        "print(sorted({'torch', 'sklearn', 'scipy', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

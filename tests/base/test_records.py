"""Records refuse what doesn't fit together."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from soundprobe.base.errors import AudioError, DataError, unknown
from soundprobe.base.records import Clips

GOOD = {
    "name": "toy",
    "ids": ["a", "b", "c"],
    "sources": ["a.wav", "b.wav", "c.wav"],
    "labels": [0, 1, 0],
    "folds": [1, 2, 1],
    "groups": ["r", "s", "r"],
    "class_names": ["x", "y"],
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": [0, 1]}, "2 labels for 3 clips"),
        ({"columns": {"salience": np.ones(4)}}, "4 salience for 3 clips"),
        ({"ids": ["a", "b", "a"]}, "clip id 'a' stands 2 times"),
        ({"labels": [0, 2, 0]}, "clip 'b' has label 2, but there are only 2 class names"),
        ({"labels": [0, -1, 0]}, "clip 'b' has label -1"),
        ({"ids": [], "sources": [], "labels": [], "folds": [], "groups": []}, "has no clips"),
    ],
)
def test_clips_that_do_not_fit_together_are_refused(change: dict, message: str):
    with pytest.raises(DataError, match=message):
        Clips(**{**GOOD, **change})


def test_table_has_the_protocols_fold_whatever_a_further_column_is_called():
    clips = Clips(**GOOD, columns={"fold": np.array([9, 9, 9]), "salience": np.array([1, 2, 1])})
    assert clips.as_columns()["fold"].tolist() == [1, 2, 1]
    assert clips.as_columns()["salience"].tolist() == [1, 2, 1]


def test_take_keeps_every_column_in_step():
    clips = Clips(**GOOD, columns={"salience": np.array([1, 2, 3])})
    taken = clips.take(np.array([2, 0]))
    assert taken.ids.tolist() == ["c", "a"]
    assert list(taken.sources) == ["c.wav", "a.wav"]
    assert taken.columns["salience"].tolist() == [3, 1]
    assert clips.take(clips.folds == 2).ids.tolist() == ["b"]


def test_audio_error_survives_a_trip_between_processes():
    error = pickle.loads(pickle.dumps(AudioError("a.wav", "truncated")))
    assert (error.name, error.reason, str(error)) == ("a.wav", "truncated", "a.wav: truncated")


def test_unknown_name_far_from_all_has_no_suggestion():
    assert unknown("backbone", "zzz", ["ast"]) == "Unknown backbone 'zzz'. Available: ast."
    assert unknown("backbone", "zzz", []) == "Unknown backbone 'zzz'. Available: none."

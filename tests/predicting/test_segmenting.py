from __future__ import annotations

import numpy as np
import pytest

from soundprobe.base.errors import ConfigError
from soundprobe.predicting.prediction import Timeline
from soundprobe.predicting.segmenting import edges_s, segments, together

NAMES = ("rain", "siren", "dog")


def timeline(letters: str, share: float = 0.8, window_s: float = 2.0, hop_s: float = 1.0) -> Timeline:
    """A window for each letter, the first of a class's name, which has the probability `share`."""
    starts = np.arange(len(letters)) * hop_s
    proba = np.full((len(letters), 3), (1 - share) / 2)
    proba[np.arange(len(letters)), ["rsd".index(letter) for letter in letters]] = share
    return Timeline(NAMES, starts, starts + window_s, proba)


def said(found) -> list[tuple[float, float, str]]:
    return [(one.start_s, one.end_s, one.label) for one in found]


def test_neighbours_that_agree_are_one_segment_and_segments_fill_the_recording():
    found = segments(timeline("rrsssd"))
    assert said(found) == [(0, 2.5, "rain"), (2.5, 5.5, "siren"), (5.5, 7, "dog")]
    assert [one.probability for one in found] == pytest.approx([0.8] * 3)


def test_edges_of_a_last_window_that_overlaps_more_lie_between_the_middles():
    found = Timeline(NAMES, np.array([0, 1, 1.4]), np.array([2, 3, 3.4]), np.ones((3, 3)))
    assert edges_s(found).tolist() == pytest.approx([0, 1.5, 2.2, 3.4])


def test_windows_that_overlap_by_more_than_half_speak_together_and_one_that_is_unsure_is_overruled():
    course = timeline("rrrsss", window_s=3.0)
    course.proba[1] = [0.4, 0.15, 0.45]
    assert said(segments(course)) == [(0, 4, "rain"), (4, 8, "siren")]
    np.testing.assert_allclose(together(course).sum(axis=1), 1)
    middle = np.cbrt(course.proba[0] * course.proba[1] * course.proba[2])
    np.testing.assert_allclose(together(course)[1], middle / middle.sum())
    apart = timeline("rsd", window_s=2.0)
    np.testing.assert_array_equal(together(apart), apart.proba)


def test_windows_below_the_threshold_belong_to_no_segment():
    course = timeline("rrsrr")
    course.proba[2] = [0.3, 0.4, 0.3]
    assert said(segments(course, threshold=0.5)) == [(0, 2.5, "rain"), (3.5, 6, "rain")]
    assert segments(course, threshold=0.9) == ()


def test_thresholds_by_class_leave_the_others_alone():
    assert said(segments(timeline("rsd"), threshold={"siren": 0.9})) == [(0, 1.5, "rain"), (2.5, 4, "dog")]


def test_short_segments_are_left_out_and_the_class_on_both_sides_goes_on():
    assert said(segments(timeline("rrsrr"), min_duration_s=1.5)) == [(0, 6, "rain")]
    assert said(segments(timeline("rrsdd"), min_duration_s=1.5)) == [(0, 2.5, "rain"), (3.5, 6, "dog")]
    assert said(segments(timeline("rrsrr"), min_duration_s=1.0)) == [
        (0, 2.5, "rain"),
        (2.5, 3.5, "siren"),
        (3.5, 6, "rain"),
    ]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"threshold": 1.5}, "threshold of 1.5"),
        ({"threshold": {"rain": -1}}, "threshold of -1"),
        ({"threshold": {"snow": 0.5}}, "Unknown class 'snow'"),
        ({"min_duration_s": float("nan")}, "least duration of nan"),
    ],
)
def test_what_is_no_threshold_or_length_is_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        segments(timeline("rs"), **given)

"""Intervals of shares against published values, and what is made of two intervals."""

from __future__ import annotations

import pytest
from scipy import stats

from soundprobe.scoring.intervals import Interval, hull, newcombe, tango, wilson


def test_wilson_and_newcombe_match_published_values() -> None:
    """81 of 263 and Newcombe's example a, 56/70 against 48/80, from his two papers of 1998."""
    one = wilson(81 / 263, 263)
    assert (one.low, one.high) == (pytest.approx(0.2553, abs=5e-5), pytest.approx(0.3662, abs=5e-5))
    difference = newcombe(wilson(56 / 70, 70), wilson(48 / 80, 80))
    assert difference.value == pytest.approx(0.2)
    assert (difference.low, difference.high) == (pytest.approx(0.0524, abs=5e-5), pytest.approx(0.3339, abs=5e-5))
    assert wilson(0.0, 20).low == 0.0
    assert wilson(1.0, 20).high == 1.0


def test_wilson_of_all_right_is_a_bound_that_chance_would_seldom_break() -> None:
    found = wilson(1.0, 36)
    assert (found.low, found.high) == (pytest.approx(0.9036, abs=5e-5), 1.0)
    expected = stats.binomtest(36, 36).proportion_ci(method="wilson")
    assert found.low == pytest.approx(expected.low)
    assert stats.binom.pmf(36, 36, found.low) < 0.03  # the truth at its end would seldom show 36 of 36


def test_tango_without_a_discordant_pair_is_symmetric_and_as_wide_as_wilson_at_0() -> None:
    found = tango(36)
    assert (found.low, found.high) == (-found.high, wilson(0.0, 36).high)
    assert found.has_width


def test_hull_takes_each_end_where_it_is_wider_and_names_what_it_is_of() -> None:
    first, second = Interval(0.1, -0.1, 0.2, "bootstrap over recordings"), Interval(0.1, 0.0, 0.3, "corrected t")
    assert hull(first, second) == Interval(0.1, -0.1, 0.3, "bootstrap over recordings or corrected t")
    none = Interval(0.1, None, None, "corrected t")
    assert hull(first, none) == first
    assert hull(none, none) == none
    assert not none.has_width
    assert not Interval(1.0, 1.0, 1.0, "bootstrap over recordings").has_width

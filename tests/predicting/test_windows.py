from __future__ import annotations

import numpy as np
import pytest

from soundprobe.base.errors import ConfigError
from soundprobe.predicting.windows import Grid, Reel, Window, windows

RATE_HZ = 100


def cut(wave: np.ndarray, grid: Grid, block: int = 1000, rate_hz: int = RATE_HZ) -> list[Window]:
    blocks = (wave[at : at + block] for at in range(0, len(wave), block))
    return list(windows([Reel(blocks, rate_hz)], grid))


def ramp(samples: int) -> np.ndarray:
    return np.arange(samples, dtype=np.float32)


@pytest.mark.parametrize("block", [1, 7, 100, 1000])
def test_windows_lie_at_multiples_of_the_hop_wherever_blocks_end_and_the_last_ends_with_the_recording(block):
    found = cut(ramp(510), Grid(2.0, 0.7), block)
    assert [window.start_s for window in found] == pytest.approx([0, 0.7, 1.4, 2.1, 2.8, 3.1])
    assert found[-1].end_s == 5.1
    for window in found:
        first = round(window.start_s * RATE_HZ)
        np.testing.assert_array_equal(window.waves[0], ramp(510)[first : first + 200])
        assert not window.whole


@pytest.mark.parametrize("samples", [1, 150, 200])
def test_recording_no_longer_than_a_window_is_one_whole(samples):
    (window,) = cut(ramp(samples), Grid(2.0, 1.0))
    assert window.whole
    assert window.end_s == samples / RATE_HZ
    np.testing.assert_array_equal(window.waves[0], ramp(samples))


def test_rest_of_less_than_a_millisecond_gets_no_window_and_more_does():
    grid = Grid(1.0, 1.0)
    assert len(cut(ramp(20_010), grid, rate_hz=10_000)) == 2
    assert len(cut(ramp(20_020), grid, rate_hz=10_000)) == 3
    (whole,) = cut(ramp(10_009), grid, rate_hz=10_000)
    assert len(whole.waves[0]) == 10_009


def test_windows_come_as_soon_as_their_last_sample_has():
    asked = []

    def blocks():
        for at in range(0, 1000, 10):
            asked.append(at + 10)
            yield ramp(1000)[at : at + 10]

    for number, _ in enumerate(windows([Reel(blocks(), RATE_HZ)], Grid(2.0, 0.5))):
        if number in (0, 1, 2, 3):
            assert asked[-1] <= 200 + 50 * number + 10


def test_windows_at_two_rates_are_of_the_same_seconds():
    fast, slow = ramp(5000), ramp(500)
    found = list(windows([Reel(iter([fast]), 1000), Reel(iter([slow]), 100)], Grid(2.0, 1.0)))
    for window in found:
        assert [len(wave) for wave in window.waves] == [2000, 200]
        assert window.waves[0][0] == 10 * window.waves[1][0]


def test_reel_holds_no_more_than_windows_need():
    reel = Reel((ramp(100) for _ in range(1000)), RATE_HZ)
    held = [len(reel._held) for _ in windows([reel], Grid(2.0, 1.0))]
    assert max(held) <= 500


@pytest.mark.parametrize(("window_s", "hop_s"), [(0, 1), (1, 0), (float("nan"), 1), (1, float("inf")), (1, 1.5)])
def test_grid_that_is_none_is_refused(window_s, hop_s):
    with pytest.raises(ConfigError, match="is not valid|leaves out"):
        Grid(window_s, hop_s)

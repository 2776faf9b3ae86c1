"""MP3 files that were joined, tagged in the middle or stand behind zeros: all samples, or a reason."""

from __future__ import annotations

import numpy as np
import pytest

from encoded import RATE_HZ, SAMPLES, encode, frames, id3, reason
from soundprobe.audio.decode import decode, inspect

MP3 = encode("MP3", "MPEG_LAYER_III")
BARE = MP3[MP3.index(MP3[:2], 4) :]  # without the Xing header, which is the first frame
BARE_SAMPLES = frames(BARE)
FRAMES = 576 * (BARE_SAMPLES // 576 + 1)  # of a bare stream, 529 samples of the decoder's delay are left out


@pytest.mark.parametrize("between", [b"", id3(256), id3(10_000), b"TAG".ljust(128, b"\0"), bytes(500), b"junk" * 99])
def test_decode_mp3_joined_with_anything_between_is_whole(between: bytes) -> None:
    assert frames(MP3 + between + MP3) == 2 * SAMPLES
    assert frames(MP3 + between + MP3 + between + MP3 + id3(50)) == 3 * SAMPLES
    assert frames(BARE + between + BARE) == BARE_SAMPLES + FRAMES
    assert abs(frames(BARE + between + MP3) - BARE_SAMPLES - SAMPLES) < 2 * 1152
    assert abs(frames(MP3 + between + BARE) - BARE_SAMPLES - SAMPLES) < 2 * 1152


@pytest.mark.parametrize("front", [bytes(1), bytes(5_000), id3(256) + bytes(77), bytes(10) + id3(100) + bytes(10)])
def test_decode_mp3_behind_zeros_is_whole(front: bytes) -> None:
    assert frames(front + MP3) == SAMPLES
    assert frames(front + BARE) == BARE_SAMPLES
    assert inspect(front + MP3, "a").decoder == "zeros"


def test_decode_mp3_joined_hears_both() -> None:
    one = decode(MP3, sample_rate_hz=RATE_HZ, name="a")
    joined = decode(MP3 + id3(256) + MP3, sample_rate_hz=RATE_HZ, name="a")
    np.testing.assert_array_equal(joined, np.tile(one, 2))
    bare = decode(BARE + id3(256) + BARE, sample_rate_hz=RATE_HZ, name="a")
    assert np.abs(bare[-SAMPLES // 2 : -2_000]).max() > 0.3


def test_decode_mp3_joined_of_two_rates_without_xing_is_refused() -> None:
    other = encode("MP3", "MPEG_LAYER_III", 44_100)
    bare = other[other.index(other[:2], 4) :]
    for between in (b"", id3(256)):
        assert reason(BARE + between + bare) == "joined of parts with different rates or channels: split it"

"""Recordings above `WHOLE_SAMPLES`: decoded block by block, and only as much as is used."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import soundfile

import soundprobe.audio.decode as decoding
from encoded import RATE_HZ, SAMPLES, WAVE, encode
from soundprobe.audio.decode import decode, decode_blocks, decode_checked, decode_frames, inspect, survey
from soundprobe.base.errors import AudioError

HOUR_FRAMES = 3600 * RATE_HZ
MOST_BYTES = 64 * 1024**2


@pytest.fixture(scope="module")
def hour() -> bytes:
    """An hour of FLAC that is silent but for its first 2 s: 0.1 MB, and 230 MB once it is decoded."""
    content = io.BytesIO()
    with soundfile.SoundFile(content, "w", RATE_HZ, 1, "PCM_16", format="FLAC") as file:
        file.write(WAVE)
        left = HOUR_FRAMES - len(WAVE)
        while left:
            left -= len(block := np.zeros(min(left, 2**22), np.int16))
            file.write(block)
    return content.getvalue()


@contextmanager
def at_most(most_bytes: int) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most_bytes
    finally:
        tracemalloc.stop()


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two seconds are a long recording, and a block is an odd tenth of them."""
    monkeypatch.setattr(decoding, "WHOLE_SAMPLES", 8_000)
    monkeypatch.setattr(decoding, "BLOCK_SAMPLES", 3_001)


def test_decode_four_seconds_of_an_hour_hold_no_more(hour: bytes) -> None:
    with at_most(MOST_BYTES):
        wave = decode(hour, sample_rate_hz=32_000, name="a", samples=4 * 32_000)
    assert len(wave) == 4 * 32_000
    assert np.abs(wave[: 2 * 32_000]).max() == pytest.approx(0.4, abs=0.01)


def test_decode_blocks_of_an_hour_hold_a_block(hour: bytes) -> None:
    with at_most(MOST_BYTES):
        assert sum(map(len, decode_blocks(hour, sample_rate_hz=8_000, name="a"))) == HOUR_FRAMES // 2


def test_survey_of_an_hour_holds_a_block_and_hears_its_beginning(hour: bytes) -> None:
    with at_most(MOST_BYTES):
        peak, found = survey(hour, "a")
    assert peak == pytest.approx(0.4, abs=1e-3)
    assert found == {}  # silent, but not all of it


def test_decode_more_at_once_than_the_cap_is_refused(hour: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MOST_HELD", 2**22)
    with pytest.raises(AudioError, match="at once: split it"):
        decode(hour, sample_rate_hz=RATE_HZ, name="a")
    with pytest.raises(AudioError, match="at once: split it"):
        decode_frames(hour, "a")


@pytest.mark.parametrize("container", ["flac", "mov"])
def test_decode_of_more_than_the_cap_stops_where_no_header_counts_it(
    container: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if container == "mov":  # FFmpeg's
        pytest.importorskip("av")
        from ffmpeg_sounds import written_by_ffmpeg

        audio = written_by_ffmpeg(WAVE, RATE_HZ, container, "alac")
    else:
        audio = bytearray(encode("FLAC", "PCM_16"))
        audio[21] &= 0xF0
        audio[22:26] = bytes(4)
    assert inspect(bytes(audio), "a").frames == SAMPLES
    monkeypatch.setattr(decoding, "MOST_SAMPLES", SAMPLES - 1)
    with pytest.raises(AudioError, match=r"more than .* samples: split it"):
        inspect(bytes(audio), "a")


@pytest.mark.parametrize("rate_hz", [RATE_HZ, 11_025, 32_000])
@pytest.mark.parametrize("format", ["WAV", "FLAC", "OGG", "MP3", "AIFF"])
def test_decode_blocks_each_format_gives_the_samples_of_decode(
    format: str, rate_hz: int, request: pytest.FixtureRequest
) -> None:
    audio = encode(format, channels=2)
    whole = decode(audio, sample_rate_hz=rate_hz, name="a")
    request.getfixturevalue("small_blocks")
    blocks = list(decode_blocks(audio, sample_rate_hz=rate_hz, name="a"))
    assert len(blocks) > 5
    np.testing.assert_array_equal(np.concatenate(blocks), whole)
    np.testing.assert_array_equal(decode(audio, sample_rate_hz=rate_hz, name="a"), whole)
    np.testing.assert_array_equal(decode(audio, sample_rate_hz=rate_hz, name="a", samples=5_000), whole[:5_000])


@pytest.mark.parametrize("channels", ["mean", "first", "loudest"])
def test_decode_long_clip_picks_the_channel_of_the_whole(channels: str, request: pytest.FixtureRequest) -> None:
    content = io.BytesIO()
    quiet_first = np.stack([WAVE, WAVE[::-1] * np.linspace(0, 2, len(WAVE), dtype=np.float32)], axis=1)
    soundfile.write(content, quiet_first, RATE_HZ, format="WAV", subtype="FLOAT")
    audio = content.getvalue()
    whole = decode(audio, sample_rate_hz=RATE_HZ, name="a", channels=channels)
    request.getfixturevalue("small_blocks")
    np.testing.assert_array_equal(
        decode(audio, sample_rate_hz=RATE_HZ, name="a", channels=channels, samples=900), whole[:900]
    )


@pytest.mark.usefixtures("small_blocks")
def test_decode_long_clip_not_finite_fails_where_it_is_used() -> None:
    content = io.BytesIO()
    soundfile.write(content, np.append(WAVE, np.float32("nan")), RATE_HZ, format="WAV", subtype="FLOAT")
    assert len(decode(content.getvalue(), sample_rate_hz=RATE_HZ, name="a", samples=9_000)) == 9_000
    for whole in (decode, decode_checked):
        with pytest.raises(AudioError, match="NaN or infinite"):
            whole(content.getvalue(), sample_rate_hz=RATE_HZ, name="a")
    with pytest.raises(AudioError, match="NaN or infinite"):
        survey(content.getvalue(), "a")


@pytest.mark.parametrize("small", [False, True])
def test_decode_samples_that_overflow_when_they_are_resampled_are_refused(
    small: bool, request: pytest.FixtureRequest
) -> None:
    """Found by `tests/faults/mutate.py`."""
    content = io.BytesIO()
    wave = np.where(np.arange(SAMPLES) % 7 < 3, -3.4e38, 3.4e38).astype(np.float32)
    soundfile.write(content, wave, RATE_HZ, format="WAV", subtype="FLOAT")
    if small:
        request.getfixturevalue("small_blocks")
    assert len(decode(content.getvalue(), sample_rate_hz=RATE_HZ, name="a")) == SAMPLES
    with pytest.raises(AudioError, match="NaN or infinite"):
        decode(content.getvalue(), sample_rate_hz=32_000, name="a")


@pytest.mark.usefixtures("small_blocks")
def test_survey_of_a_long_clip_finds_what_all_of_it_has() -> None:
    content = io.BytesIO()
    soundfile.write(content, 0.3 + WAVE, RATE_HZ, format="WAV", subtype="FLOAT")
    peak, found = survey(content.getvalue(), "a")
    assert peak == pytest.approx(0.7, abs=1e-3)
    assert found["off_centre"] == pytest.approx(0.3, abs=0.01)


@pytest.mark.parametrize(("channels", "rate_hz"), [(30, RATE_HZ), (30, 384_000), (1, 384_000)])
@pytest.mark.usefixtures("small_blocks")
def test_decode_many_channels_and_high_rates_come_in_blocks(channels: int, rate_hz: int) -> None:
    audio = encode("WAV", rate_hz=rate_hz, channels=channels)
    assert inspect(audio, "a").channels == channels
    wave = decode(audio, sample_rate_hz=32_000, name="a", samples=1_000)
    assert len(wave) == 1_000
    assert np.abs(wave).max() > 0.3

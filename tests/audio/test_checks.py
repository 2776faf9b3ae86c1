"""What is conspicuous about decoded sound: waves of which everybody can say what is wrong with them."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from soundprobe.audio.checks import notes
from soundprobe.audio.decode import check_channels, decode, decode_checked, inspect
from soundprobe.audio.encoded import read_bytes
from soundprobe.base.errors import ConfigError

RATE_HZ = 16_000
TONE = (0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE_HZ) / RATE_HZ)).astype(np.float32)
NOISE = np.random.default_rng(0).normal(scale=0.1, size=(RATE_HZ, 8)).astype(np.float32)


def encode(wave: np.ndarray, subtype: str = "PCM_16") -> bytes:
    content = io.BytesIO()
    soundfile.write(content, wave, RATE_HZ, format="WAV", subtype=subtype)
    return content.getvalue()


def found(wave: np.ndarray, subtype: str = "PCM_16", channels: str = "mean") -> dict[str, float]:
    return dict(decode_checked(encode(wave, subtype), sample_rate_hz=8_000, name="a", channels=channels)[1])


def beside(*channels: np.ndarray) -> np.ndarray:
    return np.stack(channels, axis=1)


@pytest.mark.parametrize("factor", [-1, -0.98, -0.9])
@pytest.mark.parametrize("wave", [TONE, NOISE[:, 0]])
def test_findings_of_opposite_phase_are_that_channels_cancel(wave: np.ndarray, factor: float) -> None:
    assert list(found(beside(wave, factor * wave))) == ["cancelled"]


def test_findings_of_opposite_phase_in_a_short_moment_are_that_channels_cancel() -> None:
    click = np.zeros(RATE_HZ, dtype=np.float32)
    click[5_003] = 0.9
    assert list(found(beside(click, -click))) == ["cancelled"]


def test_findings_of_opposite_phase_on_one_channel_are_none() -> None:
    for channels in ("first", "loudest"):
        assert found(beside(TONE, -TONE), channels=channels) == {}


@pytest.mark.parametrize(
    "wave",
    [
        TONE,
        beside(TONE, TONE),
        beside(TONE, 0 * TONE),  # one side only
        beside(TONE, -0.5 * TONE),
        beside(TONE, np.roll(TONE, 9)),  # a quarter of a period apart
        NOISE[:, :2],
        NOISE,
        beside(TONE, *(0 * TONE for _ in range(5))),
        0.01 * NOISE[:, :2],
        2 * NOISE[:, 0],
    ],
)
def test_findings_of_ordinary_sound_are_none(wave: np.ndarray) -> None:
    assert found(wave) == {}


@pytest.mark.parametrize("channels", [1, 2])
def test_findings_of_zeros_are_silence(channels: int) -> None:
    assert list(found(np.zeros((RATE_HZ, channels)))) == ["silent"]


def test_findings_of_floats_cast_to_integers_are_silence() -> None:
    content = io.BytesIO()
    soundfile.write(content, TONE.round().astype(np.int16), RATE_HZ, format="WAV", subtype="PCM_16")
    assert list(decode_checked(content.getvalue(), sample_rate_hz=8_000, name="a")[1]) == ["silent"]


def test_findings_of_a_constant_are_its_value() -> None:
    assert found(np.full(RATE_HZ, 0.25)) == {"constant": 0.25}


@pytest.mark.parametrize("scale", [2**7, 2**15, 2**31])
def test_findings_of_floats_on_the_scale_of_integers_are_their_peak(scale: float) -> None:
    assert found(scale * TONE, "FLOAT")["far_beyond"] == pytest.approx(0.5 * scale, rel=1e-3)


def test_findings_of_an_offset_are_how_large_it_is() -> None:
    assert found(TONE + 0.25)["off_centre"] == pytest.approx(0.25, abs=1e-3)
    assert found(0.1 * TONE + 0.04) == {}


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "FLOAT"])
@pytest.mark.parametrize("channels", [1, 2])
def test_findings_of_a_wave_cut_off_at_full_scale_are_the_share_of_samples(subtype: str, channels: int) -> None:
    wave = np.clip(3 * TONE, -1, 127 / 128 if subtype == "PCM_U8" else 32767 / 32768)
    share = found(np.repeat(wave[:, None], channels, axis=1), subtype)["clipped"]
    assert share == pytest.approx((np.abs(wave) > 0.99).mean(), abs=0.02)


def test_findings_of_a_tone_at_full_scale_are_none() -> None:
    assert found(2 * TONE, "FLOAT") == {}
    assert found(np.float32(1.999) * TONE) == {}


def test_findings_of_lossy_overshoot_are_none() -> None:
    assert found(3 * TONE, "FLOAT") == {}


def test_notes_count_each_kind_once_and_name_the_first_clips() -> None:
    clips = {f"{n}.wav": {"cancelled": 0.0} for n in range(5)} | {
        "loud.wav": {"far_beyond": 18_925.5},
        "fine.wav": {},
    }
    assert notes(clips) == [
        "5 clips are all but silent when the channels are mixed (0.wav, 1.wav, 2.wav, ...): "
        "--channels first, or loudest.",
        "1 clip is far beyond full scale, up to 18,926 (loud.wav): written as integers? Divide by 32768.",
    ]
    assert notes({"fine.wav": {}}) == []


def test_decode_first_and_loudest_channel_are_the_file_s_own() -> None:
    audio = encode(beside(0.1 * TONE, -TONE, 0.3 * TONE), "FLOAT")
    for channels, wave in (("first", 0.1 * TONE), ("loudest", -TONE), ("mean", (0.1 - 1 + 0.3) / 3 * TONE)):
        decoded = decode(audio, sample_rate_hz=RATE_HZ, name="a", channels=channels)
        np.testing.assert_allclose(decoded, wave, atol=1e-7)


def test_check_channels_of_another_name_lists_the_choices() -> None:
    with pytest.raises(ConfigError, match=r"'left'.*first, loudest, mean"):
        check_channels("left")


def test_findings_of_real_recordings_are_never_that_channels_cancel(shared) -> None:  # type: ignore[no-untyped-def]
    paths = sorted((shared / "data").rglob("*.wav"))
    conspicuous = {}
    for path in paths[::4]:
        audio = read_bytes(path)
        rate_hz = inspect(audio, str(path)).sample_rate_hz
        for kind in decode_checked(audio, sample_rate_hz=rate_hz, name=str(path))[1]:
            conspicuous.setdefault(kind, []).append(path.name)
    assert set(conspicuous) <= {"clipped", "off_centre", "silent"}
    assert len(conspicuous.get("off_centre", [])) < 5

"""Pitch shift: a tone's frequency moves by the interval asked for, its time and length stay."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from soundprobe.augment.pitch_shift import PitchShift, shift_pitch, stretch_time
from soundprobe.base.errors import ConfigError

RATE_HZ = 16_000


def tone(frequency_hz: float, samples: int = RATE_HZ) -> Tensor:
    """(1, T) a sine of amplitude 0.5."""
    return 0.5 * torch.sin(2 * math.pi * frequency_hz * torch.arange(samples) / RATE_HZ)[None]


def peak_hz(wave: Tensor) -> float:
    """The strongest frequency of the middle half of (T,), to a fraction of a Hz."""
    middle = wave[len(wave) // 4 : -len(wave) // 4]
    spectrum = torch.fft.rfft(middle * torch.hann_window(len(middle)), n=16 * len(middle)).abs()
    return float(spectrum.argmax()) * RATE_HZ / (16 * len(middle))


@pytest.mark.parametrize("semitones", [12.0, -12.0, 7.0, 2.0, 0.5, -0.5, -3.5])
def test_tone_moves_by_the_interval_within_five_cents(semitones: float):
    shifted = shift_pitch(tone(440), semitones, RATE_HZ)
    cents = 1200 * math.log2(peak_hz(shifted[0]) / 440)
    assert abs(cents - 100 * semitones) < 6  # 5 of the fraction, 1 of the measurement


def test_a_tone_of_440_hz_an_octave_up_is_at_880_hz():
    assert peak_hz(shift_pitch(tone(440), 12, RATE_HZ)[0]) == pytest.approx(880, abs=1)


@pytest.mark.parametrize("semitones", [-4.0, 3.0])
def test_length_level_and_time_stay(semitones: float):
    wave = tone(440)
    wave[:, : RATE_HZ // 2] = 0  # the tone begins at half a second
    shifted = shift_pitch(wave, semitones, RATE_HZ)
    assert shifted.shape == wave.shape
    loud = shifted[0, RATE_HZ * 6 // 10 : RATE_HZ * 9 // 10]
    assert float(loud.square().mean().sqrt()) == pytest.approx(0.5 / math.sqrt(2), rel=0.06)  # half a dB
    assert shifted[0, : RATE_HZ * 45 // 100].abs().max() < 0.01


def test_what_would_pass_half_the_rate_is_filtered_out():
    shifted = shift_pitch(tone(6000), 12, RATE_HZ)  # 12 kHz can't be; folded back it would be 4 kHz
    assert shifted[0, 2000:-2000].abs().max() < 0.01


def test_stretching_keeps_the_pitch():
    slower = stretch_time(tone(440), 1.5, 9)
    assert slower.shape == (1, RATE_HZ * 3 // 2)
    assert peak_hz(slower[0]) == pytest.approx(440, abs=1)


def test_clips_of_one_batch_are_shifted_as_if_alone_and_padding_stays_silent():
    wave = torch.cat([tone(440), tone(300), tone(1000), tone(500)])
    lengths = torch.tensor([RATE_HZ, 9_000, RATE_HZ, RATE_HZ])
    wave[1, 9_000:] = 0
    shift = PitchShift(max_semitones=2, step_semitones=1, probability=0.8)
    steps = shift.draw_steps(4, torch.Generator().manual_seed(0)).tolist()
    assert steps == [-1, 2, -2, 0]
    shifted, same = shift(wave, lengths, RATE_HZ, torch.Generator().manual_seed(0))
    for row, step in enumerate(steps):
        alone = shift_pitch(wave[row : row + 1], step, RATE_HZ)[0]
        alone[lengths[row] :] = 0
        assert torch.allclose(shifted[row], alone, atol=1e-5)
    assert torch.equal(same, lengths)


def test_drawn_steps_are_all_those_up_to_the_limit_but_none():
    steps = PitchShift(max_semitones=1.2, step_semitones=0.4, probability=1.0).draw_steps(
        500, torch.Generator().manual_seed(0)
    )
    assert set(steps.tolist()) == {-3, -2, -1, 1, 2, 3}


def test_noise_loses_less_than_three_decibels():
    wave = 0.1 * torch.randn(1, RATE_HZ, generator=torch.Generator().manual_seed(0))
    lower = shift_pitch(wave, -3, RATE_HZ)
    assert 10 * math.log10(float(wave.square().mean() / lower.square().mean())) < 3  # without the locking, 4


@pytest.mark.parametrize("samples", [1, 10, 127, 128])
def test_clip_shorter_than_a_window_keeps_its_length(samples: int):
    shifted = shift_pitch(tone(440, samples), 2, RATE_HZ)
    assert shifted.shape == (1, samples)
    assert shifted.isfinite().all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_semitones": 13.0}, "pitch_shift.max_semitones = 13.0 is not valid: give 0 to 12."),
        ({"step_semitones": 0.0}, "pitch_shift.step_semitones = 0.0 is not valid: give 0.25 to 12."),
        (
            {"max_semitones": 1.0, "step_semitones": 2.0},
            "pitch_shift.step_semitones = 2.0 is above max_semitones = 1.0, which leaves no step: give at most that.",
        ),
    ],
)
def test_pitch_shift_given_a_bad_setting_says_what_is_valid(settings: dict, message: str):
    with pytest.raises(ConfigError) as caught:
        PitchShift(**settings)
    assert str(caught.value) == message

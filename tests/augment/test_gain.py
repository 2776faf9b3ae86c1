"""Gain: 6.02 dB double a wave."""

from __future__ import annotations

import math

import pytest
import torch

from soundprobe.augment.gain import Gain, amplify
from soundprobe.base.errors import ConfigError


def test_six_decibels_double_and_minus_twenty_leave_a_tenth():
    wave = torch.tensor([[0.1, -0.2], [0.5, 1.0], [0.3, 0.7]])
    louder = amplify(wave, torch.tensor([20 * math.log10(2), -20.0, 0.0]))
    assert torch.allclose(louder[:2], torch.tensor([[0.2, -0.4], [0.05, 0.1]]))
    assert torch.equal(louder[2], wave[2])


def test_drawn_gains_fill_the_range_and_never_pass_it():
    wave = torch.ones(1000, 3)
    louder, _ = Gain(max_gain_db=6.0, probability=1.0)(
        wave, torch.full((1000,), 3), 16_000, torch.Generator().manual_seed(0)
    )
    gain_db = 20 * louder[:, 0].log10()
    assert gain_db.abs().max() <= 6.0001
    assert gain_db.max() > 5.9
    assert gain_db.min() < -5.9
    assert abs(gain_db.mean()) < 0.5  # its standard error is 6 / sqrt(3) / sqrt(1000) = 0.11 dB


def test_half_of_the_clips_are_changed_at_probability_one_half():
    louder, _ = Gain(probability=0.5)(
        torch.ones(1000, 1), torch.ones(1000).long(), 16_000, torch.Generator().manual_seed(0)
    )
    assert 430 < int((louder != 1).sum()) < 570  # 4.4 standard deviations


def test_gain_given_a_negative_limit_says_what_is_valid():
    with pytest.raises(ConfigError, match=r"^gain.max_gain_db = -3 is not valid: give 0 to 60\.$"):
        Gain(max_gain_db=-3)

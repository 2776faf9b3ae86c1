from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from soundprobe.viewing.spectrogram import BANDS, COLUMNS, picture, spectrogram
from sounds import tone


@pytest.mark.parametrize("frequency_hz", [300, 1000, 5000])
def test_tone_is_loudest_at_its_own_height(frequency_hz):
    shown = spectrogram(tone(frequency_hz, 1.0), 22_050)
    loudest = shown.levels.mean(axis=1).argmax()
    assert (loudest + 0.5) / BANDS == pytest.approx(shown.height_of(frequency_hz), abs=1.5 / BANDS)


def test_tone_that_ends_half_way_is_bright_in_its_half_only():
    wave = np.concatenate([tone(1000, 1.0), np.zeros(22_050, dtype=np.float32)])
    levels = spectrogram(wave, 22_050).levels
    middle = levels.shape[1] // 2
    assert levels[:, : middle - 5].max(axis=0).min() > 0.8
    assert levels[:, middle + 5 :].max() == 0


@pytest.mark.parametrize("samples", [1, 7, 500, 22_050, 22_050 * 120])
def test_picture_has_a_bounded_width_whatever_the_length(samples):
    wave = np.random.default_rng(0).normal(size=samples).astype(np.float32)
    levels = spectrogram(wave, 22_050).levels
    assert levels.shape[0] == BANDS
    assert 1 <= levels.shape[1] <= COLUMNS[1]
    assert np.isfinite(levels).all()
    shown = Image.open(io.BytesIO(picture(levels)))
    assert (shown.format, shown.size) == ("WEBP", levels.shape[::-1])


def test_silence_is_dark_and_finite():
    levels = spectrogram(np.zeros(22_050, dtype=np.float32), 22_050).levels
    assert levels.max() == 0


def test_short_click_still_spreads_over_many_columns():
    assert spectrogram(tone(1000, 0.05), 22_050).levels.shape[1] > 200

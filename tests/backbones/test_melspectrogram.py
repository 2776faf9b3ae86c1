"""The power of frames by convolution, as exported graphs have it, beside the one by FFT."""

from __future__ import annotations

import copy

import pytest
import torch

from soundprobe.backbones.ast import KaldiPower
from soundprobe.backbones.melspectrogram import FramePower, PowerSpectrogram

POWERS = {
    "a window as long as the transform": PowerSpectrogram(
        n_fft=512, hop=160, window=torch.hann_window(512), pad_mode="constant"
    ),
    "a shorter window, mirrored at the ends": PowerSpectrogram(
        n_fft=1024, hop=320, window=torch.hann_window(800, periodic=False), pad_mode="reflect"
    ),
    "Kaldi's, with pre-emphasis": KaldiPower(),
}


@pytest.mark.parametrize("samples", [1600, 3201])
@pytest.mark.parametrize("which", POWERS)
def test_power_by_convolution_is_that_by_fft(which, samples):
    by_fft: FramePower = POWERS[which]
    convolving = copy.deepcopy(by_fft)
    convolving.as_convolution()
    waves = torch.rand(3, samples, generator=torch.Generator().manual_seed(0)) - 0.5
    expected, found = by_fft(waves), convolving(waves)
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6 * float(expected.max()))
    assert not convolving.state_dict()

"""The VGG-like network: its shape, its input, and that it learns."""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import pytest
import torch
from backbone_inputs import Loader, sounds
from overfitting import overfit
from torch import nn

from soundprobe.backbones.vgg import Vgg

RATE_HZ = 22_050


def test_vgg_is_pairs_of_3_by_3_convolutions_that_double_in_width() -> None:
    convolutions = [layer for layer in Vgg().modules() if isinstance(layer, nn.Conv2d)]
    assert [layer.out_channels for layer in convolutions] == [16, 16, 32, 32, 64, 64, 128, 128, 256, 256]
    assert {layer.kernel_size for layer in convolutions} == {(3, 3)}


def test_vgg_spectrogram_equals_librosas() -> None:
    wave = sounds(2 * RATE_HZ, RATE_HZ)
    for clip, ours in zip(wave.numpy(), Vgg().spectrogram(wave).numpy(), strict=True):
        mel = librosa.feature.melspectrogram(y=clip, sr=RATE_HZ, n_fft=1024, hop_length=512, n_mels=64)
        decibels = librosa.power_to_db(mel, ref=1.0, top_db=None)
        audible = decibels > decibels.max() - 80  # below that float32's rounding shows
        assert audible.mean() > 0.1
        np.testing.assert_allclose((20 * ours - 25)[audible], decibels[audible], atol=0.05)


@pytest.mark.parametrize("frames", [16, 17, 173, 431])
def test_vgg_takes_any_length_from_16_frames(frames: int, random_backbone: Loader) -> None:
    with torch.inference_mode():
        assert random_backbone("vgg").network.embed_spectrogram(torch.zeros(1, 64, frames)).shape == (1, 256)


def test_vgg_learns_20_real_clips_by_heart(private_backbone: Loader, shared: Path) -> None:
    before, after = overfit(private_backbone("vgg"), shared, steps=8, lr=1e-3)
    assert after < before / 20

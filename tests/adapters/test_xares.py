"""Our backbones in X-ARES, checked by its own function."""

from __future__ import annotations

import pytest
import torch

from optional import needed
from soundprobe.adapters import xares
from soundprobe.backbones.catalog import BACKBONES


def encoder(name: str) -> xares.BackboneEncoder:
    class ThisEncoder(xares.BackboneEncoder):
        backbone = name
        weights = BACKBONES[name].weights_at_hand

    return ThisEncoder()


@pytest.mark.parametrize("name", ["crnn", "logmel-stats", "mn04", "simplecnn", "timm:test_vit", "vgg"])
def test_xares_encoder_passes_its_own_check(name):
    check = needed("xares.audio_encoder_checker")
    assert check.check_audio_encoder(encoder(name))


def test_xares_frames_of_a_backbone_are_one_every_hop():
    model = encoder("vgg")
    frames = model(torch.randn(2, 25 * model.sampling_rate, generator=torch.Generator().manual_seed(0)))
    assert frames.shape == (2, 25_000 // model.hop_size_in_ms, 256)


def test_xares_encoder_without_frames_gives_the_embedding_of_the_clip():
    model = encoder("timm:test_vit")
    waves = torch.randn(2, 3 * model.sampling_rate, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model(waves), model.embed(waves)[:, None])
    assert model.hop_size_in_ms == 4000

"""The CRNN: time resolution, order in time, padding, and that it learns."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from backbone_inputs import Loader
from overfitting import overfit, real_seconds

from soundprobe.backbones.crnn import Crnn


@pytest.mark.parametrize("frames", [1, 5, 173])
def test_crnn_convolutions_keep_every_frame(frames: int) -> None:
    module = Crnn().eval()
    with torch.inference_mode():
        assert module.convolutions(torch.zeros(2, 1, 64, frames)).shape == (2, 128, 1, frames)
        assert module.embed_spectrogram(torch.zeros(2, 64, frames)).shape == (2, 256)


def test_crnn_embedding_depends_on_the_order_of_the_frames(random_backbone: Loader) -> None:
    module = random_backbone("crnn").network
    spectrogram = torch.randn(1, 64, 60, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        forwards, backwards = module.embed_spectrogram(spectrogram), module.embed_spectrogram(spectrogram.flip(2))
    assert (forwards - backwards).abs().max() > 0.01


def test_crnn_embedding_is_a_weighted_mean_of_the_grus_states(random_backbone: Loader) -> None:
    module = random_backbone("crnn").network
    seen: list[torch.Tensor] = []
    handle = module.gru.register_forward_hook(lambda *call: seen.append(call[2][0]))
    spectrogram = torch.randn(1, 64, 20, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        embedding = module.embed_spectrogram(spectrogram)
    handle.remove()
    (states,) = seen
    assert states.shape == (1, 20, 256)
    assert (embedding <= states.amax(dim=1)).all()
    assert (embedding >= states.amin(dim=1)).all()


def test_crnn_padding_moves_the_embedding_no_more_than_in_the_vgg_like_network(
    random_backbone: Loader, shared: Path
) -> None:
    """How far a second of silence moves an embedding, as a part of the mean distance between clips."""
    wave, _ = real_seconds(shared)
    padded = torch.nn.functional.pad(wave, (0, wave.shape[1]))
    moved = {}
    for name in ("crnn", "vgg"):
        module = random_backbone(name).network
        with torch.inference_mode():
            alone, with_silence = module(wave), module(padded)
        between = torch.pdist(alone).mean()
        moved[name] = ((with_silence - alone).norm(dim=1).mean() / between).item()
    assert moved["crnn"] < moved["vgg"]
    assert moved["crnn"] < 2


def test_crnn_learns_20_real_clips_by_heart(private_backbone: Loader, shared: Path) -> None:
    before, after = overfit(private_backbone("crnn"), shared, steps=12, lr=3e-3)
    assert after < before / 20

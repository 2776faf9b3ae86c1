"""What every backbone in the catalogue must do, with random weights."""

from __future__ import annotations

import pytest
import torch
from backbone_inputs import Loader, samples_of, sounds

from soundprobe.backbones.load import LoadedBackbone
from soundprobe.backbones.protocol import Backbone, SpectrogramBackbone

HEADS = {"panns": "cnn.fc_audioset", "mn04": "classifier", "simplecnn": "fc2"}
"""Layers after the embedding, which its gradient can't reach."""


def assert_close(ours: torch.Tensor, expected: torch.Tensor, tolerance: float) -> None:
    """Within `tolerance` of the largest number of `expected`."""
    scale = expected.abs().max().item()
    assert scale > 0
    assert (ours - expected).abs().max().item() <= tolerance * scale


def embed(backbone: LoadedBackbone, wave: torch.Tensor) -> torch.Tensor:
    """(B, D) of waves (B, T) that are all audio."""
    with torch.inference_mode():
        return backbone.network.embed(wave, torch.full((len(wave),), wave.shape[1]))


def test_backbone_keeps_the_contract(name: str, random_backbone: Loader) -> None:
    backbone = random_backbone(name)
    assert isinstance(backbone.network, Backbone)
    assert isinstance(backbone.network, SpectrogramBackbone) == backbone.spec.trainable
    assert backbone.spec.trainable or backbone.spec.precisions == ("fp32",)
    assert (backbone.weights.kind == "none") == (backbone.spec.parameters == 0)
    backbone.network.release()


def test_backbone_batch_gives_finite_float32_embeddings(name: str, random_backbone: Loader) -> None:
    backbone = random_backbone(name)
    wave = sounds(samples_of(backbone), backbone.spec.sample_rate_hz)
    embedding = embed(backbone, wave)
    assert embedding.shape == (3, backbone.spec.embedding_dim)
    assert embedding.dtype == torch.float32
    assert embedding.isfinite().all()
    assert not torch.equal(embedding[0], embedding[1])


def test_backbone_same_clips_twice_gives_same_bits(name: str, random_backbone: Loader) -> None:
    backbone = random_backbone(name)
    wave = sounds(samples_of(backbone), backbone.spec.sample_rate_hz)[1:2]
    assert torch.equal(embed(backbone, wave), embed(backbone, wave))


def test_backbone_clip_alone_in_batch_or_reordered_gives_same_embedding(name: str, random_backbone: Loader) -> None:
    backbone = random_backbone(name)
    wave = sounds(samples_of(backbone), backbone.spec.sample_rate_hz)
    order = [2, 0, 1]
    batch = embed(backbone, wave)
    alone = torch.cat([embed(backbone, clip[None]) for clip in wave])
    reordered = embed(backbone, wave[order])
    for clip in range(3):  # clip by clip: a loud clip's scale must not hide a quiet one's error
        assert_close(alone[clip], batch[clip], 1e-5)
        assert_close(reordered[order.index(clip)], batch[clip], 1e-5)


@pytest.mark.parametrize("level", [0.0, 1e-20, 1e-7])
def test_backbone_silence_gives_finite_embedding(name: str, level: float, random_backbone: Loader) -> None:
    backbone = random_backbone(name)
    wave = level * sounds(samples_of(backbone), backbone.spec.sample_rate_hz)[:1]
    assert embed(backbone, wave).isfinite().all()


def test_backbone_in_training_mode_gradient_reaches_every_layer(trainable: str, private_backbone: Loader) -> None:
    backbone = private_backbone(trainable)
    module = backbone.network.train()
    wave = sounds(samples_of(backbone), backbone.spec.sample_rate_hz)[:1]
    module(wave).square().sum().backward()
    head = HEADS.get(trainable, "no head")
    for parameter_name, parameter in module.named_parameters():
        if parameter_name.startswith(head):
            assert parameter.grad is None or not parameter.grad.any(), parameter_name
        else:
            assert parameter.grad is not None, parameter_name
            assert parameter.grad.isfinite().all(), parameter_name
    grads = [p.grad.abs().max() for n, p in module.named_parameters() if not n.startswith(head) and p.dim() > 1]
    assert sum(bool(grad > 0) for grad in grads) == len(grads)


def test_backbone_under_autocast_spectrogram_stays_in_full_precision(trainable: str, random_backbone: Loader) -> None:
    backbone = random_backbone(trainable)
    wave = sounds(samples_of(backbone), backbone.spec.sample_rate_hz)
    with torch.inference_mode():
        expected = backbone.network.spectrogram(wave)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(backbone.network.spectrogram(wave), expected)


def test_backbone_forward_is_embed_of_spectrogram(trainable: str, random_backbone: Loader) -> None:
    backbone = random_backbone(trainable)
    wave = sounds(samples_of(backbone), backbone.spec.sample_rate_hz)[:1]
    lengths = torch.tensor([wave.shape[1] // 2])
    with torch.inference_mode():
        spectrogram = backbone.network.spectrogram(wave, lengths)
        assert spectrogram.dim() == 3  # (B, F, M), what SpecAugment masks
        assert spectrogram.shape[1] == backbone.spec.frontend["mel_bands"]
        assert torch.equal(backbone.network.embed_spectrogram(spectrogram), backbone.network(wave, lengths))


def test_backbone_state_dict_passes_convert_unchanged(trainable: str, random_backbone: Loader) -> None:
    module = random_backbone(trainable).network
    state = module.state_dict()
    converted = type(module).convert(state)
    assert list(converted) == list(state)
    assert all(converted[key] is state[key] for key in state)

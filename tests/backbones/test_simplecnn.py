"""The notes' network: its size, its front end against librosa, and each clip on its own."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import torch
from backbone_inputs import sounds

from soundprobe.backbones.simplecnn import SimpleCnn

RATE_HZ = 22_050


@pytest.mark.parametrize(("classes", "parameters"), [(10, 1_400_970), (50, 1_406_130)])
def test_simplecnn_has_the_notes_parameters(classes: int, parameters: int) -> None:
    assert sum(p.numel() for p in SimpleCnn(num_classes=classes).parameters()) == parameters


def test_simplecnn_state_dict_has_the_notes_layers_only() -> None:
    layers = ("conv1", "conv2", "conv3", "fc1", "fc2")
    assert list(SimpleCnn().state_dict()) == [f"{layer}.{part}" for layer in layers for part in ("weight", "bias")]


def test_simplecnn_spectrogram_equals_librosas_clip_by_clip() -> None:
    wave = sounds(4 * RATE_HZ, RATE_HZ)
    ours = SimpleCnn().spectrogram(wave)
    assert ours.shape == (3, 64, 173)
    for clip, decibels in zip(wave.numpy(), ours.numpy(), strict=True):
        mel = librosa.feature.melspectrogram(y=clip, sr=RATE_HZ, n_mels=64, hop_length=512)
        np.testing.assert_allclose(decibels, librosa.power_to_db(mel, ref=1.0), atol=0.01)


def test_simplecnn_quiet_clip_beside_a_loud_one_keeps_its_own_floor() -> None:
    loud = sounds(4 * RATE_HZ, RATE_HZ)[0]
    quiet = 1e-5 * loud
    model = SimpleCnn()
    together = model.spectrogram(torch.stack([loud, quiet]))[1]
    # Within rounding, which hangs on the batch on some CPUs; under the loud clip's floor it would be flat.
    torch.testing.assert_close(together, model.spectrogram(quiet[None])[0], rtol=0, atol=1e-4)
    assert together.max() - together.min() > 30


def test_simplecnn_embedding_is_what_fc2_sees() -> None:
    model = SimpleCnn().eval()
    wave = sounds(4 * RATE_HZ, RATE_HZ)
    with torch.inference_mode():
        embedding = model(wave)
        assert (embedding >= 0).all()
        assert torch.equal(model.fc2(embedding), model.logits(wave))
    assert model.logits(wave).shape == (3, 10)


def test_simplecnn_training_drops_out_before_fc2_only() -> None:
    model = SimpleCnn().train()
    wave = sounds(4 * RATE_HZ, RATE_HZ)
    with torch.no_grad():
        assert torch.equal(model(wave), model(wave))
        assert not torch.equal(model.logits(wave), model.logits(wave))

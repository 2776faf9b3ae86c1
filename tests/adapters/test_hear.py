"""Our backbones as modules of HEAR 2021: the checks of hearvalidator, and that the numbers are those of `extract`.

hearvalidator itself imports TensorFlow, 1.2 GB, only to tell its modules from PyTorch's. So its checks of
PyTorch modules (version 2021.0.6) stand here anew; docs/kits.md says what it said itself.
"""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
import soundfile
import torch

from soundprobe.adapters import hear
from soundprobe.backbones.catalog import BACKBONES
from soundprobe.backbones.protocol import Backbone
from soundprobe.backbones.spec import BackboneSpec
from soundprobe.base.errors import ConfigError, WeightsError
from soundprobe.embeddings.sounds import embed_sounds
from sounds import tone

QUICK = ["crnn", "logmel-stats", "simplecnn", "test_hear:Loudness", "vgg"]
"""With frames and, as `Loudness`, without."""


def load(backbone: str) -> hear.HearModel:
    return hear.HearModel(backbone, BACKBONES[backbone].weights_at_hand)


def validate(module: ModuleType, model: torch.nn.Module) -> None:
    """What hearvalidator checks of a PyTorch module, in its order, on its sounds: white noise."""
    assert isinstance(model, torch.nn.Module)
    assert model.sample_rate in [16_000, 22_050, 32_000, 44_100, 48_000]
    assert isinstance(model.scene_embedding_size, int)
    assert isinstance(model.timestamp_embedding_size, int)

    for seconds in (1.07, 1.98, 4.0):
        noise = 2 * torch.rand((2, int(seconds * model.sample_rate))) - 1
        embeddings, timestamps = module.get_timestamp_embeddings(noise, model)
        assert embeddings.dtype == torch.float32
        assert embeddings.shape == (2, timestamps.shape[1], model.timestamp_embedding_size)
        assert timestamps.shape[0] == 2
        if timestamps.shape[1] > 1:
            between = torch.diff(timestamps)
            assert (between - between.mean()).abs().max() <= 1
            assert timestamps.max() <= 1000 * seconds

    embeddings = module.get_scene_embeddings(2 * torch.rand((4, int(2.74 * model.sample_rate))) - 1, model)
    assert embeddings.dtype == torch.float32
    assert embeddings.shape == (4, model.scene_embedding_size)


@pytest.mark.parametrize("backbone", QUICK)
def test_hear_module_of_a_backbone_passes_the_checks_of_hearvalidator(backbone):
    validate(hear, load(backbone))


class Loudness(Backbone):
    """Of 24 kHz, a rate that HEAR doesn't have: the module asks for 48 and resamples."""

    spec = BackboneSpec(name="loudness", embedding_dim=2, sample_rate_hz=24_000, parameters=0)

    def __init__(self, *, clip_seconds: float | None = None) -> None:
        pass

    def embed(self, waves: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        return torch.stack([waves.abs().amax(dim=1), waves.std(dim=1)], dim=1)


@pytest.mark.parametrize(("backbone", "rate_hz"), [("test_hear:Loudness", 48_000), ("mn04", 32_000)])
def test_hear_scene_embeddings_are_those_of_the_same_sounds_in_files(backbone, rate_hz, tmp_path):
    model = load(backbone)
    waves = [tone(300, 2.3), tone(900, 2.3)]
    files = [tmp_path / "a.wav", tmp_path / "b.wav"]
    for file, wave in zip(files, waves, strict=True):
        soundfile.write(file, wave, model.sample_rate, subtype="FLOAT")
    expected = embed_sounds(model.loaded, files, torch.device("cpu"))
    assert model.sample_rate == rate_hz
    np.testing.assert_array_equal(hear.get_scene_embeddings(torch.from_numpy(np.stack(waves)), model).numpy(), expected)


@pytest.mark.parametrize("backbone", ["crnn", "logmel-stats", "mn04", "vgg"])
def test_hear_timestamps_of_a_long_sound_go_on_evenly_and_say_where_its_event_is(backbone):
    """30 s, three times as long as these backbones take at once, silent but for half a second of noise."""
    model = load(backbone)
    silence = torch.zeros(1, 30 * model.sample_rate)
    wave = silence.clone()
    at = slice(round(23.4 * model.sample_rate), round(23.9 * model.sample_rate))
    wave[0, at] = 0.5 * torch.randn(at.stop - at.start, generator=torch.Generator().manual_seed(0))
    embeddings, timestamps = hear.get_timestamp_embeddings(wave, model)
    assert embeddings.shape[:2] == timestamps.shape
    hop_ms = 1000 * model.spec.frames.hop / model.spec.sample_rate_hz
    assert torch.all(torch.abs(torch.diff(timestamps[0]) - hop_ms) < 0.004)  # float32 at 30,000 ms
    assert 29_000 < timestamps[0, -1] <= 30_000
    change = (embeddings - hear.get_timestamp_embeddings(silence, model)[0])[0].norm(dim=1)
    assert 23_000 < timestamps[0, change.argmax()] < 24_300


def test_hear_timestamps_without_frames_are_a_second_each_every_50_ms():
    model = load("test_hear:Loudness")
    wave = torch.from_numpy(tone(440, 4.8))[None]  # 2.2 s at 48 kHz
    embeddings, timestamps = hear.get_timestamp_embeddings(wave, model)
    torch.testing.assert_close(timestamps[0], 50.0 * torch.arange(45))
    middle = model.at_own_rate(wave)[:, 2_400 : 2_400 + 24_000]  # around 600 ms
    torch.testing.assert_close(embeddings[0, 12], model.embed(middle)[0])


def test_hear_model_without_a_file_takes_published_weights_and_says_where_there_are_none():
    with pytest.raises(WeightsError, match="crnn has no pretrained weights"):
        hear.load_model(backbone="crnn")
    with pytest.raises(ConfigError, match="Did you mean 'mn04'"):
        hear.load_model(backbone="mn4")

"""Encoders of MTEB as backbones: one of the tests' own, by class and by ModelMeta, and one of MTEB's table."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from optional import needed
from soundprobe.backbones.catalog import BACKBONES
from soundprobe.backbones.load import choices_in, load_backbone
from soundprobe.backbones.mteb_encoder import _encoder
from soundprobe.base.errors import ConfigError, SoundprobeError
from soundprobe.embeddings.store import open_set, read_embeddings
from soundprobe.verbs.extract import extract
from sounds import write_urbansound_layout


@pytest.fixture(scope="module", autouse=True)
def mteb():
    return needed("mteb")


@pytest.mark.parametrize("address", ["mteb:mteb_bands:BandsEncoder", "mteb:mteb_bands:META"])
def test_mteb_encoder_gives_embeddings_of_every_clip(address, tmp_path):
    toy = write_urbansound_layout(tmp_path / "toy", folds=1, seconds=0.7)
    (made,) = extract(toy, backbone=address, embeddings=tmp_path / "embeddings", device="cpu", progress=False)
    found = read_embeddings(open_set(made.folder))
    assert found.features.shape == (12, 12)
    centres = np.stack([found.features[found.labels == label].mean(axis=0) for label in range(3)])
    nearest = np.linalg.norm(found.features[:, None] - centres, axis=2).argmin(axis=1)
    assert (nearest == found.labels).mean() > 0.9
    assert found.meta["backbone"]["settings"]["frontend"]["code_sha256"]
    assert found.meta["backbone"]["parameters"] == 16 * 12 + 12


def test_mteb_encoder_whose_weights_are_drawn_is_the_same_when_it_is_loaded_again():
    """As the heads are that some of MTEB's models have and their files don't."""
    first = load_backbone("mteb:mteb_bands:BandsEncoder").weights
    _encoder.cache_clear()
    assert load_backbone("mteb:mteb_bands:BandsEncoder").weights == first
    assert (first.kind, first.label) == ("random", "random (seed 0)")


def test_mteb_encoder_has_the_weights_of_all_modules_that_it_holds_in_its_key(monkeypatch):
    backbone = load_backbone("mteb:mteb_bands:BandsEncoder")
    assert set(backbone.network.state_dict()) == {"held.network.weight", "held.network.bias"}
    encoder = _encoder("mteb_bands:BandsEncoder")
    wrapped = SimpleNamespace(clap=torch.nn.Linear(2, 1, bias=False))
    wrapped.itself = wrapped
    monkeypatch.setattr(encoder, "wrapped", {"of.two": [wrapped]}, raising=False)
    digests = []
    for value in (0.0, 1.0):
        torch.nn.init.constant_(wrapped.clap.weight, value)
        again = load_backbone("mteb:mteb_bands:BandsEncoder")
        digests.append(again.weights.sha256)
    assert "held.wrapped-of-two-0-clap.weight" in again.network.state_dict()
    assert not wrapped.clap.training
    assert len({backbone.weights.sha256, *digests}) == 3


def test_mteb_encoder_hears_each_clip_without_its_padding_and_neighbours():
    backbone = load_backbone("mteb:mteb_bands:BandsEncoder")
    waves = torch.randn(3, 24_000, generator=torch.Generator().manual_seed(0))
    waves[1, 10_000:] = 0
    lengths = torch.tensor([24_000, 10_000, 24_000])
    with torch.inference_mode():
        together = backbone.network.embed(waves, lengths)
        alone = torch.cat(
            [backbone.network.embed(waves[r : r + 1, :n], lengths[r : r + 1]) for r, n in enumerate(lengths)]
        )
    torch.testing.assert_close(together, alone)
    assert torch.equal(torch.tensor(together.shape), torch.tensor([3, 12]))


def test_mteb_encoder_of_its_table_is_loaded_by_name():
    backbone = load_backbone("mteb:mteb/baseline-random-encoder")
    again = load_backbone(backbone.spec.name, **choices_in(backbone.settings))  # as what opens a run does
    assert (again.settings, again.weights) == (backbone.settings, backbone.weights)
    assert (backbone.spec.embedding_dim, backbone.spec.sample_rate_hz) == (32, 48_000)
    assert backbone.settings["frontend"]["revision"]


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("mteb:openai/whisper-tini", r"MTEB .* has no model 'openai/whisper-tini'.*get_model_metas"),
        ("mteb:nowhere:Encoder", "backbone 'mteb:nowhere:Encoder': nowhere:Encoder can't be imported"),
        ("mteb:mteb_bands:TEXT", "takes text and no audio"),
        ("mteb:mteb_bands:REMOTE", "runs code from the Hugging Face Hub. If you trust it, give --trust-remote-code"),
        ("mteb:collections:OrderedDict", "can't be loaded.*TypeError"),
        ("mteb:json:decoder", r"is a module, which lacks encode\(\.\.\.\) of MTEB"),
        ("mteb:mteb_bands:FETCHED", "can't be loaded; SOUNDPROBE_OFFLINE forbids to fetch anything .LocalEntryNot"),
    ],
)
def test_mteb_name_that_can_not_be_used_is_one_clear_line(address, message, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("SOUNDPROBE_OFFLINE", "1")
    with pytest.raises(SoundprobeError, match=message) as caught:
        BACKBONES[address]
    assert "\n" not in str(caught.value)


def test_mteb_name_without_mteb_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "mteb.models", None)
    with pytest.raises(ConfigError, match=r"pip install 'soundprobe\[mteb\]'"):
        BACKBONES["mteb:some/other"]

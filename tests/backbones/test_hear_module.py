"""Modules of HEAR 2021 as backbones: one of the tests' own, from clips to scores, and those that don't keep the API."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import hear_bands
import numpy as np
import pytest
import torch

from soundprobe.audio.decode import decode
from soundprobe.backbones import hear_module
from soundprobe.backbones.catalog import BACKBONES
from soundprobe.backbones.load import load_backbone
from soundprobe.base.errors import ConfigError, SoundprobeError, WeightsError
from soundprobe.base.registry import allow
from soundprobe.embeddings.store import open_set, read_embeddings, read_frames
from soundprobe.verbs.export import export
from soundprobe.verbs.extract import extract
from soundprobe.verbs.predict import predict
from soundprobe.verbs.probe import probe
from sounds import write_urbansound_layout

BANDS = "hear:hear_bands"


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    return write_urbansound_layout(tmp_path_factory.mktemp("hear") / "toy", seconds=0.7)


@pytest.fixture
def weights(tmp_path) -> Path:
    torch.save({"weight": torch.ones(24)}, tmp_path / "bands.pt")
    return tmp_path / "bands.pt"


def test_hear_module_goes_from_clips_to_scores_and_predictions(toy, tmp_path):
    (made,) = extract(toy, backbone=BANDS, embeddings=tmp_path / "embeddings", device="cpu", progress=False)
    found = read_embeddings(open_set(made.folder))
    assert found.features.shape == (36, 24)
    assert found.meta["backbone"]["weights_label"] == "random (seed 0)"
    frontend = found.meta["backbone"]["settings"]["frontend"]
    assert (frontend["module"], len(frontend["code_sha256"])) == ("hear_bands", 64)

    (run,) = probe(embeddings=tmp_path / "embeddings", heads=tmp_path / "heads", head="knn", progress=False)
    result = json.loads((run.folder / "result.json").read_text(encoding="utf-8"))
    assert result["backbone"]["name"] == BANDS
    assert result["summary"]["accuracy"]["mean"] > 0.8

    clips = sorted(toy.rglob("*.wav"))
    with pytest.raises(
        ConfigError, match="to use it is to run its code. If you trust it, give --allow hear:hear_bands"
    ):
        predict(clips, run=run.folder, progress=False)
    allow([BANDS])
    heard = predict(clips, run=run.folder, progress=False)
    named = [one.class_names.index(one.predicted) == int(Path(one.name).name.split("-")[1]) for one in heard]
    assert np.mean(named) > 0.9

    done = export(run.folder, to=tmp_path / "bundle", format="bundle", progress=False)
    (again,) = predict(clips[0], run=done.folder, progress=False)
    np.testing.assert_array_equal(again.proba, heard[0].proba)


def test_hear_module_hears_each_clip_without_its_padding_and_neighbours():
    network = load_backbone(BANDS).network
    waves = torch.randn(4, 48_000, generator=torch.Generator().manual_seed(0))
    lengths = torch.tensor([32_000, 20_000, 32_000, 500])
    for row, length in enumerate(lengths):
        waves[row, length:] = 0
    together = network.embed(waves, lengths)
    for row, heard in enumerate([32_000, 20_000, 32_000, 16_000]):  # a second at least
        alone = hear_bands.get_scene_embeddings(waves[row : row + 1, :heard], network.model)
        torch.testing.assert_close(together[row], alone[0])


def test_hear_module_that_is_moved_or_trained_leaves_those_that_are_loaded_after_it_alone():
    load_backbone(BANDS).network.double().model.weight.data.zero_()
    again = load_backbone(BANDS)
    assert again.network.model.weight.dtype == torch.float32
    assert again.network.model.weight.min() > 0
    assert again.spec.frames is not None


def test_hear_modules_timestamps_are_the_frames_of_each_clip(toy, tmp_path):
    spec = load_backbone(BANDS).spec
    assert spec.frames is not None
    assert (spec.frames.hop, spec.frames.span, spec.frames.columns) == (800, 800, 24)
    (made,) = extract(
        toy, backbone=BANDS, frames="float32", embeddings=tmp_path / "embeddings", device="cpu", progress=False
    )
    clip = next(iter(read_frames(made.folder)))
    (path,) = toy.rglob(clip.clip_id)
    wave = torch.from_numpy(decode(path.read_bytes(), sample_rate_hz=16_000, name=""))
    own, times_ms = hear_bands.get_timestamp_embeddings(wave[None], load_backbone(BANDS).network.model)
    np.testing.assert_allclose(clip.frames, own[0], atol=1e-4)
    np.testing.assert_allclose(clip.times_s, times_ms[0] / 1000)


@pytest.mark.parametrize("times_ms", [[0, 10, 40], [5, 5, 5], [-20, 0, 20], "no numbers"])
def test_hear_module_whose_timestamps_are_not_evenly_spaced_has_no_frames(monkeypatch, times_ms):
    model = torch.nn.Linear(3, 4)
    model.sample_rate, model.scene_embedding_size, model.timestamp_embedding_size = 16_000, 4, 4
    stamped = SimpleNamespace(
        load_model=lambda: model,
        get_scene_embeddings=len,
        get_timestamp_embeddings=lambda audio, model: (torch.zeros(1, 3, 4), times_ms),
    )
    monkeypatch.setitem(sys.modules, "unevenly", stamped)
    with pytest.raises(ConfigError, match="hear:unevenly keeps no time axis"):
        BACKBONES["hear:unevenly"].by_frames()


def test_hear_module_that_draws_is_random_and_with_a_file_pretrained_under_a_key_of_its_own(weights):
    plain, filled = load_backbone(BANDS), load_backbone(f"{BANDS}:{weights}")
    assert (plain.weights.kind, filled.weights.kind) == ("random", "pretrained")
    assert filled.weights.label == "pretrained"  # the name says which
    assert filled.weights.sha256 != plain.weights.sha256
    assert torch.equal(filled.network.state_dict()["model.weight"], torch.ones(24))


def test_hear_module_that_keeps_its_files_numbers_out_of_tensors_has_a_key_by_the_file(tmp_path, monkeypatch):
    def load_model(file: str) -> torch.nn.Module:
        model = torch.nn.Module()
        model.sample_rate, model.scene_embedding_size, model.numbers = 16_000, 2, Path(file).read_bytes()
        return model

    monkeypatch.setitem(sys.modules, "made_up", SimpleNamespace(load_model=load_model, get_scene_embeddings=len))
    for name, content in (("a", b"one"), ("b", b"one"), ("c", b"two")):
        (tmp_path / name).write_bytes(content)
    a, b, c = (load_backbone(f"hear:made_up:{tmp_path / name}") for name in "abc")
    assert a.settings == b.settings != c.settings


def test_hear_module_that_draws_weights_has_the_same_ones_each_time_and_leaves_the_callers_state(monkeypatch):
    def load_model() -> torch.nn.Module:
        model = torch.nn.Linear(3, 4)
        model.sample_rate, model.scene_embedding_size = 16_000, 4
        return model

    monkeypatch.setitem(sys.modules, "drawing", SimpleNamespace(load_model=load_model, get_scene_embeddings=len))
    found, state = [], torch.get_rng_state()
    for _ in range(2):
        hear_module._loaded.cache_clear()
        found.append(load_backbone("hear:drawing").weights.sha256)
        assert torch.equal(torch.get_rng_state(), state)
        torch.rand(1)
        state = torch.get_rng_state()
    assert found[0] == found[1]


def test_hear_module_of_our_own_adapter_gives_the_embeddings_of_its_backbone(shared):
    """Out to HEAR and in again."""
    file = shared / "weights" / "mn04_as_mAP_432.pt"
    around, straight = load_backbone(f"hear:soundprobe.adapters.hear:{file}"), load_backbone("mn04", weights=file)
    waves = torch.randn(2, 64_000, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        ours, direct = (one.network.embed(waves, torch.full((2,), 64_000)) for one in (around, straight))
    np.testing.assert_array_equal(ours.numpy(), direct.numpy())


def test_hear_module_that_is_edited_has_its_new_key_once_it_is_imported_anew(tmp_path, monkeypatch):
    text = (Path(hear_bands.__file__)).read_text(encoding="utf-8")
    (tmp_path / "edited_bands.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    before = load_backbone("hear:edited_bands").settings
    (tmp_path / "edited_bands.py").write_text(f"{text}\n# edited\n", encoding="utf-8")
    assert load_backbone("hear:edited_bands").settings == before
    importlib.reload(sys.modules["edited_bands"])
    assert load_backbone("hear:edited_bands").settings != before


def test_hear_module_hears_with_the_weights_that_are_in_the_file_now(weights):
    before = load_backbone(f"{BANDS}:{weights}")
    torch.save({"weight": torch.zeros(24)}, weights)
    after = load_backbone(f"{BANDS}:{weights}")
    assert (after.weights.sha256, after.settings) != (before.weights.sha256, before.settings)
    assert not after.network.state_dict()["model.weight"].any()


@pytest.mark.parametrize(
    "made", [(torch.zeros(2, 4),), torch.zeros(2), torch.zeros(3, 4)], ids=["tuple", "1-D", "rows"]
)
def test_hear_module_that_gives_no_row_for_each_clip_is_one_clear_line(made, monkeypatch):
    model = torch.nn.Module()
    model.sample_rate, model.scene_embedding_size = 16_000, 4
    module = SimpleNamespace(load_model=lambda: model, get_scene_embeddings=lambda waves, model: made)
    monkeypatch.setitem(sys.modules, "made_up", module)
    with pytest.raises(ConfigError, match=r"HearModule.embed gave .* for 2 clips, where a float32 tensor \(2, "):
        load_backbone("hear:made_up").network.embed(torch.zeros(2, 16_000), torch.tensor([16_000, 16_000]))


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("hear:nowhere.at_all", r"can't be imported \(ModuleNotFoundError.*PYTHONPATH=\."),
        ("hear:json", "lacks load_model and get_scene_embeddings of HEAR 2021's API"),
        ("hear:hear_bands:nothing.pt", "there is no such file"),
        (
            "hear:hear_bands:pyproject.toml",
            r"load_model fails \(.*If it needs a file of weights, give hear:hear_bands:FILE",
        ),
    ],
)
def test_hear_name_that_can_not_be_used_is_one_clear_line(address, message):
    with pytest.raises(SoundprobeError, match=message) as caught:
        BACKBONES[address]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("a string", "gave a str, where a torch.nn.Module is needed"),
        (torch.nn.Linear(1, 1), "its model has sample_rate = None and scene_embedding_size = None"),
    ],
)
def test_hear_model_that_is_none_is_one_clear_line(model, message, monkeypatch):
    module = SimpleNamespace(load_model=lambda: model, get_scene_embeddings=len)
    monkeypatch.setitem(sys.modules, "made_up", module)
    with pytest.raises(ConfigError, match=message):
        BACKBONES["hear:made_up"]


@pytest.mark.parametrize("weights", ["random", "pyproject.toml"])
def test_hear_backbone_takes_no_other_weights_than_its_own(weights):
    with pytest.raises(WeightsError, match="hear:hear_bands brings its own weights: --weights .* Leave it out"):
        load_backbone(BANDS, weights=weights)

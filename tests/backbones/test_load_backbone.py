"""Loading a backbone: weights from a seed, a file or the cache, and what is said when that fails."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from soundprobe.backbones.catalog import BACKBONES
from soundprobe.backbones.load import load_backbone
from soundprobe.backbones.weights import verify as weights
from soundprobe.base.errors import ConfigError, WeightsError


def refusal(backbone: str, file: str | Path) -> str:
    """The message with which `file` is refused, in one short line whatever stands in the file."""
    with pytest.raises(WeightsError) as caught:
        load_backbone(backbone, weights=file)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 1500
    return message


def test_random_weights_same_seed_gives_same_numbers_and_digest() -> None:
    first, again, other = (load_backbone("mn04", weights="random", seed=seed) for seed in (3, 3, 4))
    assert first.weights == again.weights
    assert first.weights.label == "random (seed 3)"
    assert first.weights.kind == "random"
    assert other.weights.sha256 != first.weights.sha256
    state = again.network.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in first.network.state_dict().items())


def test_random_weights_leave_the_callers_random_state() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load_backbone("simplecnn", weights="random", seed=1)
    assert torch.equal(torch.rand(3), expected)


def test_random_weights_do_not_depend_on_the_callers_random_state() -> None:
    torch.manual_seed(1)
    one = load_backbone("simplecnn", weights="random").weights.sha256
    torch.manual_seed(2)
    assert load_backbone("simplecnn", weights="random").weights.sha256 == one


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_weights_file_of_own_state_dict_gives_the_same_network(suffix: str, tmp_path: Path) -> None:
    made = load_backbone("mn04", weights="random", seed=9)
    file = tmp_path / f"mein <b> Netz ü{suffix}"
    save = save_file if suffix == ".safetensors" else torch.save
    save(made.network.state_dict(), file)
    loaded = load_backbone("mn04", weights=file)
    wave = torch.randn(1, 32_000)
    with torch.inference_mode():
        assert torch.equal(loaded.network(wave), made.network(wave))
    assert loaded.weights.kind == "file"
    assert loaded.weights.label == f"file {file.name}"
    assert loaded.weights.sha256 == weights.sha256_of(file)


def test_weights_file_named_like_a_keyword_is_read_when_given_as_path(tmp_path: Path) -> None:
    made = load_backbone("simplecnn", weights="random", seed=9)
    torch.save(made.network.state_dict(), tmp_path / "random")
    assert load_backbone("simplecnn", weights=tmp_path / "random").weights.kind == "file"


def test_weights_file_of_another_network_names_the_first_keys_only(tmp_path: Path) -> None:
    torch.save(load_backbone("mn04", weights="random").network.state_dict(), tmp_path / "mn04.pt")
    message = refusal("simplecnn", tmp_path / "mn04.pt")
    assert "is not a weights file of simplecnn: 10 missing (conv1.weight, conv1.bias, conv2.weight, ...)" in message
    assert "unexpected (features.0.0.weight" in message


def test_weights_file_with_wrong_shape_nan_or_strange_key_says_which(tmp_path: Path) -> None:
    state = load_backbone("simplecnn", weights="random").network.state_dict()
    state["fc2.weight"] = torch.zeros(8, 128)
    state["conv1.bias"] = torch.full((16,), float("nan"))
    state["evil\nkey" + "x" * 5000] = torch.zeros(1)
    state["conv2.bias"] = {"not": torch.zeros(1)}
    torch.save(state, tmp_path / "odd.pt")
    message = refusal("simplecnn", tmp_path / "odd.pt")
    assert "1 of another shape (fc2.weight (8, 128) for (10, 128))" in message
    assert "1 with NaN or infinity (conv1.bias)" in message
    assert "1 unexpected (evil key" in message
    assert "1 not plain tensors (conv2.bias)" in message


@pytest.mark.parametrize("content", [b"", b"not a pickle at all", b"PK\x03\x04 half a zip"])
def test_weights_file_that_is_none_is_refused(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "broken.pt"
    file.write_bytes(content)
    assert str(file) in refusal("simplecnn", file)


def test_weights_file_missing_or_misspelt_says_what_is_valid(tmp_path: Path) -> None:
    assert "Did you mean 'pretrained'? Give pretrained, random, or a file's path." in refusal("mn04", "pretraind")
    missing = tmp_path / "nothing.pt"
    assert f"No weights file at {str(missing)!r}. Give pretrained" in refusal("mn04", missing)
    assert "No weights file" in refusal("mn04", tmp_path)  # a folder is no file
    there = tmp_path / "there.pt"
    there.touch()
    assert f"Only compare takes NAME=FILE; here give --backbone mn04 --weights {there}." in refusal(
        "mn04", f"mn04={there}"
    )


def test_pretrained_of_simplecnn_says_that_there_are_none() -> None:
    message = refusal("simplecnn", "pretrained")
    assert message.startswith("simplecnn has no pretrained weights")
    assert "--weights random" in message


def test_pretrained_offline_and_not_cached_names_the_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOUNDPROBE_OFFLINE", "1")
    assert "https://github.com/fschmid56/EfficientAT/" in refusal("mn04", "pretrained")


def test_pretrained_in_the_cache_is_loaded_without_network(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOUNDPROBE_OFFLINE", "1")
    file = BACKBONES["mn04"].weights
    assert file is not None
    place = weights.location(file)
    place.parent.mkdir(parents=True)
    shutil.copy(shared / "weights" / "mn04_as_mAP_432.pt", place)
    info = load_backbone("mn04").weights
    assert (info.kind, info.label, info.sha256) == ("pretrained", "pretrained", file.sha256)


def test_settings_are_json_and_tell_clip_seconds_apart() -> None:
    plain = load_backbone("mn04", weights="random").settings
    short = load_backbone("mn04", weights="random", clip_seconds=2).settings
    assert plain["clip_seconds"] is None
    assert short == {**plain, "clip_seconds": 2.0}
    assert json.loads(json.dumps(plain)) == plain


@pytest.mark.parametrize(
    ("backbone", "options", "message"),
    [
        ("mn4", {}, "Unknown backbone 'mn4'. Did you mean 'mn04'"),
        ("mn04", {"clip_seconds": 11.0}, "--clip-seconds 11.0 is not valid for mn04"),
        ("simplecnn", {"clip_seconds": 1.0}, "takes clips of 4.0 s only"),
        ("mn04", {"seed": -1}, "--seed -1 is not valid"),
        ("mn04", {"seed": 2**63}, "is not valid: give a whole number"),
    ],
)
def test_bad_option_is_refused_before_anything_is_built(backbone: str, options: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_backbone(backbone, weights="random", **options)  # type: ignore[arg-type]

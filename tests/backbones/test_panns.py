"""CNN14: parity with panns_inference's own class, its file's names, and that loading it leaves the machine alone."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from backbone_inputs import Loader, real_clip, sounds
from torch import nn

from soundprobe.backbones.load import misfits
from soundprobe.backbones.panns import Panns
from soundprobe.backbones.tags import load_tag_head

LOADING = """
import sys
from pathlib import Path
import torch
from soundprobe.backbones.load import load_backbone
backbone = load_backbone("panns", weights="random")
assert backbone.network(torch.zeros(1, 32_000)).shape == (1, 2048)
print(sorted({"panns_inference", "librosa", "numba", "matplotlib"} & set(sys.modules)))
print(sorted(str(path.relative_to(Path.home())) for path in Path.home().rglob("*")))
"""


@pytest.fixture(scope="module")
def original_class(tmp_path_factory: pytest.TempPathFactory) -> type[nn.Module]:
    """panns_inference's own Cnn14. The import finds its labels in a home folder made for it, or would run wget."""
    home = tmp_path_factory.mktemp("home")
    labels = home / "panns_data" / "class_labels_indices.csv"
    labels.parent.mkdir()
    labels.write_text("index,mid,display_name\n0,/m/09x0r,Speech\n")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HOME", "USERPROFILE", "MPLCONFIGDIR"):
            patch.setenv(name, str(home))
        from panns_inference.models import Cnn14
    return Cnn14


def build(original_class: type[nn.Module]) -> nn.Module:
    return original_class(
        sample_rate=32000, window_size=1024, hop_size=320, mel_bins=64, fmin=50, fmax=14000, classes_num=527
    )


@pytest.fixture(scope="module")
def original(original_class: type[nn.Module]) -> nn.Module:
    """The original as that package builds it, with random weights and BatchNorm statistics."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        network = build(original_class)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(std=0.1)
                module.running_var.uniform_(0.5, 2.0)
    return network.eval()


@pytest.fixture(scope="module")
def ours(original: nn.Module) -> Panns:
    panns = Panns().eval()
    panns.load_state_dict(Panns.convert({"iteration": 600_000, "model": original.state_dict()}))
    return panns


def difference(ours: nn.Module, original: nn.Module, wave: torch.Tensor) -> float:
    """The largest difference of the two embeddings, as a part of the embedding's largest number."""
    with torch.inference_mode():
        expected = original(wave)["embedding"]
        return ((ours(wave) - expected).abs().max() / expected.abs().max()).item()


def test_panns_seed_gives_the_originals_weights_and_mel_bands_bit_for_bit(original_class: type[nn.Module]) -> None:
    states = []
    for make in (lambda: Panns.convert(build(original_class).state_dict()), lambda: Panns().state_dict()):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            states.append(make())
    expected, ours = states
    assert expected.keys() == ours.keys()
    for name, tensor in expected.items():
        assert torch.equal(tensor, ours[name]), name


def test_panns_network_equals_the_original_bit_for_bit_also_in_training(ours: Panns, original: nn.Module) -> None:
    maps = ours.spectrogram(sounds(32_000, 32_000)).transpose(1, 2).unsqueeze(1)  # (B, 1, M, F)
    theirs, own = copy.deepcopy(original), copy.deepcopy(ours.cnn)
    for name in ("spectrogram_extractor", "logmel_extractor", "spec_augmenter"):
        setattr(theirs, name, nn.Identity())
    for training in (False, True):
        theirs.train(training)
        own.train(training)
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(5)
            expected = theirs(maps)["embedding"]
            torch.manual_seed(5)  # drops the same units
            assert torch.equal(own(maps), expected)


def test_panns_generated_sounds_equal_the_original(ours: Panns, original: nn.Module) -> None:
    for clip in sounds(20_000, 32_000):
        assert difference(ours, original, clip[None]) < 1e-4
    assert difference(ours, original, torch.zeros(1, 32_000)) < 1e-4


@pytest.mark.parametrize("clip", ["UrbanSound8K/audio/fold1/102106-3-0-0.wav", "ESC-10/audio/1-30226-A.ogg"])
def test_panns_real_clip_equals_the_original(ours: Panns, original: nn.Module, clip: str, shared: Path) -> None:
    assert difference(ours, original, real_clip(shared, clip, 32_000)[:, :64_000]) < 1e-4


def test_panns_spectrogram_equals_the_originals(ours: Panns, original: nn.Module) -> None:
    wave = sounds(32_000, 32_000)
    with torch.inference_mode():
        decibels = ours.spectrogram(wave)  # (B, F, M)
        expected = original.logmel_extractor(original.spectrogram_extractor(wave))[:, 0].transpose(1, 2)
    audible = expected > expected.amax(dim=1, keepdim=True) - 80  # below that float32's rounding shows
    assert audible.float().mean() > 0.7
    assert (decibels - expected)[audible].abs().max() < 0.01


def test_panns_file_of_the_16_khz_network_does_not_fit(ours: Panns) -> None:
    state = ours.state_dict()
    sibling = {**state, "logmel_extractor.melW": torch.zeros(257, 64)}  # its layers have the same shapes
    del sibling["mel_basis"]
    assert misfits(state, Panns.convert(sibling)) == ["1 of another shape (mel_basis (257, 64) for (513, 64))"]


def test_panns_in_training_mode_does_not_mask_the_spectrogram(private_backbone: Loader) -> None:
    module = private_backbone("panns").network.train()
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval()
    seen: list[torch.Tensor] = []
    module.cnn.conv_block1.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    wave = sounds(20_000, 32_000)[:1]
    with torch.no_grad():
        module(wave)
        module.eval()
        module(wave)
    assert torch.equal(seen[0], seen[1])


def test_panns_loading_runs_no_wget_imports_no_original_and_leaves_home_empty(tmp_path: Path) -> None:
    home, tools = tmp_path / "home", tmp_path / "bin"
    home.mkdir()
    tools.mkdir()
    mark = tmp_path / "wget-was-run"
    wget = tools / "wget"
    wget.write_text(f"#!/bin/sh\ntouch '{mark}'\n")
    wget.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "MPL", "NUMBA", "HF_"))}
    environment = {**kept, "HOME": str(home), "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run([sys.executable, "-c", LOADING], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["[]", "[]"]
    assert not mark.exists()


def test_panns_tags_equal_the_originals_clipwise_output(ours: Panns, original: nn.Module, tmp_path: Path) -> None:
    torch.save({"iteration": 600_000, "model": original.state_dict()}, tmp_path / "cnn14.pth")
    head = load_tag_head("panns", tmp_path / "cnn14.pth")
    wave = sounds(32_000, 32_000)
    with torch.inference_mode():
        expected = original(wave)["clipwise_output"].numpy()
        tags = head.predict_proba(ours(wave).numpy())
    assert (tags.shape, len(head.names)) == (expected.shape, 527)
    np.testing.assert_allclose(tags, expected, atol=1e-4)
    assert tags.std() > 0.01

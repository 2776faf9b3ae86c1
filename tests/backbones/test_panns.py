"""CNN14: parity with panns_inference's own class, its file's names, and that loading it leaves the machine alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from backbone_inputs import Loader, real_clip, sounds
from torch import nn

from soundprobe.backbones.load import misfits
from soundprobe.backbones.panns import Panns, cnn14_class

LOADING = """
import sys
from pathlib import Path
import torch
from soundprobe.backbones.load import load_backbone
backbone = load_backbone("panns", weights="random")
assert backbone.network(torch.zeros(1, 32_000)).shape == (1, 2048)
assert "panns_inference" not in sys.modules and "matplotlib" not in sys.modules
print(sorted(str(path.relative_to(Path.home())) for path in Path.home().rglob("*")))
labels = Path.home() / "panns_data" / "class_labels_indices.csv"  # with this in place the package itself needs no wget
labels.parent.mkdir()
labels.write_text("index,mid,display_name\\n0,/m/09x0r,Speech\\n")
import panns_inference
from panns_inference.models import Cnn14
print(panns_inference.labels, Cnn14.__module__)
"""


@pytest.fixture(scope="module")
def original() -> nn.Module:
    """panns_inference's Cnn14 as that package builds it, with random weights and BatchNorm statistics."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        network = cnn14_class()(
            sample_rate=32000, window_size=1024, hop_size=320, mel_bins=64, fmin=50, fmax=14000, classes_num=527
        )
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


def test_panns_loading_runs_no_wget_and_leaves_home_and_the_package_as_they_were(tmp_path: Path) -> None:
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
    assert done.stdout.splitlines() == ["[]", "['Speech'] panns_inference.models"]
    assert not mark.exists()

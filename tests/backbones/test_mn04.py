"""mn04 with its real weights, against the original implementation's outputs."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from soundprobe.backbones.load import load_backbone
from soundprobe.backbones.mn04 import Mn04

Reference = Mapping[str, np.ndarray]


@pytest.fixture(scope="module")
def folder() -> Path:
    """The shared folder, at module scope."""
    import os

    found = Path(os.environ.get("SOUNDPROBE_SHARED", Path(__file__).resolve().parents[3] / "shared"))
    if not (found / "reference").is_dir():
        pytest.skip(f"reference outputs not found at {found} (set SOUNDPROBE_SHARED to their folder)")
    return found


@pytest.fixture(scope="module")
def reference(folder: Path) -> Reference:
    with np.load(folder / "reference" / "mn04_reference.npz") as arrays:
        return {name: arrays[name] for name in arrays.files}


@pytest.fixture(scope="module")
def real(folder: Path) -> Mn04:
    module = load_backbone("mn04", weights=folder / "weights" / "mn04_as_mAP_432.pt").network
    assert isinstance(module, Mn04)
    return module


@pytest.mark.parametrize(
    ("method", "array"), [("spectrogram", "logmel"), ("forward", "features"), ("logits", "logits")]
)
def test_mn04_real_clips_equal_the_original(method: str, array: str, real: Mn04, reference: Reference) -> None:
    with torch.inference_mode():
        ours = getattr(real, method)(torch.from_numpy(reference["wave"])).numpy()
    assert ours.shape == reference[array].shape
    np.testing.assert_allclose(ours, reference[array], rtol=0, atol=1e-4)


def test_mn04_real_clips_get_the_audioset_tags_of_the_original(real: Mn04, reference: Reference, folder: Path) -> None:
    with (folder / "weights" / "class_labels_indices.csv").open(encoding="utf-8") as lines:
        names = [row["display_name"] for row in csv.DictReader(lines)]
    rows = re.findall(r"^\| (\S+\.(?:wav|ogg)) \| (.+) \|$", (folder / "reference" / "README.md").read_text(), re.M)
    expected = {clip: re.findall(r"(\D.*?) (\d\.\d{3})(?:, |$)", tags) for clip, tags in rows}
    assert len(expected) == 12
    with torch.inference_mode():
        proba = real.logits(torch.from_numpy(reference["wave"])).sigmoid().numpy()
    for clip, row in zip(reference["clip"], proba, strict=True):
        top = np.argsort(-row)[:3]
        assert [names[i] for i in top] == [name for name, _ in expected[str(clip)]]
        assert row[top] == pytest.approx([float(value) for _, value in expected[str(clip)]], abs=6e-4)


def test_mn04_published_file_has_every_number_of_the_network(real: Mn04) -> None:
    assert sum(tensor.numel() for tensor in real.state_dict().values()) == 993_485


def test_mn04_convert_of_non_tensors_leaves_them_to_the_check() -> None:
    assert Mn04.convert({"features.4.block.2.conc_se_layers.0.fc1.weight": 3}) == {"features.4.block.2.fc1.weight": 3}

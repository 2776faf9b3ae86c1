"""mn04 with its real weights, against the original implementation's outputs."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from soundprobe.backbones.catalog import BACKBONES
from soundprobe.backbones.load import load_backbone
from soundprobe.backbones.mn04 import Mn04
from soundprobe.backbones.tags import load_tag_head
from soundprobe.base.errors import ConfigError

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


@pytest.mark.parametrize(("method", "array"), [("spectrogram", "logmel"), ("forward", "features")])
def test_mn04_real_clips_equal_the_original(method: str, array: str, real: Mn04, reference: Reference) -> None:
    with torch.inference_mode():
        ours = getattr(real, method)(torch.from_numpy(reference["wave"])).numpy()
    assert ours.shape == reference[array].shape
    np.testing.assert_allclose(ours, reference[array], rtol=0, atol=1e-4)


def test_mn04_real_clips_get_the_audioset_tags_of_the_original(real: Mn04, reference: Reference, folder: Path) -> None:
    head = load_tag_head("mn04", folder / "weights" / "mn04_as_mAP_432.pt")
    with (folder / "weights" / "class_labels_indices.csv").open(encoding="utf-8") as lines:
        assert head.names == tuple(row["display_name"] for row in csv.DictReader(lines))
    rows = re.findall(r"^\| (\S+\.(?:wav|ogg)) \| (.+) \|$", (folder / "reference" / "README.md").read_text(), re.M)
    expected = {clip: re.findall(r"(\D.*?) (\d\.\d{3})(?:, |$)", tags) for clip, tags in rows}
    assert len(expected) == 12
    with torch.inference_mode():
        features = real(torch.from_numpy(reference["wave"]))
        np.testing.assert_allclose(head.layers(features).numpy(), reference["logits"], rtol=0, atol=1e-4)
    for clip, row in zip(reference["clip"], head.predict_proba(features.numpy()), strict=True):
        top = np.argsort(-row)[:3]
        assert [head.names[i] for i in top] == [name for name, _ in expected[str(clip)]]
        assert row[top] == pytest.approx([float(value) for _, value in expected[str(clip)]], abs=6e-4)


def test_mn04_published_file_has_every_number_of_the_network(real: Mn04) -> None:
    assert sum(tensor.numel() for tensor in real.state_dict().values()) == 993_485


def test_mn04_convert_of_non_tensors_leaves_them_to_the_check() -> None:
    assert Mn04.convert({"features.4.block.2.conc_se_layers.0.fc1.weight": 3}) == {"features.4.block.2.fc1.weight": 3}


def test_mn04_layers_equal_torchvisions_to_the_bit() -> None:
    """The same network of torchvision's parts: the same tensors in the same order, and the same maps."""
    from functools import partial

    from torchvision.models.mobilenetv3 import InvertedResidual, InvertedResidualConfig
    from torchvision.ops.misc import Conv2dNormActivation, SqueezeExcitation

    from soundprobe.backbones.mn04 import BLOCKS, WIDTH, Mn04

    norm = partial(torch.nn.BatchNorm2d, eps=0.001, momentum=0.01)
    excite = partial(SqueezeExcitation, scale_activation=torch.nn.Sigmoid)
    settings = [
        InvertedResidualConfig(
            block.channels_in,
            block.kernel,
            block.expanded,
            block.channels_out,
            block.excite,
            "HS" if block.hard_swish else "RE",
            block.stride,
            dilation=1,
            width_mult=WIDTH,
        )
        for block in BLOCKS
    ]
    ends = {"norm_layer": norm, "activation_layer": torch.nn.Hardswish}
    theirs = torch.nn.Sequential(
        Conv2dNormActivation(1, settings[0].input_channels, kernel_size=3, stride=2, **ends),
        *(InvertedResidual(block, norm_layer=norm, se_layer=excite) for block in settings),
        Conv2dNormActivation(settings[-1].out_channels, 384, kernel_size=1, **ends),
    ).eval()
    ours = Mn04().features.eval()
    assert list(theirs.state_dict()) == list(ours.state_dict())
    theirs.load_state_dict(ours.state_dict())
    with torch.no_grad():
        maps = torch.randn(2, 1, 128, 100, generator=torch.Generator().manual_seed(0))
        assert torch.equal(ours(maps), theirs(maps))


@pytest.mark.parametrize("layers", ["middle", "both"])
@pytest.mark.parametrize("shortcuts", [True, False])
def test_mn04_layers_are_the_pooled_blocks_and_the_last_columns_those_of_last(layers: str, shortcuts: bool) -> None:
    plain, ours = (load_backbone("mn04", weights="random", layers=which) for which in ("last", layers))
    ours.network.allow_shortcuts(shortcuts)
    spectrogram = torch.randn(3, 128, 101, generator=torch.Generator().manual_seed(0))
    pooled: dict[int, torch.Tensor] = {}
    with torch.inference_mode():
        embedded = ours.on_spectrograms().embed_spectrogram(spectrogram)
        plain.network.allow_shortcuts(shortcuts)
        last = plain.on_spectrograms().embed_spectrogram(spectrogram)
        for number, layer in enumerate(plain.on_spectrograms().features):
            layer.register_forward_hook(lambda _, __, maps, at=number: pooled.update({at: maps.mean(dim=(2, 3))}))
        plain.on_spectrograms().embed_spectrogram(spectrogram)  # with hooks there is no shortcut
    middle = torch.cat([pooled[number] for number in (11, 12, 13, 14)], dim=1)
    assert embedded.shape == (3, ours.spec.embedding_dim) == (3, {"middle": 224, "both": 608}[layers])
    torch.testing.assert_close(embedded[:, -224:], middle, rtol=0, atol=1e-6 if shortcuts else 0)
    if layers == "both":
        assert torch.equal(embedded[:, :384], last)
    assert ours.layers == {"middle": {"middle": 224}, "both": {"last": 384, "middle": 224}}[layers]
    assert ours.settings["layers"] == layers


def test_mn04_last_layers_settings_are_those_from_before_there_were_others() -> None:
    model = load_backbone("mn04", weights="random", layers="last")
    assert "layers" not in model.settings
    assert "layers" not in model.describe()
    assert model.spec == load_backbone("mn04", weights="random").spec


@pytest.mark.parametrize(
    ("backbone", "layers", "message"),
    [
        ("simplecnn", "middle", "--layer middle is not offered for simplecnn, only last. Leave it out."),
        ("mn04", "first", "--layer first is not offered for mn04, only last, middle, all. Leave it out."),
    ],
)
def test_layers_that_a_backbone_lacks_are_refused_with_those_it_has(backbone: str, layers: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_backbone(backbone, weights="random", layers=layers)
    assert str(error.value) == message


def test_mn04_other_layers_are_not_offered_in_int8() -> None:
    with pytest.raises(ConfigError, match="not offered for mn04 with these layers, only fp32, bf16, fp16"):
        BACKBONES["mn04"].with_layers("both").check_precision("int8")

"""The table of backbones: its facts, measured again, and its messages."""

from __future__ import annotations

import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from backbone_inputs import Loader
from torch.utils.flop_counter import FlopCounterMode

from soundprobe.backbones.catalog import BACKBONES
from soundprobe.base.errors import ConfigError

PROJECT = Path(__file__).resolve().parents[2]


def test_spec_name_equals_its_key(name: str) -> None:
    assert BACKBONES[name].name == name


def test_spec_parameters_equal_the_networks(name: str, random_backbone: Loader) -> None:
    backbone = random_backbone(name)
    own = list(backbone.network.parameters()) if isinstance(backbone.network, torch.nn.Module) else []
    assert sum(p.numel() for p in own) == backbone.spec.parameters
    assert all(p.requires_grad for p in own), "fixed tensors belong in buffers"


def test_spec_gmacs_are_within_2_percent_of_the_networks(trainable: str, private_backbone: Loader) -> None:
    spec = BACKBONES[trainable]
    if trainable == "ast":
        from soundprobe.backbones.ast import Ast

        module = Ast()  # at its full length, which is what a 4 s clip costs
    else:
        module = private_backbone(trainable).network
    spectrogram = module.spectrogram(torch.zeros(1, spec.input_samples(4.0))).to("meta")
    module.to("meta")  # operations are counted by their shapes, without being done
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module.embed_spectrogram(spectrogram)
    assert counter.get_total_flops() / 2e9 == pytest.approx(spec.gmacs, rel=0.02)


def test_spec_shortest_clip_seconds_can_be_embedded(name: str, random_backbone: Loader) -> None:
    spec = BACKBONES[name]
    if not spec.any_clip_seconds:
        assert spec.clip_seconds == spec.max_seconds
        return
    if name == "ast":
        from soundprobe.backbones.ast import Ast

        module = Ast(clip_seconds=spec.min_seconds).eval()
    else:
        module = random_backbone(name).network
    wave = torch.randn(1, spec.input_samples(0.01, spec.min_seconds)) * 0.1
    with torch.inference_mode():
        assert module.embed(wave, torch.tensor([wave.shape[1]])).isfinite().all()


@pytest.mark.parametrize(
    ("backbone", "duration_s", "clip_seconds", "samples"),
    [
        ("panns", 0.05, None, 32_000),
        ("panns", 1.0, None, 32_000),
        ("panns", 3.01, None, 128_000),
        ("mn04", 600.0, None, 320_000),
        ("mn04", 4.0, 2.5, 80_000),
        ("ast", 4.0, None, 163_840),
        ("ast", 30.0, 5.0, 80_000),
        ("simplecnn", 1.0, None, 88_200),
        ("simplecnn", 9.0, 4.0, 88_200),
        ("vgg", 3.01, None, 88_200),
        ("crnn", 11.0, None, 220_500),
        ("piczak", 0.05, None, 22_050),
    ],
)
def test_input_samples_follow_the_backbones_rule(
    backbone: str, duration_s: float, clip_seconds: float | None, samples: int
) -> None:
    assert BACKBONES[backbone].input_samples(duration_s, clip_seconds) == samples


@pytest.mark.parametrize(
    ("backbone", "clip_seconds", "message"),
    [
        ("ast", 0.1, "give 0.16 to 10.24"),
        ("ast", 10.25, "give 0.16 to 10.24"),
        ("panns", 0.3, "give 0.31 to 10.0"),
        ("mn04", float("nan"), "give 0.1 to 10.0"),
        ("vgg", 0.34, "give 0.35 to 10.0"),
        ("simplecnn", 2.0, "takes clips of 4.0 s only"),
    ],
)
def test_clip_seconds_out_of_range_is_refused_with_the_range(backbone: str, clip_seconds: float, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        BACKBONES[backbone].check_clip_seconds(clip_seconds)


FORMS = [f"{prefix.name}:{prefix.form}" for prefix in BACKBONES.prefixes.values()]


def test_unknown_name_says_what_is_near() -> None:
    with pytest.raises(ConfigError) as caught:
        BACKBONES["pans"]
    assert str(caught.value) == (
        "Unknown backbone 'pans'. Did you mean 'panns'? Available: "
        f"{', '.join(sorted([*BACKBONES, *FORMS, 'package.module:Class']))}."
    )


def test_weights_files_are_pinned() -> None:
    for spec in BACKBONES.values():
        if spec.weights is not None:
            assert spec.weights.sha256 or spec.weights.revision
            assert spec.weights.licence == spec.licence


def test_import_catalog_does_not_import_heavy_packages() -> None:
    heavy = {"torch", "torchaudio", "torchvision", "transformers", "sklearn", "datasets", "matplotlib", "librosa"}
    code = f"import sys, soundprobe.backbones.catalog; print(*({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_table_of_the_docs_is_the_catalogues() -> None:
    written = runpy.run_path(str(PROJECT / "tools" / "backbone_table.py"))
    (table,) = written["MARKED"].findall((PROJECT / "docs" / "backbones.md").read_text(encoding="utf-8"))
    assert table == written["table"](), "run python tools/backbone_table.py"


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("embedding_dim", 4.0, "embedding_dim = 4.0 is not valid; give a whole number above 0 and at most"),
        ("embedding_dim", True, "embedding_dim = True is not valid"),
        ("sample_rate_hz", 0, "sample_rate_hz = 0 is not valid"),
        ("sample_rate_hz", 10**9, "sample_rate_hz = 1000000000 is not valid; .* at most 1,000,000"),
        ("max_seconds", float("nan"), "max_seconds = nan is not valid"),
        ("frontend", {"window": object()}, "frontend can't be a part of a key"),
        ("frontend", {"scale": float("nan")}, "frontend can't be a part of a key"),
    ],
)
def test_spec_that_says_what_can_not_be_is_refused_where_it_is_made(field, value, told):
    with pytest.raises(ConfigError, match=rf"backbone 'mn04': .*{told}"):
        replace(BACKBONES["mn04"], **{field: value})

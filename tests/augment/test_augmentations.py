"""What holds for every augmentation of the catalogue, and for a recipe of several."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from dataclasses import fields
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from soundprobe.augment.catalog import AUGMENTATIONS, make_augmentation
from soundprobe.augment.compose import Augmentations, build_augmentations
from soundprobe.augment.noise_bank import NoiseBank
from soundprobe.base.errors import ConfigError

RATE_HZ = 8_000
NAMES = sorted(AUGMENTATIONS)
EVERY = [
    {"name": "time_shift", "max_shift_s": 0.02, "fill": "silence"},
    {"name": "gain"},
    {"name": "pitch_shift", "max_semitones": 1},
    {"name": "background_noise"},
    {"name": "spec_augment", "max_bands": 5},
    {"name": "mixup"},
]
"""Tables with settings that suit small clips."""


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def bank() -> NoiseBank:
    return NoiseBank(torch.randn(3, 600, generator=generator(9)), torch.tensor([0, 1, 2]))


def batch(clips: int, samples: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Wave (B, T) and lengths (B,) from 1 to T, silent beyond them."""
    lengths = torch.randint(1, samples + 1, (clips,), generator=generator(seed))
    wave = 0.2 * torch.randn(clips, samples, generator=generator(seed))
    return wave * (torch.arange(samples) < lengths[:, None]), lengths


def apply(augmentations: Augmentations, clips: int, samples: int, seed: int) -> dict[str, Tensor]:
    """Everything that `augmentations` make of one batch."""
    draws = generator(seed)
    wave, lengths = augmentations.wave(
        *batch(clips, samples), RATE_HZ, draws, noise=bank(), recordings=torch.arange(clips) % 4
    )
    pictures = torch.randn(clips, 12, 30, generator=generator(1))
    spectrogram = augmentations.spectrogram(pictures, draws)
    mixed, targets = augmentations.mix(spectrogram, torch.eye(7)[torch.arange(clips) % 7], draws)
    return {"wave": wave, "lengths": lengths, "spectrogram": spectrogram, "mixed": mixed, "targets": targets}


@pytest.mark.parametrize("name", NAMES)
def test_every_augmentation_can_be_made_from_its_name_alone(name: str):
    augmentation = make_augmentation(name)
    assert all(field.default is not None or field.name == "fill_value" for field in fields(augmentation))
    assert 0 < augmentation.probability <= 1


@pytest.mark.parametrize("table", EVERY, ids=lambda table: table["name"])
def test_probability_zero_leaves_the_batch_bit_for_bit(table: dict[str, Any]):
    nothing = build_augmentations([{**table, "probability": 0.0}])
    made, plain = apply(nothing, 9, 400, seed=3), apply(Augmentations(), 9, 400, seed=3)
    assert all(torch.equal(made[part].view(torch.uint8), plain[part].view(torch.uint8)) for part in plain)


@pytest.mark.parametrize("table", EVERY, ids=lambda table: table["name"])
def test_probability_one_changes_the_batch_and_its_inputs_stay(table: dict[str, Any]):
    changing = build_augmentations([{**table, "probability": 1.0}])
    wave, lengths = batch(9, 400)
    kept = wave.clone()
    changing.wave(wave, lengths, RATE_HZ, generator(), noise=bank(), recordings=torch.arange(9) % 4)
    assert torch.equal(wave, kept)
    made, plain = apply(changing, 9, 400, seed=3), apply(Augmentations(), 9, 400, seed=3)
    stage = {"wave": "wave", "spectrogram": "spectrogram", "batch": "mixed"}[AUGMENTATIONS[table["name"]].stage]
    assert not torch.equal(made[stage], plain[stage])


@pytest.mark.parametrize("table", EVERY, ids=lambda table: table["name"])
def test_same_generator_state_gives_the_same_result_whatever_the_global_one(table: dict[str, Any]):
    augmentations = build_augmentations([{**table, "probability": 0.7}])
    torch.manual_seed(1)
    first = apply(augmentations, 6, 300, seed=5)
    state = torch.get_rng_state()
    torch.manual_seed(2)
    again = apply(augmentations, 6, 300, seed=5)
    other = apply(augmentations, 6, 300, seed=6)
    assert all(torch.equal(first[part], again[part]) for part in first)
    assert any(not torch.equal(first[part], other[part]) for part in first)
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)  # the global generator was never drawn from


@settings(max_examples=40, deadline=None)
@given(
    clips=st.integers(0, 5),
    samples=st.integers(1, 700),
    seed=st.integers(0, 2**31),
    tables=st.lists(st.sampled_from(EVERY), max_size=4),
    probability=st.floats(0, 1),
)
def test_shapes_dtypes_and_finiteness_hold_for_any_recipe(
    clips: int, samples: int, seed: int, tables: list[dict[str, Any]], probability: float
):
    augmentations = build_augmentations([{**table, "probability": probability} for table in tables])
    made, plain = apply(augmentations, clips, samples, seed), apply(Augmentations(), clips, samples, seed)
    for part, tensor in made.items():
        assert tensor.shape == plain[part].shape
        assert tensor.dtype == plain[part].dtype
        assert tensor.isfinite().all()
    assert (made["lengths"] == plain["lengths"]).all()
    silent = torch.arange(samples) >= made["lengths"][:, None]
    assert made["wave"].masked_select(silent).abs().sum() == 0
    assert torch.allclose(made["targets"].sum(dim=1), torch.ones(clips))


def test_recipe_is_applied_in_its_order():
    shift, notch = {"name": "gain", "max_gain_db": 6}, {"name": "time_shift", "max_shift_s": 0.01}
    assert [name for name, _ in build_augmentations([shift, notch]).steps] == ["gain", "time_shift"]
    there, back = build_augmentations([shift, notch]), build_augmentations([notch, shift])
    assert not torch.equal(apply(there, 6, 300, seed=0)["wave"], apply(back, 6, 300, seed=0)["wave"])


def test_tables_give_every_setting_and_build_the_same_again():
    augmentations = build_augmentations(EVERY)
    tables = augmentations.tables()
    assert tables[1] == {"name": "gain", "max_gain_db": 6.0, "probability": 0.5}
    again = [{field: value for field, value in table.items() if value is not None} for table in tables]
    assert build_augmentations(again) == augmentations


def test_only_noise_of_training_clips_needs_a_bank(tmp_path):
    assert build_augmentations([{"name": "background_noise"}]).needs_noise
    assert not build_augmentations([{"name": "background_noise", "folder": str(tmp_path)}]).needs_noise
    assert not build_augmentations([]).needs_noise
    assert len(build_augmentations([])) == 0


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            {"name": "timeshift"},
            "Unknown augmentation 'timeshift'. Did you mean 'time_shift'? Available: background_noise, "
            "gain, mixup, package.module:Class, pitch_shift, spec_augment, time_shift.",
        ),
        (
            {"name": "gain", "max_gain": 3},
            "Unknown field of augmentation 'gain' 'max_gain'. Did you mean 'max_gain_db'? Available: "
            "max_gain_db, probability.",
        ),
        ({"name": "gain", "max_gain_db": "6"}, "gain.max_gain_db = '6' is not valid: give a valid number."),
        ({"name": "gain", "max_gain_db": True}, "gain.max_gain_db = True is not valid: give a valid number."),
        (
            {"name": "gain", "max_gain_db": float("inf")},
            "gain.max_gain_db = inf is not valid: give a finite number.",
        ),
        (
            {"name": "spec_augment", "time_masks": 1.5},
            "spec_augment.time_masks = 1.5 is not valid: give a valid integer.",
        ),
        (
            {"name": "time_shift", "fill": "zero"},
            "time_shift.fill = 'zero' is not valid: give 'roll' or 'silence'.",
        ),
        (
            {"name": "time_shift", "fill": ["roll"]},
            "time_shift.fill = ['roll'] is not valid: give 'roll' or 'silence'.",
        ),
        ({"name": "mixup", "alpha": -1}, "mixup.alpha = -1.0 is not valid: give 0 to 100."),
        (
            {"alpha": 1},
            "Augmentation {'alpha': 1} has no name. Available: background_noise, gain, mixup, pitch_shift, "
            "spec_augment, time_shift.",
        ),
    ],
)
def test_recipe_with_a_mistake_names_the_value_and_the_remedy(table: dict[str, Any], message: str):
    with pytest.raises(ConfigError) as caught:
        build_augmentations([{"name": "gain"}, table])
    assert str(caught.value) == message


def test_fill_value_takes_a_number():
    (spec_augment,) = build_augmentations([{"name": "spec_augment", "fill_value": -4}]).of_stage("spectrogram")
    assert spec_augment.fill_value == -4.0


def test_catalogue_imports_no_torch():
    script = "import sys, soundprobe.augment.catalog; assert not {'torch', 'scipy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_gives_what_the_cpu_gives_with_the_same_generator():
    augmentations = build_augmentations(EVERY)
    wave, lengths = batch(6, 4000)
    here, _ = augmentations.wave(wave, lengths, RATE_HZ, generator(), noise=bank(), recordings=torch.arange(6))
    there, _ = augmentations.wave(
        wave.cuda(), lengths.cuda(), RATE_HZ, generator(), noise=bank(), recordings=torch.arange(6).cuda()
    )
    assert torch.allclose(there.cpu(), here, atol=1e-3)


def test_documented_recipe_builds_and_every_setting_is_documented_with_its_default(pytestconfig: pytest.Config):
    text = (pytestconfig.rootpath / "docs" / "augmentations.md").read_text(encoding="utf-8")
    recipe = tomllib.loads(text.split("```toml")[1].split("```")[0])
    documented = build_augmentations([{"name": name, **settings} for name, settings in recipe["augment"].items()])
    assert [name for name, _ in documented.steps] == ["time_shift", "background_noise", "spec_augment", "mixup"]
    for name in NAMES:
        (row,) = (line for line in text.splitlines() if line.startswith(f"| `{name}` |"))
        for field in fields(AUGMENTATIONS[name].load()):
            default = json.dumps(field.default).removesuffix(".0")
            assert (f"`{field.name} = {default}`" if field.default is not None else f"`{field.name}`") in row
        assert f"(images/augment-{name.replace('_', '-')}.png)" in text
        assert (pytestconfig.rootpath / "docs" / "images" / f"augment-{name.replace('_', '-')}.png").is_file()


def test_documented_python_runs(pytestconfig: pytest.Config):
    text = (pytestconfig.rootpath / "docs" / "augmentations.md").read_text(encoding="utf-8")
    scope: dict[str, Any] = {}
    exec(text.split("```python")[1].split("```")[0], scope)
    assert scope["wave"].shape == (8, 32_000)
    assert torch.allclose(scope["targets"].sum(dim=1), torch.ones(8))

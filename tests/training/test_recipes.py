"""Recipes: the shipped ones are valid and say how to run them; a mistake is named with what is valid."""

from __future__ import annotations

from pathlib import Path

import pytest

from soundprobe.base.config import recipe_folder
from soundprobe.base.errors import ConfigError
from soundprobe.training.feeding import augmentations_of
from soundprobe.training.recipes import finetune_recipe, flattened

SHIPPED = sorted(p for p in recipe_folder().glob("*.toml") if p.stem.startswith(("finetune-", "notes-")))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_recipe_is_valid_and_its_comment_gives_command_source_and_expectation(path: Path):
    recipe = finetune_recipe(None, path.stem)
    augmentations_of(recipe)
    comment = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    assert any("soundprobe finetune" in line for line in comment)
    assert any(line.startswith("# Source:") for line in comment)
    assert any(line.startswith("# Expect:") for line in comment)
    if path.stem.startswith("finetune-"):
        assert path.stem.removeprefix("finetune-") == recipe.backbone.partition(":")[0]


def test_override_of_a_nested_field_replaces_it_and_leaves_the_rest():
    plain, changed = finetune_recipe("mn04", None), finetune_recipe("mn04", None, ["training.lr=1e-5"])
    assert changed.training.lr == 1e-5
    assert changed.training.model_copy(update={"lr": plain.training.lr}) == plain.training


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.lrate=1", "Unknown field 'training.lrate'. Did you mean 'training.lr'?"),
        ("batch_size=8", "Unknown field 'batch_size'. Did you mean 'training.batch_size'?"),
        ("epochs=2", "Unknown field 'epochs'. Did you mean 'training.epochs' or 'choose.epochs'?"),
        ("trainin.lr=1", "Unknown field 'trainin'. Did you mean 'training'?"),
        ("training.lr=fast", "training.lr = 'fast' is not valid"),
        ("training.lr=-1", "training.lr = -1 is not valid"),
        ("training.freeze=0", "give 'none', 'backbone', or how many of the first stages"),
        ("training.freeze=true", "give 'none', 'backbone', or how many of the first stages"),
        ("training.schedule=cos", "give 'constant', 'cosine', 'step' or 'plateau'"),
        ("training.epochs=2.5", "training.epochs = 2.5 is not valid"),
        ("training.accumulate=64", "can't share a batch of 32"),
        ("training.head_epochs=4", "leaves none of 4 epochs"),
    ],
)
def test_override_that_is_not_valid_is_named_with_what_is(override: str, message: str):
    with pytest.raises(ConfigError) as error:
        finetune_recipe("mn04", None, [override])
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_epochs_fixed_with_plateau_or_patience_is_refused():
    with pytest.raises(ConfigError, match="plateau.*no validation"):
        finetune_recipe("mn04", None, ["training.schedule=plateau"], epochs_fixed=True)
    with pytest.raises(ConfigError, match=r"training.patience = 3 .* no validation"):
        finetune_recipe("mn04", None, ["training.patience=3"], epochs_fixed=True)


CHOICE = [
    "training.epochs=12",
    "choose.splits=3",
    "choose.epochs=[4, 12]",
    "choose.interpolate=[0.0, 0.5, 1.0]",
    "choose.lr=[]",
]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("choose.splits=1", "choose.splits = 1 is not valid: give 2 or more, or 0 to choose nothing"),
        ("choose.by=loss", "choose.by = 'loss' is not valid: give 'log-loss' or 'accuracy'"),
        ("choose.lr=[0.0]", "choose.lr = 0.0 is not valid: give greater than 0"),
        ("choose.freeze=[0]", "choose.freeze = 0 is not valid: give 'none', 'backbone', or how many"),
        ("choose.interpolate=[0.0, 1.5]", "choose.interpolate = 1.5 is not valid: give less than or equal to 1"),
        ("choose.interpolate=[0.0]", "choose.interpolate = [0.0] trains nothing"),
        ("choose.epochs=[0]", "choose.epochs = 0 is not valid: give greater than or equal to 1"),
        ("choose.epochs=[4, 13]", "goes beyond training.epochs = 12"),
        ("head.init=random", "choose.interpolate = 0 is the frozen network with the linear probe"),
        ("validation.kind=share", "would both choose the epoch"),
        ("choose.momentum=[0.9]", "Unknown field 'choose.momentum'"),
    ],
)
def test_choice_that_is_not_possible_is_named_with_what_is(override: str, message: str):
    with pytest.raises(ConfigError) as error:
        finetune_recipe("mn04", None, [*CHOICE, override])
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_choice_of_nothing_is_refused_and_no_choice_leaves_no_trace_in_the_settings():
    with pytest.raises(ConfigError, match="choose has nothing to choose from"):
        finetune_recipe("simplecnn", None, ["choose.splits=3"])
    plain = flattened(finetune_recipe("simplecnn", None))
    assert not [name for name in plain if name.startswith("choose")]  # settings are a run's key
    assert flattened(finetune_recipe("simplecnn", None, ["choose.splits=0"])) == plain
    chosen = finetune_recipe("mn04", None, CHOICE)
    assert flattened(chosen)["choose.epochs"] == [4, 12]
    assert finetune_recipe("mn04", None, CHOICE, epochs_fixed=True).choose is None


def test_backbone_without_recipe_names_the_recipes_there_are():
    with pytest.raises(ConfigError, match=r"Unknown recipe 'finetune-mn4'. Did you mean 'finetune-mn04'\?"):
        finetune_recipe("mn4", None)
    with pytest.raises(ConfigError, match="Name a backbone"):
        finetune_recipe(None, None)


def test_flattened_settings_have_the_names_that_set_takes():
    recipe = finetune_recipe("simplecnn", None)
    flat = flattened(recipe)
    assert flat["training.lr"] == recipe.training.lr
    assert flat["augment.mixup.alpha"] == 0.3
    given = [f"{name}={value!r}".lower().replace("none", '"none"') for name, value in flat.items() if value != {}]
    assert any(setting.startswith("training.lr=") for setting in given)

"""Recipes are strict, and every one that ships is valid."""

from __future__ import annotations

from pathlib import Path

import pytest

from soundprobe.base.config import ComparisonRecipe, ProbeRecipe, parse_override, read_recipe, recipe_folder
from soundprobe.base.errors import ConfigError
from soundprobe.heads.catalog import HEADS
from soundprobe.training.recipes import FinetuneRecipe

SCHEMAS = {
    "demo": ComparisonRecipe,
    "probe": ProbeRecipe,
    "finetune": FinetuneRecipe,
    "notes": FinetuneRecipe,
}
SHIPPED = sorted(path.stem for path in recipe_folder().glob("*.toml"))


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_recipe_is_valid_and_its_header_gives_the_command(name: str):
    read_recipe(name, SCHEMAS[name.partition("-")[0]])
    header = (recipe_folder() / f"{name}.toml").read_text(encoding="utf-8").split("\n\n")[0]
    assert "#   soundprobe " in header
    assert "Expect:" in header


def test_demo_has_untrained_networks_of_several_seeds():
    recipe = read_recipe("demo", ComparisonRecipe)
    assert recipe.data == "synth"
    assert len(recipe.seeds) > 1


def test_every_head_has_a_shipped_recipe():
    assert {read_recipe(f"probe-{head}", ProbeRecipe).head for head in HEADS} == set(HEADS)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('hed = "mlp"', "Unknown field 'hed'. Did you mean 'head'?"),
        ('head = "mlp"\nseeds = [0.5]', "seeds.0 = 0.5 is not valid"),
        ('head = "mlp"\nseeds = "0"', "seeds = '0' is not valid"),
        ("head =", "is not a valid TOML recipe"),
        ("\xff", "is not a valid TOML recipe"),
        ("head = " + "[" * 100_000, "is not a valid TOML recipe: nested too deep"),
    ],
)
def test_read_recipe_with_a_mistake_is_one_line_that_names_it(tmp_path: Path, content: str, message: str):
    path = tmp_path / "mine.toml"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(ConfigError) as error:
        read_recipe(str(path), ProbeRecipe)
    assert message in str(error.value)


def test_read_recipe_with_a_mistake_in_an_inner_table_names_the_fields_of_that_table(tmp_path: Path):
    path = tmp_path / "mine.toml"
    path.write_text('backbone = "mn04"\n[training]\nepoch = 3\n')
    with pytest.raises(ConfigError, match=r"Unknown field 'training.epoch'. Did you mean 'training.epochs'"):
        read_recipe(str(path), FinetuneRecipe)


def test_read_recipe_of_an_unknown_name_lists_those_that_ship():
    with pytest.raises(ConfigError, match=r"Unknown recipe 'probe-mpl'. Did you mean 'probe-mlp'.*file works too"):
        read_recipe("probe-mpl", ProbeRecipe)


def test_overrides_win_over_the_recipe_and_nest():
    recipe = read_recipe("probe-mlp", ProbeRecipe, ["settings.widths=[512]", "seeds=[1, 2]", "settings.metric=cosine"])
    assert recipe.settings == {"widths": [512], "metric": "cosine"}
    assert recipe.seeds == [1, 2]


@pytest.mark.parametrize("override", ["widths", "=3", "a..b=3"])
def test_parse_override_without_name_or_value_says_how_to_write_it(override: str):
    with pytest.raises(ConfigError, match="Write it as name=value"):
        parse_override(override)


def test_override_below_a_value_is_refused():
    with pytest.raises(ConfigError, match="'head' is a value"):
        read_recipe("probe-mlp", ProbeRecipe, ["head.width=3"])

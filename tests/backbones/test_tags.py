"""Tags of backbones that were trained on some: every one of the table's, and those that have none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from soundprobe.backbones.audioset import CLASSES
from soundprobe.backbones.catalog import BACKBONES
from soundprobe.backbones.tags import load_tag_head
from soundprobe.base.errors import ConfigError, WeightsError
from soundprobe.base.registry import resolve

TAGGED = [spec.name for spec in BACKBONES.own.values() if spec.tags]


def test_audioset_has_527_names_none_of_them_twice() -> None:
    assert len(CLASSES) == len(set(CLASSES)) == 527
    assert (CLASSES[0], CLASSES[-1]) == ("Speech", "Field recording")
    assert all(name == name.strip() and name for name in CLASSES)


@pytest.mark.parametrize("tagged", TAGGED)
def test_tag_head_takes_the_last_layers_embedding_and_gives_a_probability_for_each_name(tagged: str) -> None:
    spec = BACKBONES[tagged]
    layers, tensors = resolve(spec.target, tagged).tag_head({})
    assert tensors == {}
    with torch.inference_mode():
        assert layers.eval()(torch.zeros(2, spec.embedding_dim)).shape == (2, len(resolve(spec.tags, tagged)))


@pytest.mark.parametrize("tagged", TAGGED)
def test_file_without_a_classifier_is_refused_with_what_it_lacks(tagged: str, tmp_path: Path) -> None:
    save_file({"some.weight": torch.zeros(3)}, tmp_path / "own.safetensors")
    with pytest.raises(WeightsError, match="has no classifier of .*missing .*Give the published file"):
        load_tag_head(tagged, tmp_path / "own.safetensors")


@pytest.mark.parametrize(
    ("backbone", "weights", "error", "message"),
    [
        ("simplecnn", None, ConfigError, "simplecnn has no tags of its own. Those that have some: ast, mn04, panns"),
        ("mn04", "random", ConfigError, "Random weights of mn04 know no tags"),
        ("mn04", "none.pt", WeightsError, "No weights file at 'none.pt'"),
        ("mn4", None, ConfigError, "Did you mean 'mn04'"),
    ],
)
def test_tags_that_are_not_to_be_had_are_one_clear_line(backbone, weights, error, message) -> None:
    with pytest.raises(error, match=message):
        load_tag_head(backbone, weights)

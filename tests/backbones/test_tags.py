"""Tags of backbones that were trained on some: every one of the table's, and those that have none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from soundprobe.backbones.audioset import CLASSES
from soundprobe.backbones.catalog import BACKBONES
from soundprobe.backbones.protocol import Backbone
from soundprobe.backbones.spec import BackboneSpec
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


class Toy(nn.Module, Backbone):
    """A stranger's network, with a classifier of two classes."""

    spec = BackboneSpec(name="toy", embedding_dim=3, sample_rate_hz=8000, tags=f"{__name__}:TOY_TAGS")

    def __init__(self, *, clip_seconds: float | None = None) -> None:
        super().__init__()

    def embed(self, waves: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        return waves[:, :3]

    @classmethod
    def tag_head(cls, tensors: Mapping[str, Any]) -> tuple[nn.Module, dict[str, Any]]:
        return nn.Linear(3, 2), {"weight": tensors["head"], "bias": torch.zeros(2)}


TOY_TAGS = ["owl", "frog"]


def test_tags_of_another_packages_network_are_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "toy.safetensors"
    save_file({"head": torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]])}, file)
    head = load_tag_head(f"{__name__}:Toy", file)
    assert head.names == ("owl", "frog")
    np.testing.assert_allclose(
        head.predict_proba(np.array([[5, 5, 0], [0, 0, 1]])), [[0.5, 0.5], [0.7311, 0.2689]], atol=1e-4
    )
    with pytest.raises(WeightsError, match="gets its weights itself"):
        load_tag_head(f"{__name__}:Toy")
    monkeypatch.setitem(globals(), "TOY_TAGS", ["owl"])
    with pytest.raises(ConfigError, match="1 tags for 2 logits"):
        load_tag_head(f"{__name__}:Toy", file)
    monkeypatch.delattr(Toy, "tag_head")
    with pytest.raises(ConfigError, match="has no tag_head"):
        load_tag_head(f"{__name__}:Toy", file)

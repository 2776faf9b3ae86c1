"""What networks of others hold besides their state dicts: their keys know it, or it is refused."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from soundprobe.backbones.load import load_backbone
from soundprobe.backbones.protocol import Backbone
from soundprobe.backbones.spec import BackboneSpec
from soundprobe.base.errors import ConfigError


class Holding(nn.Module, Backbone):
    """Sets what a test wants it to."""

    spec = BackboneSpec("holding", embedding_dim=4, sample_rate_hz=16_000)
    fill: ClassVar[Callable[[Any], None]]

    def __init__(self, clip_seconds: float | None = None) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        type(self).fill(self)

    def embed(self, waves: Tensor, lengths: Tensor) -> Tensor:
        return waves[:, :4]


def digest(fill: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(Holding, "fill", fill, raising=False)
    return load_backbone("test_held:Holding", weights="random").weights.sha256


@pytest.mark.parametrize(
    "put",
    [
        lambda self, numbers: setattr(self, "kept", numbers),
        lambda self, numbers: setattr(self, "kept", numbers.numpy()),
        lambda self, numbers: setattr(self, "kept", {"a": [1, numbers]}),
        lambda self, numbers: setattr(self.linear, "kept", SimpleNamespace(a=numbers)),
    ],
    ids=["tensor", "array", "in a dictionary", "in an object of a layer"],
)
def test_numbers_that_the_state_dict_lacks_are_a_part_of_the_digest(put: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [digest(lambda self, n=n: put(self, torch.full((3,), n)), monkeypatch) for n in (1.0, 1.0, 2.0)]
    assert found[0] == found[1] != found[2]
    assert found[0] != digest(lambda self: None, monkeypatch)


@pytest.mark.parametrize(
    "kept",
    [[nn.Linear(2, 2)], {"a": nn.Linear(2, 2)}, SimpleNamespace(a=nn.Linear(2, 2))],
    ids=["list", "dict", "object"],
)
def test_modules_that_are_not_registered_are_refused(kept: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"holds a torch module \(kept-.*nn\.ModuleList"):
        digest(lambda self: setattr(self, "kept", kept), monkeypatch)


def test_modules_and_parameters_that_are_known_otherwise_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = digest(lambda self: None, monkeypatch)

    def twice(self: Any) -> None:
        self.kept = [self.linear, self.linear.weight, np.array([object()]), nn.ReLU()]

    assert digest(twice, monkeypatch) == plain

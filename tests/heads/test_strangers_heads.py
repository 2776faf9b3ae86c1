"""Heads and backbones of other packages that are wrong in some way: one line each, and no number of theirs is kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from soundprobe.backbones.load import load_backbone
from soundprobe.backbones.protocol import Backbone
from soundprobe.backbones.spec import BackboneSpec
from soundprobe.base.errors import ConfigError, TrainingError
from soundprobe.heads.head import Head
from soundprobe.heads.inference import FittedHead, knn_proba, linear_proba


class Odd(Head):
    """Whose probabilities are what its setting says."""

    array_names = ()

    def __init__(self, kind: str = "good", seed: int = 0) -> None:
        self.kind, self.seed = kind, seed

    def train_rows(self, Z: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> None:
        """Nothing is learnt."""

    def proba_rows(self, Z: np.ndarray) -> np.ndarray:
        good = np.full((len(Z), 2), 0.5)
        made = {
            "negative": good - [[0.6, -0.6]],
            "seven": 7 * good,
            "nan": good * np.nan,
            "wide": np.full((len(Z), 3), 1 / 3),
        }
        return made.get(self.kind, good)


X, y = np.arange(8, dtype=np.float32).reshape(4, 2), np.array([0, 1, 0, 1])


@pytest.mark.parametrize("kind", ["negative", "seven", "nan", "wide"])
def test_rows_that_are_no_probabilities_are_refused(kind: str) -> None:
    assert Odd().fit(X, y).predict_proba(X).tolist() == [[0.5, 0.5]] * 4
    with pytest.raises(ConfigError, match="Odd gave"):
        Odd(kind).fit(X, y).predict_proba(X)


class Astray(Odd):
    array_names = ("weights",)

    def train_rows(self, Z: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> None:
        self.weights_ = np.array([1.0, np.inf])


def test_what_was_learnt_and_is_not_finite_is_named() -> None:
    with pytest.raises(TrainingError, match="^The weights that Astray has learnt hold NaN or infinity"):
        Astray().fit(X, y)


def params() -> dict[str, object]:
    return {"settings": {}, "classes": [0, 1], "chosen": {"k": 1}}


@pytest.mark.parametrize(
    "arrays",
    [
        {"mean": np.zeros(2), "scale": np.ones(2), "rows": np.eye(2), "labels": np.array([0])},
        {"mean": np.zeros(2), "scale": np.ones(2), "rows": np.eye(3), "labels": np.array([0, 1, 0])},
        {"mean": np.float32(0), "scale": np.ones(2), "rows": np.eye(2), "labels": np.array([0, 1])},
        {"scale": np.ones(2), "rows": np.eye(2), "labels": np.array([0, 1])},
    ],
)
def test_saved_knn_head_that_was_cut_is_refused(arrays: dict[str, np.ndarray]) -> None:
    whole = {"mean": np.zeros(2), "scale": np.ones(2), "rows": np.eye(2), "labels": np.array([0, 1])}
    assert FittedHead("kNN", knn_proba, whole, params()).predict_proba(np.ones((3, 2))).shape == (3, 2)
    with pytest.raises(ConfigError, match="no saved kNN head"):
        FittedHead("kNN", knn_proba, arrays, params())


@pytest.mark.parametrize("wrong", [{"weights": np.full((2, 2), np.nan)}, {"bias": np.zeros(3)}, {"weights": None}])
def test_saved_linear_head_that_is_not_whole_is_refused(wrong: dict[str, np.ndarray | None]) -> None:
    arrays = {"mean": np.zeros(2), "scale": np.ones(2), "weights": np.eye(2), "bias": np.zeros(2), **wrong}
    with pytest.raises(ConfigError, match="no saved Linear head"):
        FittedHead("Linear", linear_proba, {k: v for k, v in arrays.items() if v is not None}, params())


class Wrapping(Backbone):
    """Holds a network that nobody would know of."""

    spec = BackboneSpec(name="wrapping", embedding_dim=3, sample_rate_hz=8000)

    def __init__(self, *, clip_seconds: float | None = None) -> None:
        self.network = torch.nn.Linear(2, 3)

    def embed(self, waves: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        return self.network(waves[:, :2])


class Lying(torch.nn.Module, Backbone):
    """Says that it has no parameters."""

    spec = BackboneSpec(name="lying", embedding_dim=3, sample_rate_hz=8000, parameters=0)

    def __init__(self, *, clip_seconds: float | None = None) -> None:
        super().__init__()
        self.network = torch.nn.Linear(2, 3)

    def embed(self, waves: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        return self.network(waves[:, :2])


class Promising(torch.nn.Linear, Backbone):
    """Says that it gets weights itself, and has no way to."""

    spec = BackboneSpec(name="promising", embedding_dim=3, sample_rate_hz=8000, loads_own_weights=True)

    def __init__(self, *, clip_seconds: float | None = None) -> None:
        super().__init__(2, 3)

    def embed(self, waves: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        return self(waves[:, :2])


class Unmade(Backbone):
    """Lacks `embed`."""

    spec = BackboneSpec(name="unmade", embedding_dim=3, sample_rate_hz=8000)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Wrapping", "holds a torch module"),
        ("Lying", "0 parameters"),
        ("Promising", "has no load_pretrained"),
        ("Unmade", "can't be made"),
    ],
)
def test_backbone_that_breaks_the_contract_is_refused_in_one_line(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load_backbone(f"{__name__}:{name}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("field", ["embedding_dim", "sample_rate_hz", "step_seconds"])
def test_spec_with_a_number_that_can_not_be_is_refused(field: str) -> None:
    with pytest.raises(ConfigError, match=f"{field} = 0 is not valid"):
        BackboneSpec(**{"name": "x", "embedding_dim": 3, "sample_rate_hz": 8000, field: 0})

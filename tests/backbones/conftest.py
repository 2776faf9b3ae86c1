"""Networks that the backbones' tests share."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
from backbone_inputs import Loader

from soundprobe.backbones.catalog import BACKBONES
from soundprobe.backbones.load import Backbone, load_backbone

IMAGE_NETWORKS = ("timm:test_efficientnet", "timm:test_vit")
"""Small ones of timm's: the first takes pictures of any size, the second of one only."""


@pytest.fixture(scope="session")
def random_backbone() -> Loader:
    """A function from a name to the backbone with random weights, built once. AST takes 1 s clips, to be quick."""
    loaded: dict[str, Backbone] = {}

    def load(name: str) -> Backbone:
        if name not in loaded:
            loaded[name] = load_backbone(name, weights="random", clip_seconds=1.0 if name == "ast" else None)
        assert not loaded[name].module.training, "a test left a shared network in training mode"
        return loaded[name]

    return load


@pytest.fixture
def private_backbone(random_backbone: Loader) -> Loader:
    """As `random_backbone`, but a copy that the test may change."""

    def load(name: str) -> Backbone:
        shared = random_backbone(name)
        return Backbone(shared.spec, copy.deepcopy(shared.module), shared.weights, shared.settings)

    return load


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes `name` runs over the whole catalogue, and over an image network of each kind."""
    if metafunc.definition.path.parent == Path(__file__).parent and "name" in metafunc.fixturenames:
        metafunc.parametrize("name", [*BACKBONES, *IMAGE_NETWORKS])

"""Networks that the backbones' tests share."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
from backbone_inputs import Loader

from soundprobe.backbones.catalog import BACKBONES
from soundprobe.backbones.load import LoadedBackbone, load_backbone

IMAGE_NETWORKS = ("timm:test_efficientnet", "timm:test_vit")
"""Small ones of timm's: the first takes pictures of any size, the second of one only."""


@pytest.fixture(scope="session")
def random_backbone() -> Loader:
    """From a name to the backbone, with random weights where it has any, built once. AST takes 1 s, to be quick."""
    loaded: dict[str, LoadedBackbone] = {}

    def load(name: str) -> LoadedBackbone:
        if name not in loaded:
            weights = BACKBONES[name].weights_at_hand
            loaded[name] = load_backbone(name, weights=weights, clip_seconds=1.0 if name == "ast" else None)
        training = getattr(loaded[name].network, "training", False)
        assert not training, "a test left a shared network in training mode"
        return loaded[name]

    return load


@pytest.fixture
def private_backbone(random_backbone: Loader) -> Loader:
    """As `random_backbone`, but a copy that the test may change."""

    def load(name: str) -> LoadedBackbone:
        shared = random_backbone(name)
        return LoadedBackbone(shared.spec, copy.deepcopy(shared.network), shared.weights, shared.settings)

    return load


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes `name` runs over the whole catalogue, and over an image network of each kind.

    One that takes `trainable` runs over those of them that can be fine-tuned, one that takes `framed` over those that
    have frames.
    """
    if metafunc.definition.path.parent != Path(__file__).parent:
        return
    for fixture in {"name", "trainable", "framed"} & set(metafunc.fixturenames):
        specs = [BACKBONES[name] for name in (*BACKBONES, *IMAGE_NETWORKS)]
        kept = {"name": specs, "trainable": [s for s in specs if s.trainable], "framed": [s for s in specs if s.frames]}
        metafunc.parametrize(fixture, [spec.name for spec in kept[fixture]])

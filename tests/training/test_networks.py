"""Stages, rates of stages, and that what is frozen does not change by a bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_parts import small_network, small_part

from soundprobe.backbones.load import load_backbone
from soundprobe.base.errors import ConfigError
from soundprobe.training.loop import train
from soundprobe.training.networks import FinetunedNetwork, parameter_groups, stages_of, used_parameters
from soundprobe.training.recipes import FinetuneRecipe, TrainingTable
from soundprobe.training.state import Setting

CPU = torch.device("cpu")


def trained(network: FinetunedNetwork, **table: object) -> dict[str, torch.Tensor]:
    """The network's state before training; it is trained for 2 epochs."""
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    recipe = FinetuneRecipe(backbone="small", training=TrainingTable(epochs=2, batch_size=8, lr=0.05, **table))
    train(network, small_part(), None, recipe, Setting(1, 0, CPU, 1000))
    return before


def changed(network: FinetunedNetwork, before: dict[str, torch.Tensor]) -> set[str]:
    return {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}


def test_frozen_backbone_is_bit_identical_after_training_and_the_head_is_not():
    network = small_network(dropout=0.5)
    before = trained(network, freeze="backbone", weight_decay=0.1)
    assert changed(network, before) == {"head.weight", "head.bias"}
    assert network.backbone.dropout_was_on == [False, False]


def test_frozen_first_stage_keeps_its_statistics_and_its_dropout_is_off():
    network = small_network(dropout=0.5)
    seen = []
    network.backbone.fc.register_forward_hook(lambda *_: seen.append(tuple(network.backbone.dropout_was_on)))
    before = trained(network, freeze=2, weight_decay=0.1)
    assert changed(network, before) == {"backbone.fc.weight", "backbone.fc.bias", "head.weight", "head.bias"}
    assert (False, True) in seen  # between the frozen blocks it is off; after the last of them it is the next stage's
    assert (True, True) not in seen


def test_frozen_batchnorm_keeps_statistics_and_scale_while_kernels_learn():
    network = small_network()
    names = changed(network, trained(network, freeze_batchnorm=True))
    assert "backbone.blocks.0.conv.weight" in names
    assert not [name for name in names if ".norm." in name]


def test_batchnorm_momentum_is_the_recipes_where_it_gives_one():
    network = small_network()
    trained(network, batchnorm_momentum=0.5)
    assert network.backbone.blocks[0].norm.momentum == 0.5


def test_head_epochs_train_the_head_alone_first():
    network = small_network()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    table = TrainingTable(epochs=3, batch_size=8, lr=0.05, head_epochs=1)
    recipe = FinetuneRecipe(backbone="small", training=table)
    train(network, small_part(), None, recipe, Setting(1, 0, CPU, 1000, stop_after=1))
    assert changed(network, before) == {"head.weight", "head.bias"}
    network = small_network()
    train(network, small_part(), None, recipe, Setting(1, 0, CPU, 1000))
    assert "backbone.blocks.0.conv.weight" in changed(network, before)


def test_frozen_mn04_is_bit_identical_after_training():
    model = load_backbone("mn04", weights="random")
    network = FinetunedNetwork(model.network, 384, 3, dropout=0.0, seed=0)
    part = small_part(6)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    table = TrainingTable(epochs=1, batch_size=3, freeze=10)
    train(network, part, None, FinetuneRecipe(backbone="mn04", training=table), Setting(1, 0, CPU, 32_000))
    moved = changed(network, before)
    frozen = {name for name in before if any(name.startswith(f"backbone.features.{stage}.") for stage in range(10))}
    assert frozen
    assert not frozen & moved
    assert any(name.startswith("backbone.features.12.") and "running_mean" in name for name in moved)


def test_freezing_more_stages_than_there_are_names_them():
    with pytest.raises(ConfigError, match=r"freeze = 4, but this backbone has 3 stages: blocks.0, blocks.1, fc"):
        trained(small_network(), freeze=4)


def test_stages_leave_out_what_the_embedding_does_not_use():
    network = small_network()
    spectrogram = torch.randn(2, 6, 10)
    used = used_parameters(network, spectrogram)
    assert [name for name, _ in stages_of(network, used)] == ["blocks.0", "blocks.1", "fc"]
    assert not [name for name in used if name.startswith("unused")]


def test_stages_of_the_pretrained_backbones_are_their_blocks():
    model = load_backbone("mn04", weights="random")
    network = FinetunedNetwork(model.network, 384, 3, dropout=0.0, seed=0)
    names = [name for name, _ in stages_of(network, used_parameters(network, torch.randn(1, 128, 32)))]
    assert names == [f"features.{number}" for number in range(17)]


def test_rates_fall_from_the_head_to_the_first_stage():
    network = small_network()
    used = used_parameters(network, torch.randn(2, 6, 10))
    table = TrainingTable(lr=1.0, backbone_lr=0.1, layer_decay=0.5, weight_decay=0.01)
    groups = parameter_groups(network, stages_of(network, used), table, used)
    of = {id(p): (g["lr"], g["weight_decay"]) for g in groups for p in g["params"]}
    own = dict(network.named_parameters())
    assert of[id(own["head.weight"])] == (1.0, 0.01)
    assert of[id(own["head.bias"])] == (1.0, 0.0)
    assert of[id(own["backbone.fc.weight"])] == (0.1, 0.01)
    assert of[id(own["backbone.blocks.1.norm.weight"])] == (0.05, 0.0)
    assert of[id(own["backbone.blocks.0.conv.weight"])] == (0.025, 0.01)
    assert id(own["backbone.unused.weight"]) not in of
    assert np.isclose(sum(len(g["params"]) for g in groups), 12)

"""Mixup: inputs and targets get the same weights, and targets go on summing to 1."""

from __future__ import annotations

import pytest
import torch

from soundprobe.augment.mixup import Mixup, draw_beta, mix
from soundprobe.base.errors import ConfigError


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_mix_of_two_rows_is_their_weighted_mean():
    values = torch.tensor([[1.0, 0.0], [0.0, 10.0]])
    mixed = mix(values, torch.tensor([1, 0]), torch.tensor([0.75, 0.5]))
    assert mixed.tolist() == [[0.75, 2.5], [0.5, 5.0]]


def test_mix_at_weight_one_is_the_row_itself_whatever_its_partner_holds():
    values = torch.tensor([[1.5, -2.0], [float("inf"), float("nan")]])
    mixed = mix(values, torch.tensor([1, 0]), torch.tensor([1.0, 0.5]))
    assert mixed[0].tolist() == [1.5, -2.0]


@pytest.mark.parametrize("shape", [(16, 100), (16, 8, 12), (16, 1, 8, 12)])
def test_targets_tell_how_much_of_each_clip_is_in_the_input(shape: tuple[int, ...]):
    rows = torch.arange(16.0).view(-1, *[1] * (len(shape) - 1))
    targets = torch.eye(16)  # a class for each clip
    mixed, soft = Mixup(alpha=1.0)(rows.expand(shape), targets, generator())
    assert mixed.shape == shape
    assert torch.allclose(soft.sum(dim=1), torch.ones(16))
    assert torch.allclose(mixed.flatten(1)[:, 0], soft @ torch.arange(16.0), atol=1e-5)
    assert ((soft > 0).sum(dim=1) <= 2).all()
    assert int(((soft > 0).sum(dim=1) == 2).sum()) > 8


def test_soft_targets_stay_distributions():
    targets = torch.rand(32, 5, generator=generator(1)).softmax(dim=1)
    _, soft = Mixup(alpha=0.4)(torch.zeros(32, 3), targets, generator())
    assert torch.allclose(soft.sum(dim=1), torch.ones(32), atol=1e-6)
    assert soft.min() >= 0


@pytest.mark.parametrize("alpha", [0.1, 0.3, 1.0, 4.0])
def test_weights_have_the_mean_and_variance_of_their_beta_distribution(alpha: float):
    weight = draw_beta(alpha, 20_000, generator()).double()
    assert weight.min() >= 0
    assert weight.max() <= 1
    assert weight.mean() == pytest.approx(0.5, abs=0.015)
    assert weight.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.05)


def test_alpha_zero_switches_it_off():
    inputs, targets = torch.randn(8, 5, generator=generator()), torch.eye(8)
    mixed, soft = Mixup(alpha=0.0)(inputs, targets, generator())
    assert torch.equal(mixed, inputs)
    assert torch.equal(soft, targets)


def test_a_batch_of_one_is_itself():
    mixed, soft = Mixup(alpha=1.0)(torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, 1.0]]), generator())
    assert torch.allclose(mixed, torch.tensor([[3.0, 4.0]]))
    assert torch.allclose(soft, torch.tensor([[0.0, 1.0]]))


def test_mixup_given_a_negative_alpha_says_what_is_valid():
    with pytest.raises(ConfigError, match=r"^mixup.alpha = -0.3 is not valid: give 0 to 100\.$"):
        Mixup(alpha=-0.3)

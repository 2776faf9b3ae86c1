"""Weights over a backbone's layers, learnt together with the head: a softmax over one number a layer.

A head on the weighted sum of standardised layers is linear in all of their columns at first, so it is saved as one on
all columns.

Letters: N rows, L layers, D columns of each, C classes, S problems, p still unsolved, M members, B rows of a batch.

Source: Yang et al. 2021, "SUPERB: Speech processing Universal PERformance Benchmark", arXiv 2105.01051.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from soundprobe.heads.mlp_training import MemberRecipe, Members
from soundprobe.heads.softmax_stack import SoftmaxStack

SPEED = 100.0
"""By how much a layer's number moves further in a step of AdamW than weights do: at their rates it would hardly move
in the few hundred steps of a training."""


@dataclass(frozen=True, eq=False)
class WeightedStack(SoftmaxStack):
    """Logistic regressions on weighted sums of layers, on features (N, L * D).

    A solution x (S, C * (D + 1) + L) has each class's weights and bias, then the layers' numbers, which no penalty
    counts.

    Attributes:
        layers: L.
    """

    layers: int

    @classmethod
    def over(cls, stack: SoftmaxStack, layers: int) -> SoftmaxStack:
        """`stack` as it is where there is one layer."""
        return stack if layers == 1 else cls(**vars(stack), layers=layers)

    @property
    def penalised(self) -> torch.Tensor:
        of_class = self.means.new_ones(self.classes, self.features.rows.shape[1] // self.layers + 1)
        of_class[:, -1] = 0.0
        return torch.cat([of_class.view(-1), of_class.new_zeros(self.layers)])

    def shares(self, x: torch.Tensor) -> torch.Tensor:
        """(S, L) the layers' weights, which sum to 1."""
        return x[:, -self.layers :].softmax(dim=1)

    def evaluate(
        self, penalties: torch.Tensor, x: torch.Tensor, problems: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """As `SoftmaxStack.evaluate`, by the chain rule from the gradient at weights on all columns."""
        loss, of_all = super().evaluate(torch.zeros_like(penalties), self._on_all_columns(x), problems)
        of_all = of_all.view(len(x), self.classes, -1)
        of_layers = of_all[:, :, :-1].unflatten(2, (self.layers, -1))  # (p, C, L, D)
        weights, shares = self._of_classes(x)[:, :, :-1], self.shares(x)
        penalty = penalties[problems]
        slopes = torch.einsum("pcld,pl->pcd", of_layers, shares) + penalty[:, None, None] * weights
        of_shares = torch.einsum("pcld,pcd->pl", of_layers, weights)
        of_numbers = shares * (of_shares - (shares * of_shares).sum(dim=1, keepdim=True))
        loss += 0.5 * penalty.double() * weights.square().sum(dim=(1, 2), dtype=torch.float64)
        return loss, torch.cat([torch.cat([slopes, of_all[:, :, -1:]], dim=2).flatten(1), of_numbers], dim=1)

    def on_given_features(self, x: torch.Tensor) -> torch.Tensor:
        return super().on_given_features(self._on_all_columns(x))

    def start_from(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(dim=0, keepdim=True)

    def _of_classes(self, x: torch.Tensor) -> torch.Tensor:
        """(p, C, D + 1) of x."""
        return x[:, : -self.layers].view(len(x), self.classes, -1)

    def _on_all_columns(self, x: torch.Tensor) -> torch.Tensor:
        """(p, C * (L * D + 1)): what `SoftmaxStack` takes, each layer's columns with its share of the weights."""
        of_classes = self._of_classes(x)
        spread = self.shares(x)[:, None, :, None] * of_classes[:, :, None, :-1]  # (p, C, L, D)
        return torch.cat([spread.flatten(2), of_classes[:, :, -1:]], dim=2).flatten(1)


@dataclass(frozen=True)
class LayersRecipe(MemberRecipe):
    """How the members are built and trained; layers: L."""

    layers: int

    def members(self, M: int, D: int, C: int, generator: torch.Generator, device: torch.device) -> Members:
        """Untrained ones, on rows (N, D) of all layers' columns."""
        sizes = [D // self.layers, *[self.width] * self.hidden_layers, C]
        return LayersMembers(M, sizes, self.layers, generator, device)


class LayersMembers(Members):
    """M perceptrons, each on the sum of a row's layers by weights of its own: at first, all layers' are equal.

    Attributes:
        numbers: (M, L).
    """

    def __init__(self, M: int, sizes: list[int], layers: int, generator: torch.Generator, device: torch.device) -> None:
        super().__init__(M, sizes, generator, device)
        self.numbers = torch.zeros(M, layers, device=device).requires_grad_()

    def parameters(self) -> list[torch.Tensor]:
        return [*super().parameters(), self.numbers]

    def shares(self) -> torch.Tensor:
        """(M, L) the layers' weights, which sum to 1."""
        return (SPEED * self.numbers).softmax(dim=1)

    def logits(
        self, x: torch.Tensor, dropout: Callable[[torch.Tensor, int], torch.Tensor] | None = None
    ) -> torch.Tensor:
        """(M, B, C) from inputs (M, B, L * D)."""
        layers = x.unflatten(2, (self.numbers.shape[1], -1))
        return super().logits(torch.einsum("ml,mbld->mbd", self.shares(), layers), dropout)

    def logits_of(self, member: int, x: torch.Tensor) -> torch.Tensor:
        """(B, C) of one member from inputs (B, L * D)."""
        layers = x.unflatten(1, (self.numbers.shape[1], -1))
        return super().logits_of(member, torch.einsum("l,bld->bd", self.shares()[member], layers))

    def on_inputs(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        (weights, bias), *others = self.layers
        return [((self.shares()[:, :, None, None] * weights[:, None]).flatten(1, 2), bias), *others]

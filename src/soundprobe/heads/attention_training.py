"""Perceptrons behind attention over time, trained side by side as `mlp_training` trains perceptrons.

Letters: M members, B rows of a batch, F frames of a row, D numbers of a frame, A the attention's width, C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from soundprobe.heads.mlp_training import MemberRecipe, Members, through


@dataclass(frozen=True)
class AttentionRecipe(MemberRecipe):
    """How the members are built and trained; attention_width: A."""

    attention_width: int

    def members(self, M: int, D: int, C: int, generator: torch.Generator, device: torch.device) -> Members:
        """Untrained ones, on rows (N, F, D), the last column of which is no frame's."""
        sizes = [D - 1, *[self.width] * self.hidden_layers, C]
        return AttentionMembers(M, sizes, self.attention_width, generator, device)


class AttentionMembers(Members):
    """M perceptrons, each on the mean of a row's frames by weights of its own: at first, all frames' are equal.

    Its last two `layers` are those of the attention, (D, A) and (A, 1).
    """

    def __init__(
        self, M: int, sizes: list[int], attention_width: int, generator: torch.Generator, device: torch.device
    ) -> None:
        super().__init__(M, sizes, generator, device)
        self.layers += Members(M, [sizes[0], attention_width, 1], generator, device).layers
        with torch.no_grad():
            self.layers[-1][0].zero_()

    def parameters(self) -> list[torch.Tensor]:
        return super().parameters()[:-1]  # to all frames' scores it adds the same, which no weight feels

    def logits(
        self, x: torch.Tensor, dropout: Callable[[torch.Tensor, int], torch.Tensor] | None = None
    ) -> torch.Tensor:
        """(M, B, C) from inputs (M, B, F, D + 1), the last column 0 or -infinity where there is no frame."""
        *perceptron, (into, bias), (out, _) = self.layers
        M, B, F, _ = x.shape
        frames = x[..., :-1].reshape(M, B * F, -1)
        scores = (torch.baddbmm(bias, frames, into).tanh() @ out).view(M, B, F) + x[..., -1]
        weights = scores.softmax(dim=2)
        pooled = (weights.view(M * B, 1, F) @ frames.view(M * B, F, -1)).view(M, B, -1)
        return through(perceptron, pooled, dropout)

    def logits_of(self, member: int, x: torch.Tensor) -> torch.Tensor:
        """(B, C) of one member from inputs (B, F, D + 1)."""
        own = AttentionMembers.__new__(AttentionMembers)
        own.layers = [(weights[member, None], bias[member, None]) for weights, bias in self.layers]
        return own.logits(x[None])[0]

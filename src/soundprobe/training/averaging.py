"""Averaged weights: over the steps of training, or between its beginning and its end."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor

from soundprobe.training.networks import FinetunedNetwork


class AveragedWeights:
    """Keeps `network`, a copy whose parameters follow the trained one's: mine = d * mine + (1 - d) * theirs.

    d rises with the number of steps t as (1 + t) / (10 + t) until it reaches `decay`, so that the random weights of
    the beginning are soon forgotten. Buffers (BatchNorm statistics) are averages already and are copied.
    """

    def __init__(self, network: FinetunedNetwork, decay: float) -> None:
        self.network = copy.deepcopy(network).requires_grad_(False)
        self.decay = decay
        self.steps = 0

    @torch.no_grad()
    def update(self, trained: FinetunedNetwork) -> None:
        """To be called after each step of the optimiser."""
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        self.steps += 1
        for mine, theirs in zip(self.network.parameters(), trained.parameters(), strict=True):
            mine.lerp_(theirs, 1 - decay)
        for kept, current in zip(self.network.buffers(), trained.buffers(), strict=True):
            kept.copy_(current)


def between(start: Mapping[str, Tensor], end: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """The state dict `share` of the way from `start` to `end`; what isn't floating-point is the end's.

    Source: WiSE-FT (Wortsman et al. 2022, arXiv 2109.01903): fine-tuned weights are better on what they were tuned
    for, the first ones on what is further away; half-way keeps much of both.
    """
    return {
        name: torch.lerp(start[name].to(tensor), tensor, share) if tensor.is_floating_point() else tensor
        for name, tensor in end.items()
    }

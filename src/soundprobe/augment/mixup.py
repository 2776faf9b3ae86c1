"""Mixup: between two clips lies a clip that is partly of the one class and partly of the other."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.special import betaincinv
from torch import Tensor

from soundprobe.augment.draws import chosen
from soundprobe.augment.settings import check_range


@dataclass(frozen=True)
class Mixup:
    """Replaces each clip by w times itself plus 1 - w times another of the batch, and its targets likewise.

    Physics: waves add where sounds are heard together, and two classes in one clip are both there. On log-mel
    spectrograms, the usual place, the mean is a geometric one of powers: no sound that could be recorded, but
    it works better (PANNs: mAP .431 on log-mel, .425 on waves, .416 without; Kong et al. 2020, table V).
    w is Beta(alpha, alpha): mostly near 0 or 1 for small alphas, uniform at 1. Clips and targets need the same w.

    Source: Zhang et al. 2018, arXiv 1710.09412, with a w for each clip. EfficientAT and PaSST take alpha .3 on ESC-50.

    Attributes:
        alpha: 0 to 100; 0 switches it off.
        probability: that a clip is mixed.
    """

    alpha: float = 0.3
    probability: float = 1.0

    def __post_init__(self) -> None:
        check_range("mixup.alpha", self.alpha, 0, 100)
        check_range("mixup.probability", self.probability, 0, 1)

    def __call__(self, inputs: Tensor, targets: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Inputs (B, ...) and targets (B, C), both floating-point, to mixed inputs and targets of the same shapes."""
        assert targets.is_floating_point(), "mixup needs one-hot or soft targets (B, C), not class numbers"
        if self.alpha == 0 or len(inputs) == 0:
            return inputs, targets
        partner = torch.randperm(len(inputs), generator=generator, device=generator.device)
        weight = draw_beta(self.alpha, len(inputs), generator)
        weight = torch.where(chosen(self.probability, len(inputs), generator), weight, 1.0)
        return mix(inputs, partner, weight), mix(targets, partner, weight)


def draw_beta(alpha: float, clips: int, generator: torch.Generator) -> Tensor:
    """(B,) float32 from Beta(alpha, alpha): its inverse distribution function at uniform draws.

    torch's own Beta takes no generator.
    """
    share = torch.rand(clips, generator=generator, device=generator.device)
    return torch.from_numpy(betaincinv(alpha, alpha, share.cpu().double().numpy())).to(share)


def mix(values: Tensor, partner: Tensor, weight: Tensor) -> Tensor:
    """Values (B, ...) with row b replaced by weight[b] of itself plus the rest of row partner[b]; bit for bit at 1."""
    weight = weight.to(values).view(-1, *[1] * (values.dim() - 1))
    return torch.where(weight == 1, values, weight * values + (1 - weight) * values[partner.to(values.device)])

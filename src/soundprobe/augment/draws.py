"""Random numbers, one for each clip, from an explicit generator and never from torch's global one.

The numbers are drawn where the generator lives and then moved to the batch: a generator on the CPU gives the same clips
the same changes on every device, and its state fits into a checkpoint. B is the number of clips.
"""

from __future__ import annotations

import torch
from torch import Tensor


def uniform(low: float, high: float, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """(shape) float32 from `low` to `high`, on the generator's device."""
    return low + (high - low) * torch.rand(shape, generator=generator, device=generator.device)


def chosen(probability: float, clips: int, generator: torch.Generator) -> Tensor:
    """(B,) bool, true with `probability`: never at 0, always at 1."""
    return torch.rand(clips, generator=generator, device=generator.device) < probability


def whole_up_to(most: Tensor, generator: torch.Generator) -> Tensor:
    """(any shape) int64, each from 0 to its own `most`, both included; on the generator's device."""
    most = most.to(generator.device)
    share = torch.rand(most.shape, generator=generator, device=generator.device)
    return torch.minimum((share * (most + 1)).long(), most)  # float32 may round a share of 0.9999999 up to 1


def within(lengths: Tensor, samples: int) -> Tensor:
    """(B, T) bool, true where a sample is audio and not padding, for lengths (B,) and T = `samples`."""
    return torch.arange(samples, device=lengths.device) < lengths[:, None]

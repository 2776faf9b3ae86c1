"""Whether a stranger's model has learnt its weights, or draws them as it is loaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn


def load_drawn(load: Callable[[], Any], seed: int) -> Any:
    """What `load` gives where whatever it draws is drawn with `seed`; the caller's random state stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return load()


def is_mostly_drawn(model: nn.Module, again: nn.Module) -> bool:
    """Whether most parameters of a model are others in `again`, the same loaded with another seed.

    Not all need be: norms begin with ones. Nor is a classifier enough that a file of weights lacks.
    """
    pairs = list(zip(model.parameters(), again.parameters(), strict=False))
    drawn = sum(int((one != other).sum()) for one, other in pairs)
    return 2 * drawn > sum(one.numel() for one, _ in pairs)

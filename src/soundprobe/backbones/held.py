"""What a network of others holds besides its state dict: in attributes, lists, dictionaries and plain objects."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

Kind = TypeVar("Kind")
DEPTH = 4
OF_TORCH = frozenset(vars(nn.Module()))
"""Where a module keeps what it has registered, and its hooks."""


def held_in(part: Any, *kinds: type[Kind], name: str = "", depth: int = DEPTH) -> Iterator[tuple[str, Kind]]:
    """What of these kinds is in `part`, by where it is, through so many containers and plain objects."""
    if isinstance(part, kinds):
        yield name, part
    elif depth and not isinstance(part, type | ModuleType):
        inner = dict(enumerate(part)) if isinstance(part, list | tuple) else part
        for key, one in (inner if isinstance(inner, dict) else getattr(inner, "__dict__", {})).items():
            yield from held_in(one, *kinds, name=f"{name}-{key}".strip("-").replace(".", "-"), depth=depth - 1)


def hidden_modules(network: Any) -> list[str]:
    """Where it holds modules whose tensors its state dict lacks."""
    known, found = _known(network), _attributes(network, nn.Module)
    return [name for name, module in found if not _known(module) <= known]


def hidden_numbers(network: Any) -> dict[str, Tensor]:
    """The tensors, and the bytes of the arrays, that its state dict lacks: windows and filters, or what was learnt."""
    known, numbers = _known(network), {}
    for name, found in _attributes(network, Tensor, np.ndarray):
        if isinstance(found, Tensor) and id(found) not in known:
            numbers[f"held {name}"] = found
        elif isinstance(found, np.ndarray) and found.dtype != object and found.size:
            numbers[f"held {name}"] = torch.frombuffer(bytearray(found.tobytes()), dtype=torch.uint8)
    return numbers


def _known(network: Any) -> set[int]:
    return {id(one) for one in network.state_dict(keep_vars=True).values()} if isinstance(network, nn.Module) else set()


def _attributes(network: Any, *kinds: type[Kind]) -> Iterator[tuple[str, Kind]]:
    parts = network.named_modules() if isinstance(network, nn.Module) else [("", network)]
    for at, part in parts:
        for name, value in getattr(part, "__dict__", {}).items():
            if name not in OF_TORCH:
                yield from held_in(value, *kinds, name=f"{at}.{name}".strip("."))

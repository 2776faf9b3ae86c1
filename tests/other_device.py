"""A device that is not the CPU, on machines that have no other: what would run on a GPU, run for real and checked.

Tensors made "on" it say that they are on `DEVICE` and compute on the CPU. As on a GPU, an operation on one of them and
on a tensor of the CPU that has dimensions fails, and numpy gets none of them before it is copied back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = "meta"
"""Borrowed, because autograd and the dispatcher know it on every machine; torch itself keeps no numbers there."""

PYTHON = torch._C.DispatchKeySet(torch._C.DispatchKey.Python).add(torch._C.DispatchKey.PythonTLSSnapshot)


class Elsewhere(torch.Tensor):
    """A tensor on `DEVICE` whose numbers are in `inner`, on the CPU."""

    inner: torch.Tensor

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> Elsewhere:
        made = torch.Tensor._make_wrapper_subclass(
            cls, inner.shape, strides=inner.stride(), dtype=inner.dtype, device=DEVICE
        )
        made.inner = inner
        return made

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return run(func, args, kwargs or {})


class Generator(torch.Generator):
    """Takes the place of torch's, which knows no `DEVICE`: numbers are drawn where they are kept."""

    def __new__(cls, device: str | torch.device = "cpu") -> Generator:
        return super().__new__(cls)


@contextmanager
def other_device() -> Iterator[OtherDevice]:
    """`DEVICE` can be used within, and what torch lacks for it is left out: fused optimisers, autocast."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("SGD", "Adam", "AdamW"):
            patch.setattr(torch.optim, name, partial(_not_fused, getattr(torch.optim, name)))
        patch.setattr(torch, "Generator", Generator)
        patch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
        # Tensors of Python classes cannot be viewed in inference mode.
        patch.setattr(torch, "inference_mode", lambda mode=True: torch.no_grad() if mode else nullcontext())
        with OtherDevice() as device:
            yield device


def _not_fused(kind: type[torch.optim.Optimizer], parameters: Any, fused: bool, **settings: Any) -> Any:
    return kind(parameters, **settings)


class OtherDevice(TorchDispatchMode):
    """While it is on, `device=DEVICE` and `.to(DEVICE)` make `Elsewhere`s. `operations` counts what ran there."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        self.operations += any(isinstance(leaf, Elsewhere) for leaf in tree_leaves((args, kwargs)))
        return run(func, args, kwargs or {})


def run(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """`func` on the numbers, its results on the device that a GPU's would be on."""
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    there = [tensor for tensor in tensors if isinstance(tensor, Elsewhere)]
    device = kwargs.get("device")
    moves = func is torch.ops.aten._to_copy.default or func is torch.ops.aten.copy_.default
    if there and not moves:
        here = [tuple(tensor.shape) for tensor in tensors if not isinstance(tensor, Elsewhere) and tensor.dim()]
        if here:
            raise RuntimeError(f"{func}: tensors on two devices; on the CPU are those of shapes {here}")
    stays = torch.device(device).type == DEVICE if device is not None else bool(there)
    if func is torch.ops.aten.copy_.default:
        stays = isinstance(args[0], Elsewhere)
    given = {id(tensor.inner): tensor for tensor in there}

    def inner(leaf: Any) -> Any:
        return leaf.inner if isinstance(leaf, Elsewhere) else leaf

    def outer(leaf: Any) -> Any:
        if not isinstance(leaf, torch.Tensor) or not stays:
            return leaf
        return given[id(leaf)] if id(leaf) in given else Elsewhere(leaf)

    on_cpu = {name: torch.device("cpu") if name == "device" and value else value for name, value in kwargs.items()}
    made = func(*tree_map(inner, tuple(args)), **tree_map(inner, on_cpu))
    if any((tensor.shape, tensor.stride()) != (tensor.inner.shape, tensor.inner.stride()) for tensor in there):
        with torch._C._ExcludeDispatchKeyGuard(PYTHON):  # transposed in place, say: so must be what stands for it
            func(*args, **kwargs)
    return tree_map(outer, made)

"""When a network may take a shortcut that has no gradient, and what shortcuts make of the weights beforehand."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

Plan = TypeVar("Plan")

SAMPLED = 64  # numbers of each tensor: an optimiser's step changes nearly all


def may_shortcut(module: nn.Module, inputs: Tensor) -> bool:
    """Whether `module` on `inputs` may be computed in another order, with other layers: float32 inference on a CPU.

    Never in training mode, under autograd, in half precision, while it is traced or compiled, or with hooks on a layer
    that the shortcut would pass by. `allow_shortcuts(False)` keeps a backbone from all shortcuts.
    """
    if not getattr(module, "shortcuts", True) or torch.is_grad_enabled() or inputs.device.type != "cpu":
        return False
    if inputs.dtype != torch.float32 or torch.is_autocast_enabled("cpu"):
        return False
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return False
    layers = list(module.modules())
    return not any(layer.training or layer._forward_hooks or layer._forward_pre_hooks for layer in layers)


class Prepared(Generic[Plan]):
    """What `prepare(module)` made of a module's weights, kept until they change.

    A change is another tensor, a write that PyTorch counts, or other numbers at a sample of places: PyTorch doesn't
    count the writes of fused optimisers, BatchNorm's to its statistics, and those through `.data`.
    Copies of the module and pickles of it begin with nothing prepared.
    """

    def __init__(self, prepare: Callable[[nn.Module], Plan] | None) -> None:
        self.prepare = prepare
        self._kept: tuple[_Weights, Plan] | None = None
        self._lock = threading.Lock()  # two threads would prepare twice, and need the memory of both

    def __reduce__(self) -> tuple[type[Prepared[Plan]], tuple[Callable[[nn.Module], Plan] | None]]:
        return Prepared, (self.prepare,)

    def of(self, module: nn.Module) -> Plan:
        """The plan for the weights that `module` has now; another module's is not kept."""
        assert self.prepare is not None, "this network has no shortcuts"
        weights = _Weights.of(module)
        with self._lock:
            kept = self._kept
            if kept is not None and kept[0].equal(weights):
                return kept[1]
            self._kept = None  # before the next one is made: two would need the memory of both
            plan = self.prepare(module)
            self._kept = weights, plan
            return plan

    def clear(self) -> None:
        """Gives the memory back."""
        self._kept = None


@dataclass(frozen=True, eq=False)
class _Weights:
    """By what a module's weights are known again.

    Attributes:
        tensors: views of them, which keep their addresses from being used for others.
        writes: PyTorch's count for each; None where it doesn't count, as in tensors made in inference mode.
        sample: up to `SAMPLED` numbers of each, in one row.
    """

    tensors: list[Tensor]
    writes: list[int] | None
    sample: Tensor

    @staticmethod
    def of(module: nn.Module) -> _Weights:
        tensors = [tensor.detach() for tensor in chain(module.parameters(), module.buffers())]
        counted = not any(tensor.is_inference() for tensor in tensors)
        sample = torch.cat([_sampled(tensor) for tensor in tensors])
        return _Weights(tensors, [tensor._version for tensor in tensors] if counted else None, sample)

    def equal(self, other: _Weights) -> bool:
        """Whether both are the same numbers, as far as can be told without reading them all."""
        if self.writes is None or self.writes != other.writes:
            return False
        same = (one.data_ptr() == two.data_ptr() for one, two in zip(self.tensors, other.tensors, strict=True))
        return all(same) and torch.equal(self.sample, other.sample)


def _sampled(tensor: Tensor) -> Tensor:
    """Up to `SAMPLED` numbers of `tensor`, without a copy of all of them whatever its memory layout is."""
    step = tensor.numel() // SAMPLED + 1
    reach = 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    if reach != tensor.numel():  # with gaps, or the same numbers several times
        return tensor.reshape(-1)[::step]
    return tensor.as_strided((-(-reach // step),), (step,))


def fold_norm(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Weight (K, C, h, w) and bias (K,) float64 of the convolution that equals `conv`, then `norm` in eval mode."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert conv.bias is None
    scale = norm.weight.detach().double() / (norm.running_var.double() + norm.eps).sqrt()
    weight = conv.weight.detach().double() * scale[:, None, None, None]
    return weight, norm.bias.detach().double() - norm.running_mean.double() * scale

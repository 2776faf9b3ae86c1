"""Matrices that oneDNN has laid out beforehand for its own float32 product.

PyTorch hands a float32 product to MKL, which reaches 200 GFLOP/s on two cores of an AMD CPU with AVX-512, and 135 where
one side has 50 rows; oneDNN with a matrix in its own layout reaches 226 and 185. PyTorch's compiler calls it so,
through operators that have no public name. Where they are missing, or wrong, matrices stay as they are and nothing but
time is lost.

Letters: M, K, D of a product (M, D) by (D, K).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class PackedMatrix:
    """A matrix (K, D) that others are multiplied with: in oneDNN's layout where `can_pack`, else as it was.

    Attributes:
        bias: (K,), or None for zero.
    """

    matrix: Tensor
    bias: Tensor | None
    packed: bool

    @classmethod
    def of(cls, matrix: Tensor, bias: Tensor | None = None) -> PackedMatrix:
        """From (K, D) float32 on the CPU; a copy where it is packed."""
        if not can_pack():
            return cls(matrix, bias, packed=False)
        with torch.inference_mode():
            return cls(torch.ops.mkldnn._reorder_linear_weight(matrix, None), bias, packed=True)

    def multiply(self, inputs: Tensor) -> Tensor:
        """(..., D) float32 times the matrix's transpose, plus the bias: (..., K). It has no gradient."""
        return self._linear(inputs, gelu=False)

    def multiply_gelu(self, inputs: Tensor) -> Tensor:
        """As `multiply`, then GELU (the exact one, by erf)."""
        return self._linear(inputs, gelu=True)

    def _linear(self, inputs: Tensor, *, gelu: bool) -> Tensor:
        if self.packed:
            return _onednn_linear(inputs, self.matrix, self.bias, "gelu" if gelu else "none")
        product = nn.functional.linear(inputs, self.matrix, self.bias)
        return nn.functional.gelu(product) if gelu else product


def _onednn_linear(inputs: Tensor, packed: Tensor, bias: Tensor | None, activation: str) -> Tensor:
    product: Tensor = torch.ops.mkldnn._linear_pointwise(inputs, packed, bias, activation, [], "none")
    return product


@cache
def can_pack() -> bool:
    """Whether oneDNN's operators are there and give the right numbers on a small product."""
    inputs, matrix = torch.linspace(-2, 3, 24).view(2, 3, 4), torch.linspace(-1, 1, 20).view(5, 4)
    bias = torch.linspace(0, 1, 5)
    with torch.inference_mode():
        expected = nn.functional.linear(inputs, matrix, bias)
        try:
            packed = torch.ops.mkldnn._reorder_linear_weight(matrix, None)
            found = [_onednn_linear(inputs, packed, bias, activation) for activation in ("none", "gelu")]
        except (AttributeError, RuntimeError):  # no such operator, or not in this build or for this processor
            return False
        right = (expected, nn.functional.gelu(expected))
        return all(torch.allclose(a, b, rtol=1e-5, atol=1e-6) for a, b in zip(found, right, strict=True))

"""AST's layers for inference on a CPU: weights packed for oneDNN, and the last layer for the two tokens that are read.

Letters: B clips, P patches, D = 768.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from soundprobe.base.onednn import PackedMatrix

TOKENS = 2  # [CLS] and distillation stand before the patches


@dataclass(frozen=True)
class AstLayer:
    """One of transformers' ASTLayer for inference."""

    norm_before: nn.LayerNorm
    norm_after: nn.LayerNorm
    query: PackedMatrix
    key: PackedMatrix
    value: PackedMatrix
    out: PackedMatrix
    fc1: PackedMatrix
    fc2: PackedMatrix
    head_dim: int
    scaling: float

    def __call__(self, hidden: Tensor, *, read: int | None = None) -> Tensor:
        """(B, 2 + P, D) to the same shape, or to the first `read` tokens: the others give only keys and values then."""
        normed = self.norm_before(hidden)
        query = self._heads(self.query.multiply(normed[:, :read]))
        key, value = self._heads(self.key.multiply(normed)), self._heads(self.value.multiply(normed))
        heard = nn.functional.scaled_dot_product_attention(query, key, value, scale=self.scaling)
        tokens = hidden[:, :read] + self.out.multiply(heard.transpose(1, 2).flatten(2))
        return tokens + self.fc2.multiply(self.fc1.multiply_gelu(self.norm_after(tokens)))

    def _heads(self, flat: Tensor) -> Tensor:
        return flat.unflatten(2, (-1, self.head_dim)).transpose(1, 2)  # (B, heads, tokens, D / heads)


def prepare_ast(ast: Any) -> list[AstLayer]:
    """From transformers' ASTModel."""
    return [_prepared(layer) for layer in ast.layers]


def _prepared(layer: Any) -> AstLayer:
    attention, mlp = layer.attention, layer.mlp

    def packed(linear: nn.Linear) -> PackedMatrix:
        return PackedMatrix.of(linear.weight.detach(), linear.bias.detach())

    return AstLayer(
        norm_before=layer.layernorm_before,
        norm_after=layer.layernorm_after,
        query=packed(attention.q_proj),
        key=packed(attention.k_proj),
        value=packed(attention.v_proj),
        out=packed(attention.o_proj),
        fc1=packed(mlp.fc1),
        fc2=packed(mlp.fc2),
        head_dim=attention.head_dim,
        scaling=attention.scaling,
    )


def through_layers(layers: Sequence[AstLayer], hidden: Tensor, *, read: int | None = TOKENS) -> Tensor:
    """(B, 2 + P, D) to the first `read` tokens, by default (B, 2, D); None gives all."""
    *layers, last = layers
    for layer in layers:
        hidden = layer(hidden)
    return last(hidden, read=read)

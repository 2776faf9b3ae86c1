"""Saved heads as PyTorch modules in float32, to stand in an exported graph behind the backbone that they belong to.

Letters: N rows, D features, d of those that a head takes, C classes of the run, c of those that a head knows,
R training rows of kNN.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from soundprobe.base.errors import ExportError
from soundprobe.base.registry import resolve
from soundprobe.heads.catalog import HEADS


class HeadGraph(nn.Module):
    """(N, D) features to (N, C) probabilities: standardised, asked, and put in the order of the run's classes.

    Args:
        name: a key of `HEADS`; head: as `load_head` gives it; n_classes: C.

    Raises:
        ExportError: its kind says nothing of how it stands in a graph.
    """

    columns: Tensor | None
    mean: Tensor
    scale: Tensor
    order: Tensor | None

    def __init__(self, name: str, head: Any, n_classes: int) -> None:
        super().__init__()
        target = HEADS[name].graph
        if not target:
            raise ExportError(
                f"The head {name} can't stand in a graph: its HeadSpec names no `graph`. Give --format bundle, which "
                "needs none, or a run with another head."
            )
        columns = getattr(head, "columns", None)
        inner = head if columns is None else head.head
        places = np.asarray(head.classes_, dtype=np.int64)
        order = torch.zeros(len(places), n_classes)  # (c, C)
        order[torch.arange(len(places)), torch.from_numpy(places)] = 1.0
        self.ask: nn.Module = resolve(target, f"head {name!r}")(inner)
        self.register_buffer("columns", None if columns is None else _tensor(columns, np.int64))
        self.register_buffer("mean", _tensor(inner.mean_))
        self.register_buffer("scale", _tensor(inner.scale_))
        self.register_buffer("order", None if torch.equal(order, torch.eye(n_classes)) else order)

    def forward(self, features: Tensor) -> Tensor:
        taken = features if self.columns is None else features[:, self.columns]
        proba: Tensor = self.ask((taken - self.mean) / self.scale)
        return proba if self.order is None else proba @ self.order


class LinearGraph(nn.Module):
    """As `inference.linear_proba`."""

    def __init__(self, head: Any) -> None:
        super().__init__()
        self.layer = _linear(head.weights_, head.bias_)

    def forward(self, rows: Tensor) -> Tensor:
        return self.layer(rows).softmax(dim=1)


class MLPGraph(nn.Module):
    """As `inference.mlp_proba`."""

    def __init__(self, head: Any) -> None:
        super().__init__()
        numbers = range(head.hidden_layers + 1)
        self.layers = nn.ModuleList(
            _linear(getattr(head, f"weights_{number}_"), getattr(head, f"bias_{number}_")) for number in numbers
        )

    def forward(self, rows: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            rows = layer(rows).relu()
        return self.layers[-1](rows).softmax(dim=1)


class KNNGraph(nn.Module):
    """As `inference.knn_proba`, but of rows at the very same cosine any may be the neighbour."""

    rows: Tensor
    votes: Tensor

    def __init__(self, head: Any) -> None:
        super().__init__()
        self.k = min(head.chosen_["k"], len(head.rows_))
        self.register_buffer("rows", _tensor(head.rows_))
        self.register_buffer("votes", torch.eye(len(head.classes_))[_tensor(head.labels_, np.int64)])  # (R, c)

    def forward(self, rows: Tensor) -> Tensor:
        norms = rows.norm(dim=1, keepdim=True)
        cosines = (rows / torch.where(norms > 0, norms, 1.0)) @ self.rows.T  # (N, R)
        nearest = cosines.topk(self.k, dim=1)
        weights = (1 + nearest.values).clamp(min=1e-6)  # (N, k)
        shares = (weights.unsqueeze(2) * self.votes[nearest.indices]).sum(dim=1)
        return shares / shares.sum(dim=1, keepdim=True)


def _linear(weights: np.ndarray, bias: np.ndarray) -> nn.Linear:
    """A layer of weights (in, out) and bias (out,)."""
    layer = nn.Linear(*weights.shape)
    with torch.no_grad():
        layer.weight.copy_(_tensor(weights).T)
        layer.get_parameter("bias").copy_(_tensor(bias))
    return layer


def _tensor(array: np.ndarray, dtype: type = np.float32) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=dtype))

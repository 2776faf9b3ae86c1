"""Training perceptrons of one shape side by side: one matrix product for a layer of all of them.

Letters: M members, B rows of a batch, D features, C classes. Members differ in the rows that they learn from (and are
standardised by) and in their random numbers, not in their settings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from torch.optim.adamw import adamw


@dataclass(frozen=True)
class MemberRecipe:
    """How the members are built and trained."""

    width: int
    hidden_layers: int
    learning_rate: float
    weight_decay: float
    dropout: float
    batch_size: int
    seed: int

    def members(self, M: int, D: int, C: int, generator: torch.Generator, device: torch.device) -> Members:
        """Untrained ones, on rows (N, D)."""
        return Members(M, [D, *[self.width] * self.hidden_layers, C], generator, device)


@dataclass(frozen=True, eq=False)
class Rows:
    """Standardised rows and how each of M members standardises them further.

    Attributes:
        features: (N, D) float32, or what else a head's members take of a row, D last; labels: (N,) int64; n_classes: C.
        means, scales: (M, 1, D) float32, with an axis more where a row has one.
        weights: (N,) float32, in losses; None where all are the same.
    """

    features: torch.Tensor
    labels: torch.Tensor
    n_classes: int
    means: torch.Tensor
    scales: torch.Tensor
    weights: torch.Tensor | None = None

    @classmethod
    def of(
        cls,
        Z: np.ndarray | torch.Tensor,
        labels: np.ndarray,
        means: np.ndarray,
        scales: np.ndarray,
        device: str = "cpu",
        weights: np.ndarray | None = None,
    ) -> Rows:
        """From rows Z (N, D), labels (N,) 0 .. C-1, means and scales (M, D), and weights (N,): all on the `device`."""
        axes = (slice(None), *[None] * (Z.ndim - 1))
        return cls(
            features=torch.as_tensor(Z).to(device),
            labels=torch.from_numpy(labels.astype(np.int64)).to(device),
            n_classes=int(labels.max()) + 1,
            means=torch.from_numpy(means.astype(np.float32)).to(device)[axes],
            scales=torch.from_numpy(scales.astype(np.float32)).to(device)[axes],
            weights=None if weights is None else torch.from_numpy(weights.astype(np.float32)).to(device),
        )

    def take(self, index: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs (M, B, D) and labels (M, B) of the rows `index` (M, B)."""
        inputs = self.features.index_select(0, index.view(-1)).view(*index.shape, *self.features.shape[1:])
        return inputs.sub_(self.means).div_(self.scales), self.labels[index]


class Members:
    """M perceptrons of one shape: `layers` holds (weights (M, in, out), bias (M, 1, out)) for each layer."""

    def __init__(
        self, M: int, sizes: list[int], generator: torch.Generator, device: str | torch.device = "cpu"
    ) -> None:
        self.layers: list[tuple[torch.Tensor, torch.Tensor]] = []
        for n_in, n_out in pairwise(sizes):
            bound = n_in**-0.5  # as torch.nn.Linear draws both
            weights = torch.empty(M, n_in, n_out).uniform_(-bound, bound, generator=generator)
            bias = torch.empty(M, 1, n_out).uniform_(-bound, bound, generator=generator)
            self.layers.append((weights.to(device).requires_grad_(), bias.to(device).requires_grad_()))

    def parameters(self) -> list[torch.Tensor]:
        return [tensor for layer in self.layers for tensor in layer]

    def on_inputs(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """The layers as a saved head has them, the first on all numbers of an input."""
        return self.layers

    def logits(
        self, x: torch.Tensor, dropout: Callable[[torch.Tensor, int], torch.Tensor] | None = None
    ) -> torch.Tensor:
        """(M, B, C) from inputs (M, B, D); `dropout` takes hidden units and the number of their layer."""
        return through(self.layers, x, dropout)

    def logits_of(self, member: int, x: torch.Tensor) -> torch.Tensor:
        """(B, C) of one member from inputs (B, D)."""
        for weights, bias in self.layers[:-1]:
            x = torch.addmm(bias[member], x, weights[member]).relu_()
        weights, bias = self.layers[-1]
        return torch.addmm(bias[member], x, weights[member])


def through(
    layers: list[tuple[torch.Tensor, torch.Tensor]],
    x: torch.Tensor,
    dropout: Callable[[torch.Tensor, int], torch.Tensor] | None,
) -> torch.Tensor:
    """(M, B, C) from inputs (M, B, D) of perceptrons' layers, see `Members`."""
    for number, (weights, bias) in enumerate(layers[:-1]):
        x = torch.baddbmm(bias, x, weights).relu()
        x = dropout(x, number) if dropout is not None else x
    weights, bias = layers[-1]
    return torch.baddbmm(bias, x, weights)


def train(rows: Rows, training_rows: list[np.ndarray], recipe: MemberRecipe) -> Iterator[tuple[Members, np.ndarray]]:
    """As `train_in_step`, of one recipe."""
    for (trained,) in train_in_step(rows, training_rows, [recipe]):
        yield trained


def train_in_step(
    rows: Rows, training_rows: list[np.ndarray], recipes: list[MemberRecipe]
) -> Iterator[list[tuple[Members, np.ndarray]]]:
    """Yields each recipe's members and their mean training losses (M,) after each epoch, for as long as it is asked.

    Recipes differ in their learning rates alone, so that they draw the same random numbers, which are drawn once. The
    caller may take recipes out of the list between epochs.

    Every member makes the same number of steps in an epoch, its rows dealt to them as evenly as they go. All random
    numbers come from generators of its own; with one seed, two runs on one machine's CPU give the same bits. Weights
    and the order of rows are drawn on the CPU wherever the rows are, dropout beside them.
    """
    device, M, recipe = rows.features.device, len(training_rows), recipes[0]
    generator = torch.Generator().manual_seed(recipe.seed)
    dropping = generator if device.type == "cpu" else torch.Generator(device).manual_seed(recipe.seed)
    start = generator.get_state()
    trainings: dict[MemberRecipe, _Training] = {}
    for one in recipes:
        generator.set_state(start)
        trainings[one] = _Training(
            one.members(M, rows.features.shape[-1], rows.n_classes, generator, device), one, device
        )
    kept: list[torch.Tensor] = []
    """A step's masks, layer by layer."""

    def drop(x: torch.Tensor, layer: int) -> torch.Tensor:
        if layer == len(kept):
            kept.append(torch.empty_like(x).bernoulli_(1 - recipe.dropout, generator=dropping).div_(1 - recipe.dropout))
        return x * kept[layer]

    totals = torch.tensor([len(own) if rows.weights is None else rows.weights[own].sum() for own in training_rows])
    while True:
        losses = {one: torch.zeros(M, device=device) for one in recipes}
        for index, weight in _batches(training_rows, recipe.batch_size, generator):
            index = index.to(device)
            x, y = rows.take(index)
            weight = weight.to(device) * (1 if rows.weights is None else rows.weights[index])
            kept.clear()
            for one in recipes:
                losses[one] += trainings[one].step(x, y, weight, drop if recipe.dropout else None)
        yield [(trainings[one].members, (losses[one].cpu() / totals).numpy()) for one in recipes]


class _Training:
    """Members and what AdamW remembers of them."""

    def __init__(self, members: Members, recipe: MemberRecipe, device: torch.device) -> None:
        self.members, self.recipe = members, recipe
        self.parameters = members.parameters()
        self.means, self.squares = ([torch.zeros_like(one) for one in self.parameters] for _ in range(2))
        self.steps = [torch.zeros((), device=device) for _ in self.parameters]

    def step(
        self,
        x: torch.Tensor,
        y: torch.Tensor,
        weight: torch.Tensor,
        dropout: Callable[[torch.Tensor, int], torch.Tensor] | None,
    ) -> torch.Tensor:
        """The summed losses (M,) of a step on inputs (M, B, D), labels and weights (M, B)."""
        logits = self.members.logits(x, dropout)
        loss = cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="none").view(y.shape)
        # A member's gradient is that of its own mean: members share no parameter.
        mean = (loss * (weight / weight.sum(dim=1, keepdim=True))).sum()
        gradients = torch.autograd.grad(mean, self.parameters)
        with torch.no_grad():
            # The function, because the class `torch.optim.AdamW` imports torch._dynamo, a second and more.
            adamw(
                self.parameters,
                list(gradients),
                self.means,
                self.squares,
                [],
                self.steps,
                fused=True,
                amsgrad=False,
                beta1=0.9,
                beta2=0.999,
                lr=self.recipe.learning_rate,
                weight_decay=self.recipe.weight_decay,
                eps=1e-8,
                maximize=False,
            )
            return (loss * weight).sum(dim=1)


def _batches(
    training_rows: list[np.ndarray], batch_size: int, generator: torch.Generator
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """One epoch: row indices (M, B) in random order, and weights (M, B) that are 0 where a member has a row less."""
    shuffled = [torch.from_numpy(own)[torch.randperm(len(own), generator=generator)] for own in training_rows]
    sizes = [len(own) for own in shuffled]
    steps = min(max(1, round(max(sizes) / batch_size)), min(sizes))  # no member may have an empty batch
    for parts in zip(*(own.tensor_split(steps) for own in shuffled), strict=True):
        index = torch.nn.utils.rnn.pad_sequence(list(parts), batch_first=True)
        lengths = torch.tensor([len(part) for part in parts])
        weight = (torch.arange(index.shape[1])[None] < lengths[:, None]).float()
        yield index, weight


def validate(rows: Rows, members: Members, validation_rows: list[np.ndarray]) -> tuple[list[float], list[float]]:
    """Each member's log loss, weighted, and accuracy on its own validation rows."""
    losses, accuracies = [], []
    with torch.no_grad():
        for m, own in enumerate(validation_rows):
            index = torch.from_numpy(own).to(rows.labels.device)
            x = rows.features.index_select(0, index).sub_(rows.means[m]).div_(rows.scales[m])
            logits, y = members.logits_of(m, x), rows.labels[index]
            if rows.weights is None:
                losses.append(float(cross_entropy(logits, y)))
            else:
                weight = rows.weights[index]
                losses.append(float((cross_entropy(logits, y, reduction="none") * weight).sum() / weight.sum()))
            accuracies.append(float((logits.argmax(dim=1) == y).float().mean()))
    return losses, accuracies

"""The network that is fine-tuned: a backbone and a linear head, its stages, and what of it stays frozen.

Letters: B clips, F mel bands, M frames, S segments of a clip (1 for most backbones), D the embedding's dimension,
C classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from soundprobe.backbones.protocol import SpectrogramBackbone
from soundprobe.base.errors import ConfigError
from soundprobe.training.recipes import TrainingTable


class FinetunedNetwork(nn.Module):
    """Spectrogram (B, F, M) to logits (B, S, C): the backbone's embedding, dropout, a linear layer.

    Each segment that the backbone hears of a clip is trained on with the clip's label, and the probabilities are
    averaged over those that vote.

    Args:
        seed: of the head's random weights, which are those of `nn.Linear`.
    """

    def __init__(
        self, backbone: SpectrogramBackbone, embedding_dim: int, classes: int, *, dropout: float, seed: int
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.dropout = nn.Dropout(dropout)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.head = nn.Linear(embedding_dim, classes)

    def votes(self, spectrogram: Tensor) -> Tensor:
        """(B, S) float32, rows that sum to 1: how much each segment counts in its clip."""
        return self.backbone.votes(spectrogram)

    def forward(self, spectrogram: Tensor) -> Tensor:
        return self.head(self.dropout(self.backbone.embed_segments(spectrogram)))


def probabilities(logits: Tensor, votes: Tensor) -> Tensor:
    """(B, S, C) logits and (B, S) votes to (B, C) probabilities, the mean over the segments that vote, in float32."""
    return (logits.float().softmax(dim=-1) * votes.unsqueeze(2)).sum(dim=1)


def stages_of(network: FinetunedNetwork, used: set[str]) -> list[tuple[str, nn.Module]]:
    """The backbone's stages from input to output, by name, without what its embedding doesn't use.

    A stage is a child with parameters, or one of a `Sequential`'s or `ModuleList`'s; an only child is opened.

    Args:
        used: of `used_parameters`.
    """
    return [
        (name, module)
        for name, module in _open(network.backbone, "")
        if any(f"{name}.{own}" in used for own, _ in module.named_parameters())
    ]


def used_parameters(network: FinetunedNetwork, spectrogram: Tensor) -> set[str]:
    """Names of the backbone's parameters on which its embedding depends.

    Args:
        spectrogram: (B, F, M), a clip is enough.
    """
    was_training = network.training
    network.eval()
    names, parameters = zip(*network.backbone.named_parameters(), strict=True)
    wanted = [parameter.requires_grad for parameter in parameters]
    for parameter in parameters:
        parameter.requires_grad_(True)
    with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):  # cuDNN's GRU has no gradient in eval mode
        gradients = torch.autograd.grad(
            network.backbone.embed_segments(spectrogram).float().sum(), parameters, allow_unused=True
        )
    for parameter, on in zip(parameters, wanted, strict=True):
        parameter.requires_grad_(on)
    network.train(was_training)
    return {name for name, gradient in zip(names, gradients, strict=True) if gradient is not None}


def _open(module: nn.Module, prefix: str) -> Iterator[tuple[str, nn.Module]]:
    children = [(prefix + name, child) for name, child in module.named_children() if _has_parameters(child)]
    own = next(module.parameters(recurse=False), None) is not None
    for name, child in children:
        if type(child) in (nn.Sequential, nn.ModuleList):  # not their heirs: those are layers with a name
            yield from ((f"{name}.{inner}", layer) for inner, layer in child.named_children() if _has_parameters(layer))
        elif len(children) == 1 and not own and any(_has_parameters(inner) for inner in child.children()):
            yield from _open(child, f"{name}.")
        else:
            yield name, child


def _has_parameters(module: nn.Module) -> bool:
    return next(module.parameters(), None) is not None


class Freezing:
    """What of a network stays as it is: parameters get no gradient; BatchNorm statistics and dropout stand still.

    Args:
        stages: of `stages_of`; table: `freeze`, `freeze_batchnorm` and `head_epochs` count.

    Raises:
        ConfigError: `freeze` names more stages than there are.
    """

    def __init__(
        self, network: FinetunedNetwork, stages: Sequence[tuple[str, nn.Module]], table: TrainingTable, used: set[str]
    ) -> None:
        if isinstance(table.freeze, int) and table.freeze > len(stages):
            raise ConfigError(
                f"training.freeze = {table.freeze}, but this backbone has {len(stages)} stages: "
                f"{', '.join(name for name, _ in stages)}. Give fewer."
            )
        self.network, self.table, self.used = network, table, used
        for module in network.modules():
            if isinstance(module, _BatchNorm) and table.batchnorm_momentum:
                module.momentum = table.batchnorm_momentum
        self.first = [module for _, module in stages[: table.freeze]] if isinstance(table.freeze, int) else []
        within = {id(part) for _, stage in stages for part in stage.modules()}
        self.around = [module for module in network.backbone.modules() if id(module) not in within]
        self.whole = False
        if self.first:
            self.first[0].register_forward_pre_hook(lambda *_: self._around_stages(training=False))
            self.first[-1].register_forward_hook(lambda *_: self._around_stages(training=True))

    def _around_stages(self, training: bool) -> None:
        """Dropout between frozen stages belongs to the module around them: it is off until the last of them is past."""
        if self.network.training and not self.whole:
            for module in self.around:
                module.training = training

    def begin_epoch(self, epoch: int) -> None:
        """Puts the network into training mode, but for what is frozen in this epoch (1, 2, ...)."""
        self.whole = self.table.freeze == "backbone" or epoch <= self.table.head_epochs
        self.network.train()
        for name, parameter in self.network.backbone.named_parameters():
            parameter.requires_grad_(name in self.used and not self.whole)
        still: list[nn.Module] = [self.network.backbone] if self.whole else list(self.first)
        if self.table.freeze_batchnorm:
            still += [module for module in self.network.backbone.modules() if isinstance(module, _BatchNorm)]
        for module in still:
            module.eval()
            for parameter in module.parameters():
                parameter.requires_grad_(False)


def parameter_groups(
    network: FinetunedNetwork, stages: Sequence[tuple[str, nn.Module]], table: TrainingTable, used: set[str]
) -> list[dict[str, Any]]:
    """The optimiser's groups: `lr` and `weight_decay` of the head, and of each stage of the backbone.

    The last stage has `lr * backbone_lr`, each one before it `layer_decay` times that; parameters outside the stages
    count as the first. Biases and norms (one dimension) aren't decayed.
    """
    depth = {f"{name}.{own}": number for number, (name, m) in enumerate(stages) for own, _ in m.named_parameters()}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.backbone.named_parameters():
        if name in used:
            below = len(stages) - 1 - depth.get(name, 0)
            lr = table.lr * table.backbone_lr * table.layer_decay**below
            groups.setdefault((lr, table.weight_decay * (parameter.ndim > 1)), []).append(parameter)
    for parameter in network.head.parameters():
        groups.setdefault((table.lr, table.weight_decay * (parameter.ndim > 1)), []).append(parameter)
    return [{"params": parameters, "lr": lr, "weight_decay": decay} for (lr, decay), parameters in groups.items()]

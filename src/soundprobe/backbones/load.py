"""A backbone by its name: the network with the weights that were asked for, and what its embeddings depend on."""

from __future__ import annotations

import difflib
import hashlib
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from soundprobe.backbones.catalog import get_spec
from soundprobe.backbones.spec import BackboneSpec
from soundprobe.backbones.weights.verify import fetch, load_state_dict, sha256_of
from soundprobe.base.errors import ConfigError, WeightsError

PRETRAINED, RANDOM = "pretrained", "random"
NAMED = 3  # tensors that a message names before it only counts


@dataclass(frozen=True)
class WeightsInfo:
    """Where a network's weights are from.

    Attributes:
        kind: "pretrained", "random" or "file"; "fine-tuned" for the network of a fine-tuning run's fold.
        sha256: of the weights' file; for random weights and those that a library gets itself, of the tensors' names,
            shapes and bytes.
        label: for tables: "pretrained", "pretrained (resnet18.a1_in1k)", "random (seed 0)", "file mine.safetensors".
    """

    kind: Literal["pretrained", "random", "file", "fine-tuned"]
    sha256: str
    label: str


@dataclass(frozen=True, eq=False)
class Backbone:
    """A network that is ready to embed.

    Attributes:
        spec: its line in the catalogue.
        module: on the CPU, in eval mode; (B, T) float32 in, (B, D) float32 out (see `BackboneSpec.target`).
        weights: where its weights are from.
        settings: everything else that an embedding depends on, JSON-able.
    """

    spec: BackboneSpec
    module: nn.Module
    weights: WeightsInfo
    settings: dict[str, Any]

    def describe(self) -> dict[str, Any]:
        """What `meta.json` and `result.json` say of it."""
        return {
            "name": self.spec.name,
            "title": self.spec.title,
            "weights": self.weights.kind,
            "weights_label": self.weights.label,
            "weights_sha256": self.weights.sha256,
            "embedding_dim": self.spec.embedding_dim,
            "parameters": self.spec.parameters,
            "settings": self.settings,
        }


def load_backbone(
    name: str,
    *,
    weights: str | Path = PRETRAINED,
    clip_seconds: float | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Backbone:
    """The backbone `name` with its weights, in eval mode on the CPU. The caller's random state stays as it was.

    Args:
        name: a key of `BACKBONES`.
        weights: "pretrained" (fetched when not in the cache), "random" (the control) or a file's path.
        clip_seconds: the input's length; None takes the backbone's own rule.
        seed: of random weights, 0 to 2**63 - 1: the same seed gives the same numbers.
        progress: show a bar while fetching.

    Raises:
        ConfigError: the name, the length or the seed is not valid.
        WeightsError: the weights can't be had, or are not this network's.
    """
    spec = get_spec(name)
    if clip_seconds is not None:
        spec.check_clip_seconds(clip_seconds)
    if not 0 <= seed < 2**63:
        raise ConfigError(f"--seed {seed} is not valid: give a whole number from 0 to 2**63 - 1.")
    own = weights == PRETRAINED and spec.loads_own_weights
    file = None if weights == RANDOM or own else _weights_file(spec, weights, progress)
    module: Any = _build(spec, clip_seconds, seed)
    if own:
        name = module.load_pretrained()
        info = WeightsInfo("pretrained", _digest(module.state_dict()), f"pretrained ({name})")
    elif file is None:
        info = WeightsInfo("random", _digest(module.state_dict()), f"random (seed {seed})")
    else:
        info = _fill_from(module, spec, file, weights)
    return Backbone(spec, module.eval(), info, _settings(spec, clip_seconds))


def _fill_from(module: nn.Module, spec: BackboneSpec, file: Path, weights: str | Path) -> WeightsInfo:
    _fill(module, spec, file)
    sha256 = sha256_of(file)
    # The published file is the published file, wherever the user keeps it.
    pretrained = weights == PRETRAINED or (spec.weights is not None and sha256 == spec.weights.sha256)
    label = PRETRAINED if pretrained else f"file {file.name}"
    return WeightsInfo("pretrained" if pretrained else "file", sha256, label)


def _weights_file(spec: BackboneSpec, weights: str | Path, progress: bool) -> Path:
    if weights == PRETRAINED:
        if spec.weights is None:
            raise WeightsError(
                f"{spec.name} has no pretrained weights, because it is trained from scratch: "
                "use --weights random, a file of your own, or finetune."
            )
        return fetch(spec.weights, progress=progress)
    path = Path(weights)
    if not path.is_file():
        near = difflib.get_close_matches(str(weights), (PRETRAINED, RANDOM), n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise WeightsError(f"No weights file at {str(weights)!r}.{hint} Give pretrained, random, or a file's path.")
    return path


def _build(spec: BackboneSpec, clip_seconds: float | None, seed: int) -> nn.Module:
    module_name, _, class_name = spec.target.partition(":")
    cls = getattr(importlib.import_module(module_name), class_name)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # not torch.manual_seed, which would reseed GPUs as well
        return cls(clip_seconds=clip_seconds, **spec.arguments)


def _fill(module: nn.Module, spec: BackboneSpec, file: Path) -> None:
    """Copies the file's tensors into the module; all of them, and nothing else, must fit."""
    cls: Any = type(module)
    state = cls.convert(load_state_dict(file))
    problems = misfits(module.state_dict(), state)
    if problems:
        raise WeightsError(
            f"{file} is not a weights file of {spec.name}: {'; '.join(problems)}. "
            f"Give a state dict of {spec.title}, or leave --weights out."
        )
    module.load_state_dict(state)


def misfits(own: Mapping[str, Tensor], given: Mapping[str, Any]) -> list[str]:
    """What keeps the tensors `given` from being a network's `own`: a phrase each, naming the first few."""
    missing = [name for name in own if name not in given]
    unexpected = [name for name in given if name not in own]
    both = [name for name in own if name in given]
    tensors = [name for name in both if _is_plain(given[name])]
    others = [name for name in both if not _is_plain(given[name])]
    shapes = [
        f"{name} {tuple(given[name].shape)} for {tuple(own[name].shape)}"
        for name in tensors
        if given[name].shape != own[name].shape
    ]
    not_finite = [name for name in tensors if not bool(torch.isfinite(given[name]).all())]
    found = {
        "missing": missing,
        "unexpected": unexpected,
        "of another shape": shapes,
        "not plain tensors": others,
        "with NaN or infinity": not_finite,
    }
    return [f"{len(names)} {what} ({_first(names)})" for what, names in found.items() if names]


def _is_plain(value: object) -> bool:
    """Whether `value` is a tensor that can be copied into a weight: not sparse, quantised or complex."""
    return (
        isinstance(value, Tensor) and value.layout == torch.strided and not (value.is_quantized or value.is_complex())
    )


def _first(names: Sequence[str]) -> str:
    """The first few names; they are a stranger's file's, so without line breaks and cut short."""
    shown = [" ".join(name.split())[:100] for name in names[:NAMED]]
    return ", ".join([*shown, "..."] if len(names) > NAMED else shown)


def _digest(state: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _settings(spec: BackboneSpec, clip_seconds: float | None) -> dict[str, Any]:
    return {
        "frontend": dict(spec.frontend),
        "pooling": spec.pooling,
        "sample_rate_hz": spec.sample_rate_hz,
        "clip_seconds": spec.clip_seconds if clip_seconds is None else float(clip_seconds),
        "step_seconds": spec.step_seconds,
        "max_seconds": spec.max_seconds,
    }

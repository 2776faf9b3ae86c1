"""A backbone by its name: the network with the weights that were asked for, and what its embeddings depend on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from soundprobe.backbones.catalog import BACKBONES
from soundprobe.backbones.held import hidden_modules, hidden_numbers
from soundprobe.backbones.protocol import Backbone, SpectrogramBackbone
from soundprobe.backbones.spec import LAST, PRETRAINED, RANDOM, BackboneSpec
from soundprobe.backbones.weights.state_dicts import load_state_dict, state_digest
from soundprobe.backbones.weights.verify import fetch, sha256_of
from soundprobe.base.errors import ConfigError, WeightsError
from soundprobe.base.registry import resolve, strangers_code

CONTRACT = ("fills_cores", "embed", "to", "state_dict", "allow_shortcuts", "release")
NAMED = 3  # tensors that a message names before it only counts


@dataclass(frozen=True)
class WeightsInfo:
    """Where a network's weights are from.

    Attributes:
        kind: "pretrained", "random" or "file"; "fine-tuned" for the network of a fine-tuning run's fold; "none" for a
            backbone in which nothing is learnt.
        sha256: of the weights' file; for all others of the tensors' names, shapes and bytes.
        label: for tables: "pretrained", "pretrained (resnet18.a1_in1k)", "random (seed 0)", "file mine.safetensors".
    """

    kind: Literal["pretrained", "random", "file", "fine-tuned", "none"]
    sha256: str
    label: str


@dataclass(frozen=True, eq=False)
class LoadedBackbone:
    """A backbone that is ready to embed.

    Attributes:
        spec: its line in the registry.
        network: on the CPU, in eval mode.
        weights: where its weights are from.
        settings: everything else that an embedding depends on, JSON-able.
    """

    spec: BackboneSpec
    network: Backbone
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
            **({"layers": self.layers} if self.layers else {}),
            **({"folders": {self.spec.name: self.spec.folder}} if self.spec.folder else {}),
        }

    @property
    def layers(self) -> dict[str, int]:
        """The columns of each of the layers that make the embedding, in their order; empty for the last one alone."""
        chosen = "layers" in self.settings
        return {name: told.columns for name, told in self.spec.layers.items()} if chosen else {}

    @property
    def channels(self) -> str:
        """What becomes of a clip's channels; see `soundprobe.audio.decode.CHANNELS`."""
        return str(self.settings.get("channels", "mean"))

    @property
    def kept_frames(self) -> str | None:
        """How a clip's frames are kept, one of `FRAME_TYPES`; None where one embedding of a clip is."""
        told = self.settings.get("frames")
        return None if told is None else str(told["type"])

    def on_channels(self, channels: str) -> LoadedBackbone:
        """The same on other channels, which its embeddings depend on."""
        return self if channels == self.channels else replace(self, settings={**self.settings, "channels": channels})

    def input_samples(self, duration_s: float) -> int:
        """T: the samples that a clip of `duration_s` is cut or padded to."""
        return self.spec.input_samples(duration_s, self.settings["clip_seconds"])

    def on_spectrograms(self) -> SpectrogramBackbone:
        """The network as training, half precision and int8 take it.

        Raises:
            ConfigError: it is none that works on spectrograms.
        """
        if not isinstance(self.network, SpectrogramBackbone):
            raise ConfigError(
                f"{self.spec.name} is no network on spectrograms: it can be probed as it is, in fp32, "
                "and not fine-tuned."
            )
        return self.network


def load_backbone(
    name: str,
    *,
    weights: str | Path | None = None,
    clip_seconds: float | None = None,
    layers: str = LAST,
    pool: str | None = None,
    revision: str | None = None,
    seed: int = 0,
    shortcuts: bool = True,
    progress: bool = True,
) -> LoadedBackbone:
    """The backbone `name` with its weights, in eval mode on the CPU. The caller's random state stays as it was.

    Args:
        name: a key of `BACKBONES`.
        weights: "pretrained" (fetched when not in the cache; the default), "random" (the control) or a file's path.
            A backbone in which nothing is learnt takes none of them.
        clip_seconds: the input's length; None takes the backbone's own rule.
        layers, pool: which of its layers make the embedding, and how, see `BackboneSpec.with_layers`.
        revision: of a repository on the Hub, where `name` can say one and doesn't.
        seed: of random weights, 0 to 2**63 - 1: the same seed gives the same numbers.
        shortcuts: see `Backbone.allow_shortcuts`.
        progress: show a bar while fetching.

    Raises:
        ConfigError: the name, the length, the layers or the seed is not valid, or the class doesn't keep the contract.
        WeightsError: the weights can't be had, or are not this network's.
    """
    prefix = BACKBONES.prefix_of(name)
    pinned = f"{name}@{revision}" if revision and prefix and prefix.has_revisions and "@" not in name else name
    spec = replace(BACKBONES[pinned], name=name).with_layers(layers, pool)
    if clip_seconds is not None:
        spec.check_clip_seconds(clip_seconds)
    if not 0 <= seed < 2**63:
        raise ConfigError(f"--seed {seed} is not valid: give a whole number from 0 to 2**63 - 1.")
    spec.check_weights(weights)
    asked = PRETRAINED if weights is None else weights
    file = None if asked in (PRETRAINED, RANDOM) else Path(asked)
    if asked == PRETRAINED and spec.weights is not None:
        file = fetch(spec.weights, progress=progress)
    network: Any = _build(spec, clip_seconds, seed)
    if spec.parameters is None:
        spec = replace(spec, parameters=sum(tensor.numel() for tensor in network.state_dict().values()))
        spec.check_weights(weights)
    if spec.parameters == 0:
        info = WeightsInfo("none", _digest(network, spec), "no weights")
    elif file is not None:
        info = _fill_from(network, spec, file, asked)
    elif asked == RANDOM:
        info = WeightsInfo("random", _digest(network, spec), f"random (seed {seed})")
    else:
        with strangers_code(f"{spec.name}: its pretrained weights can't be had", kind=WeightsError):
            title = _method(network, spec, "load_pretrained")()
        state = network.state_dict()
        if unknown := [name for name, tensor in state.items() if bool(tensor.isnan().any())]:
            raise WeightsError(f"The weights of {spec.name} hold NaN ({_first(unknown)}). Get them again, or others.")
        if title:
            label = PRETRAINED if spec.name.endswith(title) else f"pretrained ({title})"
            info = WeightsInfo("pretrained", _digest(network, spec), label)
        else:
            info = WeightsInfo("random", _digest(network, spec), "random (seed 0)")
    if isinstance(network, nn.Module):
        network.eval()
    network.allow_shortcuts(shortcuts)
    return LoadedBackbone(spec, network, info, spec.settings(clip_seconds))


def _digest(network: Any, spec: BackboneSpec) -> str:
    """Of its state dict, and of a network of others also of what numbers that lacks."""
    return state_digest({**network.state_dict(), **({} if spec.is_own else hidden_numbers(network))})


def choices_in(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The keywords by which `load_backbone` makes the backbone that has these settings."""
    revision = settings.get("frontend", {}).get("revision")
    return {"layers": settings.get("layers", LAST), "pool": settings.get("pool"), "revision": revision}


def _fill_from(network: Any, spec: BackboneSpec, file: Path, weights: str | Path) -> WeightsInfo:
    state = load_state_dict(file)
    if hasattr(network, "convert"):
        state = network.convert(state)
    problems = misfits(network.state_dict(), state)
    if problems:
        raise WeightsError(
            f"{file} is not a weights file of {spec.name}: {'; '.join(problems)}. "
            f"Give a state dict of {spec.title}, or leave --weights out."
        )
    _method(network, spec, "load_state_dict")(state)
    sha256 = sha256_of(file)
    # The published file is the published file, wherever the user keeps it.
    pretrained = weights == PRETRAINED or (spec.weights is not None and sha256 == spec.weights.sha256)
    label = PRETRAINED if pretrained else f"file {file.name}"
    return WeightsInfo("pretrained" if pretrained else "file", sha256, label)


def _method(network: Any, spec: BackboneSpec, name: str) -> Any:
    """What only some backbones need. Raises ConfigError where this one lacks it."""
    if not hasattr(network, name):
        raise ConfigError(f"backbone {spec.name!r}: {spec.target} has no {name}, which these weights need. Add it.")
    return getattr(network, name)


def _build(spec: BackboneSpec, clip_seconds: float | None, seed: int) -> Any:
    cls = resolve(spec.target, f"backbone {spec.name!r}")
    needs = "It needs `embed`, and a constructor with the keyword clip_seconds."
    made = strangers_code(f"backbone {spec.name!r}: {spec.target} can't be made", needs)
    with nullcontext() if spec.is_own else made, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # not torch.manual_seed, which would reseed GPUs as well
        network = cls(clip_seconds=clip_seconds, **spec.arguments)
    lacking = [name for name in CONTRACT if not hasattr(network, name)]
    if lacking:
        raise ConfigError(
            f"backbone {spec.name!r}: {spec.target} lacks {', '.join(lacking)} of "
            "soundprobe.backbones.protocol.Backbone. Inherit from it: all but `embed` is there then."
        )
    if not spec.is_own and (hidden := hidden_modules(network)):
        raise ConfigError(
            f"backbone {spec.name!r}: {spec.target} holds a torch module ({_first(hidden)}) that isn't registered, so "
            "its weights would be part of no key, and it would never be put into eval mode. Inherit from nn.Module as "
            "well, and keep several in an nn.ModuleList."
        )
    if spec.parameters == 0 and network.state_dict():
        raise ConfigError(
            f"backbone {spec.name!r}: its spec says 0 parameters, but it has weights. Leave parameters out."
        )
    return network


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

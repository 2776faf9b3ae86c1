"""A backbone declared as data. Imports no torch, so that tables and `--help` stay quick."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Mapping, Sized
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from soundprobe.backbones.weights.verify import WeightFile
from soundprobe.base.errors import ConfigError, WeightsError, one_line, unknown
from soundprobe.base.registry import code_of

PRETRAINED, RANDOM = "pretrained", "random"
FLOATS = ("fp32", "bf16", "fp16")
"""The precisions that a network on spectrograms has for nothing."""
PRECISIONS = (*FLOATS, "int8")
FRAME_TYPES = ("float32", "float16")
"""How frames are kept."""
NUMBERS = (
    ("embedding_dim", int, 2**24),
    ("sample_rate_hz", int, 1_000_000),
    ("step_seconds", int | float, 3600),
    ("max_seconds", int | float, 3600),
    ("min_seconds", int | float, 3600),
)
"""The numbers of a spec, what kind each is, and the most that it may be."""
LAST, MEAN, BOTH, ALL, WEIGHTED = "last", "mean", "both", "all", "weighted"
"""What `--layer` calls the embedding proper, the mean of a backbone's layers, two or more of them side by side, and of
a head their sum by learnt weights."""


def together(layers: Sized) -> str:
    """What several layers side by side are called in records."""
    return BOTH if len(layers) == 2 else ALL


@dataclass(frozen=True)
class Layers:
    """Layers that can be had by themselves: how many columns they give, and how they are pooled, in words."""

    columns: int
    pooling: str


@dataclass(frozen=True)
class Frames:
    """The frames of a network that keeps a time axis, on samples of its input.

    A frame is centred `span` / 2 + j `hop` samples after the clip's beginning, j = 0, 1, ... A clip has those that it
    holds whole: as many of its samples lie behind the last one's centre as lie before the first one's. It has one at
    least.

    Attributes:
        columns: how many numbers a frame has; pooling: how they come about, in words.
        hop: samples from a frame's centre to the next one's.
        span: of how many samples the first frame's centre is the middle.
    """

    columns: int
    pooling: str
    hop: int
    span: int

    def count(self, samples: int) -> int:
        """How many a clip of so many samples has, whatever it is padded to."""
        return max(1, (samples - self.span) // self.hop + 1)


@dataclass(frozen=True)
class BackboneSpec:
    """What a backbone is, apart from its code.

    Attributes:
        name: the key in the registry and in paths.
        embedding_dim: D.
        sample_rate_hz: the rate of the waves that go in.
        target: "module:Class", imported on use, which keeps the contract `soundprobe.backbones.protocol.Backbone`;
            left out where the spec is an attribute of that class.
        title: how tables name it; its name by default.
        parameters: how many numbers are learnt; None where they are counted when it is loaded.
        clip_seconds: the fixed length of the input, or None where the network takes any length.
        max_seconds: longer clips are cut here.
        min_seconds: a shorter `--clip-seconds` would leave the network's last layer nothing to see.
        step_seconds: where the length is not fixed, a clip is padded with silence to the next multiple of this,
            so that its embedding depends on nothing but the clip, and batches of one length are common.
        any_clip_seconds: whether `--clip-seconds` may be given: false where a network's shape fixes its input.
        arguments: what the class's constructor needs besides `clip_seconds`.
        frontend, pooling: the settings that an embedding depends on, for the key and for readers.
        layers: of a backbone that offers more than its last layer, each by name, "last" first, and "mean" where their
            mean can be had; its class then takes the keyword `layers`, names in this order.
        pools: of a backbone that can pool over time in several ways, each by name, in words, the usual one first; its
            class then takes the keyword `pool`, one of the names. "mean+std" has twice the columns.
        frames: of a backbone whose class has `embed_frames`; None where the network keeps no time axis.
        precisions: what `--precision` may be; all but fp32 need a `SpectrogramBackbone`.
        trainable: whether it can be fine-tuned; needs a `SpectrogramBackbone`.
        weights: the pretrained file, or None where there is none (from-scratch networks) or the class gets them itself.
        loads_own_weights: whether the class gets pretrained weights through its library: a method `load_pretrained()`
            that returns their name, for the label, or "" where they are drawn and nothing has learnt them, and raises
            WeightsError where they can't be had.
        brings_weights: whether those are the only ones that it can have: neither random ones nor a file's.
        tags: "module:NAME" of the names of what the published network tells apart, where it has a classifier of its own
            on the last layer's embedding; its class then has a classmethod `tag_head(tensors)`: the layers (B, D) to
            (B, C) logits, and their tensors by the layers' names among those of the file.
        folder: of a backbone that is known by where it lies, its absolute path.
        gmacs: multiply-adds of one 4 s clip, in 1e9, front end left out.
        source: paper and code; licence: of the weights.
    """

    name: str
    embedding_dim: int
    sample_rate_hz: int
    target: str = ""
    title: str = ""
    parameters: int | None = None
    clip_seconds: float | None = None
    max_seconds: float = 10.0
    min_seconds: float = 0.1
    step_seconds: float = 1.0
    any_clip_seconds: bool = True
    arguments: Mapping[str, Any] = field(default_factory=dict)
    frontend: Mapping[str, Any] = field(default_factory=dict)
    pooling: str = ""
    layers: Mapping[str, Layers] = field(default_factory=dict)
    pools: Mapping[str, str] = field(default_factory=dict)
    frames: Frames | None = None
    precisions: tuple[str, ...] = ("fp32",)
    trainable: bool = False
    weights: WeightFile | None = None
    loads_own_weights: bool = False
    brings_weights: bool = False
    tags: str = ""
    gmacs: float = 0.0
    folder: str = ""
    source: str = ""
    licence: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "title", self.title or self.name)
        for name, kind, most in NUMBERS:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, kind) or not 0 < value <= most:
                valid = f"{'a whole number' if kind is int else 'a number'} above 0"
                raise ConfigError(
                    f"backbone {self.name!r}: {name} = {value!r} is not valid; give {valid} and at most {most:,}."
                )
        try:
            json.dumps([dict(self.frontend), self.pooling], allow_nan=False)
        except (TypeError, ValueError) as error:
            told = one_line(error)[:100]
            raise ConfigError(
                f"backbone {self.name!r}: frontend can't be a part of a key ({told}). Give numbers and texts."
            ) from error

    @property
    def is_own(self) -> bool:
        """Whether the class is soundprobe's."""
        return self.target.partition(".")[0] == __name__.partition(".")[0]

    @property
    def has_published_weights(self) -> bool:
        """Whether there are any that were trained elsewhere."""
        return self.weights is not None or self.loads_own_weights

    @property
    def weights_at_hand(self) -> str | None:
        """What `load_backbone` takes where any numbers will do: random ones, or its own where it has no others."""
        return None if self.parameters == 0 or self.brings_weights else RANDOM

    def with_layers(self, layers: str, pool: str | None = None) -> BackboneSpec:
        """The spec of what `--layer` and `--pool` ask for; `self` for the last layer, pooled as it is by default.

        Raises:
            ConfigError: this backbone doesn't offer it.
        """
        if pool is not None and pool not in self.pools:
            offered = f", only {', '.join(self.pools)}" if self.pools else ""
            raise ConfigError(f"--pool {pool} is not offered for {self.name}{offered}. Leave it out.")
        spec = self if pool is None or pool == next(iter(self.pools)) else self._pooled(pool)
        if layers == LAST:
            return spec
        several = {name: told for name, told in spec.layers.items() if name != MEAN}
        if layers not in spec.layers and (layers not in (BOTH, ALL) or not several):
            offered = ", ".join([*spec.layers, ALL] if spec.layers else [LAST])
            raise ConfigError(f"--layer {layers} is not offered for {self.name}, only {offered}. Leave it out.")
        kept = several if layers in (BOTH, ALL) else {layers: spec.layers[layers]}
        return replace(
            spec,
            embedding_dim=sum(told.columns for told in kept.values()),
            arguments={**spec.arguments, "layers": tuple(kept)},
            pooling="; ".join(dict.fromkeys(told.pooling for told in kept.values())),
            layers=kept,
            frames=None,
            precisions=tuple(precision for precision in spec.precisions if precision != "int8"),
        )

    def by_frames(self) -> BackboneSpec:
        """The spec of its frames, whose mean is the embedding of a clip.

        Raises:
            ConfigError: it has no frames, or its embedding isn't their mean.
        """
        if "pool" in self.arguments:
            raise ConfigError(
                f"--pool {self.arguments['pool']} can't go with --frames, of which the mean is kept as the clip's "
                "embedding. Leave --pool out."
            )
        if self.frames is None:
            which = " with these layers" if "layers" in self.arguments else ""
            raise ConfigError(f"{self.name}{which} keeps no time axis, so it has no frames. Leave --frames out.")
        return replace(
            self,
            title=f"{self.title}, frames",
            embedding_dim=self.frames.columns,
            pooling=f"mean of a clip's frames: {self.frames.pooling}",
            precisions=("fp32",),
            layers={},
            tags="",
        )

    def _pooled(self, pool: str) -> BackboneSpec:
        """With another entry of `pools`; a standard deviation beside the mean doubles the columns."""
        times, told = 1 + (pool == "mean+std"), self.pools[pool]
        return replace(
            self,
            embedding_dim=self.embedding_dim * times,
            arguments={**self.arguments, "pool": pool},
            pooling=told,
            layers={name: Layers(one.columns * times, told) for name, one in self.layers.items()},
        )

    @property
    def choices(self) -> dict[str, str]:
        """The `layers` and `pool` that it was made with, where they are not the usual ones, for keys and records."""
        kept = self.arguments.get("layers")
        named = {} if kept is None else {"layers": kept[0] if len(kept) == 1 else together(kept)}
        return named | {"pool": self.arguments["pool"]} if "pool" in self.arguments else named

    def settings(self, clip_seconds: float | None) -> dict[str, Any]:
        """Everything but the weights that an embedding of it in float32 depends on, JSON-able."""
        return {
            "frontend": dict(self.frontend),
            "pooling": self.pooling,
            "sample_rate_hz": self.sample_rate_hz,
            "clip_seconds": self.clip_seconds if clip_seconds is None else float(clip_seconds),
            "step_seconds": self.step_seconds,
            "max_seconds": self.max_seconds,
            **code_of(self.target),
            **self.choices,
        }

    def frame_times_s(self, samples: int) -> list[float]:
        """The centres in seconds of the frames that a clip of so many samples has; empty where there are no frames."""
        if self.frames is None:
            return []
        first, rate_hz = self.frames.span / 2, self.sample_rate_hz
        return [(first + number * self.frames.hop) / rate_hz for number in range(self.frames.count(samples))]

    def input_samples(self, duration_s: float, clip_seconds: float | None = None) -> int:
        """Samples that a clip of `duration_s` is cut or padded to.

        Raises:
            ConfigError: `clip_seconds` is not a positive length that this backbone takes.
        """
        fixed = self.clip_seconds if clip_seconds is None else clip_seconds
        if fixed is not None:
            self.check_clip_seconds(fixed)
            return round(fixed * self.sample_rate_hz)
        steps = max(1, math.ceil(round(duration_s / self.step_seconds, 6)))
        return round(min(steps * self.step_seconds, self.max_seconds) * self.sample_rate_hz)

    def check_clip_seconds(self, clip_seconds: float) -> None:
        """Raises ConfigError where this backbone can't take clips of `clip_seconds`."""
        if not self.any_clip_seconds and clip_seconds != self.clip_seconds:
            raise ConfigError(
                f"{self.name} takes clips of {self.clip_seconds} s only, because its layers fix the length; "
                f"--clip-seconds {clip_seconds} can't be used with it. Leave the option out."
            )
        if not self.min_seconds <= clip_seconds <= self.max_seconds:
            raise ConfigError(
                f"--clip-seconds {clip_seconds} is not valid for {self.name}: "
                f"give {self.min_seconds} to {self.max_seconds}."
            )

    def check_weights(self, weights: str | Path | None) -> None:
        """Whether the backbone can have such weights, as far as can be told without any being read.

        Args:
            weights: as for `load_backbone`.

        Raises:
            WeightsError: it has none or only its own, none were published, there is no such file, or they are not in
                the cache and can't be fetched.
        """
        if self.parameters == 0:
            if weights is not None:
                raise WeightsError(f"{self.name} has no weights, because nothing in it is learnt. Leave --weights out.")
        elif self.brings_weights and weights not in (None, PRETRAINED):
            raise WeightsError(f"{self.name} brings its own weights: --weights {weights} can't be. Leave it out.")
        elif weights in (None, PRETRAINED):
            if self.parameters is not None and not self.has_published_weights:
                raise WeightsError(
                    f"{self.name} has no pretrained weights, because it is trained from scratch: "
                    "use --weights random, a file of your own, or finetune."
                )
        elif weights != RANDOM and not Path(weights).is_file():
            near = difflib.get_close_matches(str(weights), (PRETRAINED, RANDOM), n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            named, equals, file = str(weights).partition("=")
            if equals and Path(file).is_file():
                hint = f" Only compare takes NAME=FILE; here give --backbone {named} --weights {file}."
            raise WeightsError(f"No weights file at {str(weights)!r}.{hint} Give pretrained, random, or a file's path.")

    def check_precision(self, precision: str) -> None:
        """Raises ConfigError where `precision` is unknown, or not to be had for this backbone on any machine."""
        if precision not in PRECISIONS:
            raise ConfigError(unknown("precision", precision, PRECISIONS))
        if precision not in self.precisions or (precision == "int8" and not self.is_own):  # schemes are ours
            raise ConfigError(
                f"--precision {precision} is not offered for {self.name}"
                f"{' with these layers' if 'layers' in self.arguments else ''}, only {', '.join(self.precisions)}. "
                "Leave it out."
            )

    def check_trainable(self) -> None:
        """Raises ConfigError where it can't be fine-tuned."""
        if not self.trainable:
            raise ConfigError(
                f"{self.name} can't be fine-tuned. Probe it as it is: soundprobe extract --backbone {self.name}"
            )

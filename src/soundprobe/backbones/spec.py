"""A backbone declared as data. Imports no torch, so that tables and `--help` stay quick."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from soundprobe.backbones.weights.verify import WeightFile
from soundprobe.base.errors import ConfigError


@dataclass(frozen=True)
class BackboneSpec:
    """What a backbone is, apart from its code.

    Attributes:
        name: the key in the catalogue and in paths.
        title: how tables name it.
        target: "module:Class", imported on use. The class is an `nn.Module` whose constructor takes keyword arguments
            `clip_seconds` (float or None) and nothing else that is required, whose `forward(wave, lengths=None)` maps
            wave (B, T) float32 in [-1, 1] at `sample_rate_hz` to embeddings (B, D) float32, and whose classmethod
            `convert(state_dict)` returns the file's state dict with the names of the module's own.
            `lengths` (B,) int64 says how many samples of each row are audio and not padding; always give it: networks
            that were trained on padded spectrograms need it, the others ignore it. `forward` is
            `embed(spectrogram(wave, lengths))`, with spectrogram (B, F mel bands, M frames), for use in training.
        embedding_dim: D.
        sample_rate_hz: the rate of `wave`.
        parameters: how many numbers are learnt.
        clip_seconds: the fixed length of the input, or None where the network takes any length.
        max_seconds: longer clips are cut here.
        min_seconds: a shorter `--clip-seconds` would leave the network's last layer nothing to see.
        step_seconds: where the length is not fixed, a clip is padded with silence to the next multiple of this,
            so that its embedding depends on nothing but the clip, and batches of one length are common.
        frontend, pooling: the settings that an embedding depends on, for the key and for readers.
        weights: the pretrained file, or None where there is none (from-scratch networks) or the class gets them itself.
        gmacs: multiply-adds of one 4 s clip, in 1e9, front end left out.
        source: paper and code; licence: of the weights.
    """

    name: str
    title: str
    target: str
    embedding_dim: int
    sample_rate_hz: int
    parameters: int
    clip_seconds: float | None
    max_seconds: float
    frontend: Mapping[str, Any]
    pooling: str
    weights: WeightFile | None
    gmacs: float
    source: str
    licence: str
    step_seconds: float = 1.0
    min_seconds: float = 0.1
    any_clip_seconds: bool = field(default=True)
    """Whether `--clip-seconds` may be given: false where a network's shape fixes its input."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """What the class's constructor needs besides `clip_seconds`."""
    loads_own_weights: bool = field(default=False)
    """Whether the class gets pretrained weights through its library: a method `load_pretrained()` that returns their
    name, for the label, and raises WeightsError where they can't be had. `weights` is None then."""

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

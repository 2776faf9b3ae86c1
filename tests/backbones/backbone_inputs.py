"""Sounds that the backbones' tests share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch

from soundprobe.backbones.load import LoadedBackbone

Loader = Callable[[str], LoadedBackbone]
"""From a backbone's name to the backbone with random weights."""


def samples_of(backbone: LoadedBackbone) -> int:
    """How long the tests' clips are: one second, or the network's fixed length."""
    return backbone.spec.input_samples(1.0, backbone.settings["clip_seconds"])


def sounds(samples: int, rate_hz: int) -> torch.Tensor:
    """(3, samples) float32: a loud chirp, a quiet hum in noise, and clipped noise."""
    rng = np.random.default_rng(7)
    t = np.arange(samples) / rate_hz
    chirp = 0.8 * np.sin(2 * np.pi * (200 + 900 * t) * t)
    hum = 0.02 * np.sin(2 * np.pi * 120 * t) + 0.002 * rng.standard_normal(samples)
    noise = np.clip(rng.standard_normal(samples), -1, 1)
    return torch.from_numpy(np.stack([chirp, hum, noise]).astype(np.float32))


def real_clip(shared: Path, name: str, rate_hz: int) -> torch.Tensor:
    """(1, T) float32 at `rate_hz`: a clip below the shared folder's data/."""
    wave, rate = soundfile.read(shared / "data" / name, dtype="float32", always_2d=True)
    return torch.from_numpy(soxr.resample(wave.mean(axis=1), rate, rate_hz).astype(np.float32))[None]

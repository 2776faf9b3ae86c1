from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import soxr

from new_audio import predictor_on, tone_clip
from soundprobe.backbones.load import load_backbone
from soundprobe.predicting.predictor import Predictor
from sounds import RATE_HZ


@pytest.fixture(scope="session")
def noise_predictor() -> Predictor:
    """A network that goes through the streams, and probabilities that hang on every sample of a window."""
    rng = np.random.default_rng(0)
    waves = [rng.normal(scale=0.02 * (1 + row % 3), size=64_000).astype(np.float32) for row in range(12)]
    backbone = load_backbone("mn04", weights="random", shortcuts=False, progress=False)
    return predictor_on(backbone, waves, [row % 3 for row in range(12)])


@pytest.fixture(scope="session")
def tone_predictor() -> Predictor:
    backbone = load_backbone("logmel-stats", progress=False)
    labels = [row % 3 for row in range(30)]
    waves = [
        soxr.resample(tone_clip(label, 2.0, seed), RATE_HZ, backbone.spec.sample_rate_hz)
        for seed, label in enumerate(labels)
    ]
    return predictor_on(backbone, waves, labels)


@pytest.fixture
def noise() -> Callable[[float], np.ndarray]:
    """Noise at 32 kHz whose loudness changes every second: (T,) float32 of so many seconds."""

    def make(seconds: float) -> np.ndarray:
        rng = np.random.default_rng(5)
        loud = np.repeat(rng.uniform(0.005, 0.08, size=int(seconds) + 1), 32_000)[: round(seconds * 32_000)]
        return (loud * rng.normal(size=len(loud))).astype(np.float32)

    return make

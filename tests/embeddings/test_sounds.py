"""A few sounds at once, without a store."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import soundfile
import torch

from soundprobe.audio.decode import WHOLE_SAMPLES
from soundprobe.backbones.load import load_backbone
from soundprobe.embeddings.sounds import embed_sounds


def test_long_recording_is_held_no_further_than_the_backbone_hears_it(tmp_path: Path) -> None:
    rate_hz, noise = 8_000, np.random.default_rng(0).normal(scale=0.1, size=80_000).astype(np.float32)
    long, short = tmp_path / "long.wav", tmp_path / "short.wav"
    soundfile.write(long, np.resize(noise, WHOLE_SAMPLES + rate_hz), rate_hz)
    soundfile.write(short, np.resize(noise, 20 * rate_hz), rate_hz)
    model = load_backbone("logmel-stats")
    device = torch.device("cpu")
    embed_sounds(model, [short], device)  # imports
    tracemalloc.start()
    embedded = embed_sounds(model, [long, short], device)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 4 * WHOLE_SAMPLES  # its samples in float32
    np.testing.assert_allclose(embedded[0], embedded[1], rtol=1e-5)  # the same first seconds

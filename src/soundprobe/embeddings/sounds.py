"""A few sounds through a backbone at once, without a store: each to the embedding that `extract` gives it.

Letters: N sounds, T samples, D the embedding's dimension.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch

from soundprobe.audio.decode import decode, inspect
from soundprobe.audio.encoded import open_encoded, source_name
from soundprobe.backbones.load import LoadedBackbone
from soundprobe.base.records import Source
from soundprobe.embeddings.forward import embed_waves, stacked


def embed_sounds(model: LoadedBackbone, sources: Sequence[Source], device: torch.device) -> np.ndarray:
    """(N, D) float32 of N sounds, by a network that is on `device`.

    Sounds of one length go through the network together. Of those longer than it takes, no more is held than that.

    Raises:
        AudioError: one can't be decoded. ConfigError: see `embed_waves`.
    """
    rate_hz = model.spec.sample_rate_hz
    waves: list[np.ndarray] = []
    rows_of: dict[int, list[int]] = defaultdict(list)
    for row, source in enumerate(sources):
        audio, name = open_encoded(source), source_name(source)
        samples = model.input_samples(inspect(audio, name).duration_s)
        waves.append(decode(audio, sample_rate_hz=rate_hz, name=name, channels=model.channels, samples=samples))
        rows_of[samples].append(row)
    features = np.empty((len(waves), model.spec.embedding_dim), dtype=np.float32)
    for samples, rows in rows_of.items():
        features[rows] = embed_waves(model.network, *stacked([waves[row] for row in rows], samples), device)
    return features

"""Waves cut, padded and stacked, and the one call of the network."""

from __future__ import annotations

import numpy as np
import torch

from soundprobe.backbones.protocol import Backbone
from soundprobe.embeddings.forward import embed_waves, stacked

CPU = torch.device("cpu")


class Ends(Backbone):
    """Embeds a clip as its first sample, its last own one, and what is behind that."""

    def embed(self, waves: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        own = waves[torch.arange(len(waves)), lengths - 1]
        return torch.stack([waves[:, 0], own, waves[:, -1]], dim=1)


def test_stacked_cuts_long_waves_and_pads_short_ones_with_silence() -> None:
    batch, lengths = stacked([np.array([1, 2], dtype=np.float32), np.array([3, 4, 5, 6], dtype=np.float32)], 3)
    assert batch.tolist() == [[1, 2, 0], [3, 4, 5]]
    assert lengths.tolist() == [2, 3]
    assert (batch.dtype, lengths.dtype) == (np.float32, np.int64)


def test_embed_waves_hands_each_clip_and_its_length_to_the_network() -> None:
    batch, lengths = stacked([np.array([1, 2], dtype=np.float32), np.array([3, 4, 5, 6], dtype=np.float32)], 3)
    assert embed_waves(Ends(), batch, lengths, CPU).tolist() == [[1, 2, 0], [3, 5, 5]]

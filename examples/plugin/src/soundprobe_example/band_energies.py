"""A backbone without weights: how much energy a clip has in each of 24 bands.

Letters: B clips, T samples, D = 24.
"""

from __future__ import annotations

import torch
from torch import Tensor

from soundprobe.backbones.protocol import Backbone
from soundprobe.backbones.spec import BackboneSpec

RATE_HZ = 16_000
BANDS = 24


class BandEnergies(Backbone):
    """Log energy in bands that get wider by the same factor, from 50 Hz to half the rate."""

    spec = BackboneSpec(name="band-energies", title="Band energies", embedding_dim=BANDS, sample_rate_hz=RATE_HZ)

    def __init__(self, *, clip_seconds: float | None = None) -> None:
        self.edges_hz = torch.logspace(torch.tensor(50.0).log10(), torch.tensor(RATE_HZ / 2).log10(), BANDS + 1)

    def embed(self, waves: Tensor, lengths: Tensor) -> Tensor:
        """Waves (B, T), of which the first lengths (B,) samples are the clip's own, to embeddings (B, D)."""
        power = torch.fft.rfft(waves).abs().square()  # (B, T // 2 + 1); padding with silence adds none
        hz = torch.linspace(0, RATE_HZ / 2, power.shape[1], device=waves.device)
        band = torch.bucketize(hz, self.edges_hz.to(waves.device)).clamp(max=BANDS)  # 0 lies below all bands
        energy = waves.new_zeros(len(waves), BANDS + 1).index_add(1, band, power)[:, 1:]
        return (energy / lengths[:, None] + 1e-10).log()

"""A VGG-like network: pairs of 3 x 3 convolutions with BatchNorm, each pair followed by a halving. From scratch.

The pattern is VGG's (Simonyan and Zisserman 2014, arXiv 1409.1556), the pooling over time CNN14's (Kong et al. 2020).
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from soundprobe.backbones.melspectrogram import log_mel_64
from soundprobe.backbones.protocol import SpectrogramBackbone

WIDTHS = (16, 32, 64, 128, 256)


class Vgg(SpectrogramBackbone):
    """Five pairs of 3 x 3 convolutions, twice as wide from pair to pair, and pooling over what is left.

    Letters: B clips, T samples, F = 64 mel bands, M = T // 512 + 1 frames, D = 256.

    Args:
        clip_seconds: nothing depends on it; the network takes any length from 0.35 s.
    """

    def __init__(self, *, clip_seconds: float | None = None) -> None:
        super().__init__()
        self.log_mel = log_mel_64()
        self.blocks = nn.ModuleList(_pair(before, after) for before, after in pairwise((1, *WIDTHS)))
        self.halve = nn.MaxPool2d(2)

    def spectrogram(self, wave: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Wave (B, T) to log-mel (B, F, M), as (dB + 25) / 20. `lengths` is ignored: silence is heard as such."""
        return self.log_mel(wave)

    def embed_spectrogram(self, spectrogram: Tensor) -> Tensor:
        """Log-mel (B, F, M), M >= 16, to embeddings (B, D)."""
        of_time = self.frame_spectrogram(spectrogram).transpose(1, 2)  # (B, D, M / 16)
        return of_time.mean(dim=2) + of_time.amax(dim=2)

    def frame_spectrogram(self, spectrogram: Tensor) -> Tensor:
        """Log-mel (B, F, M), M >= 16, to the last maps' means over frequency, (B, M / 16, D)."""
        x = spectrogram.unsqueeze(1)
        for number, block in enumerate(self.blocks):
            x = block(self.halve(x) if number else x)
        return x.mean(dim=2).transpose(1, 2)


def _pair(before: int, after: int) -> nn.Sequential:
    """(B, before, F, M) to (B, after, F, M)."""
    layers: list[nn.Module] = []
    for width in (before, after):
        convolution = nn.Conv2d(width, after, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
        layers += [convolution, nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers)

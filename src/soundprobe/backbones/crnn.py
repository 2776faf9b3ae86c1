"""A convolutional recurrent network: convolutions describe each frame, a GRU reads the frames in order. From scratch.

After Cakir et al. 2017 ("Convolutional recurrent neural networks for polyphonic sound event detection", arXiv
1702.06286): pooling over frequency only, so that every frame reaches the recurrent layer. Theirs answers for each
frame; here attention over time makes one embedding of a clip.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from soundprobe.backbones.melspectrogram import log_mel_64
from soundprobe.backbones.protocol import SpectrogramBackbone

WIDTHS = (32, 64, 128)
BANDS_POOLED = 4  # 64 bands, 16, 4, 1
HIDDEN = 128


class Crnn(SpectrogramBackbone):
    """Three convolutions that halve no time, a GRU in both directions, and a weighted mean of its states over time.

    Letters: B clips, T samples, F = 64 mel bands, M = T // 512 + 1 frames, D = 256 (128 for each direction).

    Args:
        clip_seconds: nothing depends on it; the network takes any length.
    """

    def __init__(self, *, clip_seconds: float | None = None) -> None:
        super().__init__()
        self.log_mel = log_mel_64()
        self.convolutions = nn.Sequential(*(_convolution(*widths) for widths in pairwise((1, *WIDTHS))))
        self.gru = nn.GRU(WIDTHS[-1], HIDDEN, batch_first=True, bidirectional=True)
        self.attention = nn.Linear(2 * HIDDEN, 1, bias=False)  # the softmax over time would cancel a bias

    def spectrogram(self, wave: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Wave (B, T) to log-mel (B, F, M), as (dB + 25) / 20. `lengths` is ignored: silence is heard as such."""
        return self.log_mel(wave)

    def embed_spectrogram(self, spectrogram: Tensor) -> Tensor:
        """Log-mel (B, F, M) to embeddings (B, D)."""
        states = self.frame_spectrogram(spectrogram)
        weights = self.attention(states).softmax(dim=1)  # (B, M, 1)
        return (weights * states).sum(dim=1)

    def frame_spectrogram(self, spectrogram: Tensor) -> Tensor:
        """Log-mel (B, F, M) to the GRU's states (B, M, D)."""
        frames = self.convolutions(spectrogram.unsqueeze(1)).squeeze(2)  # (B, 128, M)
        states, _ = self.gru(frames.transpose(1, 2))
        return states


def _convolution(before: int, after: int) -> nn.Sequential:
    """(B, before, F, M) to (B, after, F / 4, M)."""
    convolution = nn.Conv2d(before, after, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(convolution, nn.BatchNorm2d(after), nn.MaxPool2d((BANDS_POOLED, 1)), nn.ReLU())

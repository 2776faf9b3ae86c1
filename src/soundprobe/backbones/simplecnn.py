"""The notes' network for UrbanSound8K: three convolutions and two linear layers, trained from scratch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchaudio.functional import amplitude_to_DB, melscale_fbanks

from soundprobe.backbones.melspectrogram import PowerSpectrogram, full_precision
from soundprobe.backbones.protocol import SpectrogramBackbone

SAMPLE_RATE_HZ = 22_050
N_FFT = 2048
HOP = 512
MEL_BANDS = 64
TOP_DB = 80.0  # quieter than this below the clip's peak counts as this
POWER_FLOOR = 1e-10


class SimpleCnn(SpectrogramBackbone):
    """The notes' SimpleCNN. Its embedding is fc1's output after the ReLU: what fc2 and thus the notes' classes see.

    Letters: B clips, T = 88,200 samples (4 s), F = 64 mel bands, M = 173 frames, D = 128, C classes.

    Args:
        clip_seconds: 4.0 or None; fc1 fixes the length.
        num_classes: C. 10 gives the notes' 1,400,970 parameters.
    """

    mel_basis: Tensor

    def __init__(self, *, clip_seconds: float | None = None, num_classes: int = 10) -> None:
        super().__init__()
        # librosa's melspectrogram with its defaults: n_fft 2048, Hann, padded with zeros, Slaney's mel bands
        self.power = PowerSpectrogram(n_fft=N_FFT, hop=HOP, window=torch.hann_window(N_FFT), pad_mode="constant")
        banks = melscale_fbanks(
            N_FFT // 2 + 1, 0.0, SAMPLE_RATE_HZ / 2, MEL_BANDS, SAMPLE_RATE_HZ, norm="slaney", mel_scale="slaney"
        )
        self.register_buffer("mel_basis", banks.T.contiguous(), persistent=False)  # (F, 1025)
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.conv3 = nn.Conv2d(32, 64, 3, padding=1)
        self.pool = nn.MaxPool2d(2, 2)
        self.dropout = nn.Dropout(0.3)
        self.fc1 = nn.Linear(64 * 8 * 21, 128)
        self.fc2 = nn.Linear(128, num_classes)

    def spectrogram(self, wave: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Wave (B, T) to log-mel (B, F, M) in dB, floored 80 dB below each clip's own peak. `lengths` is ignored."""
        with full_precision(wave):
            mel = self.mel_basis @ self.power(wave.float())
            # As (B, 1, F, M), because without the channel the peak would be the whole batch's.
            decibels = amplitude_to_DB(mel.unsqueeze(1), 10.0, POWER_FLOOR, 0.0, TOP_DB)
            return decibels.squeeze(1)

    def embed_spectrogram(self, spectrogram: Tensor) -> Tensor:
        """Log-mel (B, F, M) to embeddings (B, D)."""
        return self.fc1(self._maps(spectrogram).flatten(1)).relu()

    def frame_spectrogram(self, spectrogram: Tensor) -> Tensor:
        """Log-mel (B, F, M) to all that fc1 sees of each column of the last maps, (B, M / 8, 512)."""
        return self._maps(spectrogram).flatten(1, 2).transpose(1, 2)

    def _maps(self, spectrogram: Tensor) -> Tensor:
        """(B, F, M) to (B, 64, F / 8, M / 8)."""
        x = spectrogram.unsqueeze(1)
        for conv in (self.conv1, self.conv2, self.conv3):
            x = self.pool(conv(x)).relu()  # as ReLU first, gradients too, on a quarter of the numbers
        return x

    def logits(self, wave: Tensor) -> Tensor:
        """Wave (B, T) to the logits (B, C) of a softmax over the classes."""
        return self.fc2(self.dropout(self.forward(wave)))

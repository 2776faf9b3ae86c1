"""CNN14 of PANNs (Kong et al. 2020, arXiv 1912.10211).

The network is written here and not imported from panns_inference, whose import runs wget, writes to the home folder and
loads matplotlib and numba. A test imports the original with a home folder of its own and holds this one to it: the same
tensors under the same names, so that published files load, the same random weights for a seed, and equal embeddings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from soundprobe.backbones.fast.cnn14 import SHORTEST, embed_cnn14, frames_cnn14, prepare_cnn14
from soundprobe.backbones.fast.shortcuts import may_shortcut
from soundprobe.backbones.melspectrogram import POWER_FLOOR, PowerSpectrogram, full_precision
from soundprobe.backbones.protocol import SpectrogramBackbone, tensors_of

SAMPLE_RATE_HZ = 32_000
N_FFT = 1024
HOP = 320
MEL_BANDS = 64
LOWEST_HZ, HIGHEST_HZ = 50, 14_000
CLASSES = 527


class ConvBlock(nn.Module):
    """Two 3x3 convolutions, each with BatchNorm and ReLU, then a mean over `pool` x `pool`."""

    def __init__(self, in_channels: int, out_channels: int, *, pool: int) -> None:
        super().__init__()
        self.pool = pool
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.bn2 = nn.BatchNorm2d(out_channels)
        nn.init.xavier_uniform_(self.conv1.weight)
        nn.init.xavier_uniform_(self.conv2.weight)

    def forward(self, maps: Tensor) -> Tensor:
        maps = nn.functional.relu_(self.bn1(self.conv1(maps)))
        maps = nn.functional.relu_(self.bn2(self.conv2(maps)))
        return nn.functional.avg_pool2d(maps, self.pool)


class Cnn14(nn.Module):
    """The published network after its spectrogram. `fc_audioset`, its classifier, is kept because its file has one."""

    def __init__(self) -> None:
        super().__init__()
        for _ in range(2):
            # The original's spectrum draws the weights of two convolutions and throws them away. So does this, or a
            # seed would give other random weights than the original and earlier versions.
            nn.Conv1d(1, N_FFT // 2 + 1, N_FFT, bias=False)
        self.bn0 = nn.BatchNorm2d(MEL_BANDS)
        self.conv_block1 = ConvBlock(1, 64, pool=2)
        self.conv_block2 = ConvBlock(64, 128, pool=2)
        self.conv_block3 = ConvBlock(128, 256, pool=2)
        self.conv_block4 = ConvBlock(256, 512, pool=2)
        self.conv_block5 = ConvBlock(512, 1024, pool=2)
        self.conv_block6 = ConvBlock(1024, 2048, pool=1)
        self.fc1 = nn.Linear(2048, 2048)
        self.fc_audioset = nn.Linear(2048, CLASSES)
        for layer in (self.fc1, self.fc_audioset):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Log-mel (B, 1, M, F) to embeddings (B, D)."""
        of_time = self.frames(spectrogram)
        pooled = of_time.amax(dim=2) + of_time.mean(dim=2)
        hidden = nn.functional.relu_(self.fc1(nn.functional.dropout(pooled, 0.5, training=self.training)))
        return nn.functional.dropout(hidden, 0.5, training=self.training)

    def frames(self, spectrogram: Tensor) -> Tensor:
        """Log-mel (B, 1, M, F) to the last maps' means over frequency, (B, D, M // 32)."""
        maps = self.bn0(spectrogram.transpose(1, 3)).transpose(1, 3)  # a mean and a variance for every band
        for block in (
            self.conv_block1,
            self.conv_block2,
            self.conv_block3,
            self.conv_block4,
            self.conv_block5,
            self.conv_block6,
        ):
            maps = nn.functional.dropout(block(maps), 0.2, training=self.training)
        return maps.mean(dim=3)


class Panns(SpectrogramBackbone):
    """CNN14's embedding: the output of fc1 after its ReLU.

    Letters: B clips, T samples, F = 64 mel bands, M = T // 320 + 1 frames, D = 2048.

    The spectrum is computed by FFT, where the original convolves with the matrix of the transform: the same numbers
    within 1e-4 of the embedding's scale (tested), at a seventh of the cost on a CPU, and never in TF32 on a GPU.

    In training mode the network's own dropout is at work, but not its SpecAugment: augmentation is the training
    loop's business, and would otherwise be done twice.

    Args:
        clip_seconds: nothing depends on it; the network takes any length from 0.31 s.
    """

    mel_basis: Tensor

    def __init__(self, *, clip_seconds: float | None = None) -> None:
        super().__init__(prepare_cnn14)
        self.cnn = Cnn14()
        # Persistent, unlike other front ends' tensors: CNN14's 8 and 16 kHz siblings have layers of the same shapes,
        # and only the shape of this matrix keeps their files from being loaded here.
        self.register_buffer("mel_basis", torch.from_numpy(mel_bands().T))  # (513, F)
        self.power = PowerSpectrogram(n_fft=N_FFT, hop=HOP, window=torch.hann_window(N_FFT), pad_mode="reflect")

    def spectrogram(self, wave: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Wave (B, T) to log-mel (B, F, M) in dB. `lengths` is ignored: silence is part of what CNN14 hears."""
        with full_precision(wave):
            mel = self.mel_basis.T @ self.power(wave.float())
            return 10.0 * mel.clamp(min=POWER_FLOOR).log10()

    def embed_spectrogram(self, spectrogram: Tensor) -> Tensor:
        """Log-mel (B, F, M), M >= 32, to embeddings (B, D)."""
        if spectrogram.shape[2] >= SHORTEST and may_shortcut(self, spectrogram):
            return embed_cnn14(self.prepared.of(self.cnn), spectrogram)
        return self.cnn(spectrogram.transpose(1, 2).unsqueeze(1))

    def frame_spectrogram(self, spectrogram: Tensor) -> Tensor:
        """Log-mel (B, F, M), M >= 32, to what is pooled over time before fc1, (B, M // 32, D)."""
        if may_shortcut(self, spectrogram):
            return frames_cnn14(self.prepared.of(self.cnn), spectrogram)
        return self.cnn.frames(spectrogram.transpose(1, 2).unsqueeze(1)).transpose(1, 2)

    @classmethod
    def tag_head(cls, tensors: Mapping[str, Any]) -> tuple[nn.Module, dict[str, Any]]:
        """Embeddings (B, D) to logits (B, 527), and the layer's tensors in the published file."""
        return nn.Sequential(nn.Linear(2048, CLASSES)), tensors_of({"0": "cnn.fc_audioset"}, cls.convert(tensors))

    @classmethod
    def convert(cls, state_dict: Mapping[str, Any]) -> dict[str, Any]:
        """The published file's tensors under this module's names. This module's own state dict passes unchanged."""
        inner = state_dict.get("model")
        tensors = inner if isinstance(inner, Mapping) else state_dict
        own: dict[str, Any] = {}
        for name, tensor in tensors.items():
            if name.startswith("spectrogram_extractor."):
                continue  # the transform's matrix, which says nothing that N_FFT does not
            if name == "logmel_extractor.melW":
                name = "mel_basis"
            elif name != "mel_basis" and not name.startswith("cnn."):
                name = f"cnn.{name}"
            own[name] = tensor
        return own


def mel_bands() -> np.ndarray:
    """(F, 513) float32: Slaney's triangles, bit for bit those of `librosa.filters.mel`, which the original uses.

    torchaudio computes them in float32, with other bits; importing librosa.filters takes longer than importing torch.
    """
    linear_step, log_from_hz, log_step = 200.0 / 3, 1000.0, np.log(6.4) / 27.0  # Hz and, from 1 kHz on, log Hz a mel
    log_from = log_from_hz / linear_step
    lowest = LOWEST_HZ / linear_step
    highest = log_from + np.log(HIGHEST_HZ / log_from_hz) / log_step
    mels = np.linspace(lowest, highest, MEL_BANDS + 2)
    hz = np.where(mels < log_from, linear_step * mels, log_from_hz * np.exp(log_step * (mels - log_from)))
    ramps = np.subtract.outer(hz, np.fft.rfftfreq(N_FFT, 1.0 / SAMPLE_RATE_HZ))  # (F + 2, 513)
    rising = -ramps[:-2] / np.diff(hz)[:-1, None]
    falling = ramps[2:] / np.diff(hz)[1:, None]
    triangles = np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
    return (triangles * (2.0 / (hz[2:] - hz[:-2]))[:, None]).astype(np.float32)  # each of the same area

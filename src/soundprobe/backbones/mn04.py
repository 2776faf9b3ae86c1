"""EfficientAT's mn04_as (Schmid et al. 2022, arXiv 2211.04772): MobileNetV3-Large at width 0.4, for spectrograms."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchaudio.compliance.kaldi import get_mel_banks

from soundprobe.backbones.fast.shortcuts import may_shortcut
from soundprobe.backbones.melspectrogram import PowerSpectrogram, full_precision
from soundprobe.backbones.mobilenetv3 import Bottleneck, ConvNorm, InvertedResidual, SqueezeExcitation, width_of
from soundprobe.backbones.protocol import SpectrogramBackbone, tensors_of

SAMPLE_RATE_HZ = 32_000
N_FFT = 1024
WINDOW = 800
HOP = 320
MEL_BANDS = 128
FMAX_HZ = 15_000.0
PREEMPHASIS = 0.97
CLASSES = 527
WIDTH = 0.4
FIRST_BLOCKS = 5
"""That never are in half precision: most of what bf16 would do to the pretrained network's embeddings comes from them.
Over 397 real clips the mean centred cosine to float32 is .9975 with them in bf16, .9998 without."""

POOLED = {"last": (16,), "middle": (11, 12, 13, 14)}
"""Of which of `features` each of the spec's layers is made."""

BLOCKS = (
    # MobileNetV3-Large: input, kernel, expanded, output, excite, hard swish, stride
    Bottleneck(16, 3, 16, 16, False, False, 1),
    Bottleneck(16, 3, 64, 24, False, False, 2),
    Bottleneck(24, 3, 72, 24, False, False, 1),
    Bottleneck(24, 5, 72, 40, True, False, 2),
    Bottleneck(40, 5, 120, 40, True, False, 1),
    Bottleneck(40, 5, 120, 40, True, False, 1),
    Bottleneck(40, 3, 240, 80, False, True, 2),
    Bottleneck(80, 3, 200, 80, False, True, 1),
    Bottleneck(80, 3, 184, 80, False, True, 1),
    Bottleneck(80, 3, 184, 80, False, True, 1),
    Bottleneck(80, 3, 480, 112, True, True, 1),
    Bottleneck(112, 3, 672, 112, True, True, 1),
    Bottleneck(112, 5, 672, 160, True, True, 2),
    Bottleneck(160, 5, 960, 160, True, True, 1),
    Bottleneck(160, 5, 960, 160, True, True, 1),
)


class Mn04(SpectrogramBackbone):
    """mn04_as: its embedding is the average of the last feature map over time and frequency.

    Letters: B clips, T samples, F = 128 mel bands, M = (T - 1) // 320 + 1 frames, D = 384, C = 527 AudioSet classes.

    In training mode only the classifier's dropout is at work: the original's masking of bands and its random shifts
    of the mel bands' limits are left to the training loop.

    Inference on a CPU takes layers with BatchNorm folded in, channels last; they differ by rounding only (tested).
    `allow_shortcuts(False)` keeps it from that.

    Args:
        clip_seconds: nothing depends on it; the network takes any length from 0.1 s.
        layers: names of `POOLED`; their pooled maps make the embedding, one after the other, and D is 224 for "middle",
            608 for both.
    """

    mel_basis: Tensor

    def __init__(self, *, clip_seconds: float | None = None, layers: Sequence[str] = ("last",)) -> None:
        super().__init__(_folded)
        self.pooled = [number for name in layers for number in POOLED[name]]
        window = torch.hann_window(WINDOW, periodic=False)
        self.power = PowerSpectrogram(n_fft=N_FFT, hop=HOP, window=window, pad_mode="reflect")
        banks, _ = get_mel_banks(MEL_BANDS, N_FFT, float(SAMPLE_RATE_HZ), 0.0, FMAX_HZ, 100.0, -500.0, 1.0)
        self.register_buffer("mel_basis", nn.functional.pad(banks, (0, 1)), persistent=False)  # (F, 513)
        self.features = _features()
        self.classifier = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(384, 512),
            nn.Hardswish(),
            nn.Dropout(0.2),
            nn.Linear(512, CLASSES),
        )
        self.apply(_initialise)

    def spectrogram(self, wave: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Wave (B, T) to normalised log-mel (B, F, M). `lengths` is ignored: silence is part of what mn04 hears."""
        with full_precision(wave):
            wave = wave.float()
            wave = wave[:, 1:] - PREEMPHASIS * wave[:, :-1]
            mel = self.mel_basis @ self.power(wave)
            return ((mel + 1e-5).log() + 4.5) / 5.0

    def embed_spectrogram(self, spectrogram: Tensor) -> Tensor:
        """Log-mel (B, F, M) to embeddings (B, D)."""
        if may_shortcut(self, spectrogram):
            # Channels last, which PyTorch can't tell of a map with one channel unless its strides say so.
            return self._pool(self.prepared.of(self.features), 0, spectrogram.unsqueeze(-1).permute(0, 3, 1, 2))
        with full_precision(spectrogram):
            maps = self.features[:FIRST_BLOCKS](spectrogram.unsqueeze(1))
        return self._pool(self.features, FIRST_BLOCKS, maps)

    def frame_spectrogram(self, spectrogram: Tensor) -> Tensor:
        """Log-mel (B, F, M) to the last feature map's means over frequency, (B, M / 32, 384)."""
        if may_shortcut(self, spectrogram):
            maps = self.prepared.of(self.features)(spectrogram.unsqueeze(-1).permute(0, 3, 1, 2))
        else:
            maps = self.features(spectrogram.unsqueeze(1))
        return maps.mean(dim=2).transpose(1, 2)

    def _pool(self, layers: nn.Sequential, first: int, maps: Tensor) -> Tensor:
        """(B, D) from maps (B, K, F', M') that go into the `first` of all layers."""
        means: dict[int, Tensor] = {}
        for number in range(first, max(self.pooled) + 1):
            maps = layers[number](maps)
            if number in self.pooled:
                means[number] = maps.mean(dim=(2, 3))
        return torch.cat([means[number] for number in self.pooled], dim=1)

    @classmethod
    def tag_head(cls, tensors: Mapping[str, Any]) -> tuple[nn.Module, dict[str, Any]]:
        """Embeddings (B, D) to (B, C) logits, and the layers' tensors in the published file."""
        layers = nn.Sequential(nn.Linear(384, 512), nn.Hardswish(), nn.Linear(512, CLASSES))
        names = {"0": "classifier.2", "2": "classifier.5"}
        return layers, tensors_of(names, tensors)

    @classmethod
    def convert(cls, state_dict: Mapping[str, Any]) -> dict[str, Any]:
        """The published file's tensors under this module's names. This module's own state dict passes unchanged.

        The file's squeeze-excitation is linear layers in a list of one; ours, 1 x 1 convolutions.
        """
        own: dict[str, Any] = {}
        for name, tensor in state_dict.items():
            if ".conc_se_layers.0." in name:
                name = name.replace(".conc_se_layers.0.", ".")
                if isinstance(tensor, Tensor) and tensor.dim() == 2:
                    tensor = tensor[:, :, None, None]
            own[name] = tensor
        return own


def _features() -> nn.Sequential:
    """(B, 1, F, M) to (B, D, F / 32, M / 32), rounded up."""
    first, last = (width_of(WIDTH * channels) for channels in (BLOCKS[0].channels_in, BLOCKS[-1].channels_out))
    return nn.Sequential(
        ConvNorm(1, first, 3, nn.Hardswish, stride=2),
        *(InvertedResidual(block, WIDTH) for block in BLOCKS),
        ConvNorm(last, 6 * last, 1, nn.Hardswish),
    )


def _folded(features: nn.Module) -> nn.Sequential:
    """A copy of `features` for inference: each BatchNorm in the convolution before it, channels last."""
    folded = cast(nn.Sequential, copy.deepcopy(features))
    for layers in folded.modules():
        if isinstance(layers, ConvNorm):
            layers[0] = fuse_conv_bn_eval(cast(nn.Conv2d, layers[0]), cast(nn.BatchNorm2d, layers[1]))
            layers[1] = nn.Identity()
    return folded.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _initialise(module: nn.Module) -> None:
    """MobileNetV3's random weights; the squeeze-excitation's as linear layers, which they are in the original."""
    if isinstance(module, SqueezeExcitation):
        for layer in (module.fc1, module.fc2):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.get_parameter("bias"))
    elif isinstance(module, nn.Conv2d) and module.bias is None:  # a convolution with a bias is the above's
        nn.init.kaiming_normal_(module.weight, mode="fan_out")
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.01)
        nn.init.zeros_(module.bias)

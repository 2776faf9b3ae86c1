"""CNN14's layers for inference on a CPU: BatchNorm folded, blocks 1 and 2 in small passes, Winograd from there on.

Letters: B clips, F = 64 mel bands, M frames, D = 2048. Maps are (B, time, frequency, channels), contiguous.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv2d, linear

from soundprobe.backbones.fast.shortcuts import fold_norm
from soundprobe.backbones.fast.winograd import WinogradConv, convolve, prepare_winograd

MEL_BANDS = 64
BLOCKS = 6
SHORTEST = 32  # frames: five poolings leave one
PASS_BYTES = 16 * 1024**2
"""Of one of block 1's maps: larger ones would leave the caches, and be given back to the system after each layer."""


@dataclass(frozen=True)
class DirectConv:
    """weight (K, C, 3, 3) channels last, bias (K,)."""

    weight: Tensor
    bias: Tensor


@dataclass(frozen=True)
class Cnn14Layers:
    """What inference needs, float32: bn0's scale and shift (F,), three direct convolutions and nine by Winograd."""

    scale: Tensor
    shift: Tensor
    direct: tuple[DirectConv, ...]
    winograd: tuple[WinogradConv, ...]
    fc1: nn.Linear


def prepare_cnn14(cnn: Any) -> Cnn14Layers:
    """From panns_inference's Cnn14."""
    norm = cnn.bn0
    scale = norm.weight.detach().double() / (norm.running_var.double() + norm.eps).sqrt()
    direct: list[DirectConv] = []
    winograd: list[WinogradConv] = []
    for number in range(BLOCKS):
        block = getattr(cnn, f"conv_block{number + 1}")
        for conv, norm_after, last in ((block.conv1, block.bn1, False), (block.conv2, block.bn2, True)):
            weight, bias = fold_norm(conv, norm_after)
            if conv.in_channels < 128:  # where the transforms would cost more than the products that they save
                weight = weight.float().contiguous(memory_format=torch.channels_last)
                direct.append(DirectConv(weight, bias.float()))
            else:
                pooled = last and number < BLOCKS - 1
                winograd.append(prepare_winograd(weight, bias, columns=MEL_BANDS >> number, pooled=pooled))
    shift = norm.bias.detach().double() - norm.running_mean.double() * scale
    return Cnn14Layers(scale.float(), shift.float(), tuple(direct), tuple(winograd), cnn.fc1)


def embed_cnn14(layers: Cnn14Layers, spectrogram: Tensor) -> Tensor:
    """Log-mel (B, F, M), M >= 32, to embeddings (B, D)."""
    of_time = frames_cnn14(layers, spectrogram)
    return linear(of_time.amax(dim=1) + of_time.mean(dim=1), layers.fc1.weight, layers.fc1.bias).relu_()


def frames_cnn14(layers: Cnn14Layers, spectrogram: Tensor) -> Tensor:
    """Log-mel (B, F, M), M >= 32, to the last maps' means over frequency, (B, M // 32, D)."""
    frames = spectrogram.transpose(1, 2) * layers.scale + layers.shift  # (B, M, F)
    clip_bytes = 4 * frames.shape[1] * MEL_BANDS * len(layers.direct[0].bias)
    passes = frames.split(max(1, PASS_BYTES // clip_bytes))
    maps = torch.cat([_first_blocks(layers, part) for part in passes])
    for conv in layers.winograd[1:]:
        maps = convolve(conv, maps)
    return maps.mean(dim=2)


def _first_blocks(layers: Cnn14Layers, frames: Tensor) -> Tensor:
    """Blocks 1 and 2: (B, M, F) to (B, M // 4, F // 4, 128)."""
    first, second, third = layers.direct
    # Channels last already, which PyTorch can't tell of a map with one channel unless its strides say so.
    maps = frames.contiguous().unsqueeze(-1).permute(0, 3, 1, 2)
    maps = conv2d(maps, first.weight, first.bias, padding=1).relu_()
    maps = avg_pool2d(conv2d(maps, second.weight, second.bias, padding=1).relu_(), 2)
    maps = conv2d(maps, third.weight, third.bias, padding=1).relu_()
    return convolve(layers.winograd[0], maps.permute(0, 2, 3, 1))

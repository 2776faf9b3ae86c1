"""The layers of MobileNetV3 (Howard et al. 2019, arXiv 1905.02244), named as torchvision names them.

Written here because importing torchvision takes nearly as long as importing torch; a test holds them to torchvision's.

Letters: B clips, K channels, F mel bands, M frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn

NORM = partial(nn.BatchNorm2d, eps=0.001, momentum=0.01)


@dataclass(frozen=True)
class Bottleneck:
    """A line of the paper's table 1, in channels at full width.

    Attributes:
        excite: whether channels are weighed by squeeze-excitation; hard_swish: else ReLU.
    """

    channels_in: int
    kernel: int
    expanded: int
    channels_out: int
    excite: bool
    hard_swish: bool
    stride: int


def width_of(channels: float) -> int:
    """The next multiple of 8, but not less than nine tenths of it."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


class ConvNorm(nn.Sequential):
    """(B, K, F, M) to (B, K', F / stride, M / stride): convolution, BatchNorm and, if one is named, an activation."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        activation: type[nn.Module] | None,
        *,
        stride: int = 1,
        groups: int = 1,
    ) -> None:
        convolution = nn.Conv2d(
            channels_in, channels_out, kernel, stride, padding=kernel // 2, groups=groups, bias=False
        )
        layers = [convolution, NORM(channels_out)]
        super().__init__(*layers, *([] if activation is None else [activation(inplace=True)]))


class SqueezeExcitation(nn.Module):
    """Channels weighed by what their means over time and frequency say (Hu et al. 2018), with a sigmoid."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)

    def forward(self, maps: Tensor) -> Tensor:
        weights: Tensor = self.fc2(self.fc1(self.avgpool(maps)).relu()).sigmoid()
        return weights * maps


class InvertedResidual(nn.Module):
    """Widen, convolve each channel by itself, excite, narrow; added to the input where the shapes are the same."""

    def __init__(self, block: Bottleneck, width: float) -> None:
        super().__init__()
        channels_in, expanded, channels_out = (
            width_of(width * channels) for channels in (block.channels_in, block.expanded, block.channels_out)
        )
        activation: type[nn.Module] = nn.Hardswish if block.hard_swish else nn.ReLU
        layers: list[nn.Module] = []
        if expanded != channels_in:
            layers.append(ConvNorm(channels_in, expanded, 1, activation))
        layers.append(ConvNorm(expanded, expanded, block.kernel, activation, stride=block.stride, groups=expanded))
        if block.excite:
            layers.append(SqueezeExcitation(expanded, width_of(expanded // 4)))
        layers.append(ConvNorm(expanded, channels_out, 1, None))
        self.block = nn.Sequential(*layers)
        self.residual = block.stride == 1 and channels_in == channels_out

    def forward(self, maps: Tensor) -> Tensor:
        narrowed: Tensor = self.block(maps)
        if self.residual:
            narrowed += maps
        return narrowed

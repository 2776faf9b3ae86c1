"""3 x 3 convolution by minimal filtering (Winograd 1980; for networks: Lavin and Gray 2016, arXiv 1509.09308).

A tile of 4 x 4 outputs takes 36 multiplications for each pair of channels instead of 144: the input tile of 6 x 6 and
the kernel are each carried to 36 points by small matrices, multiplied there (one matrix product over the channels for
each point), and the products carried back. Float32 only, inference only.

Letters: N clips, H rows, W columns, C channels in, K channels out, P points, R tiles.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

WORKSPACE_BYTES = 16 * 1024**2
"""Of each of the two buffers. A pass that fits common processors' caches is quicker than one over a whole batch."""

TILE = 4  # rows of outputs
WINDOW = 6  # rows of inputs that they need


@dataclass(frozen=True)
class Filter1d:
    """A minimal filter along one axis: outputs = back @ ((kernel_to @ kernel) * (input_to @ inputs)).

    Attributes:
        inputs, outputs: how many numbers of the axis a tile reads and gives.
        before: zeros before the axis's first number that the first tile reads.
        input_to: (points, inputs); kernel_to: (points, 3); back: (outputs, points).
        plain: the point whose product enters every output with weight 1, where a bias can be added once.
    """

    inputs: int
    outputs: int
    before: int
    input_to: Tensor
    kernel_to: Tensor
    back: Tensor
    plain: int


def _matrix(*rows: tuple[float, ...]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


FOUR = Filter1d(  # F(4, 3) at the points 0, 1, -1, 2, -2 and infinity
    inputs=6,
    outputs=4,
    before=1,
    input_to=_matrix(
        (4, 0, -5, 0, 1, 0),
        (0, -4, -4, 1, 1, 0),
        (0, 4, -4, -1, 1, 0),
        (0, -2, -1, 2, 1, 0),
        (0, 2, -1, -2, 1, 0),
        (0, 4, 0, -5, 0, 1),
    ),
    kernel_to=_matrix(
        (1 / 4, 0, 0),
        (-1 / 6, -1 / 6, -1 / 6),
        (-1 / 6, 1 / 6, -1 / 6),
        (1 / 24, 1 / 12, 1 / 6),
        (1 / 24, -1 / 12, 1 / 6),
        (0, 0, 1),
    ),
    back=_matrix((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1)),
    plain=1,
)

PAIR = Filter1d(  # an axis of two: out0 = k1 (x0 + x1) + (k2 - k1) x1, out1 = k1 (x0 + x1) + (k0 - k1) x0
    inputs=2,
    outputs=2,
    before=0,
    input_to=_matrix((1, 1), (0, 1), (1, 0)),
    kernel_to=_matrix((0, 1, 0), (0, -1, 1), (1, -1, 0)),
    back=_matrix((1, 1, 0), (1, 0, 1)),
    plain=0,
)
"""Its zeros at both ends are part of the filter, which saves a quarter of F(2, 3)'s products."""


@dataclass(frozen=True)
class WinogradConv:
    """A 3 x 3 convolution of stride 1 and padding 1 with its bias and a ReLU, and 2 x 2 average pooling where `pooled`.

    Attributes:
        kernel: (P, C, K) float32, the kernels at the points; bias: (K,) float32, of the pooling's scale.
        input_to: (P, inputs of a tile), back: (outputs of a tile, P), both float32.
        width: the filter along a row; along a column it is always `FOUR`.
    """

    kernel: Tensor
    bias: Tensor
    input_to: Tensor
    back: Tensor
    width: Filter1d
    pooled: bool


def prepare_winograd(weight: Tensor, bias: Tensor, *, columns: int, pooled: bool) -> WinogradConv:
    """The convolution for maps of `columns` columns.

    Args:
        weight: (K, C, 3, 3) float64; bias: (K,) float64.
        pooled: whether 2 x 2 averages are taken after the ReLU; an odd last row or column is left out of them.
    """
    width = PAIR if columns == 2 else FOUR
    kernel_to = torch.kron(FOUR.kernel_to, width.kernel_to)  # (P, 9)
    out, into = weight.shape[:2]
    kernel = torch.empty(len(kernel_to), into, out)
    for start in range(0, into, 64):  # all channels at once would be gigabytes in float64
        part = weight[:, start : start + 64]
        taps = part.permute(2, 3, 1, 0).reshape(9, -1)  # (9, channels K)
        kernel[:, start : start + 64] = (kernel_to @ taps).view(len(kernel_to), part.shape[1], out)
    scale = 0.25 if pooled else 1.0  # of the average: ReLU lets it pass
    return WinogradConv(
        kernel=kernel,
        bias=bias.float(),
        input_to=torch.kron(FOUR.input_to, width.input_to).float(),
        back=(scale * torch.kron(FOUR.back, width.back)).float(),
        width=width,
        pooled=pooled,
    )


def convolve(conv: WinogradConv, maps: Tensor) -> Tensor:
    """Maps (N, H, W, C) float32 to ReLU'd maps (N, H, W, K), or (N, H // 2, W // 2, K) where pooled."""
    clips, height, columns, into = maps.shape
    points, _, out = conv.kernel.shape
    down, across = -(-height // TILE), -(-columns // conv.width.outputs)
    shrink = 2 if conv.pooled else 1
    result = maps.new_empty(clips, height // shrink, columns // shrink, out)
    numbers = down * across * points * max(into, out)  # of one clip in a buffer: at least its tiles' inputs
    passes = -(-clips * numbers * 4 // WORKSPACE_BYTES)
    at_once = max(1, -(-clips // max(1, passes)))
    one, other = _buffers(at_once * numbers)
    for start in range(0, clips, at_once):
        part = maps[start : start + at_once]
        _convolve_part(conv, part, result[start : start + at_once], one, other)
    return result


_kept = threading.local()


def _buffers(numbers: int) -> tuple[Tensor, Tensor]:
    """Two buffers of so many float32, not cleared; each thread keeps its own for the next convolution.

    New ones would be given back to the system each time, and cleared by it again. Those of clips so long that one of
    them takes more than two `WORKSPACE_BYTES` are not kept.
    """
    kept: Tensor | None = getattr(_kept, "buffers", None)
    if kept is None or kept.shape[1] < numbers:
        with torch.inference_mode(False):  # or it could not be written to in another mode
            kept = torch.empty(2, numbers)
        if numbers * 4 <= 2 * WORKSPACE_BYTES:
            _kept.buffers = kept
    return kept[0, :numbers], kept[1, :numbers]


def _convolve_part(conv: WinogradConv, maps: Tensor, result: Tensor, one: Tensor, other: Tensor) -> None:
    """`convolve` in two buffers by turns, without other allocations of their size."""
    width = conv.width
    clips, height, columns, into = maps.shape
    points, _, out = conv.kernel.shape
    down, across = -(-height // TILE), -(-columns // width.outputs)
    tiles = clips * down * across  # R
    right = across * width.outputs + width.inputs - width.outputs - width.before - columns
    padded = pad(maps, (0, 0, width.before, right, 1, TILE * down + WINDOW - TILE - 1 - height))
    windows = padded.unfold(1, WINDOW, TILE).unfold(2, width.inputs, width.outputs)  # (N, down, across, C, 6, inputs)
    inputs = one[: WINDOW * width.inputs * tiles * into].view(WINDOW, width.inputs, clips, down, across, into)
    inputs.copy_(windows.permute(4, 5, 0, 1, 2, 3))
    at_points = other[: points * tiles * into].view(points, -1)
    torch.mm(conv.input_to, inputs.view(WINDOW * width.inputs, -1), out=at_points)
    products = one[: points * tiles * out].view(points, tiles, out)
    torch.bmm(at_points.view(points, tiles, into), conv.kernel, out=products)
    products[FOUR.plain * len(width.input_to) + width.plain] += conv.bias
    outputs = other[: len(conv.back) * tiles * out].view(len(conv.back), -1)
    torch.mm(conv.back, products.view(points, -1), out=outputs)
    outputs.relu_()
    if conv.pooled:
        fours = outputs.view(TILE // 2, 2, width.outputs // 2, 2, -1)
        outputs = (fours[:, 0, :, 0] + fours[:, 0, :, 1]).add_(fours[:, 1, :, 0]).add_(fours[:, 1, :, 1])
    rows, cols = (TILE // 2, width.outputs // 2) if conv.pooled else (TILE, width.outputs)
    whole = outputs.view(rows, cols, clips, down, across, out).permute(2, 3, 0, 4, 1, 5)
    whole = whole.reshape(clips, down * rows, across * cols, out)
    result.copy_(whole[:, : result.shape[1], : result.shape[2]])

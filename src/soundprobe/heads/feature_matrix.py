"""The rows that heads are trained on, laid out for the two products that an evaluation takes.

Letters: N rows, D features, n rows of a block, k linear functions of the features.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np
import torch

from soundprobe.base.onednn import PackedMatrix, can_pack
from soundprobe.heads.scaling import Rows

PLAIN_ROWS = 1024
"""Rows of a block that is not packed: its second product finds them in the caches."""
PACKED_ROWS = 8192
DEVICE_ROWS = 2**16
"""Rows of a block on a GPU: each block costs a dozen kernels whatever its size."""
PACKED_NUMBERS = 2.0**20, 2.0**28
"""Features of 4 MB to 1 GB are packed: below, there is nothing to gain; above, twice their memory is too much. With
7,859 x 2,048 the two products take 18 ms instead of 24 with k 50, and 4 instead of 12 with k 10."""


class Block(Protocol):
    """Some of the rows (n, D)."""

    def scores(self, weights: torch.Tensor) -> torch.Tensor:
        """(k, n): what each of the weights (k, D) makes of each row."""

    def sums(self, factors: torch.Tensor) -> torch.Tensor:
        """(k, D): the rows added up with each of the factors (k, n)."""


@dataclass(frozen=True, eq=False)
class PlainBlock:
    """The rows as they are."""

    rows: torch.Tensor

    def scores(self, weights: torch.Tensor) -> torch.Tensor:
        return weights @ self.rows.T

    def sums(self, factors: torch.Tensor) -> torch.Tensor:
        return factors @ self.rows


@dataclass(frozen=True, eq=False)
class PackedBlock:
    """Two copies of the rows, one for each product."""

    by_row: PackedMatrix
    by_feature: PackedMatrix

    def scores(self, weights: torch.Tensor) -> torch.Tensor:
        return self.by_row.multiply(weights)

    def sums(self, factors: torch.Tensor) -> torch.Tensor:
        return self.by_feature.multiply(factors)


@dataclass(frozen=True, eq=False)
class FeatureMatrix:
    """Rows (N, D) float32 in blocks of some rows each, in their order.

    The blocks of rows in memory are made once, those of rows on disk as they are asked for. Their kind hangs on the
    device and on sizes alone, so that the same rows always give the same bits, wherever they are.
    """

    rows: Rows
    device: torch.device
    block_rows: int
    packed: bool
    held: tuple[Block, ...]

    @classmethod
    def of(cls, rows: Rows, device: str = "cpu") -> Self:
        """Blocks on `device`, "cpu" or "cuda"."""
        where, (least, most) = torch.device(device), PACKED_NUMBERS
        packed = where.type == "cpu" and least <= rows.shape[0] * rows.shape[1] <= most and can_pack()
        size = DEVICE_ROWS if where.type != "cpu" else PACKED_ROWS if packed else PLAIN_ROWS
        made = cls(rows, where, size, packed, ())
        return replace(made, held=tuple(block for _, block in made)) if isinstance(rows, np.ndarray) else made

    def __iter__(self) -> Iterator[tuple[slice, Block]]:
        for number, start in enumerate(range(0, len(self.rows), self.block_rows)):
            own = slice(start, start + self.block_rows)
            yield own, self.held[number] if self.held else self._block(own)

    def _block(self, own: slice) -> Block:
        rows = torch.from_numpy(self.rows[own]).to(self.device)
        if not self.packed:
            return PlainBlock(rows)
        return PackedBlock(PackedMatrix.of(rows), PackedMatrix.of(rows.T.contiguous()))

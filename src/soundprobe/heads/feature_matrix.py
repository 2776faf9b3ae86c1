"""The rows that heads are trained on, laid out for the two products that an evaluation takes.

Letters: N rows, D features, n rows of a block, k linear functions of the features.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, Self

import torch

from soundprobe.base.onednn import PackedMatrix, can_pack

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
    """values (N, D) float32, and the same in blocks of some rows each, in their order."""

    values: torch.Tensor
    blocks: tuple[Block, ...]
    block_rows: int

    @classmethod
    def of(cls, values: torch.Tensor) -> Self:
        """The blocks are on the device of `values`; their kind hangs on that and on sizes alone, so that the same rows
        always give the same bits.
        """
        if values.device.type != "cpu":
            return cls(values, tuple(PlainBlock(rows) for rows in values.split(DEVICE_ROWS)), DEVICE_ROWS)
        least, most = PACKED_NUMBERS
        if least <= values.numel() <= most and can_pack():
            blocks: list[Block] = [
                PackedBlock(PackedMatrix.of(rows), PackedMatrix.of(rows.T.contiguous()))
                for rows in values.split(PACKED_ROWS)
            ]
            return cls(values, tuple(blocks), PACKED_ROWS)
        return cls(values, tuple(PlainBlock(rows) for rows in values.split(PLAIN_ROWS)), PLAIN_ROWS)

    def __iter__(self) -> Iterator[tuple[slice, Block]]:
        for number, block in enumerate(self.blocks):
            yield slice(number * self.block_rows, (number + 1) * self.block_rows), block

"""Clips through a network that takes no lengths: those of one length together, without the silence that pads them.

Letters: B clips, T samples, n clips of t samples, D the embedding's dimension.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from soundprobe.backbones.protocol import check_rows

LEAST_S = 1.0
"""Some networks fail on a shorter clip, which therefore keeps its padding up to here."""


def embed_by_length(
    network: object,
    embed: Callable[[Tensor], Tensor],
    waves: Tensor,
    lengths: Tensor,
    rate_hz: int,
    joined: Callable[[list[Tensor]], Tensor] = torch.stack,
    ndim: int = 2,
) -> Tensor:
    """(B, D) float32 of waves (B, T), so that no clip's embedding hangs on those beside it.

    Args:
        network: for the message; embed: (n, t) to (n, D).
        lengths: (B,), the clips' own samples; rate_hz: theirs.
        joined: of the B clips' rows, in their order; ndim: 3 where `embed` gives frames (n, m, D).

    Raises:
        ConfigError: `embed` gave something else.
    """
    kept = lengths.clamp(min=min(round(LEAST_S * rate_hz), waves.shape[1]))
    embedded: dict[int, Tensor] = {}
    for samples in kept.unique().tolist():
        rows = (kept == samples).nonzero().flatten()
        made = check_rows(embed(waves[rows, :samples]), len(rows), network, ndim)
        embedded |= zip(rows.tolist(), made.float(), strict=True)
    return joined([embedded[row] for row in range(len(waves))])

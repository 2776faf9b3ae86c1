"""How many threads a stack is worth."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

MULTIPLICATIONS_FOR_THREADS = 1e8
"""Below this many multiply-adds a step, a few ms of one core, threads cost more than they gain: each step waits for
the slowest of them several times, and where other programs keep a core busy that wait grows 20-fold."""


@contextmanager
def threads_for(multiplications: float) -> Iterator[None]:
    """One torch thread for stacks with fewer `multiplications` a step than threads are worth; the count is put back.

    It hangs on sizes alone, so that the same rows always give the same bits.
    """
    before = torch.get_num_threads()
    if multiplications < MULTIPLICATIONS_FOR_THREADS:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)

"""How many threads a stack is worth."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

MULTIPLICATIONS_FOR_THREADS = 1e8
"""Below this many multiply-adds a step, a few ms of one core, threads cost more than they gain: each step waits for
the slowest of them several times, and where other programs keep a core busy that wait grows 20-fold."""

_lock = threading.Lock()
_inside = 0  # stacks that are being solved, on threads of this process
_usual = 0  # PyTorch's number of threads before the first of them


@contextmanager
def threads_for(multiplications: float) -> Iterator[None]:
    """One torch thread for stacks with fewer `multiplications` a step than threads are worth; the count is put back.

    It hangs on sizes alone, so that the same rows always give the same bits. PyTorch's number is at once the calling
    thread's and the one that new threads begin with, so stacks on several threads must agree on what to put back.
    """
    global _inside, _usual
    with _lock:
        now = torch.get_num_threads()  # a new thread takes its number when it first asks, whatever it has set before
        if _inside == 0:
            _usual = now
        _inside += 1
        torch.set_num_threads(1 if multiplications < MULTIPLICATIONS_FOR_THREADS else _usual)
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            torch.set_num_threads(_usual)

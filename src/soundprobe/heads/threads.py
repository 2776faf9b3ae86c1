"""One thread for each head, so that the same rows give the same bits on any machine.

Several would add sums up in another order. They would gain little, too: folds are trained side by side, and the steps
of one are so short that its threads mostly wait for each other.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from threadpoolctl import threadpool_limits

_lock = threading.Lock()
_inside = 0  # heads that are being trained, on threads of this process
_usual = 0  # PyTorch's threads before the first of them


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread of numpy's and scipy's BLAS, and of PyTorch where that is imported; their numbers are put back.

    PyTorch's number is at once the calling thread's and the one that new threads begin with, so heads on several
    threads must agree on what to put back. BLAS has one number for all, which the first thread to set it keeps.
    """
    global _inside, _usual
    torch = sys.modules.get("torch")
    if not hasattr(torch, "set_num_threads"):
        torch = None  # another thread has just begun to import it
    with _lock:
        if _inside == 0:
            _usual = 0
        _inside += 1
        if torch is not None:
            now = torch.get_num_threads()  # a new thread takes its number when it first asks, whatever was set before
            _usual = _usual or now
            torch.set_num_threads(1)
    try:
        with threadpool_limits(1, user_api="blas"):
            yield
    finally:
        with _lock:
            _inside -= 1
            if torch is not None:
                torch.set_num_threads(_usual)


class OnOneThread:
    """`function` under `one_thread`, wherever it is called: it can be sent to another process."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *args: Any) -> Any:
        with one_thread():
            return self.function(*args)

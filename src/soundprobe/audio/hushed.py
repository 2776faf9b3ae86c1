"""libmpg123, by which libsndfile reads MP3, writes about every damaged frame on standard error; no option stops it."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

STANDARD_ERROR = 2


class _State:
    lock = threading.Lock()
    inside = 0
    kept: int | None = None
    """A copy of standard error, where Python writes to another."""


def keep_own_stderr() -> None:
    """Lets Python write its messages past standard error's number, so that `hushed` leaves them alone."""
    shown = sys.__stderr__
    if _State.kept is not None or shown is None or sys.stderr is not shown:  # it is a test's own
        return
    try:
        shown.flush()
        own = os.dup(STANDARD_ERROR)
    except OSError:  # it is closed
        return
    encoding = shown.encoding
    sys.stderr = os.fdopen(own, "w", buffering=1, encoding=encoding, errors="backslashreplace", closefd=False)
    _State.kept = own


@contextmanager
def hushed() -> Iterator[None]:
    """What C code writes on standard error meanwhile goes nowhere, where `keep_own_stderr` was called."""
    kept = _State.kept
    if kept is None:
        yield
        return
    with _State.lock:
        if not _State.inside:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, STANDARD_ERROR)
            os.close(nowhere)
        _State.inside += 1
    try:
        yield
    finally:
        with _State.lock:
            _State.inside -= 1
            if not _State.inside:
                os.dup2(kept, STANDARD_ERROR)

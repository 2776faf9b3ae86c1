"""Ctrl-C and SIGTERM: a command ends at once, says what is kept, and leaves no process behind.

The interpreter wakes a thread for each signal, which ends the process while the main thread goes on importing, decoding
or training: a `KeyboardInterrupt` would wait for it, and other libraries take one for an error of their own. What is on
disk is whole at any moment (see `base.files`), so there is nothing to unwind. This module imports nothing heavy: it is
the first of a command.
"""

from __future__ import annotations

import glob
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import ModuleType

INTERRUPTED = 130
"""The exit code, as shells have it for Ctrl-C."""
WITHIN_S = 1.0
"""How long what must be tidied up may take."""
SHOW_CURSOR = b"\r\x1b[?25h\n"

SCANS = 5
TRACKERS = ("joblib.externals.loky.backend.resource_tracker", "multiprocessing.resource_tracker")
"""What the workers shared in memory they take away once everybody is gone, which they needn't tell."""

_installed, _ending = threading.Lock(), threading.Event()


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Within it Ctrl-C or SIGTERM ends the process, unless they are ignored, as in the background of a shell."""
    if not _installed.acquire(blocking=False):
        with _unless_ending():
            yield
        return
    quiet = [f"ignore::UserWarning:{name}" for name in TRACKERS]
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, [os.environ.get("PYTHONWARNINGS"), *quiet]))
    reading, writing = os.pipe()
    if os.name != "nt":
        os.set_blocking(writing, False)
    threading.Thread(target=_watch, args=(reading,), name="stopping", daemon=True).start()
    caught = [one for one in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(one) != signal.SIG_IGN]
    wakeup = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    before = {one: signal.signal(one, _leave_to_the_thread) for one in caught}
    if os.name != "nt":  # processes that are started get none from the terminal, which are this one's to end
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with _unless_ending():
            yield
    finally:
        if os.name != "nt":
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        for one, handler in before.items():
            signal.signal(one, handler)
        signal.set_wakeup_fd(wakeup)
        os.close(writing)
        _installed.release()


@contextmanager
def _unless_ending() -> Iterator[None]:
    """What comes of the block, an error of workers that were ended say, goes no further once the process is ending."""
    try:
        yield
    finally:
        if _ending.is_set():
            threading.Event().wait()


def _leave_to_the_thread(*_: object) -> None:
    pass


def _watch(signals: int) -> None:
    """Ends the process at the first signal, and at the second whatever the first is at."""
    if os.name != "nt":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    if os.read(signals, 1):
        _ending.set()
        threading.Thread(target=_end, name="ending", daemon=True).start()
        if os.read(signals, 1):
            os._exit(INTERRUPTED)
    os.close(signals)


def _end() -> None:
    shown = 2 if sys.stderr is None else sys.stderr.fileno()
    terminal = os.dup(shown)
    line = f"Stopped{_doing()}. What is finished is kept: the same command goes on from there.\n"
    try:
        for handle in (2, shown):  # one line is enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), handle)
        for tidy in (_end_workers, _remove_temporary, _flush):
            thread = threading.Thread(target=tidy, daemon=True)
            thread.start()
            thread.join(WITHIN_S / 2)
        if os.isatty(terminal):
            os.write(terminal, SHOW_CURSOR)
        os.write(terminal, line.encode())
    finally:
        os._exit(INTERRUPTED)


def _doing() -> str:
    held = getattr(sys.modules.get("soundprobe.base.locks"), "held", ())
    text = f" while {held[-1]}" if held else ""
    return text if text.isprintable() else ascii(text)[1:-1]


def _end_workers() -> None:
    """Ends the processes that this one started, and those that it is just starting."""
    processes = sys.modules.get("multiprocessing.process")
    if processes is None:
        return
    processes.BaseProcess.start = lambda _: threading.Event().wait()  # no more of them
    trackers = {getattr(getattr(sys.modules.get(name), "_resource_tracker", None), "_pid", None) for name in TRACKERS}
    for _ in range(SCANS):
        for child in set(_children(processes)) - trackers:
            with suppress(OSError):
                os.kill(child, getattr(signal, "SIGKILL", signal.SIGTERM))
        time.sleep(WITHIN_S / 4 / SCANS)


def _children(processes: ModuleType) -> Iterator[int]:
    for child in processes.active_children():
        if child.pid is not None:
            yield child.pid
    for path in glob.glob("/proc/self/task/*/children"):  # Linux's also know one that has hardly begun
        with suppress(OSError), open(path) as file:
            yield from map(int, file.read().split())


def _remove_temporary() -> None:
    for path in list(getattr(sys.modules.get("soundprobe.base.files"), "being_written", ())):
        with suppress(OSError):
            if path.is_dir():
                sys.modules["shutil"].rmtree(path, ignore_errors=True)  # whoever made one has imported it
            else:
                path.unlink()


def _flush() -> None:
    with suppress(OSError, ValueError):
        sys.stdout.flush()

"""`python -m soundprobe` is the command `soundprobe`."""

import atexit
import os
import signal
import sys
from contextlib import ExitStack

from soundprobe.cli.stopping import ended_by_signals


def open_standard_streams() -> None:
    """Leads what is closed of input, output and errors nowhere: else the next file takes its number, and messages."""
    for handle, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(handle)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # it takes the least number that is free
            stream = open(handle, "w" if handle else "r", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


def main() -> None:
    """The console script. Signals are heeded before the command line is imported."""
    open_standard_streams()
    stack = ExitStack()
    atexit.register(_heed_no_more, stack)  # the first of these functions is called last
    stack.enter_context(ended_by_signals())
    try:
        from soundprobe.cli.main import main as run
    except OSError as error:
        where = ascii(os.fsdecode(error.filename or "its own files"))
        sys.exit(f"Error: Can't read {where}: {error.strerror}. See to it, or let more be open (ulimit -n 1024).")
    run()


def _heed_no_more(stack: ExitStack) -> None:
    """Everything is done and told: what is left, the interpreter's own end, takes no time worth a signal."""
    stack.close()
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.SIG_IGN)


if __name__ == "__main__":
    main()

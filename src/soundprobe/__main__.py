"""`python -m soundprobe` is the command `soundprobe`."""

import os
import sys

from soundprobe.cli.stopping import ended_by_signals


def main() -> None:
    """The console script. Signals are heeded before the command line is imported."""
    with ended_by_signals():
        try:
            from soundprobe.cli.main import main as run
        except OSError as error:
            where = ascii(os.fsdecode(error.filename or "its own files"))
            sys.exit(f"Error: Can't read {where}: {error.strerror}. See to it, or let more be open (ulimit -n 1024).")
        run()


if __name__ == "__main__":
    main()

"""`python -m soundprobe` is the command `soundprobe`."""

from soundprobe.cli.stopping import ended_by_signals


def main() -> None:
    """The console script. Signals are heeded before the command line is imported."""
    with ended_by_signals():
        from soundprobe.cli.main import main as run

        run()


if __name__ == "__main__":
    main()

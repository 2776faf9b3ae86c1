"""`python -m soundprobe` is the command `soundprobe`."""

from soundprobe.cli.main import main

main()

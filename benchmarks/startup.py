"""How long `soundprobe` takes to answer, next to starting Python at all.

    python benchmarks/startup.py --rounds 10

Rounds are interleaved: each starts every command once, in a process of its own.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

from machine_note import describe, spread

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "soundprobe --help": ["-m", "soundprobe", "--help"],
    "soundprobe --version": ["-m", "soundprobe", "--version"],
    "soundprobe probe --help": ["-m", "soundprobe", "probe", "--help"],
    "soundprobe report --help": ["-m", "soundprobe", "report", "--help"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    milliseconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for round_ in range(options.rounds + 1):
        for name, arguments in COMMANDS.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
            if round_:  # the first round reads the files from disk
                milliseconds[name].append((time.perf_counter() - began) * 1000)
    print(f"{describe()}; {options.rounds} interleaved rounds")
    for name, values in milliseconds.items():
        print(f"{name:<28}{spread(values):>32} ms")


if __name__ == "__main__":
    main()

"""How long `soundprobe` takes to answer, as ratios to `import torch` in the same run.

    python benchmarks/startup.py --rounds 10

Each command is timed as a whole process, on noise and mn04's random weights: extract and predict until the first clip
is decoded and about to be embedded, where they end at once, as the `import torch` does that they are held to; probe and
report where everything is there already; wrong names and paths until the one line that says so. Rounds are interleaved:
each starts every command once.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from machine_note import describe

RATE_HZ = 22_050
IMPORTED = """import sys
from soundprobe.cli.main import main
try:
    main()
finally:
    print("torch" in sys.modules)"""
FIRST_CLIP = """import dataclasses, os
from soundprobe.backbones.catalog import BACKBONES
from soundprobe.backbones.mn04 import Mn04

class FirstClip(Mn04):
    spec = dataclasses.replace(BACKBONES["mn04"], target="")

    def embed(self, waves, lengths):
        if "STOP" in os.environ:
            os._exit(0)
        return super().embed(waves, lengths)
"""
ENDS_AT_ONCE = ("import torch", "extract, to the first clip", "predict, to the first clip")
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def write_clips(folder: Path, clips: int) -> Path:
    """A manifest of `clips` noises of 4 s, of two classes in two folds."""
    noise = np.random.default_rng(0)
    rows = ["path,label,fold"]
    for number in range(clips):
        soundfile.write(folder / f"{number}.wav", noise.uniform(-0.5, 0.5, 4 * RATE_HZ), RATE_HZ)
        rows.append(f"{number}.wav,{'ab'[number % 2]},{1 + number // 2 % 2}")
    (folder / "clips.csv").write_text("\n".join(rows) + "\n")
    return folder / "clips.csv"


def commands_in(folder: Path) -> dict[str, list[str]]:
    """What is timed, by name. Makes what probe and report find."""
    many, one = folder / "many", folder / "one"
    for place, clips in ((many, 40), (one, 2)):
        place.mkdir()
        write_clips(place, clips)
    (folder / "first_clip.py").write_text(FIRST_CLIP)  # python -m finds it in the folder that it runs in
    soundprobe = ["-m", "soundprobe"]
    extract = [*soundprobe, "extract", "--backbone", "first_clip:FirstClip", "--weights", "random", "--quiet"]
    for arguments in (
        [*extract, "--data", str(many / "clips.csv")],
        [*soundprobe, "probe", "--head", "linear", "--quiet"],
    ):
        subprocess.run([sys.executable, *arguments], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    run = next((folder / "heads").glob("*/*/linear-*"))
    return {
        "import torch": ["-c", "import os, torch; os._exit(0)"],
        "import torch, and end": ["-c", "import torch"],
        "python -c pass": ["-c", "pass"],
        "soundprobe --help": [*soundprobe, "--help"],
        "extract, to the first clip": [*extract, "--data", str(one / "clips.csv"), "--embeddings", "NEW"],
        "predict, to the first clip": [*soundprobe, "predict", str(one / "0.wav"), "--head", str(run), "--quiet"],
        "extract, two clips": [*extract, "--data", str(one / "clips.csv"), "--embeddings", "NEW"],
        "predict, one clip": [*soundprobe, "predict", str(one / "0.wav"), "--head", str(run), "--quiet"],
        "probe, all there": [*soundprobe, "probe", "--head", "linear", "--quiet"],
        "report": [*soundprobe, "report", "--no-audio"],
        "extract: no such path": [*soundprobe, "extract", "--backbone", "mn04", "--data", "nowhere/"],
        "extract: no such backbone": [*soundprobe, "extract", "--backbone", "mn4", "--data", str(one)],
        "predict: no such head": [*soundprobe, "predict", str(one / "0.wav"), "--head", "heads/nothing"],
        "probe: no such head": [*soundprobe, "probe", "--head", "liner"],
        "finetune: no such recipe": [*soundprobe, "finetune", "--config", "notes-simplecn"],
    }


def imports_torch(arguments: list[str], folder: Path) -> bool:
    """Whether the command imports PyTorch."""
    if arguments[:2] != ["-m", "soundprobe"]:
        return "torch" in arguments[-1]
    code = [sys.executable, "-c", IMPORTED, *fresh(arguments[2:], folder)]
    return subprocess.run(code, cwd=folder, capture_output=True, text=True).stdout.strip().endswith("True")


def fresh(arguments: list[str], folder: Path) -> list[str]:
    return [tempfile.mkdtemp(dir=folder) if argument == "NEW" else argument for argument in arguments]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        commands = commands_in(folder)
        for round_ in range(options.rounds + 1):
            for name, arguments in commands.items():
                asked = [sys.executable, *fresh(arguments, folder)]
                environ = {**os.environ, "STOP": "1"} if name in ENDS_AT_ONCE else None
                began = time.perf_counter()
                done = subprocess.run(asked, cwd=folder, env=environ, check=False, **QUIET)
                if done.returncode != (": no such" in name):
                    raise SystemExit(f"{name!r} ended with {done.returncode}, so its time means nothing.")
                if round_:  # the first round reads the files from disk
                    seconds.setdefault(name, []).append(time.perf_counter() - began)
        imported = {name: imports_torch(arguments, folder) for name, arguments in commands.items()}
    print(f"{describe()}; {options.rounds} interleaved rounds")
    for name, values in seconds.items():
        torch = seconds["import torch" if name in ENDS_AT_ONCE else "import torch, and end"]
        ratio = statistics.median(value / base for value, base in zip(values, torch, strict=True))
        told = "imports torch" if imported[name] else "no torch"
        print(f"{name:<28}{statistics.median(values):8.2f} s{ratio:8.2f}   {told}")


if __name__ == "__main__":
    main()

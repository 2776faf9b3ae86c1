"""Makes `samples.tar.xz` with soundprobe 0.1.0: sets, runs and a checkpoint, of clips that are generated here.

    mkdir -p /srv/example && cd /srv/example && SOUNDPROBE_OFFLINE=1 python .../make_samples.py

Run it with version 0.1.0 installed and in a folder whose path may be read by anybody: records name it. A later version
needs samples of its own, beside these.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tarfile
import time
import wave
from pathlib import Path

import numpy as np

RATE_HZ = 8000
CLASSES = {"hum": 110.0, "whistle": 1800.0, "hiss": 0.0}
SOUNDPROBE = [sys.executable, "-m", "soundprobe"]


def write_clip(path: Path, hz: float, rng: np.random.Generator) -> None:
    """A quarter of a second of a tone (of noise, for 0 Hz), loud enough to be told from the faint noise under it."""
    t = np.arange(RATE_HZ // 4) / RATE_HZ
    tone = np.sin(2 * np.pi * hz * rng.uniform(0.9, 1.1) * t) if hz else rng.standard_normal(len(t)) / 3
    samples = rng.uniform(0.2, 0.9) * tone + 0.02 * rng.standard_normal(len(t))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())


def write_clips(folder: Path) -> None:
    """2 folds, 3 classes, 3 recordings of each with 2 clips, and one clip that can't be read."""
    folder.mkdir()
    rng, rows = np.random.default_rng(0), ["path,label,fold,group,salience"]
    for fold in (1, 2):
        for name, hz in CLASSES.items():
            for recording in range(3):
                for part in range(2):
                    clip = f"{name}-{fold}{recording}-{part}.wav"
                    write_clip(folder / clip, hz, rng)
                    rows.append(f"{clip},{name},{fold},{name}-{fold}{recording},{1 + part}")
    (folder / "broken.wav").write_bytes(b"RIFF....WAVE")
    rows.append("broken.wav,hum,2,broken,1")
    (folder / "clips.csv").write_text("\n".join(rows) + "\n")


def run(*arguments: str) -> None:
    subprocess.run([*SOUNDPROBE, *arguments, "--quiet"], check=False)


def run_until(root: Path, pattern: str, *arguments: str) -> None:
    """Starts the command and kills it as soon as there is a file of that `pattern` below `root`."""
    process = subprocess.Popen([*SOUNDPROBE, *arguments, "--quiet"])
    while process.poll() is None and not any(root.glob(pattern)):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()


def extract_int8() -> None:
    """A set in int8, whose check is let off: random weights are too far from float32."""
    from soundprobe import extract, quantising

    quantising.judge = lambda *_, **__: None
    options = {"weights": "random", "precision": "int8", "embeddings": "embeddings-int8", "device": "cpu"}
    extract("clips/clips.csv", backbone="mn04", **options, progress=False)


def main() -> None:
    write_clips(Path("clips"))
    clips = ["--data", "clips/clips.csv"]
    random = ["--weights", "random"]
    run("extract", "-b", "mn04,crnn", *clips, *random)
    extract_int8()
    run("probe", "-b", "mn04", "--head", "linear", "--learning-curve", "--measure-peeking")
    run("probe", "-b", "mn04", "--head", "linear", "--seed", "1", "--exclude-leaks")
    run("probe", "-b", "mn04", "--head", "linear", "--control", "shuffled-labels")
    run("probe", "-b", "crnn", "--head", "knn", "--learning-curve", "--measure-peeking")
    run("probe", "-b", "crnn", "--head", "mlp", "--set", "widths=[8]", "--set", "max_epochs=4", "--measure-peeking")
    run("probe", "-b", "mn04+crnn", "--head", "linear")
    run("probe", "-b", "mn04", "--head", "knn", "--only-fold", "1")
    recipe = ["-b", "crnn", *clips, *random, "--set", "augment={}", "--set", "training.mixed_precision=false"]
    share = ["--set", "validation.kind=share", "--set", "validation.share=0.4"]
    run("finetune", *recipe, *share, "--set", "training.epochs=2")
    finished = next(Path("heads").glob("*/*/finetune-*"))
    run("extract", "--finetuned", str(finished))
    run("probe", "-b", "crnn-finetuned", "--head", "linear")
    # Only the head learns, so that the checkpoint holds no state of the optimiser for the backbone.
    slow = [*share, "--set", "training.epochs=6", "--freeze", "backbone", "--heads", "interrupted", "--only-fold", "1"]
    run_until(Path("interrupted"), "*/*/*/checkpoints/fold-01-selection.pt", "finetune", *recipe, *slow)
    with tarfile.open("samples.tar.xz", "w:xz", preset=9) as archive:
        for folder in ("clips", "embeddings", "embeddings-int8", "heads", "interrupted"):
            archive.add(folder, filter=plain)


def plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """`member` without the names of a machine and its user; what no record needs is left out."""
    if member.name.endswith((".lock", ".tmp", "/tensorboard", "/network.bin", "/network.xml")):
        return None
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


if __name__ == "__main__":
    os.environ.setdefault("SOUNDPROBE_OFFLINE", "1")
    main()

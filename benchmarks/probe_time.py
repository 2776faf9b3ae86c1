"""The wall and CPU time of a whole `soundprobe probe`, from a stored set of embeddings to result.json.

    python benchmarks/probe_time.py                        linear, 8,732 x 2,048, 10 folds
    python benchmarks/probe_time.py mlp --clips 2000       another head, fewer clips
    python benchmarks/probe_time.py linear -- --jobs 2     what follows -- goes to `soundprobe probe`

The set is synthetic and written to a temporary folder; each round is a process of its own and starts from nothing.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from machine_note import describe, spread
from soundprobe.base.records import Clips, Embeddings
from soundprobe.embeddings import store
from synthetic_embeddings import make_embeddings


def write_set(root: Path, data: Embeddings) -> None:
    """`data` as a finished set of the store, as `extract` would leave it."""
    n = len(data)
    clips = Clips("synthetic", data.ids, ["none"] * n, data.labels, data.folds, data.groups, data.class_names)
    folder = store.set_folder(root, clips.name, "synthetic", "0" * 12)
    rows = list(range(n))
    part = store.write_part(
        store.part_path(folder, 0), clips, rows, rows, data.features, np.full(n, ""), np.full(n, 4.0), {}
    )
    folds = sorted({int(fold) for fold in data.folds})
    names = {"name": "synthetic", "title": "Synthetic", "weights": "random", "weights_label": "none"}
    store.write_meta(
        folder,
        {
            "key": "0" * 12,
            "complete": True,
            "dataset": {
                "name": clips.name,
                "fingerprint": "none",
                "clips": n,
                "class_names": list(clips.class_names),
                "folds": folds,
            },
            "backbone": {
                **names,
                "weights_sha256": "none",
                "embedding_dim": data.features.shape[1],
                "parameters": 0,
                "settings": {},
            },
            "device": "cpu",
            "command": "benchmarks/probe_time.py",
            "embedded": n,
            "embedded_folds": folds,
            "parts": [{"file": part.path.name, "clips": part.clips}],
            "failures": [],
            "seconds_per_clip": None,
        },
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("head", nargs="?", default="linear")
    parser.add_argument("--clips", type=int, default=8732)
    parser.add_argument("--dimension", type=int, default=2048)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--folds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    options, further = parser.parse_known_args()
    further = [argument for argument in further if argument != "--"]
    wall, cpu = [], []
    with tempfile.TemporaryDirectory() as folder:
        data = make_embeddings(options.clips, options.dimension, options.classes, options.folds)
        write_set(Path(folder) / "embeddings", data)
        command = [sys.executable, "-m", "soundprobe", "probe", "--head", options.head, *further]
        for round_ in range(options.rounds):
            before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            done = subprocess.run(
                [*command, "--heads", f"heads-{round_}"], cwd=folder, check=True, text=True, stdout=subprocess.PIPE
            )
            wall.append(time.perf_counter() - began)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    print(f"{describe()}; {options.clips} x {options.dimension}, {options.classes} classes, {options.folds} folds")
    print(f"probe --head {' '.join([options.head, *further])}: {spread(wall)} s, CPU {spread(cpu)} s")
    print(done.stdout.strip())


if __name__ == "__main__":
    main()

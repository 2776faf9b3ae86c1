"""What exported graphs give beside the runs that they were made of, on real clips, and what a clip costs in each.

For each backbone: embeddings of some clips, linear heads in their folds, and the run as ONNX and as a torch.export
program. Every clip, decoded, goes through onnxruntime, the program and `predict`. Fails where one differs by 1e-4.

    .venv/bin/python benchmarks/exports.py --data UrbanSound8K/ --weights mn04=mn04_as_mAP_432.pt

Backbones without weights here are random, with seed 0. The least time of a 4 s clip in interleaved rounds, on
`--threads`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import machine_note
from soundprobe.audio.decode import decode
from soundprobe.audio.encoded import read_bytes
from soundprobe.data.catalog import open_data
from soundprobe.predicting.exported_graph import Asked, RunGraph, asking, write_onnx, write_program
from soundprobe.predicting.loading import load_predictor
from soundprobe.verbs.extract import extract
from soundprobe.verbs.probe import probe

BACKBONES = "mn04,panns,simplecnn,vgg,crnn,ast,piczak,logmel-stats"
TOLERANCE = 1e-4
TIMED_S = 4.0
ROUNDS = 25


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--weights", action="append", default=[], metavar="BACKBONE=FILE")
    parser.add_argument("--backbones", default=BACKBONES)
    parser.add_argument("--clips", type=int, default=60)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    weights = dict(one.split("=", 1) for one in asked.weights)
    print(machine_note.describe(), f"\n{asked.clips} clips of {asked.data}\n")
    print(
        "| backbone | weights | heads | ONNX differs by | torch.export by | soundprobe | onnxruntime | torch.export "
        "| written in |"
    )
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    worst = 0.0
    for name in asked.backbones.split(","):
        worst = max(worst, one_backbone(name, weights.get(name), asked.data, asked.clips))
    return int(worst > TOLERANCE)


def one_backbone(name: str, file: str | None, data: str, clips: int) -> float:
    """Prints its row; the largest difference."""
    given: Any = file or (None if name == "logmel-stats" else "random")
    with tempfile.TemporaryDirectory() as temporary:
        root, where = Path(temporary), {"embeddings": Path(temporary) / "embeddings", "progress": False}
        extract(data, backbone=name, weights=given, limit=clips, device="cpu", **where)
        (done,) = probe(head="linear", heads=root / "heads", **where)
        predictor = load_predictor(done.folder, weights=file, device="cpu")
        graph, took = RunGraph(predictor), []
        runtimes: dict[str, Asked] = {"here": asking(predictor)}
        for write, path in ((write_onnx, root / "model.onnx"), (write_program, root / "model.pt2")):
            began = time.perf_counter()
            runtimes[path.suffix] = write(graph, path)
            took.append(time.perf_counter() - began)
        differ = dict.fromkeys((".onnx", ".pt2"), 0.0)
        sources = open_data(data, limit=clips).sources
        for source in sources:
            wave = decode(read_bytes(source), sample_rate_hz=graph.rate_hz, name=str(source))[None]
            expected = runtimes["here"](wave)
            for kind in differ:
                for got, one in zip(runtimes[kind](wave), expected, strict=True):
                    differ[kind] = max(differ[kind], float(np.abs(got - one).max() / max(1, np.abs(one).max())))
        wave = np.resize(wave, (1, round(TIMED_S * graph.rate_hz)))
        times: dict[str, list[float]] = {kind: [] for kind in runtimes}
        for _ in range(ROUNDS):
            for kind, ask in runtimes.items():
                began = time.perf_counter()
                ask(wave)
                times[kind].append(1e3 * (time.perf_counter() - began))
        cells = [f"{min(found):.1f} ms" for found in times.values()]
        kind = "real" if file else "none" if given is None else "random"
        parity = " | ".join(f"{value:.0e}" for value in differ.values())
        seconds = " + ".join(f"{one:.0f}" for one in took)
        print(
            f"| {name} | {kind} | {len(predictor.heads)} | {parity} | {' | '.join(cells)} | {seconds} s |", flush=True
        )
        return max(differ.values())


if __name__ == "__main__":
    sys.exit(main())

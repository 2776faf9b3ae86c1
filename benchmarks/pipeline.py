"""What overlaps in `extract`: the scan, decoding alone, the network alone, and both together as the command runs them.

    python benchmarks/pipeline.py mn04 --data data/UrbanSound8K
    python benchmarks/pipeline.py mn04 --model-threads 1 --jobs 1      decoding and network with a core each
    python benchmarks/pipeline.py mn04 --clips 4000 --rounds 1         for the memory line

Two bounds are printed, because decoding and the network want the same cores:
slower: the slower of decoding alone and the network alone, which is what a perfect overlap costs where each has cores
    of its own: `--model-threads 1 --jobs 1` on two cores, or a network on a GPU.
work / cores: the processor seconds of both, over the cores. With the network on every core nothing can be under it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from extraction import four_seconds
from growth import repeated, resident_mb
from machine_note import describe, spread
from soundprobe.backbones.load import load_backbone
from soundprobe.base.progress import Progress
from soundprobe.data.catalog import open_data
from soundprobe.data.scan import scan
from soundprobe.embeddings.embed import (
    DECODE_THREADS,
    EmbeddingJob,
    batches,
    decode_ahead,
    embed_batch,
    embed_parts,
    plan_parts,
)
from soundprobe.embeddings.store import BATCH_CLIPS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", nargs="?", default="mn04", help="a backbone")
    parser.add_argument("--data", default="synth", help="a data set's name or folder; synth is generated")
    parser.add_argument("--clips", type=int, default=400, help="clips of one round; files are repeated where fewer")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=DECODE_THREADS, help="decoding threads")
    parser.add_argument("--model-threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.model_threads)
    model = load_backbone(options.name, weights="random")
    clips, scanned = repeated(*four_seconds(open_data(options.data), options.clips), options.clips)
    job = EmbeddingJob(model, clips, scanned, torch.device("cpu"), BATCH_CLIPS, options.jobs)
    plan = dict(enumerate(plan_parts(clips, scanned, model)))
    with ThreadPoolExecutor(options.jobs) as pool:
        batch, decoded = next(decode_ahead(job, batches(plan, BATCH_CLIPS), pool))
    passes = -(-len(clips) // BATCH_CLIPS)

    def decode_alone() -> None:
        with ThreadPoolExecutor(options.jobs) as pool:
            for _ in decode_ahead(job, batches(plan, BATCH_CLIPS), pool):
                pass

    def network_alone() -> None:
        for _ in range(passes):
            embed_batch(job, batch, decoded)

    def both() -> None:
        with tempfile.TemporaryDirectory() as folder:
            for _ in embed_parts(job, plan, Path(folder), Progress(lambda clips: None)):
                pass

    steps: dict[str, Callable[[], object]] = {
        "scan": lambda: scan(clips, jobs=options.jobs),
        "decode": decode_alone,
        "network": network_alone,
        "both": both,
    }
    wall_ms, busy_ms = measure(steps, options.rounds, len(clips))
    print(f"{describe()}; {options.name}, {len(clips)} clips, {options.jobs} decoding threads, {options.rounds} rounds")
    print(f"{'step':<10}{'wall, ms a clip':>32}{'processor, ms a clip':>32}")
    for step in steps:
        print(f"{step:<10}{spread(wall_ms[step]):>32}{spread(busy_ms[step]):>32}")
    cores = len(os.sched_getaffinity(0))
    report_bounds(wall_ms, busy_ms, cores)
    print(f"memory at the end: {resident_mb():.0f} MB")


def measure(
    steps: dict[str, Callable[[], object]], rounds: int, clips: int
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Wall and processor milliseconds a clip of each step in each round, the first round left out."""
    wall_ms: dict[str, list[float]] = {step: [] for step in steps}
    busy_ms: dict[str, list[float]] = {step: [] for step in steps}
    for round_ in range(rounds + 1):
        for step, run in steps.items():
            began, busy = time.perf_counter(), time.process_time()
            run()
            if round_:
                wall_ms[step].append((time.perf_counter() - began) * 1000 / clips)
                busy_ms[step].append((time.process_time() - busy) * 1000 / clips)
    return wall_ms, busy_ms


def report_bounds(wall_ms: dict[str, list[float]], busy_ms: dict[str, list[float]], cores: int) -> None:
    """The ratio of both together to each bound: median and range over the rounds."""
    slower = [max(pair) for pair in zip(wall_ms["decode"], wall_ms["network"], strict=True)]
    work = [sum(pair) / cores for pair in zip(busy_ms["decode"], busy_ms["network"], strict=True)]
    for title, bounds in (("slower", slower), (f"work / {cores} cores", work)):
        ratios = [both / bound for both, bound in zip(wall_ms["both"], bounds, strict=True)]
        print(f"both / {title}: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()

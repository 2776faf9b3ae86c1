"""One batch of clips on all threads against a batch on each of them: the network alone, without decoding.

    python benchmarks/streams.py panns mn04 simplecnn
    python benchmarks/streams.py ast --batch-size 1 --batches 4

Beside each pair stands how quickly two threads copy memory: where that changes from round to round, the machine has
moved its cores, from behind one cache to behind two or back, and what threads that share a layer cost changes with it.
"""

from __future__ import annotations

import argparse
import functools
import os
import time
from concurrent.futures import ThreadPoolExecutor

import torch

from machine_note import describe, spread
from soundprobe.backbones.load import load_backbone

COPIED = 2**25  # float32, 128 MB read and as many written


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+", help="backbones")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--batches", type=int, default=8, help="of each way in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="and streams of one thread each")
    options = parser.parse_args()
    print(f"{describe()}; {options.threads} threads, batches of {options.batch_size}, {options.rounds} rounds")
    print(f"{'backbone':<12}{'one batch on all, ms a clip':>36}{'a batch on each':>30}{'copy, GB/s':>24}")
    for name in options.names:
        print(compare(name, options), flush=True)


def compare(name: str, options: argparse.Namespace) -> str:
    model = load_backbone(name, weights="random")
    module = model.network.to(memory_format=torch.channels_last)
    samples = model.spec.input_samples(4.0)
    wave = torch.rand(options.batch_size, samples, generator=torch.Generator().manual_seed(0)) - 0.5
    clips = options.batches * options.batch_size

    def run(_: int) -> None:
        with torch.inference_mode():
            module(wave)

    together, apart, copies = [], [], []
    for round_ in range(options.rounds + 1):
        torch.set_num_threads(options.threads)
        began = time.perf_counter()
        for number in range(options.batches):
            run(number)
        one = time.perf_counter() - began
        copied = copy_rate()
        with ThreadPoolExecutor(options.threads, initializer=functools.partial(torch.set_num_threads, 1)) as pool:
            list(pool.map(run, range(options.threads)))
            began = time.perf_counter()
            list(pool.map(run, range(options.batches)))
            each = time.perf_counter() - began
        if round_:  # the first round warms up
            together.append(1e3 * one / clips)
            apart.append(1e3 * each / clips)
            copies.append(copied)
    return f"{name:<12}{spread(together):>36}{spread(apart):>30}{spread(copies):>24}"


def copy_rate() -> float:
    """1e9 bytes a second, read and written, after a first copy."""
    source = torch.ones(COPIED)
    target = source.clone()
    began = time.perf_counter()
    target.copy_(source)
    return 2 * 4 * COPIED / (time.perf_counter() - began) / 1e9


if __name__ == "__main__":
    main()

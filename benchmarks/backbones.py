"""What a 4 s clip costs with each backbone, in batches, network and front end without decoding.

    python benchmarks/backbones.py                    all backbones
    python benchmarks/backbones.py mn04 panns         some of them

Rounds are interleaved: each runs every backbone once. Random weights: the cost is the same.
"""

from __future__ import annotations

import argparse
import time

import torch

from machine_note import describe, spread
from soundprobe.backbones.catalog import BACKBONES
from soundprobe.backbones.load import load_backbone
from soundprobe.verbs.bench import gemm_peak_gflops


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=list(BACKBONES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=8)
    options = parser.parse_args()
    models = {name: load_backbone(name, weights="random") for name in options.names}
    waves = {}
    for name, model in models.items():
        model.network.to(memory_format=torch.channels_last)  # as `extract` does
        samples = model.spec.input_samples(4.0)
        waves[name] = torch.rand(options.batch_size, samples, generator=torch.Generator().manual_seed(0)) - 0.5
    milliseconds: dict[str, list[float]] = {name: [] for name in models}
    with torch.inference_mode():
        for round_ in range(options.rounds + 1):
            for name, model in models.items():
                began = time.perf_counter()
                model.network(waves[name])
                if round_:  # the first round warms up
                    milliseconds[name].append((time.perf_counter() - began) * 1000 / options.batch_size)
    peak = gemm_peak_gflops()
    print(
        f"{describe()}; float32 GEMM peak {peak:.0f} GFLOP/s; batches of {options.batch_size}, {options.rounds} rounds"
    )
    print(f"{'backbone':<18}{'ms a clip: median (range)':>32}{'GFLOP':>9}{'of peak':>9}")
    for name, model in models.items():
        gflop = 2 * model.spec.gmacs
        median = sorted(milliseconds[name])[len(milliseconds[name]) // 2]
        print(f"{name:<18}{spread(milliseconds[name]):>32}{gflop:>9.2f}{gflop / median / peak * 1e3:>9.0%}")


if __name__ == "__main__":
    main()

"""The machine in one line, for the head of every benchmark's output."""

from __future__ import annotations

import os
import platform
import statistics
import time
from pathlib import Path

import torch


def describe() -> str:
    """Processor, cores, torch and its threads."""
    cpuinfo = Path("/proc/cpuinfo")
    names = (
        [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        if cpuinfo.exists()
        else []
    )
    processor = names[0] if names else platform.processor() or platform.machine()
    return f"{processor}, {os.cpu_count()} cores, torch {torch.__version__} with {torch.get_num_threads()} threads"


def gemm_peak_gflops(size: int = 2048, rounds: int = 7) -> float:
    """The best rate of a float32 matrix product of this size, in 1e9 operations a second."""
    a, b = torch.randn(size, size), torch.randn(size, size)
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        torch.mm(a, b)
        seconds.append(time.perf_counter() - began)
    return 2 * size**3 / min(seconds) / 1e9


def spread(values: list[float]) -> str:
    """ "12.3 (11.9 to 14.0)": median and range."""
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"

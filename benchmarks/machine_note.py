"""The machine in one line, for the head of every benchmark's output."""

from __future__ import annotations

import os
import platform
import statistics
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


def spread(values: list[float]) -> str:
    """ "12.3 (11.9 to 14.0)": median and range."""
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"

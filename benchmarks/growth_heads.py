"""How the linear head's cost grows with clips, dimension, folds and classes; and a plot of it.

    python benchmarks/growth_heads.py --plot docs/images/growth-heads.png

CPU seconds of a whole cross-validation (choosing and training in every fold) on synthetic embeddings: the process' own
CPU time on one thread, so that what else runs counts for less. Median of --rounds interleaved rounds.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from pathlib import Path

import torch

from machine_note import describe
from soundprobe.heads.linear import LinearHead
from soundprobe.scoring.folds import cross_validate
from synthetic_embeddings import make_embeddings

USUAL = {"clips": 2000, "dimension": 512, "folds": 5, "classes": 10}
STEPS = {
    "clips": (500, 1000, 2000, 4000, 8000),
    "dimension": (128, 256, 512, 1024, 2048),
    "folds": (2, 3, 5, 10),
    "classes": (2, 5, 10, 20, 50),
}


def cpu_seconds(clips: int, dimension: int, folds: int, classes: int) -> float:
    data = make_embeddings(clips, dimension, classes, folds)
    columns = (data.features, data.labels, data.folds, data.groups, data.ids, classes)
    began = time.process_time()
    cross_validate(LinearHead, *columns)
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--plot", type=Path, help="where to draw the curves")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cpu_seconds(300, 64, 2, 3)
    spent: dict[tuple[str, int], list[float]] = {
        (name, value): [] for name, values in STEPS.items() for value in values
    }
    for _ in range(options.rounds):
        for name, value in spent:
            spent[name, value].append(cpu_seconds(**{**USUAL, name: value}))
    print(
        f"{describe()}; linear head, CPU seconds of a whole cross-validation, median of {options.rounds}; else {USUAL}"
    )
    medians = {key: statistics.median(values) for key, values in spent.items()}
    for name, values in STEPS.items():
        told = ", ".join(f"{value:,}: {medians[name, value]:.2f}" for value in values)
        power = math.log(medians[name, values[-1]] / medians[name, values[-2]]) / math.log(values[-1] / values[-2])
        print(f"{name:<10} {told}; over the last step it grows as {name}^{power:.2f}")
    if options.plot:
        draw(medians, options.plot)


def draw(medians: dict[tuple[str, int], float], path: Path) -> None:
    """One small plot for each quantity, doubly logarithmic, with a line that grows in proportion beside it."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullFormatter, NullLocator

    figure, axes = plt.subplots(1, len(STEPS), figsize=(11, 3), sharey=True, layout="constrained")
    for axis, (name, values) in zip(axes, STEPS.items(), strict=True):
        seconds = [medians[name, value] for value in values]
        axis.plot(values, [seconds[-1] * value / values[-1] for value in values], color="0.7", linestyle="--")
        axis.plot(values, seconds, marker="o", color="#1f5a99")
        axis.set(xscale="log", yscale="log", title=name)
        axis.xaxis.set_major_locator(FixedLocator(values))
        axis.xaxis.set_major_formatter(FixedFormatter([f"{value:,}" for value in values]))
        axis.xaxis.set_minor_locator(NullLocator())
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("CPU seconds")
    usual = ", ".join(f"{value:,} {name}" for name, value in USUAL.items())
    figure.suptitle(f"Linear head, whole cross-validation; else {usual}; dashed: in proportion", fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()

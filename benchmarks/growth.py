"""How extraction's time and memory grow with the number of clips; a part of `extraction.py`."""

from __future__ import annotations

import dataclasses
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from machine_note import describe
from soundprobe.backbones.load import LoadedBackbone
from soundprobe.base.progress import Progress
from soundprobe.base.records import Clips
from soundprobe.data.scan import Scan
from soundprobe.embeddings.embed import EmbeddingJob, embed_parts, plan_parts
from soundprobe.embeddings.store import BATCH_CLIPS

COUNTS = (100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000)


def repeated(clips: Clips, scanned: Scan, count: int) -> tuple[Clips, Scan]:
    """`count` clips: the given ones over and over, each time under another id. The files are read every time."""
    rows = np.arange(count) % len(clips)
    many = dataclasses.replace(
        clips,
        ids=np.array([f"{number:06d}" for number in range(count)]),
        sources=[clips.sources[row] for row in rows],
        labels=clips.labels[rows],
        folds=clips.folds[rows],
        groups=clips.groups[rows],
        columns={name: np.asarray(column)[rows] for name, column in clips.columns.items()},
    )
    return many, Scan(*(None if column is None else column[rows] for column in vars(scanned).values()))


def resident_mb() -> float:
    """What this process holds now (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def measure_growth(model: LoadedBackbone, clips: Clips, scanned: Scan, most: int, picture: Path | None) -> None:
    """Prints a line for each count up to `most`, and draws them in `picture`."""
    import torch

    print(f"{describe()}; {model.spec.name}, batches of {BATCH_CLIPS}, clips of {clips.name} over and over")
    print(f"{'clips':>7}{'seconds':>10}{'ms a clip':>11}{'memory, MB':>12}{'its peak, MB':>14}")
    seen: list[tuple[int, float, float]] = []
    for count in [min(100, most), *(count for count in COUNTS if count <= most)]:  # the first one warms up
        job = EmbeddingJob(model, *repeated(clips, scanned, count), torch.device("cpu"), BATCH_CLIPS, None)
        left = dict(enumerate(plan_parts(job.clips, job.scanned, model)))
        peak_mb = 0.0

        def advance(_: int) -> None:
            nonlocal peak_mb
            peak_mb = max(peak_mb, resident_mb())

        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            for _ in embed_parts(job, left, Path(folder), Progress(advance)):
                pass
        seconds = time.perf_counter() - began
        seen.append((count, seconds, peak_mb))
        print(f"{count:>7}{seconds:>10.2f}{seconds / count * 1000:>11.2f}{resident_mb():>12.0f}{peak_mb:>14.0f}")
    if picture:
        draw(seen[1:], model.spec.name, picture)


def draw(seen: list[tuple[int, float, float]], name: str, picture: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    counts, seconds, peaks_mb = (list(column) for column in zip(*seen, strict=True))
    figure, (time_axes, memory_axes) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    time_axes.loglog(counts, seconds, "o", color="#1f5fa8", label=f"measured, {name}")
    slope = seconds[-1] / counts[-1]
    time_axes.loglog(
        counts, [slope * count for count in counts], color="#999999", label=f"{slope * 1000:.1f} ms a clip"
    )
    time_axes.set(xlabel="clips", ylabel="seconds", title="Time")
    time_axes.legend(frameon=False)
    memory_axes.semilogx(counts, peaks_mb, "o-", color="#1f5fa8")
    memory_axes.set(xlabel="clips", ylabel="peak memory, MB", title="Memory", ylim=(0, 1.2 * max(peaks_mb)))
    for axes in (time_axes, memory_axes):
        axes.grid(alpha=0.25, which="major")
        axes.spines[["top", "right"]].set_visible(False)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)

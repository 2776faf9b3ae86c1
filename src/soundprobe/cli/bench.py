"""`soundprobe bench`: how fast this machine is, and how long a data set will take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from soundprobe.cli.options import Quiet, examples

if TYPE_CHECKING:
    from rich.table import Table

    from soundprobe.benchmarking import Bench

EXAMPLES = examples(
    "soundprobe bench",
    "soundprobe bench --backbone panns,ast --clips 20000",
    "soundprobe bench --backbone mn04 --data ESC-50/",
)
URBANSOUND8K_CLIPS = 8732


def bench(
    backbone: Annotated[
        str | None, typer.Option("--backbone", "-b", help="One, or several joined by commas. Default: all.")
    ] = None,
    clips: Annotated[
        int | None, typer.Option("--clips", min=1, help="How many clips you have. Default: UrbanSound8K's 8,732.")
    ] = None,
    data: Annotated[
        str | None, typer.Option("--data", help="Your data set, to count its clips; as `extract` takes it.")
    ] = None,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Timed runs of each backbone.")] = 3,
    seconds: Annotated[float, typer.Option("--seconds", help="About how long each run should take.")] = 5.0,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")] = "auto",
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Clips of one forward pass.")] = 16,
    jobs: Annotated[int | None, typer.Option("--jobs", min=1, help="Threads that decode. Default: the cores.")] = None,
    quiet: Quiet = False,
) -> None:
    """Clips per second of each backbone on this machine, from files to embeddings, and how long your data will take."""
    from soundprobe.benchmarking import bench as run
    from soundprobe.errors import ConfigError

    if clips is not None and data is not None:
        raise ConfigError("--clips and --data both say how many clips there are. Leave one out.")
    if data is not None:
        from soundprobe.data.catalog import open_data

        clips = len(open_data(data))
    found = run(
        backbone=backbone,
        device=device,
        rounds=rounds,
        seconds=seconds,
        batch_size=batch_size,
        jobs=jobs,
        progress=not quiet,
    )
    out = Console(highlight=False, soft_wrap=True)
    out.print(
        f"{found.device}, {found.threads} torch threads; float32 matrix products reach {found.peak_gflops:,.0f} GFLOP/s"
    )
    out.print(bench_table(found, clips or URBANSOUND8K_CLIPS))
    out.print("From files (4 s, 44.1 kHz, stereo) to embeddings on disk; median of the runs, slowest to fastest.")
    out.print("ms and GFLOP: of a clip. of peak: the network's share of what matrix products reach here.")


def bench_table(found: Bench, clips: int) -> Table:
    """A line for each backbone, the fastest first."""
    from rich.table import Table

    from soundprobe.reporting.wording import duration

    table = Table(box=None, pad_edge=False)
    table.add_column("backbone", no_wrap=True)
    for column in ("clips/s", "range", "ms", "GFLOP", "of peak", f"{clips:,} clips"):
        table.add_column(column, justify="right", no_wrap=True)
    for speed in sorted(found.speeds, key=lambda speed: -speed.clips_per_s):
        low, high = speed.slowest_and_fastest
        table.add_row(
            speed.backbone,
            f"{speed.clips_per_s:,.1f}",
            f"{low:,.1f} to {high:,.1f}",
            f"{1000 / speed.clips_per_s:,.1f}",
            f"{speed.gflop:,.2f}",
            f"{speed.share_of(found.peak_gflops):.0%}",
            duration(speed.seconds_for(clips)),
        )
    return table

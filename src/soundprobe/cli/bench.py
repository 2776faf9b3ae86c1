"""`soundprobe bench`: how fast this machine is, and how long a data set will take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from soundprobe.cli.options import Quiet, examples

if TYPE_CHECKING:
    from rich.table import Table

    from soundprobe.verbs.bench import Bench

EXAMPLES = examples(
    "soundprobe bench",
    "soundprobe bench --backbone panns,ast --clips 20000",
    "soundprobe bench --backbone mn04 --data ESC-50/",
    "soundprobe bench --backbone panns,mn04 --precision fp32,bf16,int8",
)
URBANSOUND8K_CLIPS = 8732
TABLE_WIDTH = 100  # a narrower terminal breaks the rows; cut to its width, they would lose figures


def bench(
    backbone: Annotated[
        str | None, typer.Option("--backbone", "-b", help="One, or several joined by commas. Default: all.")
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            "--precision",
            help="fp32, bf16, fp16 or int8, or several. Default: fp32, and the 16-bit type that is fast here.",
        ),
    ] = None,
    clips: Annotated[
        int | None, typer.Option("--clips", min=1, help="How many clips you have. Default: UrbanSound8K's 8,732.")
    ] = None,
    data: Annotated[
        str | None, typer.Option("--data", help="Your data set, to count its clips; as `extract` takes it.")
    ] = None,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Timed runs of each row.")] = 3,
    seconds: Annotated[float, typer.Option("--seconds", help="About how long each run should take.")] = 5.0,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")] = "auto",
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Clips of one forward pass.")] = 16,
    jobs: Annotated[int | None, typer.Option("--jobs", min=1, help="Threads that decode. Default: the cores.")] = None,
    quiet: Quiet = False,
) -> None:
    """Clips per second of each backbone and precision, from files to embeddings, and how long your data will take."""
    from soundprobe.base.errors import ConfigError
    from soundprobe.verbs.bench import bench as run

    if clips is not None and data is not None:
        raise ConfigError("--clips and --data both say how many clips there are. Leave one out.")
    if data is not None:
        from soundprobe.data.catalog import open_data

        clips = len(open_data(data))
    found = run(
        backbone=backbone,
        precision=precision,
        device=device,
        rounds=rounds,
        seconds=seconds,
        batch_size=batch_size,
        jobs=jobs,
        progress=not quiet,
    )
    out = Console(highlight=False, soft_wrap=True)
    peaks = ", ".join(f"{peak:,.0f} GFLOP/s in {precision}" for precision, peak in found.peaks_gflops.items())
    out.print(f"{found.device}, {found.threads} torch threads{peaks and f'; matrix products reach {peaks}'}")
    out.width = max(out.width, TABLE_WIDTH)
    out.print(bench_table(found, clips or URBANSOUND8K_CLIPS))
    out.print("From files (4 s, 44.1 kHz, stereo) to embeddings on disk; median of the runs, slowest to fastest.")
    out.print("ms and GFLOP: of a clip. of peak: the network's share of what matrix products reach in its precision.")
    for left_out, names in found.left_out.items():
        out.print(f"Left out, because it is not offered here: {left_out} for {', '.join(names)}.")
    if precision is None and found.device == "cpu":
        out.print(
            "For int8: soundprobe bench --backbone panns,mn04 --precision fp32,int8 (ast's calibration takes minutes)."
        )


def bench_table(found: Bench, clips: int) -> Table:
    """A line for each backbone and precision: the fastest backbone first, its precisions side by side."""
    from rich.table import Table

    from soundprobe.reporting.wording import duration

    table = Table(box=None, pad_edge=False)
    best: dict[str, float] = {}
    for speed in found.speeds:
        best[speed.backbone] = max(best.get(speed.backbone, 0.0), speed.clips_per_s)
    for column in ("backbone", "precision"):
        table.add_column(column, no_wrap=True)
    for column in ("clips/s", "range", "ms", "GFLOP", "of peak", f"{clips:,} clips"):
        table.add_column(column, justify="right", no_wrap=True)
    for speed in sorted(found.speeds, key=lambda speed: (-best[speed.backbone], speed.backbone)):
        low, high = speed.slowest_and_fastest
        peak = found.peaks_gflops.get(speed.precision)
        table.add_row(
            speed.backbone,
            speed.precision,
            f"{speed.clips_per_s:,.1f}",
            f"{low:,.1f} to {high:,.1f}",
            f"{1000 / speed.clips_per_s:,.1f}",
            f"{speed.gflop:,.2f}",
            "-" if peak is None else f"{speed.share_of(peak):.0%}",
            duration(speed.seconds_for(clips)),
        )
    return table

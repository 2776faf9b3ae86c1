"""`soundprobe bench`: how fast this machine is, and how long a data set will take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from soundprobe.cli.options import BatchSize, DecodingJobs, Device, Quiet, examples, option
from soundprobe.cli.output import Json, answer, out, print_table

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


def bench(
    backbone: Annotated[
        str | None, option("NAME", "One, or several as in a,b. Default: all.", "--backbone", "-b")
    ] = None,
    precision: Annotated[str | None, option("TYPE", "fp32, bf16, fp16 or int8, or several.")] = None,
    clips: Annotated[int | None, option("N", "How many you have. Default: UrbanSound8K's 8,732.", min=1)] = None,
    data: Annotated[str | None, option("DATA", "Your data set, to count its clips.", "--data")] = None,
    rounds: Annotated[int, option("N", "Timed runs of each row.", min=1)] = 3,
    seconds: Annotated[float, option("S", "About how long each run should take.")] = 5.0,
    device: Device = "auto",
    batch_size: BatchSize = 16,
    jobs: DecodingJobs = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Time the backbones: how long will your data take?"""
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
    peaks = ", ".join(f"{peak:,.0f} GFLOP/s in {precision}" for precision, peak in found.peaks_gflops.items())
    out.print(f"{found.device}, {found.threads} torch threads{peaks and f'; matrix products reach {peaks}'}")
    clips = clips or URBANSOUND8K_CLIPS
    print_table(bench_table(found, clips), "range", "of peak")
    out.print("From files (4 s, 44.1 kHz, stereo) to embeddings on disk; median of the runs, slowest to fastest.")
    out.print("GFLOP: of a clip. of peak: the network's share of what matrix products reach in its precision.")
    for left_out, names in found.left_out.items():
        out.print(f"Left out, because it is not offered here: {left_out} for {', '.join(names)}.")
    if precision is None and found.device == "cpu":
        out.print(
            "For int8: soundprobe bench --backbone panns,mn04 --precision fp32,int8 (ast's calibration takes minutes)."
        )
    answer(
        as_json,
        device=found.device,
        threads=found.threads,
        peaks_gflops=found.peaks_gflops,
        clips=clips,
        speeds=[
            {
                "backbone": speed.backbone,
                "precision": speed.precision,
                "clips_per_s": speed.clips_per_s,
                "slowest_and_fastest": speed.slowest_and_fastest,
                "gflop": speed.gflop,
                "seconds_for_clips": speed.seconds_for(clips),
            }
            for speed in found.speeds
        ],
        left_out=found.left_out,
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
    for column in ("clips/s", "range", "GFLOP", "of peak", f"{clips:,} clips"):
        table.add_column(column, justify="right", no_wrap=True)
    for speed in sorted(found.speeds, key=lambda speed: (-best[speed.backbone], speed.backbone)):
        low, high = speed.slowest_and_fastest
        peak = found.peaks_gflops.get(speed.precision)
        table.add_row(
            speed.backbone,
            speed.precision,
            f"{speed.clips_per_s:,.1f}",
            f"{low:,.1f} to {high:,.1f}",
            f"{speed.gflop:,.2f}",
            "-" if peak is None else f"{speed.share_of(peak):.0%}",
            duration(speed.seconds_for(clips)),
        )
    return table

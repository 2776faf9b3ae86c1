"""The verbs of `soundprobe`. Exit codes: 0 good, 1 a clear error, 2 usage, 3 finished but some clips failed."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console

from soundprobe.base.errors import SoundprobeError, SoundprobeWarning, ran_out_of_memory
from soundprobe.cli.bench import EXAMPLES as BENCH_EXAMPLES
from soundprobe.cli.bench import bench
from soundprobe.cli.compare import COMPARE_EXAMPLES, DEMO_EXAMPLES, compare, demo
from soundprobe.cli.data import app as data_app
from soundprobe.cli.finetune import EXAMPLES as FINETUNE_EXAMPLES
from soundprobe.cli.finetune import finetune
from soundprobe.cli.import_ import EXAMPLES as IMPORT_EXAMPLES
from soundprobe.cli.import_ import import_
from soundprobe.cli.options import (
    Channels,
    DataOrRuns,
    EmbeddingsFolder,
    ExitCode,
    HeadsFolder,
    Limit,
    MadeFolds,
    Quiet,
    ReportsFolder,
    examples,
    given_command,
    opens_data,
    whole_numbers,
)
from soundprobe.cli.probe import EXAMPLES as PROBE_EXAMPLES
from soundprobe.cli.probe import probe
from soundprobe.cli.runs import app as runs_app
from soundprobe.cli.view import PREDICT_EXAMPLES, VIEW_EXAMPLES, predict, view
from soundprobe.reporting.wording import one_line

if TYPE_CHECKING:
    from soundprobe.verbs.extract import Extraction

FAILURES_SHOWN = 10
KEPT = "What is finished is kept: the same command goes on from there."

app = typer.Typer(
    name="soundprobe",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="What pretrained audio embeddings are worth on your clips, measured so that the answer can be trusted.",
    epilog=examples(
        "soundprobe demo",
        "soundprobe compare my-clips/",
        "soundprobe runs list",
        "soundprobe predict recording.wav --run best",
    ),
)
app.add_typer(data_app, name="data")
app.add_typer(runs_app, name="runs")
out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def main() -> None:
    """The console script. A user's mistake is one line; anything else is a bug and keeps its traceback."""
    warnings.showwarning = _show_warning  # type: ignore[assignment]  # fewer parameters are enough
    try:
        app()
    except SoundprobeError as error:
        _fail(error)
    except KeyboardInterrupt:
        err.print(f"Stopped. {KEPT}")
        sys.exit(ExitCode.INTERRUPTED)
    except Exception as error:
        if not ran_out_of_memory(error):
            raise
        _fail(f"Memory ran out. Give a smaller --batch-size or fewer --jobs, where the command has them. {KEPT}")


def _fail(message: object) -> NoReturn:
    _say("[bold red]Error:[/bold red]", message)
    sys.exit(ExitCode.ERROR)


def _show_warning(message: Warning | str, category: type[Warning], *_: object) -> None:
    """What the user should know is one line; other libraries' warnings are for developers."""
    if issubclass(category, SoundprobeWarning):
        _say("[yellow]Note:[/yellow]", message)


def _say(label: str, message: object) -> None:
    """A message may hold a path or a name with line breaks and terminal codes in it."""
    err.print(label, end=" ")
    err.print(one_line(message), markup=False)


def _version(shown: bool) -> None:
    if shown:
        from importlib.metadata import version

        out.print(f"soundprobe {version('soundprobe')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    pass


app.command(epilog=COMPARE_EXAMPLES)(compare)


@app.command(
    epilog=examples(
        "soundprobe extract --backbone ast",
        "soundprobe extract --backbone mn04,panns --data ESC-50/",
        "soundprobe extract --backbone mn04 --weights random --data clips.csv",
        "soundprobe extract --finetuned mn04-finetuned",
        "soundprobe extract --backbone mn04 --layers both",
        "soundprobe extract --backbone ast --precision bf16",
        "soundprobe extract --backbone mn04 --weights random --seed 0,1,2",
        "soundprobe extract --backbone panns --precision int8",
    )
)
@opens_data
def extract(
    backbone: Annotated[
        str | None,
        typer.Option(
            "--backbone",
            "-b",
            help="One, or several joined by commas; see `backbones`. package.module:Class is one of yours.",
        ),
    ] = None,
    data: DataOrRuns = None,
    weights: Annotated[
        str | None,
        typer.Option("--weights", help="pretrained, random (the control), or a file. Default: pretrained."),
    ] = None,
    clip_seconds: Annotated[
        float | None,
        typer.Option("--clip-seconds", help="Cut or pad every clip to this length. Default: the backbone's."),
    ] = None,
    layers: Annotated[
        str, typer.Option("--layers", help="last, or of mn04 also middle, or both: `probe` then chooses among them.")
    ] = "last",
    precision: Annotated[
        str,
        typer.Option(
            "--precision",
            help="fp32; bf16 (GPUs, CPUs with AVX512-BF16 or AMX) or fp16 (GPUs); int8 (CPUs, some backbones).",
        ),
    ] = "fp32",
    seed: Annotated[
        list[str] | None, typer.Option("--seed", help="Of random weights, 0 by default; 0,1,2 makes a set of each.")
    ] = None,
    finetuned: Annotated[
        str | None,
        typer.Option(
            "--finetuned", help="A fine-tuning run, by a name of `runs list`: each fold's network embeds all clips."
        ),
    ] = None,
    folds: MadeFolds = 10,
    limit: Limit = None,
    channels: Channels = "mean",
    embeddings: EmbeddingsFolder = Path("embeddings"),
    heads: HeadsFolder = Path("heads"),
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")] = "auto",
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Clips of one forward pass.")] = 16,
    jobs: Annotated[int | None, typer.Option("--jobs", min=1, help="Threads that decode. Default: the cores.")] = None,
    quiet: Quiet = False,
    *,
    how: dict[str, Any],
) -> None:
    """Embed every clip with a backbone and keep the embeddings on disk. Goes on where a stopped run was."""
    if backbone is None and finetuned is None:
        raise typer.BadParameter("Give one, such as mn04, or --finetuned RUN.", param_hint="--backbone")
    from soundprobe.audio.checks import notes
    from soundprobe.verbs.extract import extract as run

    outcomes = run(
        data,
        backbone=backbone,
        weights=weights,
        clip_seconds=clip_seconds,
        layers=layers,
        precision=precision,
        seed=whole_numbers(seed, "--seed") or 0,
        finetuned=finetuned,
        folds=folds,
        limit=limit,
        **how,
        channels=channels,
        embeddings=embeddings,
        heads=heads,
        device=device,
        batch_size=batch_size,
        jobs=jobs,
        progress=not quiet,
        command=given_command(),
        on_extraction=_show_extraction,
    )
    for note in notes({clip: found for outcome in outcomes for clip, found in outcome.findings.items()}):
        err.print(one_line(note), markup=False)
    failed = max(len(outcome.failures) for outcome in outcomes)
    if failed:
        err.print(f"{failed} clips failed. They are left out, and every result says so.")
        raise typer.Exit(ExitCode.SOME_FAILED)


def _show_extraction(outcome: Extraction) -> None:
    new = outcome.clips - outcome.reused
    rate = f" at {new / outcome.seconds:.0f} clips/s" if new and outcome.seconds else ""
    fold = "" if outcome.fold is None else f" for fold {outcome.fold}"
    how = outcome.weights_label + ("" if outcome.precision == "fp32" else f", {outcome.precision}")
    how += "" if outcome.layers == "last" else f", layers: {outcome.layers}"
    before = f", {outcome.reused} of them there before" if outcome.reused else ""
    line = f"{outcome.backbone} ({how}){fold}: {outcome.clips} clips{before}{rate} -> {outcome.folder}"
    out.print(one_line(line), markup=False)
    for clip, reason in list(outcome.failures.items())[:FAILURES_SHOWN]:
        err.print("  failed: " + one_line(f"{clip}: {reason}"), markup=False)
    if len(outcome.failures) > FAILURES_SHOWN:
        more = len(outcome.failures) - FAILURES_SHOWN
        err.print(f"  ... and {more} more, all in {outcome.folder / 'meta.json'}", markup=False)


app.command(epilog=PROBE_EXAMPLES)(probe)
app.command(epilog=FINETUNE_EXAMPLES)(finetune)
app.command("import", epilog=IMPORT_EXAMPLES)(import_)


@app.command(
    epilog=examples(
        "soundprobe report", "soundprobe report --dataset urbansound8k", "soundprobe report --baseline my-cnn"
    )
)
def report(
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="Only this data set's runs. Default: all of them on one page.")
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            "--baseline", help="Your own model's name, which the best run is compared with. Default: the only import."
        ),
    ] = None,
    title: Annotated[str | None, typer.Option("--title", help="The page's heading.")] = None,
    data: Annotated[
        str | None, typer.Option("--data", help="Where the clips are, to be heard. Default: where they were extracted.")
    ] = None,
    max_audio_mb: Annotated[
        float, typer.Option("--max-audio-mb", help="How many MB clips may take beside the page, or inside it.")
    ] = 25.0,
    no_audio: Annotated[bool, typer.Option("--no-audio", help="Leave the sounds out.")] = False,
    single_file: Annotated[
        bool, typer.Option("--single-file", help="Put the sounds into the page instead of report-audio/ beside it.")
    ] = False,
    map_method: Annotated[
        str, typer.Option("--map", help="How the clips' map is drawn: pca, or umap as well.")
    ] = "pca",
    trials: Annotated[
        bool, typer.Option("--trials", help="Also show runs of fewer clips or folds (--limit, --only-fold).")
    ] = False,
    embeddings: EmbeddingsFolder = Path("embeddings"),
    heads: HeadsFolder = Path("heads"),
    reports: ReportsFolder = Path("reports"),
) -> None:
    """Compare every run found with each other and with your own model: one HTML page, Markdown and JSON."""
    from soundprobe.reporting.render.terminal import format_summary
    from soundprobe.reporting.write import write_report

    written = write_report(
        heads,
        reports,
        dataset=dataset,
        baseline=baseline,
        title=title,
        data=data,
        embeddings=embeddings,
        audio=not no_audio,
        max_audio_mb=max_audio_mb,
        single_file=single_file,
        map_method=map_method,
        trials=trials,
    )
    out.print(format_summary(written))
    out.print(f"report -> {written.html}", markup=False)


app.command(epilog=VIEW_EXAMPLES)(view)
app.command(epilog=PREDICT_EXAMPLES)(predict)
app.command(epilog=BENCH_EXAMPLES)(bench)


app.command(epilog=DEMO_EXAMPLES)(demo)


@app.command()
def backbones() -> None:
    """The backbones: size, embedding width, cost, and whether their weights are in the cache."""
    from rich.table import Table

    from soundprobe.backbones.catalog import BACKBONES
    from soundprobe.backbones.weights.verify import is_cached

    table = Table(box=None, pad_edge=False)
    for column in ("name", "what it is"):
        table.add_column(column, no_wrap=True)
    for column in ("parameters", "width", "GMAC"):
        table.add_column(column, justify="right")
    for column in ("input", "weights"):
        table.add_column(column, no_wrap=True)
    for spec in BACKBONES.usable():
        state = "none"
        if spec.weights is not None:
            state = "cached" if is_cached(spec.weights) else "to fetch"
        table.add_row(
            spec.name,
            spec.title,
            "?" if spec.parameters is None else f"{spec.parameters / 1e6:.1f} M",
            str(spec.embedding_dim),
            f"{spec.gmacs:.2f}",
            f"{spec.sample_rate_hz / 1000:g} kHz",
            state,
        )
    out.print(table)
    out.print("width: of the embedding. GMAC: 1e9 multiply-adds of a 4 s clip. weights: none where none are published.")
    out.print("timm:<name>, such as timm:resnet18, is any image network of timm on one-channel log-mel.")


@app.command()
def doctor() -> None:
    """What soundprobe finds on this machine: versions, device, codecs, cache and weights."""
    from soundprobe.verbs.doctor import diagnose

    for name, value in diagnose().items():
        out.print(f"{name:<22} {value}", markup=False)

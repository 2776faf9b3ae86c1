"""The verbs of `soundprobe`. Exit codes: 0 good, 1 a clear error, 2 usage, 3 finished but some clips failed."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from soundprobe.audio.hushed import keep_own_stderr
from soundprobe.base.errors import ConfigError, SoundprobeError, SoundprobeWarning, one_line, ran_out_of_memory
from soundprobe.base.files import KEPT, refusal_in, refused
from soundprobe.base.registry import strangers_line
from soundprobe.cli import bench, compare, export, finetune, fit, import_, predict, probe, push, view
from soundprobe.cli.completing import prepare
from soundprobe.cli.data import app as data_app
from soundprobe.cli.options import (
    Address,
    Allow,
    BatchSize,
    Channels,
    DataOrRuns,
    Dataset,
    DecodingJobs,
    Device,
    EmbeddingsFolder,
    ExitCode,
    HeadsFolder,
    Limit,
    MadeFolds,
    NetworkEngine,
    OldLayer,
    Quiet,
    ReportsFolder,
    TrustRemoteCode,
    examples,
    flag,
    given_command,
    opens_data,
    option,
    trust,
    whole_numbers,
)
from soundprobe.cli.output import AllowFailures, Json, MaxFailures, answer, err, out, print_table, stop_if_failed
from soundprobe.cli.runs import app as runs_app
from soundprobe.cli.stopping import ended_by_signals

if TYPE_CHECKING:
    from soundprobe.verbs.extract import Extraction

FAILURES_SHOWN = 10


app = typer.Typer(
    name="soundprobe",
    no_args_is_help=True,
    rich_markup_mode=None,
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


def main() -> None:
    """The console script. A user's mistake is one line; anything else is a bug and keeps its traceback."""
    keep_own_stderr()
    warnings.showwarning = _show_warning  # type: ignore[assignment]  # fewer parameters are enough
    try:
        with ended_by_signals():
            prepare(app)
            app()
    except SoundprobeError as error:
        _fail(error)
    except SystemExit as error:
        if line := strangers_line(error):
            _fail(f"Code of others ended the program ({one_line(error)}{line}). {KEPT}")
        raise
    except Exception as error:
        told = refusal_in(error)
        if told is not None:
            _fail(refused(f"Can't read or write {told.filename or 'here'}", told))
        if not ran_out_of_memory(error):
            raise
        _fail(f"Memory ran out. Give a smaller --batch-size or fewer --jobs, where the command has them. {KEPT}")


def _fail(message: object) -> NoReturn:
    several = getattr(message, "several", ())
    _say("[bold red]Error:[/bold red]", f"{len(several)} things are missing:" if several else message)
    for one in several:
        _say(" -", one)
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
        bool, flag("Print the version and stop.", "--version", callback=_version, is_eager=True)
    ] = False,
) -> None:
    pass


app.command(epilog=compare.EXAMPLES)(compare.compare)


@app.command(
    epilog=examples(
        "soundprobe extract --backbone ast",
        "soundprobe extract --backbone mn04,panns --data ESC-50/",
        "soundprobe extract --backbone mn04 --weights random --data clips.csv",
        "soundprobe extract --finetuned mn04-finetuned",
        "soundprobe extract --backbone mn04 --layer all",
        "soundprobe extract --backbone hf:facebook/wav2vec2-base --layer all",
        "soundprobe extract --backbone mn04 --frames",
        "soundprobe extract --backbone ast --precision bf16",
        "soundprobe extract --backbone mn04 --weights random --seed 0,1,2",
        "soundprobe extract --backbone panns --precision int8",
        "soundprobe extract --backbone mn04 --data s3://bucket/clips --embeddings s3://bucket/embeddings",
    )
)
@opens_data
def extract(
    backbone: Annotated[
        str | None, option("NAME", "One, or several as in a,b; see `backbones`.", "--backbone", "-b")
    ] = None,
    data: DataOrRuns = None,
    weights: Annotated[str | None, option("WHICH", "pretrained (default), random, or a file.")] = None,
    clip_seconds: Annotated[float | None, option("S", "Cut or pad clips to. Default: the backbone's own.")] = None,
    layer: Annotated[str, option("WHICH", "last, all, mean or a number; of mn04 middle.")] = "last",
    pool: Annotated[str | None, option("HOW", "Of hf: models: mean, mean+std, max or cls.")] = None,
    trust_remote_code: TrustRemoteCode = False,
    frames: Annotated[bool, flag("Keep a clip's frames over time, and their mean.", "--frames")] = False,
    frame_type: Annotated[str | None, option("TYPE", "How --frames keeps them: float32 (default) or float16.")] = None,
    precision: Annotated[str, option("TYPE", "fp32, bf16, fp16 or int8.")] = "fp32",
    seed: Annotated[list[str] | None, option("N", "Of random weights; 0,1,2 makes a set of each.")] = None,
    finetuned: Annotated[str | None, option("RUN", "A fine-tuning run, whose networks then embed.")] = None,
    folds: MadeFolds = 10,
    limit: Limit = None,
    channels: Channels = "mean",
    embeddings: EmbeddingsFolder = Path("embeddings"),
    heads: HeadsFolder = Path("heads"),
    device: Device = "auto",
    batch_size: BatchSize = 16,
    jobs: DecodingJobs = None,
    engine: NetworkEngine = "threads",
    address: Address = None,
    max_failures: MaxFailures = None,
    allow_failures: AllowFailures = None,
    allow: Allow = None,
    layers: OldLayer = None,
    as_json: Json = False,
    quiet: Quiet = False,
    *,
    how: dict[str, Any],
) -> None:
    """Embed every clip with a backbone, and keep that on disk.

    Goes on where a stopped run was.
    """
    if backbone is None and finetuned is None:
        raise typer.BadParameter("Give one, such as mn04, or --finetuned RUN.", param_hint="--backbone")
    from soundprobe.audio.checks import notes
    from soundprobe.verbs.extract import extract as run

    if trust_remote_code:
        trust(backbone)
    if frame_type and not frames:
        raise ConfigError("--frame-type is of --frames, which is not given. Give both, or neither.")
    outcomes = run(
        data,
        backbone=backbone,
        weights=weights,
        clip_seconds=clip_seconds,
        layers=layers or layer,
        pool=pool,
        frames=(frame_type or "float32") if frames else None,
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
        engine=engine,
        address=address,
        max_failures=max_failures,
        progress=not quiet,
        command=given_command(),
        on_extraction=_show_extraction,
    )
    for note in notes({clip: found for outcome in outcomes for clip, found in outcome.findings.items()}):
        err.print(one_line(note), markup=False)
    answer(as_json, sets=outcomes)
    worst = max(outcomes, key=lambda outcome: len(outcome.failures))
    if failed := len(worst.failures):
        err.print(f"{failed} clips failed. They are left out, and every result says so.")
    stop_if_failed(failed, worst.clips + failed, allow_failures)


def _show_extraction(outcome: Extraction) -> None:
    out.print(one_line(outcome.describe()), markup=False)
    for clip, reason in list(outcome.failures.items())[:FAILURES_SHOWN]:
        err.print("  failed: " + one_line(f"{clip}: {reason}"), markup=False)
    if len(outcome.failures) > FAILURES_SHOWN:
        more = len(outcome.failures) - FAILURES_SHOWN
        err.print(f"  ... and {more} more, all in {outcome.folder / 'meta.json'}", markup=False)


app.command(epilog=probe.EXAMPLES)(probe.probe)
app.command(epilog=finetune.EXAMPLES)(finetune.finetune)
app.command("import", epilog=import_.EXAMPLES)(import_.import_)


@app.command(
    epilog=examples(
        "soundprobe report", "soundprobe report --dataset urbansound8k", "soundprobe report --baseline my-cnn"
    )
)
def report(
    dataset: Dataset = None,
    baseline: Annotated[str | None, option("NAME", "Your own model's. Default: the only import.")] = None,
    title: Annotated[str | None, option("TEXT", "The page's heading.")] = None,
    data: Annotated[
        str | None, option("DATA", "Where the clips are now, if they were moved, to be heard.", "--data")
    ] = None,
    max_audio_mb: Annotated[float, option("MB", "How much the sounds may take.")] = 25.0,
    no_audio: Annotated[bool, flag("Leave the sounds out.", "--no-audio")] = False,
    single_file: Annotated[bool, flag("Put the sounds into the page, not beside it.", "--single-file")] = False,
    map_method: Annotated[str, option("HOW", "Of the clips: pca, or umap as well.", "--map")] = "pca",
    trials: Annotated[bool, flag("Also show runs of fewer clips or folds.", "--trials")] = False,
    embeddings: EmbeddingsFolder = Path("embeddings"),
    heads: HeadsFolder = Path("heads"),
    reports: ReportsFolder = Path("reports"),
    as_json: Json = False,
) -> None:
    """Compare every run with each other and your own model.

    One HTML page; Markdown and JSON of the same stand beside it.
    """
    from soundprobe.base.files import check_room, parse_json

    check_room(reports, 0)
    if data is not None:
        from soundprobe.data.catalog import check_there

        check_there(data)
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
    if as_json:
        files = {"html": written.html, "markdown": written.markdown, "json": written.json}
        answer(as_json, files=files, **parse_json(written.json.read_text(encoding="utf-8")))


app.command(epilog=view.EXAMPLES)(view.view)
app.command(epilog=fit.EXAMPLES)(fit.fit)
app.command(epilog=predict.EXAMPLES)(predict.predict)
app.command(epilog=export.EXAMPLES)(export.export)
app.command(epilog=push.EXAMPLES)(push.push)
app.command(epilog=bench.EXAMPLES)(bench.bench)
app.command(epilog=compare.DEMO_EXAMPLES)(compare.demo)


@app.command(epilog=examples("soundprobe backbones", "soundprobe backbones --json"))
def backbones(as_json: Json = False) -> None:
    """List the backbones: size, width, cost, weights."""
    from rich.table import Table

    from soundprobe.backbones.catalog import BACKBONES
    from soundprobe.backbones.weights.verify import is_cached

    table = Table(box=None, pad_edge=False)
    for column in ("name", "what it is"):
        table.add_column(column, no_wrap=True)
    for column in ("params", "width", "GMAC", "kHz"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("weights", no_wrap=True)
    states = {}
    for spec in BACKBONES.usable():
        states[spec.name] = "none"
        if spec.weights is not None:
            states[spec.name] = "cached" if is_cached(spec.weights) else "to fetch"
        table.add_row(
            spec.name,
            spec.title,
            "?" if spec.parameters is None else f"{spec.parameters / 1e6:.1f} M",
            str(spec.embedding_dim),
            f"{spec.gmacs:.2f}",
            f"{spec.sample_rate_hz / 1000:g}",
            states[spec.name],
        )
    print_table(table, "what it is", "kHz", "GMAC")
    out.print("width: of the embedding. GMAC: 1e9 multiply-adds of a 4 s clip. weights: none where none are published.")
    for prefix in BACKBONES.prefixes.values():
        line = f"{prefix.name}:{prefix.form}, such as {prefix.example}, is {prefix.told}."
        out.print(line, markup=False)
    fields = ("name", "title", "parameters", "embedding_dim", "gmacs", "sample_rate_hz", "licence")
    answer(
        as_json,
        backbones=[
            {**{name: getattr(spec, name) for name in fields}, "weights": states[spec.name]}
            for spec in BACKBONES.usable()
        ],
    )


@app.command(
    epilog=examples("soundprobe doctor", "soundprobe doctor --verify", "soundprobe doctor --verify heads/esc-50")
)
def doctor(
    places: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PLACE", help="Of --verify. Default: embeddings, heads, reports, weights."),
    ] = None,
    verify: Annotated[
        bool, flag("Check all that is on disk; take away what is damaged and made again.", "--verify")
    ] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Show what is installed here, or check what is on disk."""
    if verify:
        _verify(places, quiet, as_json)
        return
    if places:
        raise typer.BadParameter("Places are checked with --verify.", param_hint="PLACE")
    from soundprobe.verbs.doctor import diagnose

    found = diagnose()
    for name, value in found.items():
        out.print(f"{name:<22} {value}", markup=False)
    answer(as_json, machine=found)


def _verify(places: list[Path] | None, quiet: bool, as_json: bool) -> None:
    from soundprobe.verbs.disk_check import verify

    found = verify(places, progress=not quiet)
    wrong = [finding for finding in found.findings if finding.state != "unsigned"]
    for finding in wrong:
        done = "; taken away" if finding.removed else ""
        out.print(one_line(f"{finding.state}: {finding.path}: {finding.why}{done}"), markup=False)
    for command in dict.fromkeys(finding.again for finding in wrong if finding.again):
        out.print(one_line(f"makes it again: {command}"), markup=False)
    counts = {state: found.count(state) for state in ("damaged", "gone", "left over", "unsigned")}
    told = ", ".join(f"{count} {state}" for state, count in counts.items())
    out.print(f"checked {found.files} files, {found.size_bytes / 1e6:.1f} MB: {told}", markup=False)
    if counts["unsigned"]:
        out.print("unsigned: of an earlier version, without a digest; damage to them doesn't show.")
    answer(as_json, verified=found)
    if not found.sound:
        raise typer.Exit(ExitCode.ERROR)

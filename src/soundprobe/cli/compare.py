"""`soundprobe compare` and `soundprobe demo`: the whole way in one command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from soundprobe.base.errors import ConfigError
from soundprobe.cli.options import (
    Channels,
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
from soundprobe.reporting.wording import one_line

if TYPE_CHECKING:
    from soundprobe.workflows.compare import Compared

COMPARE_EXAMPLES = examples(
    "soundprobe compare my-clips/",
    "soundprobe compare my-clips/ --group-regex '^(rec\\d+)'",
    "soundprobe compare UrbanSound8K/ --backbone mn04,panns --head linear,mlp",
    "soundprobe compare clips.csv --weights mn04_as_mAP_432.pt --baseline my-cnn.csv",
)
DEMO_EXAMPLES = examples("soundprobe demo", "soundprobe demo --to trial/")
FAILURES_SHOWN = 10

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

Json = Annotated[bool, typer.Option("--json", help="The outcome as one JSON object; all else on standard error.")]


@opens_data
def compare(
    path: Annotated[
        str | None, typer.Argument(metavar="DATA", help="A folder per class, a manifest, a name, ...; see `data list`.")
    ] = None,
    data: Annotated[str | None, typer.Option("--data", hidden=True)] = None,
    backbone: Annotated[
        str, typer.Option("--backbone", "-b", help="One, or several joined by commas; see `backbones`.")
    ] = "mn04",
    weights: Annotated[
        list[str] | None,
        typer.Option(
            "--weights", help="A file of pretrained weights; of several backbones mn04=FILE. Default: they are fetched."
        ),
    ] = None,
    head: Annotated[str, typer.Option("--head", help="One, or several joined by commas.")] = "linear,mlp,knn",
    baseline: Annotated[
        str | None,
        typer.Option("--baseline", help="Your model's out-of-fold predictions, as `import` takes them: my-cnn.csv."),
    ] = None,
    seed: Annotated[
        list[str] | None, typer.Option("--seed", help="Of untrained networks, 0 by default; 0,1,2 makes one of each.")
    ] = None,
    folds: MadeFolds = 10,
    limit: Limit = None,
    channels: Channels = "mean",
    embeddings: EmbeddingsFolder = Path("embeddings"),
    heads: HeadsFolder = Path("heads"),
    reports: ReportsFolder = Path("reports"),
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")] = "auto",
    jobs: Annotated[int | None, typer.Option("--jobs", min=1, help="Threads that decode. Default: the cores.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    *,
    how: dict[str, Any],
) -> None:
    """From clips to the page: check them, embed them, train heads in each fold, and report.

    Beside each backbone: the same untrained, statistics of a spectrogram, and a run on shuffled labels.
    Goes on where a stopped run was.
    """
    place = path or data
    if place is None:
        raise typer.BadParameter("Give a folder, a manifest or a name, such as my-clips/ or synth.", param_hint="DATA")
    if path and data:
        raise ConfigError(f"{path} and --data {data} both say where the clips are. Leave one out.")
    from soundprobe.workflows.compare import compare as run

    console = err if as_json else out
    done = run(
        place,
        backbone=backbone,
        weights=weights,
        head=head,
        baseline=baseline,
        seed=whole_numbers(seed, "--seed") or 0,
        folds=folds,
        limit=limit,
        channels=channels,
        embeddings=embeddings,
        heads=heads,
        reports=reports,
        device=device,
        jobs=jobs,
        progress=not quiet,
        command=given_command(),
        say=lambda line: console.print(one_line(line), markup=False),
        **how,
    )
    _show(done, as_json)


def demo(
    to: Annotated[
        Path, typer.Option("--to", help="The folder that embeddings/, heads/ and reports/ are written below.")
    ] = Path("soundprobe-demo"),
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """The whole way on generated sounds, offline. Under 3 minutes on 2 cores."""
    from soundprobe.workflows.demo import demo as run

    console = err if as_json else out
    _show(run(to, progress=not quiet, say=lambda line: console.print(one_line(line), markup=False)), as_json)


def _show(done: Compared, as_json: bool) -> None:
    for clip, reason in list(done.failures.items())[:FAILURES_SHOWN]:
        err.print("failed: " + one_line(f"{clip}: {reason}"), markup=False)
    if len(done.failures) > FAILURES_SHOWN:
        err.print(f"... and {len(done.failures) - FAILURES_SHOWN} more")
    if as_json:
        typer.echo(json.dumps(_facts(done), indent=1, ensure_ascii=False))
    else:
        out.print()
        for line in done.lines:
            out.print(one_line(line), markup=False)
    if done.failures:
        raise typer.Exit(ExitCode.SOME_FAILED)


def _facts(done: Compared) -> dict[str, Any]:
    score = done.best.record.content["summary"]["accuracy"]
    return {
        "answer": done.answer,
        "report": {kind: str(getattr(done.report, kind)) for kind in ("html", "markdown", "json")},
        "predict": done.predict,
        "best": {"name": done.best.name, "folder": str(done.best.folder), "accuracy": score},
        "runs": [{"folder": str(run.folder), "accuracy": run.result["summary"]["accuracy"]} for run in done.runs],
        "left_out": dict(done.left_out),
        "failures": dict(done.failures),
    }

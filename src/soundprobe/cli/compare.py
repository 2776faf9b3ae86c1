"""`soundprobe compare` and `soundprobe demo`: the whole way in one command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from soundprobe.base.allowance import Allowance
from soundprobe.base.errors import ConfigError, one_line
from soundprobe.cli.options import (
    Address,
    Channels,
    DecodingJobs,
    Device,
    EmbeddingsFolder,
    HeadsFolder,
    Limit,
    MadeFolds,
    NetworkEngine,
    Quiet,
    ReportsFolder,
    TrustRemoteCode,
    examples,
    given_command,
    opens_data,
    option,
    trust,
    whole_numbers,
)
from soundprobe.cli.output import AllowFailures, Json, answer, err, out, run_facts, stop_if_failed
from soundprobe.cli.tracking import Mlflow, track_runs

if TYPE_CHECKING:
    from soundprobe.workflows.compare import Compared

EXAMPLES = examples(
    "soundprobe compare my-clips/",
    "soundprobe compare my-clips/ --group-regex '^(rec\\d+)'",
    "soundprobe compare UrbanSound8K/ --backbone mn04,panns --head linear,mlp",
    "soundprobe compare clips.csv --weights mn04_as_mAP_432.pt --baseline my-cnn.csv",
)
DEMO_EXAMPLES = examples("soundprobe demo", "soundprobe demo --to trial/")
FAILURES_SHOWN = 10


@opens_data
def compare(
    path: Annotated[
        str | None, typer.Argument(metavar="DATA", help="A folder, a manifest or a name; see `data list`.")
    ] = None,
    data: Annotated[str | None, typer.Option("--data", hidden=True)] = None,
    backbone: Annotated[str, option("NAME", "One, or several as in a,b.", "--backbone", "-b")] = "mn04",
    weights: Annotated[
        list[str] | None, option("FILE", "Of pretrained weights; of several backbones mn04=FILE.")
    ] = None,
    head: Annotated[str, option("NAME", "One, or several.")] = "linear,mlp,knn",
    baseline: Annotated[str | None, option("FILE", "Your own model's predictions, as for `import`.")] = None,
    trust_remote_code: TrustRemoteCode = False,
    seed: Annotated[list[str] | None, option("N", "Of untrained networks; 0,1,2 makes one of each.")] = None,
    folds: MadeFolds = 10,
    limit: Limit = None,
    channels: Channels = "mean",
    embeddings: EmbeddingsFolder = Path("embeddings"),
    heads: HeadsFolder = Path("heads"),
    reports: ReportsFolder = Path("reports"),
    device: Device = "auto",
    jobs: DecodingJobs = None,
    engine: NetworkEngine = "threads",
    address: Address = None,
    mlflow: Mlflow = None,
    allow_failures: AllowFailures = None,
    as_json: Json = False,
    quiet: Quiet = False,
    *,
    how: dict[str, Any],
) -> None:
    """Go from clips to the page: check, embed, train, report.

    Beside each backbone: the same untrained, statistics of a spectrogram, and a run on shuffled labels.
    Goes on where a stopped run was.
    """
    place = path or data
    if place is None:
        raise typer.BadParameter("Give a folder, a manifest or a name, such as my-clips/ or synth.", param_hint="DATA")
    if path and data:
        raise ConfigError(f"{path} and --data {data} both say where the clips are. Leave one out.")
    from soundprobe.workflows.compare import compare as run

    if trust_remote_code:
        trust(backbone)
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
        engine=engine,
        address=address,
        progress=not quiet,
        command=given_command(),
        say=lambda line: out.print(one_line(line), markup=False),
        **how,
    )
    track_runs(done.runs, mlflow)
    _show(done, as_json, allow_failures)


def demo(
    to: Annotated[Path, option("FOLDER", "Where everything is written.")] = Path("soundprobe-demo"),
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Go the whole way on generated sounds, offline.

    Under 3 minutes on 2 cores.
    """
    from soundprobe.workflows.demo import demo as run

    _show(run(to, progress=not quiet, say=lambda line: out.print(one_line(line), markup=False)), as_json, None)


def _show(done: Compared, as_json: bool, allow_failures: Allowance | None) -> None:
    for clip, reason in list(done.failures.items())[:FAILURES_SHOWN]:
        err.print("failed: " + one_line(f"{clip}: {reason}"), markup=False)
    if len(done.failures) > FAILURES_SHOWN:
        err.print(f"... and {len(done.failures) - FAILURES_SHOWN} more")
    out.print()
    for line in done.shown_lines():
        out.print(one_line(line), markup=False)
    answer(as_json, **_facts(done))
    stop_if_failed(len(done.failures), done.best.record.dataset.clips, allow_failures)


def _facts(done: Compared) -> dict[str, Any]:
    return {
        "answer": done.answer,
        "files": {kind: getattr(done.report, kind) for kind in ("html", "markdown", "json")},
        "predict": done.predict,
        "best": {"name": done.best.name, "folder": done.best.folder},
        "runs": map(run_facts, done.runs),
        "left_out": done.left_out,
        "failures": done.failures,
    }

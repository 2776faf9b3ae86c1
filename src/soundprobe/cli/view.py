"""`soundprobe view` and `soundprobe predict`: any audio file, and what a trained head says of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from soundprobe.base.errors import AudioError
from soundprobe.cli.options import ExitCode, HeadsFolder, Quiet, examples
from soundprobe.reporting.wording import one_line

if TYPE_CHECKING:
    from soundprobe.verbs.predict import Prediction

VIEW_EXAMPLES = examples(
    "soundprobe view clip.wav",
    "soundprobe view recordings/ --to recordings.html",
    "soundprobe view clip.wav --run mn04-linear",
)
PREDICT_EXAMPLES = examples(
    "soundprobe predict clip.wav --run best",
    "soundprobe predict recordings/ --run mn04-linear --dataset esc-50 --json",
)
SHOWN_CLASSES = 3

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

Run = Annotated[
    str | None,
    typer.Option("--run", "--head", help="Whose heads: best, a name of `runs list`, the beginning of a key, a folder."),
]
Dataset = Annotated[str | None, typer.Option("--dataset", help="Only runs on this data set.")]
Weights = Annotated[
    str | None,
    typer.Option(
        "--weights", help="The backbone's file or fine-tuning run's folder, where that is yours or was moved."
    ),
]
Channels = Annotated[
    str | None,
    typer.Option(
        "--channels", help="What becomes of a clip's: mean, first or loudest. Default: what the head was trained on."
    ),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")]


def view(
    clips: Annotated[list[Path], typer.Argument(help="An audio file or a folder of them, or several.")],
    to: Annotated[Path, typer.Option("--to", help="The page to write.")] = Path("view.html"),
    run: Run = None,
    dataset: Dataset = None,
    weights: Weights = None,
    window: Annotated[float, typer.Option("--window", help="Seconds of audio in each probability.")] = 1.0,
    hop: Annotated[float, typer.Option("--hop", help="Seconds from one probability to the next.")] = 0.5,
    limit: Annotated[int, typer.Option("--limit", help="At most so many clips.")] = 50,
    max_mb: Annotated[float, typer.Option("--max-mb", help="Clips that make the page larger are left out.")] = 50.0,
    channels: Channels = None,
    heads: HeadsFolder = Path("heads"),
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Make a page with each clip's spectrogram and a playhead that moves over it while the clip plays."""
    from soundprobe.viewing.page import view as show

    shown = show(
        clips if len(clips) > 1 else clips[0],
        run=run,
        heads=heads,
        dataset=dataset,
        weights=weights,
        window_s=window,
        hop_s=hop,
        limit=limit,
        max_mb=max_mb,
        channels=channels,
        device=device,
        progress=not quiet,
    )
    for note in shown.notes:
        out.print(one_line(note), markup=False)
    out.print(f"view -> {shown.save(to)}", markup=False)
    if shown.failed:
        raise typer.Exit(ExitCode.SOME_FAILED)


def predict(
    clips: Annotated[list[Path], typer.Argument(help="An audio file or a folder of them, or several.")],
    run: Run = None,
    dataset: Dataset = None,
    weights: Weights = None,
    channels: Channels = None,
    as_json: Annotated[bool, typer.Option("--json", help="Every class's probability as JSON.")] = False,
    heads: HeadsFolder = Path("heads"),
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Say what each clip is, by the heads of all folds of a probe; their probabilities are averaged."""
    from soundprobe.audio.checks import notes
    from soundprobe.data.listing import audio_files
    from soundprobe.scoring.run_names import run_folder
    from soundprobe.verbs.predict import CAN_PREDICT, load_predictor

    folder = run_folder(heads, run, dataset=dataset, kinds=CAN_PREDICT)
    paths = [path for place in clips for path in audio_files(place)]
    predictor = load_predictor(folder, weights=weights, channels=channels, device=device, progress=not quiet)
    predictions, failures = [], []
    for path in paths:
        try:
            predictions.append(predictor.predict(str(path)))
        except AudioError as error:
            failures.append(error)
    if not predictions:
        for failure in failures[:-1]:
            err.print(one_line(failure), markup=False)
        raise failures[-1]
    if as_json:
        _print_json(predictions)
    else:
        _print_table(predictions)
    for note in notes({done.name: done.findings for done in predictions}):
        err.print(one_line(note), markup=False)
    for failure in failures:
        err.print(one_line(failure), markup=False)
    if failures:
        raise typer.Exit(ExitCode.SOME_FAILED)


def _print_json(predictions: Sequence[Prediction]) -> None:
    content = [
        {
            "clip": done.name,
            "predicted": done.predicted,
            "proba": {name: round(float(p), 6) for name, p in zip(done.class_names, done.proba, strict=True)},
            "heads": done.heads,
            "duration_s": round(done.duration_s, 4),
            "heard_s": round(done.heard_s, 4),
            **({"findings": dict(done.findings)} if done.findings else {}),
        }
        for done in predictions
    ]
    typer.echo(json.dumps(content, indent=1, ensure_ascii=False))


def _print_table(predictions: Sequence[Prediction]) -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("clip", "class", "probability", "next"):
        table.add_column(column, justify="right" if column == "probability" else "left", overflow="fold")
    for done in predictions:
        order = (-done.proba).argsort(kind="stable")[:SHOWN_CLASSES]
        others = ", ".join(f"{done.class_names[c]} {100 * done.proba[c]:.0f} %" for c in order[1:])
        first = f"{100 * done.proba[order[0]]:.1f} %"
        table.add_row(Text(one_line(done.name)), Text(one_line(done.predicted)), first, Text(one_line(others)))
    out.print(table)
    for done in predictions:
        if done.heard_s < done.duration_s - 0.01:
            out.print(f"Of {one_line(done.name)} only the first {done.heard_s:g} s were heard.", markup=False)

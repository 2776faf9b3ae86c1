"""`soundprobe predict`: what a trained head says of audio files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from soundprobe.base.errors import AudioError, ConfigError, DataError, Lacking, one_line
from soundprobe.cli.options import Allow, Dataset, Device, HeadsFolder, Quiet, examples
from soundprobe.cli.output import AllowFailures, Json, answer, err, out, print_table, stop_if_failed

if TYPE_CHECKING:
    from soundprobe.predicting.prediction import Prediction

PREDICT_EXAMPLES = examples(
    "soundprobe predict clip.wav --run best",
    "soundprobe predict recordings/ --run mn04-linear --dataset esc-50 --json",
    "soundprobe predict clip.wav --tags",
)
SHOWN_CLASSES, SHOWN_TAGS = 3, 6
LEAST_TAG = 0.05

Run = Annotated[
    str | None,
    typer.Option("--run", "--head", metavar="RUN", help="best, a name or key of `runs list`, or a folder."),
]
Weights = Annotated[
    str | None, typer.Option("--weights", metavar="FILE", help="The backbone's, where they are yours or were moved.")
]
Channels = Annotated[
    str | None, typer.Option("--channels", metavar="HOW", help="mean, first or loudest. Default: as in training.")
]


def predict(
    clips: Annotated[list[Path], typer.Argument(metavar="CLIP...", help="Audio files, or folders of them.")],
    run: Run = None,
    tags: Annotated[
        bool, typer.Option("--tags", help="AudioSet's tags instead, by a pretrained network: no run.")
    ] = False,
    backbone: Annotated[
        str | None, typer.Option("--backbone", "-b", metavar="NAME", help="Whose tags. Default: mn04.")
    ] = None,
    dataset: Dataset = None,
    weights: Weights = None,
    channels: Channels = None,
    heads: HeadsFolder = Path("heads"),
    device: Device = "auto",
    allow: Allow = None,
    allow_failures: AllowFailures = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say what each clip is, by the heads of all folds."""
    from soundprobe.audio.checks import notes
    from soundprobe.data.listing import audio_files
    from soundprobe.predicting.load import load_predictor
    from soundprobe.predicting.tagging import TAGGING, load_tagger

    how: dict[str, Any] = {"weights": weights, "channels": channels, "device": device, "progress": not quiet}
    if tags:
        check_tags(clips, run, backbone or TAGGING, weights)
        predictor = load_tagger(backbone or TAGGING, **how)
    elif backbone is not None:
        raise ConfigError(f"--backbone {backbone} is of --tags; a run has its own. Leave it out, or add --tags.")
    else:
        predictor = load_predictor(find_folder(clips, heads, run, dataset, weights), **how)
    paths = [path for place in clips for path in audio_files(place)]
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
    _print_table(predictions)
    answer(
        as_json,
        clips=map(_facts, predictions),
        failures={failure.name: failure.reason for failure in failures},
    )
    for note in notes({done.name: done.findings for done in predictions}):
        err.print(one_line(note), markup=False)
    for failure in failures:
        err.print(one_line(failure), markup=False)
    stop_if_failed(len(failures), len(paths), allow_failures)


def find_folder(clips: Sequence[Path], heads: Path, run: str | None, dataset: str | None, weights: str | None) -> Path:
    """The folder of the run.

    Raises:
        SoundprobeError: it, its weights, or all of what was named as clips is missing: all that is.
    """
    from soundprobe.predicting.load import check_weights, find_heads

    lacking, folder = Lacking(), heads
    with lacking.noted():
        check_clips(clips)
    with lacking.noted():
        folder = find_heads(run, heads=heads, dataset=dataset)
        check_weights(folder, weights)
    lacking.tell()
    return folder


def check_tags(clips: Sequence[Path], run: str | None, backbone: str, weights: str | None) -> None:
    """Whether clips can be tagged, as far as can be told without torch.

    Raises:
        SoundprobeError: a run is given, the backbone has no tags, weights are missing, or all that was named as clips.
    """
    from soundprobe.predicting.tagging import check_tagger

    if run is not None:
        raise ConfigError(f"--tags asks no run, and --run {run} is given. Leave one of them out.")
    lacking = Lacking()
    with lacking.noted():
        check_clips(clips)
    with lacking.noted():
        check_tagger(backbone, weights)
    lacking.tell()


def check_clips(clips: Sequence[Path]) -> None:
    """Raises DataError where none of them is there."""
    if not any(os.path.exists(place) for place in clips):
        named = ", ".join(map(str, clips))
        raise DataError(f"There is no file or folder {named}. Name audio files, or folders of them.")


def _facts(done: Prediction) -> dict[str, Any]:
    return {
        "clip": done.name,
        "predicted": done.predicted,
        "proba": {name: round(float(p), 6) for name, p in zip(done.class_names, done.proba, strict=True)},
        "heads": done.heads,
        "duration_s": round(done.duration_s, 4),
        "heard_s": round(done.heard_s, 4),
        "findings": done.findings,
    }


def _print_table(predictions: Sequence[Prediction]) -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("clip", "class", "probability", "next"):
        table.add_column(column, justify="right" if column == "probability" else "left", overflow="fold")
    for done in predictions:
        said = done.most_probable(SHOWN_TAGS, LEAST_TAG) if done.multilabel else done.most_probable(SHOWN_CLASSES)
        others = ", ".join(f"{name} {100 * share:.0f} %" for name, share in said[1:])
        first = f"{100 * said[0][1]:.1f} %"
        table.add_row(Text(one_line(done.name)), Text(one_line(done.predicted)), first, Text(one_line(others)))
    print_table(table, "next")
    for done in predictions:
        if done.heard_s < done.duration_s - 0.01:
            out.print(f"Of {one_line(done.name)} only the first {done.heard_s:g} s were heard.", markup=False)

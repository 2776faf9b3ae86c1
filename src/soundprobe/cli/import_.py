"""The verb `import`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from soundprobe.base.errors import ConfigError
from soundprobe.cli.options import DATA_HELP, HeadsFolder, Limit, MadeFolds, Quiet, examples, given_command, opens_data

EXAMPLES = examples(
    "soundprobe import predictions.csv --name my-cnn --data UrbanSound8K/",
    "soundprobe import oof.parquet --name my-cnn --data clips.csv --columns clip=file,predicted=guess",
    "soundprobe import logits.csv --name my-cnn --data ESC-50/ --logits --seed 1",
    "soundprobe import --per-fold .7056,.8446,.9600,.9667 --name paper --data clips.csv",
    "soundprobe report --baseline my-cnn",
)


@opens_data
def import_(
    predictions: Annotated[
        Path | None,
        typer.Argument(
            help="A .csv, .tsv, .jsonl or .parquet file with a row for each clip: clip, fold, label where they are "
            "known, and predicted, or a column for each class with its probability."
        ),
    ] = None,
    name: Annotated[str, typer.Option("--name", help="The model's, as reports show it.")] = ...,  # type: ignore[assignment]
    data: Annotated[str, typer.Option("--data", help=DATA_HELP)] = ...,  # type: ignore[assignment]
    per_fold: Annotated[
        str | None,
        typer.Option("--per-fold", help="Published accuracies instead of a file, one for each fold: .7056,.8446,..."),
    ] = None,
    per_fold_f1: Annotated[
        str | None, typer.Option("--per-fold-f1", help="Published macro-F1 likewise, beside --per-fold.")
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option("--columns", help="Which column of the file is which, such as clip=file,predicted=guess."),
    ] = None,
    logits: Annotated[
        bool, typer.Option("--logits", help="The classes' columns hold logits: their softmax is taken.")
    ] = False,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Take a file that lacks clips; the run then has no rank.")
    ] = False,
    seed: Annotated[
        int, typer.Option("--seed", min=0, help="Of the model's training: imports of several seeds are one row.")
    ] = 0,
    folds: MadeFolds = 10,
    limit: Limit = None,
    heads: HeadsFolder = Path("heads"),
    force: Annotated[
        bool, typer.Option("--force", help="Replace other predictions of the same name and seed.")
    ] = False,
    quiet: Quiet = False,
    *,
    how: dict[str, Any],
) -> None:
    """Bring in your own model's out-of-fold predictions as a run, to be compared with."""
    from soundprobe.verbs.import_predictions import import_fold_scores, import_predictions

    out = Console(highlight=False, soft_wrap=True)
    shared: dict[str, Any] = {"name": name, "data": data, "folds": folds, "limit": limit, **how}
    shared |= {"heads": heads, "force": force, "progress": not quiet, "command": given_command()}
    if per_fold is not None:
        if predictions is not None or logits or allow_missing or seed or columns:
            raise ConfigError("--per-fold takes scores alone. Leave the file and its options out, or --per-fold.")
        f1 = None if per_fold_f1 is None else _shares(per_fold_f1, "--per-fold-f1")
        told = import_fold_scores(_shares(per_fold, "--per-fold"), f1, **shared)
        out.print(f"{told.describe()} -> {told.folder}", markup=False)
        return
    if per_fold_f1 is not None:
        raise ConfigError("--per-fold-f1 stands beside --per-fold. Give the accuracies too.")
    if predictions is None:
        raise ConfigError("Give a file of predictions, or published accuracies with --per-fold.")
    done = import_predictions(
        predictions, columns=columns, logits=logits, allow_missing=allow_missing, seed=seed, **shared
    )
    out.print(f"{done.describe()} -> {done.folder}", markup=False)


def _shares(text: str, option: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        told = f"{option} {text!r} is not valid: give numbers joined by commas, such as .7056,.8446."
        raise ConfigError(told) from None

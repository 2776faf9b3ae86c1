"""The verb `import`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from soundprobe.base.errors import ConfigError
from soundprobe.cli.options import (
    DATA_HELP,
    HeadsFolder,
    Limit,
    MadeFolds,
    Quiet,
    examples,
    flag,
    given_command,
    opens_data,
    option,
)
from soundprobe.cli.output import Json, answer, out, run_facts

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
        Path | None, typer.Argument(metavar="FILE", help=".csv, .tsv, .jsonl or .parquet, a row for each clip.")
    ] = None,
    name: Annotated[str, option("NAME", "The model's, as reports show it.", "--name")] = ...,  # type: ignore[assignment]
    data: Annotated[str, option("DATA", DATA_HELP, "--data")] = ...,  # type: ignore[assignment]
    per_fold: Annotated[str | None, option("LIST", "Published accuracies instead of a file: .7056,.8446")] = None,
    per_fold_f1: Annotated[str | None, option("LIST", "Published macro-F1 likewise.")] = None,
    columns: Annotated[str | None, option("MAP", "Of the file, such as clip=file,predicted=guess.")] = None,
    logits: Annotated[bool, flag("The columns hold logits: take their softmax.", "--logits")] = False,
    allow_missing: Annotated[bool, flag("Take a file that lacks clips, without a rank.", "--allow-missing")] = False,
    seed: Annotated[int, option("N", "Of the model's training; several are one row.", min=0)] = 0,
    folds: MadeFolds = 10,
    limit: Limit = None,
    heads: HeadsFolder = Path("heads"),
    force: Annotated[bool, flag("Replace others of the same name and seed.", "--force")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
    *,
    how: dict[str, Any],
) -> None:
    """Bring in your own model's out-of-fold predictions.

    Each row of the file: clip, fold and label where they are known, and predicted, or a column for each class with its
    probability.
    """
    from soundprobe.verbs.import_predictions import import_fold_scores, import_predictions

    shared: dict[str, Any] = {"name": name, "data": data, "folds": folds, "limit": limit, **how}
    shared |= {"heads": heads, "force": force, "progress": not quiet, "command": given_command()}
    if per_fold is not None:
        if predictions is not None or logits or allow_missing or seed or columns:
            raise ConfigError("--per-fold takes scores alone. Leave the file and its options out, or --per-fold.")
        f1 = None if per_fold_f1 is None else _shares(per_fold_f1, "--per-fold-f1")
        told = import_fold_scores(_shares(per_fold, "--per-fold"), f1, **shared)
        out.print(f"{told.describe()} -> {told.folder}", markup=False)
        answer(as_json, folder=told.folder)
        return
    if per_fold_f1 is not None:
        raise ConfigError("--per-fold-f1 stands beside --per-fold. Give the accuracies too.")
    if predictions is None:
        raise ConfigError("Give a file of predictions, or published accuracies with --per-fold.")
    done = import_predictions(
        predictions, columns=columns, logits=logits, allow_missing=allow_missing, seed=seed, **shared
    )
    out.print(f"{done.describe()} -> {done.folder}", markup=False)
    if done.verdict:
        out.print(done.verdict, markup=False)
    answer(as_json, runs=[run_facts(done)])


def _shares(text: str, option: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        told = f"{option} {text!r} is not valid: give numbers joined by commas, such as .7056,.8446."
        raise ConfigError(told) from None

"""The verb `finetune`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from soundprobe.cli.options import (
    Channels,
    Data,
    ExitCode,
    HeadsFolder,
    Limit,
    Quiet,
    examples,
    given_command,
    opens_data,
)
from soundprobe.reporting.wording import one_line

EXAMPLES = examples(
    "soundprobe finetune --backbone panns --folds 10",
    "soundprobe finetune -b mn04 --data UrbanSound8K/ --set training.lr=1e-4",
    "soundprobe finetune --config notes-simplecnn",
)


@opens_data
def finetune(
    backbone: Annotated[
        str | None, typer.Option("--backbone", "-b", help="See `backbones`; its recipe is finetune-<backbone>.")
    ] = None,
    data: Data = "urbansound8k",
    config: Annotated[str | None, typer.Option("--config", help="A recipe: its name, or a TOML file.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="A field of the recipe, such as training.lr=1e-4; may be repeated."),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option("--weights", help="pretrained, random, or a file. Default: pretrained where there are any."),
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option("--folds", min=2, help="How many folds: checked against the data set's own, or made where none."),
    ] = None,
    only_fold: Annotated[
        list[int] | None, typer.Option("--only-fold", help="Do just this fold now; may be repeated.")
    ] = None,
    epochs_fixed: Annotated[
        bool, typer.Option("--epochs-fixed", help="All epochs on all training folds, without validation or choice.")
    ] = False,
    freeze: Annotated[
        str | None, typer.Option("--freeze", help="backbone, or how many of its first stages stay as they are.")
    ] = None,
    salience: Annotated[
        str | None, typer.Option("--salience", help="Train on these clips only: foreground, background or all.")
    ] = None,
    salience_weight: Annotated[
        float | None, typer.Option("--salience-weight", help="Weight of a background clip's loss; foreground is 1.")
    ] = None,
    carry_over: Annotated[
        bool,
        typer.Option(
            "--carry-over", help="Repeat the notes' mistake: keep the network from fold to fold. Marked in every table."
        ),
    ] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of weights, order, augmentation and dropout.")] = 0,
    limit: Limit = None,
    channels: Channels = "mean",
    heads: HeadsFolder = Path("heads"),
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")] = "auto",
    jobs: Annotated[int, typer.Option("--jobs", help="Folds trained at once, each in a process of its own.")] = 1,
    force: Annotated[bool, typer.Option("--force", help="Train again what is already there.")] = False,
    quiet: Quiet = False,
    *,
    how: dict[str, Any],
) -> None:
    """Fine-tune a backbone in each fold and score it on the fold that it never saw. Goes on where a stopped run was."""
    from soundprobe.verbs.finetune import finetune as run

    options = {"training.freeze": freeze, "data.salience": salience, "data.salience_weight": salience_weight}
    done = run(
        data,
        backbone=backbone,
        config=config,
        overrides=[*(set_ or []), *(f"{name}={value}" for name, value in options.items() if value is not None)],
        weights=weights,
        epochs_fixed=epochs_fixed,
        carry_over=carry_over,
        folds=folds,
        only_folds=only_fold,
        seed=seed,
        heads=heads,
        device=device,
        jobs=jobs,
        limit=limit,
        channels=channels,
        **how,
        force=force,
        progress=not quiet,
        command=given_command(),
    )
    out = Console(highlight=False, soft_wrap=True)
    out.print(one_line(f"{done.describe()} -> {done.folder}"), markup=False)
    if done.verdict:
        out.print(done.verdict, markup=False)
    err = Console(stderr=True, highlight=False, soft_wrap=True)
    for note in done.record.dataset.sound_notes:
        err.print(one_line(note), markup=False)
    if done.record.dataset.failed:
        left_out = ", ".join(done.record.dataset.left_out[:10])
        err.print(one_line(f"{done.record.dataset.failed} clips failed: {left_out}"), markup=False)
        raise typer.Exit(ExitCode.SOME_FAILED)

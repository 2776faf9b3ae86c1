"""`soundprobe probe`: embeddings -> heads, scored in cross-validation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from soundprobe.cli.options import EmbeddingsFolder, HeadsFolder, Quiet, examples, given_command, whole_numbers
from soundprobe.heads.catalog import HEADS

out = Console(highlight=False, soft_wrap=True)

ON_DEVICE = " and ".join(spec.name for spec in HEADS.own.values() if spec.has_device)
EXAMPLES = examples(
    "soundprobe probe --head mlp",
    "soundprobe probe --head linear,knn --backbone mn04+ast",
    "soundprobe probe --head mlp --seed 0,1,2 --set widths=[512]",
    "soundprobe probe --control shuffled-labels",
    "soundprobe probe --head linear --control reshuffled-folds",
)


def probe(
    head: Annotated[
        str | None,
        typer.Option("--head", help=f"{', '.join(HEADS.own)}, or package.module:Class; several joined by commas."),
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option(
            "--backbone", "-b", help="Which embeddings: mn04, mn04+ast (side by side), a folder's name. Default: all."
        ),
    ] = None,
    dataset: Annotated[str | None, typer.Option("--dataset", help="Only this data set's embeddings.")] = None,
    weights: Annotated[
        str | None, typer.Option("--weights", help="Only these: pretrained, random, file, fine-tuned or none.")
    ] = None,
    seed: Annotated[
        list[str] | None, typer.Option("--seed", help="Several, such as 0,1,2, or repeated: a run each.")
    ] = None,
    only_fold: Annotated[
        list[int] | None, typer.Option("--only-fold", help="Test just this fold; may be repeated.")
    ] = None,
    config: Annotated[str | None, typer.Option("--config", help="A recipe: its name, or a TOML file.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="A setting of the head, such as strengths=[0.1,1.0]; may be repeated."),
    ] = None,
    exclude_leaks: Annotated[
        bool, typer.Option("--exclude-leaks", help="Leave training clips out whose recording is also in the test fold.")
    ] = False,
    control: Annotated[
        str | None,
        typer.Option(
            "--control",
            help="shuffled-labels: a run that must stay near chance, or something leaks. "
            "reshuffled-folds: clips dealt into folds as if recordings did not matter.",
        ),
    ] = None,
    learning_curve: Annotated[
        bool, typer.Option("--learning-curve", help="Also train on 5 to 70 % of the recordings: would more help?")
    ] = False,
    measure_peeking: Annotated[
        bool,
        typer.Option("--measure-peeking", help="Also score every setting on the test folds, to show what that adds."),
    ] = False,
    embeddings: EmbeddingsFolder = Path("embeddings"),
    heads: HeadsFolder = Path("heads"),
    device: Annotated[
        str, typer.Option("--device", help=f"Where {ON_DEVICE} are trained: cpu, cuda or auto. Others: always the CPU.")
    ] = "cpu",
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            help="Folds trained at once; -1: as many as there are cores. Default: that too, for sets that repay it.",
        ),
    ] = None,
    engine: Annotated[str, typer.Option("--engine", help="Where they run: threads, processes or dask.")] = "processes",
    address: Annotated[str | None, typer.Option("--address", help="Dask scheduler, such as tcp://host:8786.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Train again what is already there.")] = False,
    quiet: Quiet = False,
) -> None:
    """Train a light head on the embeddings in each fold and score it on the fold that it never saw."""
    from soundprobe.base.config import ProbeRecipe, read_recipe
    from soundprobe.verbs.probe import probe as run

    recipe = read_recipe(config, ProbeRecipe, [f"settings.{setting}" for setting in set_ or []])

    run(
        head=head or recipe.head,
        backbone=backbone,
        dataset=dataset,
        weights=weights,
        seeds=whole_numbers(seed, "--seed") or recipe.seeds,
        settings=recipe.settings,
        only_folds=only_fold,
        exclude_leaks=exclude_leaks or recipe.exclude_leaks,
        control=control,
        learning_curve=learning_curve,
        measure_peeking=measure_peeking,
        embeddings=embeddings,
        heads=heads,
        device=device,
        jobs=jobs,
        engine=engine,
        address=address,
        force=force,
        progress=not quiet,
        command=given_command(),
        on_probe=lambda done: out.print(f"{done.describe()} -> {done.folder}", markup=False),
    )

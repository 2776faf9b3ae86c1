"""`soundprobe probe`: embeddings -> heads, scored in cross-validation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from soundprobe.cli.options import (
    Address,
    Dataset,
    EmbeddingsFolder,
    Force,
    HeadsFolder,
    Memory,
    OldLayer,
    Quiet,
    Recipe,
    examples,
    flag,
    given_command,
    option,
    whole_numbers,
)
from soundprobe.cli.output import Json, answer, out, run_facts
from soundprobe.cli.tracking import Mlflow, track_runs
from soundprobe.heads.catalog import HEADS

if TYPE_CHECKING:
    from soundprobe.scoring.results import FinishedRun

ON_DEVICE = " and ".join(spec.name for spec in HEADS.own.values() if spec.has_device)
EXAMPLES = examples(
    "soundprobe probe --head mlp",
    "soundprobe probe --head linear,knn --backbone mn04+ast",
    "soundprobe probe --head mlp --seed 0,1,2 --set widths=[512]",
    "soundprobe probe --layer weighted --backbone hf:facebook/wav2vec2-base",
    "soundprobe probe --control shuffled-labels",
    "soundprobe probe --head linear --control reshuffled-folds",
)


def probe(
    head: Annotated[str | None, option("NAME", f"{', '.join(HEADS.own)}, or several as in a,b.")] = None,
    backbone: Annotated[
        str | None, option("NAME", "mn04, mn04+ast (side by side), ... Default: all.", "--backbone", "-b")
    ] = None,
    dataset: Dataset = None,
    weights: Annotated[str | None, option("WHICH", "pretrained, random, file, fine-tuned or none.")] = None,
    seed: Annotated[list[str] | None, option("N", "One, or several as in 0,1,2: a run each.")] = None,
    only_fold: Annotated[list[int] | None, option("N", "Test just this fold; may be repeated.")] = None,
    config: Recipe = None,
    set_: Annotated[list[str] | None, option("NAME=VALUE", "A setting of the head; may be repeated.", "--set")] = None,
    layer: Annotated[
        str | None, option("WHICH", "Of several: one, all, weighted; of a,b the best. Default: all.")
    ] = None,
    exclude_leaks: Annotated[bool, flag("Don't train on recordings that are also tested.", "--exclude-leaks")] = False,
    control: Annotated[str | None, option("NAME", "shuffled-labels or reshuffled-folds.")] = None,
    learning_curve: Annotated[
        bool, flag("Also train on 5 to 70 %: would more recordings help?", "--learning-curve")
    ] = False,
    shots: Annotated[list[str] | None, option("K,...", "Also train on so many clips of a class.")] = None,
    measure_peeking: Annotated[
        bool, flag("Also show what choosing on the test folds would add.", "--measure-peeking")
    ] = False,
    embeddings: EmbeddingsFolder = Path("embeddings"),
    heads: HeadsFolder = Path("heads"),
    device: Annotated[str, option("NAME", f"Of {ON_DEVICE}: cpu, cuda or auto.")] = "cpu",
    jobs: Annotated[int | None, option("N", "Folds at once; -1: the cores. Default: what pays.")] = None,
    engine: Annotated[str, option("NAME", "threads, processes or dask.")] = "processes",
    address: Address = None,
    memory: Memory = None,
    force: Force = False,
    layers: OldLayer = None,
    mlflow: Mlflow = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train heads on embeddings, scored on folds never seen."""
    from soundprobe.base.config import ProbeRecipe, names_in, read_recipe
    from soundprobe.scoring.measured import ShotsRecord
    from soundprobe.verbs.probe import probe as run

    recipe = read_recipe(config, ProbeRecipe, [f"settings.{setting}" for setting in set_ or []])
    settings = dict(recipe.settings)
    if which := layer or layers:
        several = names_in(which, "layer", "last,weighted")
        settings["layers"] = several if len(several) > 1 else several[0]

    def show(done: FinishedRun) -> None:
        out.print(f"{done.describe()} -> {done.folder}", markup=False)
        if shots:
            out.print(f"  {ShotsRecord.read(done.folder / ShotsRecord.FILE).describe()}", markup=False)

    runs = run(
        head=head or recipe.head,
        backbone=backbone,
        dataset=dataset,
        weights=weights,
        seeds=whole_numbers(seed, "--seed") or recipe.seeds,
        settings=settings,
        only_folds=only_fold,
        exclude_leaks=exclude_leaks or recipe.exclude_leaks,
        control=control,
        learning_curve=learning_curve,
        shots=whole_numbers(shots, "--shots"),
        measure_peeking=measure_peeking,
        embeddings=embeddings,
        heads=heads,
        device=device,
        jobs=jobs,
        engine=engine,
        address=address,
        memory_gb=memory,
        force=force,
        progress=not quiet,
        command=given_command(),
        on_probe=show,
    )
    track_runs(runs, mlflow)
    answer(as_json, runs=map(run_facts, runs))

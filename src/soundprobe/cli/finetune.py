"""The verb `finetune`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from soundprobe.base.errors import one_line
from soundprobe.cli.options import (
    Address,
    Channels,
    Data,
    Device,
    Force,
    HeadsFolder,
    Limit,
    Quiet,
    Recipe,
    examples,
    flag,
    given_command,
    opens_data,
    option,
    whole_numbers,
)
from soundprobe.cli.output import AllowFailures, Json, answer, err, out, run_facts, stop_if_failed
from soundprobe.cli.tracking import Mlflow, track_runs

if TYPE_CHECKING:
    from soundprobe.scoring.results import FinishedRun

EXAMPLES = examples(
    "soundprobe finetune --backbone panns --folds 10",
    "soundprobe finetune -b mn04 --data UrbanSound8K/ --set training.lr=1e-4",
    "soundprobe finetune -b mn04 --seed 0,1,2",
    "soundprobe finetune --config notes-simplecnn",
)


@opens_data
def finetune(
    backbone: Annotated[
        str | None, option("NAME", "See `backbones`; its recipe is finetune-<backbone>.", "--backbone", "-b")
    ] = None,
    data: Data = "urbansound8k",
    config: Recipe = None,
    set_: Annotated[
        list[str] | None, option("NAME=VALUE", "A field of the recipe, as training.epochs=5; may be repeated.", "--set")
    ] = None,
    weights: Annotated[str | None, option("WHICH", "pretrained, random, or a file.")] = None,
    folds: Annotated[int | None, option("N", "How many: checked, or made where there are none.", min=2)] = None,
    only_fold: Annotated[list[int] | None, option("N", "Do just this fold now; may be repeated.")] = None,
    epochs_fixed: Annotated[
        bool, flag("All epochs on all training folds; nothing is chosen.", "--epochs-fixed")
    ] = False,
    freeze: Annotated[str | None, option("WHAT", "backbone, or how many of its first stages.")] = None,
    salience: Annotated[str | None, option("WHICH", "Train only on foreground, background or all.")] = None,
    salience_weight: Annotated[float | None, option("W", "Of a background clip's loss; foreground is 1.")] = None,
    carry_over: Annotated[bool, flag("The notes' mistake: one network through all folds.", "--carry-over")] = False,
    seed: Annotated[list[str] | None, option("N", "One, or several as in 0,1,2: a run each.")] = None,
    limit: Limit = None,
    channels: Channels = "mean",
    heads: HeadsFolder = Path("heads"),
    device: Device = "auto",
    jobs: Annotated[int, option("N", "Folds at once, each in a process of its own.")] = 1,
    engine: Annotated[str, option("NAME", "processes, or dask.")] = "processes",
    address: Address = None,
    force: Force = False,
    mlflow: Mlflow = None,
    allow_failures: AllowFailures = None,
    as_json: Json = False,
    quiet: Quiet = False,
    *,
    how: dict[str, Any],
) -> None:
    """Fine-tune a backbone, scored on folds never seen.

    Goes on where a stopped run was.
    """
    from soundprobe.verbs.finetune import finetune as run

    options = {"training.freeze": freeze, "data.salience": salience, "data.salience_weight": salience_weight}
    runs = run(
        data,
        backbone=backbone,
        config=config,
        overrides=[*(set_ or []), *(f"{name}={value}" for name, value in options.items() if value is not None)],
        weights=weights,
        epochs_fixed=epochs_fixed,
        carry_over=carry_over,
        folds=folds,
        only_folds=only_fold,
        seed=whole_numbers(seed, "--seed") or [0],
        heads=heads,
        device=device,
        jobs=jobs,
        engine=engine,
        address=address,
        limit=limit,
        channels=channels,
        **how,
        force=force,
        progress=not quiet,
        command=given_command(),
        on_run=_show_run,
    )
    track_runs(runs, mlflow)
    answer(as_json, runs=map(run_facts, runs))
    tested = runs[0].record.dataset  # the same clips fail, and sound so, whatever the seed
    for note in tested.sound_notes:
        err.print(one_line(note), markup=False)
    if tested.failed:
        err.print(one_line(f"{tested.failed} clips failed: {', '.join(tested.left_out[:10])}"), markup=False)
    stop_if_failed(tested.failed, tested.clips, allow_failures)


def _show_run(done: FinishedRun) -> None:
    out.print(one_line(f"{done.describe()} -> {done.folder}"), markup=False)
    if done.verdict:
        out.print(done.verdict, markup=False)

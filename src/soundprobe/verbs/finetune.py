"""Clips x backbone -> networks fine-tuned in each fold, under the folds, rules and result files of `probe`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Unpack, overload

import numpy as np

from soundprobe.audio.decode import check_channels
from soundprobe.backbones.catalog import BACKBONES
from soundprobe.base.config import folds_in
from soundprobe.base.display import ShownList
from soundprobe.base.errors import ConfigError, DataError
from soundprobe.base.files import check_room, path_name
from soundprobe.base.locks import locked
from soundprobe.base.machine import check_device_name
from soundprobe.base.parallel import check_engine, one_cluster
from soundprobe.base.records import Clips
from soundprobe.base.remote import local, placed
from soundprobe.data.catalog import MADE_FOLDS, Opening, opened, settle
from soundprobe.embeddings.needed import check_needed
from soundprobe.scoring.results import FinishedRun
from soundprobe.training.recipes import default_config, finetune_recipe


@overload
def finetune(data: str | Path | Clips = ..., *, seed: int = ..., **options: Any) -> FinishedRun: ...


@overload
def finetune(data: str | Path | Clips = ..., *, seed: Sequence[int], **options: Any) -> ShownList[FinishedRun]: ...


def finetune(  # type: ignore[misc]  # its own options, not any
    data: str | Path | Clips = "urbansound8k",
    *,
    backbone: str | None = None,
    config: str | None = None,
    overrides: Sequence[str] = (),
    weights: str | Path | None = None,
    epochs_fixed: bool = False,
    carry_over: bool = False,
    folds: int | None = None,
    only_folds: Sequence[int] | None = None,
    seed: int | Sequence[int] = 0,
    heads: str | Path = "heads",
    device: str = "auto",
    jobs: int = 1,
    engine: str = "processes",
    address: str | None = None,
    limit: int | None = None,
    channels: str = "mean",
    force: bool = False,
    progress: bool = True,
    command: str = "",
    on_run: Callable[[FinishedRun], None] | None = None,
    **opening: Unpack[Opening],
) -> FinishedRun | ShownList[FinishedRun]:
    """Fine-tunes a backbone with a linear head in each fold and keeps networks, predictions and scores below `heads`.

    Every fold starts from the same initial weights. Epochs are chosen on a part of the training folds, and so is what
    the recipe's `[choose]` lists; the test fold is predicted once. A run that was stopped goes on after its last epoch.

    Args:
        data: a data set's name, a path, or `Clips`; limit, opening: see `open_data`.
        backbone: takes the recipe that comes with it, unless `config` names one, or a TOML file.
        overrides: of the recipe, such as "training.lr=1e-4".
        weights: "pretrained", "random" or a file; by default the recipe's, or pretrained where there are any.
        epochs_fixed: train on all training clips for all epochs, without validation or choice.
        carry_over: keep the network from fold to fold, which contaminates every fold but the first. Only to show it.
        folds: how many folds there should be: a check where the data set has its own, else how many are made.
        channels: what becomes of clips with several: "mean", "first" or "loudest".
        only_folds: do just these folds now; jobs: folds trained at once, each in a process of its own.
        engine, address: "processes" here, or "dask": a fold a task on a cluster's workers, which have `heads` under the
            same path; see `base.parallel.run_tasks`.
        seed: of weights, order, augmentation and dropout; several give a run each, and a list of them.
        heads: the folder that runs are below; device: "auto", "cpu", "cuda" or "mps".
        force: train again what is there; command: kept in `result.json` as what was run; progress: show bars.
        on_run: called with each run as soon as it is done.

    Returns:
        The run, or where `seed` is a list one for each.

    Raises:
        SoundprobeError: an unknown name or field, unreadable data, missing weights, a loss that is not a number.
    """
    if backbone is not None and config is None:
        BACKBONES[backbone].check_trainable()  # what has no recipe is unknown, or not to be trained at all
    config = config or default_config(backbone)
    recipe = finetune_recipe(backbone, config, overrides, epochs_fixed=epochs_fixed)
    spec = BACKBONES[recipe.backbone]
    spec.check_trainable()
    start = weights or recipe.weights or ("pretrained" if spec.has_published_weights else "random")
    spec.with_layers(recipe.head.layers)
    check_device_name(device)
    check_channels(channels)
    if carry_over and recipe.choose is not None:
        raise ConfigError(
            "--carry-over can't be used with a recipe that chooses settings on inner splits, because the network has "
            "been trained on their clips before. Use --set choose.splits=0."
        )
    check_engine(engine, address, ("processes", "dask"))
    if carry_over and (only_folds or jobs != 1 or engine == "dask"):
        raise ConfigError(
            "--carry-over hands the network from each fold to the next, so all folds are trained one after the other. "
            "Leave --only-fold, --jobs and --engine out."
        )
    how = settle(data, folds or MADE_FOLDS, limit, opening)
    check_needed(data, [(spec, start)], progress=progress)
    seeds = [seed] if isinstance(seed, int) else list(dict.fromkeys(seed))
    if not seeds or min(seeds) < 0:
        raise ConfigError(f"--seed {','.join(map(str, seeds))} is not valid: give whole numbers, such as --seed 0,1,2.")
    clips, opened_as = opened(data, how)
    if folds is not None and len(np.unique(clips.folds)) != folds:
        raise DataError(
            f"--folds {folds}: data set {clips.name!r} has {len(np.unique(clips.folds))} folds of its own, which stay "
            "as they are. Leave --folds out."
        )
    wanted = folds_in(only_folds, clips.tested_folds)
    begun = any((local(heads) / path_name(clips.name)).glob(f"{path_name(spec.name)}-*/finetune-*"))
    if not begun:
        check_room(placed(heads), 4 * (spec.parameters or 0) * len(wanted) * len(seeds))
    # Only now what takes seconds to import, PyTorch first.
    from soundprobe.training.finetuning import make_job, run_job

    runs: ShownList[FinishedRun] = ShownList()
    for one in seeds:
        job = make_job(
            recipe,
            Path(config).stem,
            clips,
            opened_as=opened_as,
            weights=str(start),
            seed=one,
            carry_over=carry_over,
            channels=channels,
            device=device,
            progress=progress,
            command=command,
        )
        folder = job.folder(placed(heads))
        with locked(folder), one_cluster(engine, address, jobs, shown=progress):
            runs.append(run_job(job, folder, wanted, jobs, engine, force, progress))
        if on_run:
            on_run(runs[-1])
    return runs[0] if isinstance(seed, int) else runs

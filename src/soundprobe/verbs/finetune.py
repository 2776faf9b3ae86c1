"""Clips x backbone -> networks fine-tuned in each fold, under the folds, rules and result files of `probe`."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from soundprobe.backbones.catalog import BACKBONES
from soundprobe.backbones.load import load_backbone
from soundprobe.backbones.weights.state_dicts import state_digest
from soundprobe.base.errors import ConfigError, DataError
from soundprobe.base.machine import choose_device
from soundprobe.base.parallel import run_tasks
from soundprobe.base.progress import progress_bar
from soundprobe.base.records import Clips, FoldResult, RunResult
from soundprobe.data.catalog import MADE_FOLDS, data_address, open_data
from soundprobe.data.scan import fingerprint, scan
from soundprobe.embeddings.embed import embedding_key
from soundprobe.embeddings.store import locked, remove_leftovers
from soundprobe.scoring import results
from soundprobe.scoring.folds import outer_splits
from soundprobe.scoring.overfitting import overfitting
from soundprobe.scoring.results import RunRecord
from soundprobe.training.feeding import augmentations_of
from soundprobe.training.fold_task import FoldTask, NetworkPlan, run_fold
from soundprobe.training.inputs import Table, open_inputs, prepare_inputs
from soundprobe.training.job import Job
from soundprobe.training.log import history_path, live_table
from soundprobe.training.parts import keep_salience, loss_weights
from soundprobe.training.recipes import FinetuneRecipe, default_config, finetune_recipe


@dataclass(frozen=True)
class Finetuning:
    """What a run came to: its folder, its record, and whether it was there before."""

    folder: Path
    record: RunRecord
    reused: bool

    @property
    def result(self) -> Mapping[str, Any]:
        """What stands in `result.json`."""
        return self.record.content


def finetune(
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
    seed: int = 0,
    heads: str | Path = "heads",
    device: str = "auto",
    jobs: int = 1,
    group_prefix: str | None = None,
    limit: int | None = None,
    force: bool = False,
    progress: bool = True,
    command: str = "",
) -> Finetuning:
    """Fine-tunes a backbone with a linear head in each fold and keeps networks, predictions and scores below `heads`.

    Every fold starts from the same initial weights. Epochs are chosen on a part of the training folds; the test fold is
    predicted once. A run that was stopped goes on after its last epoch.

    Args:
        data: a data set's name, a path, or `Clips`; group_prefix, limit: see `open_data`.
        backbone: takes the recipe that comes with it, unless `config` names one, or a TOML file.
        overrides: of the recipe, such as "training.lr=1e-4".
        weights: "pretrained", "random" or a file; by default the recipe's, or pretrained where there are any.
        epochs_fixed: train on all training clips for all epochs, without validation.
        carry_over: keep the network from fold to fold, which contaminates every fold but the first. Only to show it.
        folds: how many folds there should be: a check where the data set has its own, else how many are made.
        only_folds: do just these folds now; jobs: folds trained at once, each in a process of its own.

    Raises:
        SoundprobeError: an unknown name or field, unreadable data, missing weights, a loss that is not a number.
    """
    recipe = finetune_recipe(backbone, config, overrides, epochs_fixed=epochs_fixed)
    augmentations_of(recipe)  # a wrong field shows before anything is read
    if carry_over and (only_folds or jobs != 1):
        raise ConfigError(
            "--carry-over hands the network from each fold to the next, so all folds are trained one after the other. "
            "Leave --only-fold and --jobs out."
        )
    how: dict[str, Any] = {"folds": folds or MADE_FOLDS, "group_prefix": group_prefix, "limit": limit}
    clips = data if isinstance(data, Clips) else open_data(data, **how)
    opened_as = None if isinstance(data, Clips) else {"data": data_address(data), **how}
    if folds is not None and len(np.unique(clips.folds)) != folds:
        raise DataError(
            f"--folds {folds}: data set {clips.name!r} has {len(np.unique(clips.folds))} folds of its own, which stay "
            "as they are. Leave --folds out."
        )
    name = Path(config or default_config(backbone)).stem
    job = _job(recipe, name, clips, opened_as, weights, seed, carry_over, str(choose_device(device)), progress, command)
    folder = job.folder(Path(heads))
    with locked(folder):
        return _run(job, folder, _wanted(clips, only_folds), jobs, force, progress)


def describe(done: Finetuning) -> str:
    """One line on a finished run: what it was made of and what it scored."""
    backbone, head, score = done.record.backbone, done.record.head, done.record.summary
    return (
        f"{backbone.name} ({backbone.weights_label}) / {head.title}, seed {head.seed}: "
        f"accuracy {score.accuracy.mean:.3f} +- {score.accuracy.std_population:.3f}, "
        f"macro-F1 {score.macro_f1.mean:.3f} over {len(done.record.folds)} folds"
        f"{' (there before)' if done.reused else ''}"
    )


def _wanted(clips: Clips, only_folds: Sequence[int] | None) -> list[int]:
    names = [int(fold) for fold in np.unique(clips.folds)]
    absent = sorted(set(only_folds or ()) - set(names))
    if absent:
        raise ConfigError(f"--only-fold {absent[0]}: there is no such fold. Folds: {', '.join(map(str, names))}.")
    return sorted(set(only_folds)) if only_folds else names


def _job(
    recipe: FinetuneRecipe,
    recipe_name: str,
    clips: Clips,
    opened_as: dict[str, Any] | None,
    weights: str | Path | None,
    seed: int,
    carry_over: bool,
    device: str,
    progress: bool,
    command: str,
) -> Job:
    spec = BACKBONES[recipe.backbone]
    if not spec.trainable:
        able = ", ".join(one.name for one in BACKBONES.usable() if one.trainable)
        raise ConfigError(f"{spec.name} can't be fine-tuned, only {able} and timm:<name>. Probe it as it is.")
    given = weights or recipe.weights or ("pretrained" if spec.has_published_weights else "random")
    clip_seconds = recipe.data.clip_seconds
    model = load_backbone(recipe.backbone, weights=given, clip_seconds=clip_seconds, seed=seed, progress=progress)
    plan = NetworkPlan(recipe.backbone, str(given), clip_seconds, len(clips.class_names), recipe.head.dropout, seed)
    with progress_bar(f"scan {clips.name}", len(clips), "clips", shown=progress) as bar:
        scanned = scan(clips, on_progress=bar.advance)
    initial = state_digest(plan.build().state_dict())
    digest = fingerprint(clips, scanned)
    return Job(
        recipe=recipe,
        recipe_name=recipe_name,
        clips=clips,
        scanned=scanned,
        data_digest=digest,
        model=model,
        backbone_key=embedding_key(model, digest),
        plan=plan,
        initial_sha256=initial,
        opened_as=opened_as,
        carry_over=carry_over,
        device=device,
        command=command,
    )


def _run(job: Job, folder: Path, wanted: list[int], jobs: int, force: bool, progress: bool) -> Finetuning:
    folds = [int(fold) for fold in np.unique(job.clips.folds)]
    if force:
        results.forget_result(folder)
        _forget(folder, wanted)
    missing = [fold for fold in wanted if not results.fold_path(folder, fold).exists()]
    if not missing and results.is_current(folder, folds):
        return Finetuning(folder, results.read_result(folder), reused=True)
    began = time.perf_counter()
    remove_leftovers(folder)
    remove_leftovers(folder / "checkpoints")
    inputs, device = folder / "inputs", choose_device(job.device.partition(":")[0])
    keep_waves = any(True for _ in augmentations_of(job.recipe).of_stage("wave"))
    title = f"{job.model.spec.name}, {job.clips.name}"
    if missing:
        with progress_bar(f"decode {job.clips.name}", len(job.clips), "clips", shown=progress) as bar:
            prepare_inputs(inputs, job.clips, job.scanned, job.model, device, keep_waves=keep_waves, bar=bar)
        with live_table(f"fine-tune {title}", folder, missing, job.recipe.training.epochs, shown=progress):
            for _ in run_tasks(run_fold, [(task,) for task in _tasks(job, folder, inputs, missing)], jobs=jobs):
                pass
    finished = results.read_finished_folds(folder, folds)
    failures = set(open_inputs(inputs).failures) if inputs.is_dir() else set()
    failures |= _untested(job.clips, finished)  # a finished run's inputs are gone
    info = job.describe_run(sorted(failures), time.perf_counter() - began)
    info["overfitting"] = overfitting(finished)
    heard = {"audio_sha256": job.scanned.sha256, "duration_s": job.scanned.duration_s}  # as the store keeps them
    clips = dataclasses.replace(job.clips, columns={**job.clips.columns, **heard})
    results.write_result(folder, RunResult(finished, clips.class_names, info), clips)
    done = results.read_result(folder)
    if done.complete:
        shutil.rmtree(inputs, ignore_errors=True)
    return Finetuning(folder, done, reused=False)


def _untested(clips: Clips, finished: Sequence[FoldResult]) -> set[str]:
    """The ids of the finished folds' clips that were not predicted, because they could not be read."""
    tested = np.isin(clips.folds, [result.fold for result in finished])
    predicted = [clip for result in finished for clip in result.ids]
    return set(clips.ids[tested & ~np.isin(clips.ids, predicted)].tolist())


def _forget(folder: Path, folds: Sequence[int]) -> None:
    """Deletes what was trained for `folds` before."""
    for fold in folds:
        for path in (results.fold_path(folder, fold), results.network_path(folder, fold), history_path(folder, fold)):
            path.unlink(missing_ok=True)
        for path in (folder / "checkpoints").glob(f"fold-{fold:02d}-*.pt"):
            path.unlink()


def _tasks(job: Job, folder: Path, inputs: Path, missing: Sequence[int]) -> list[FoldTask]:
    clips = job.clips
    table = Table(clips.ids, clips.labels, clips.folds, clips.groups, loss_weights(clips, job.recipe.data))
    kept = keep_salience(clips.columns.get("salience"), job.recipe.data)
    about = {
        "kind": "finetune",
        "backbone": job.describe_backbone(),
        "class_names": list(clips.class_names),
        "head": "finetune",
        "dataset": job.describe_dataset(),
        "dropout": job.recipe.head.dropout,
    }
    tasks, before = [], None
    for fold, rows, test in outer_splits(clips.folds):
        if fold in missing:
            tasks.append(
                FoldTask(
                    fold=fold,
                    folder=folder,
                    inputs=inputs,
                    recipe=job.recipe,
                    plan=job.plan,
                    table=table,
                    rows=rows,
                    test=test,
                    kept=kept,
                    device=job.device,
                    sample_rate_hz=job.model.spec.sample_rate_hz,
                    initial_sha256=job.initial_sha256,
                    carry_from=results.network_path(folder, before) if job.carry_over and before is not None else None,
                    about=about,
                )
            )
        before = fold
    return tasks

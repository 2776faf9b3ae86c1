"""One fine-tuning run from its parts to its record: inputs are decoded once, folds trained, results written."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from soundprobe.audio.checks import notes
from soundprobe.backbones.weights.state_dicts import state_digest
from soundprobe.base.files import remove_file
from soundprobe.base.machine import choose_device
from soundprobe.base.parallel import run_tasks
from soundprobe.base.progress import progress_bar
from soundprobe.base.records import Clips, FoldResult, RunResult
from soundprobe.data.scan import fingerprint, scan_readable
from soundprobe.embeddings.there_before import embedding_key
from soundprobe.scoring import results
from soundprobe.scoring.folds import outer_splits
from soundprobe.scoring.overfitting import overfitting
from soundprobe.scoring.results import FinishedRun
from soundprobe.training.feeding import augmentations_of
from soundprobe.training.fold_training import FoldTraining, NetworkPlan, checkpoints, run_fold
from soundprobe.training.inputs import ClipsTable, open_inputs, prepare_inputs
from soundprobe.training.job import FinetuneJob
from soundprobe.training.log import history_path, live_table
from soundprobe.training.parts import keep_salience, loss_weights
from soundprobe.training.recipes import FinetuneRecipe


def make_job(
    recipe: FinetuneRecipe,
    recipe_name: str,
    clips: Clips,
    *,
    opened_as: dict[str, Any] | None,
    weights: str,
    seed: int,
    carry_over: bool,
    channels: str,
    device: str,
    progress: bool,
    command: str,
) -> FinetuneJob:
    """What all folds share, the network that each starts from among it.

    Args:
        recipe_name: what the recipe is called; opened_as: how the clips were opened; weights: as for `load_backbone`;
            channels: as for `decode`.

    Raises:
        SoundprobeError: a field of the recipe's augmentations, or a device, that is not valid; unreadable weights.
    """
    augmentations = augmentations_of(recipe)  # a wrong field shows before anything is read
    device = str(choose_device(device))
    plan = NetworkPlan(recipe, weights, len(clips.class_names), seed)
    model = plan.load(progress=progress).on_channels(channels)
    clips, scanned = scan_readable(clips, shown=progress)
    initial = state_digest(plan.build().state_dict())
    digest = fingerprint(clips, scanned)
    return FinetuneJob(
        recipe=recipe,
        recipe_name=recipe_name,
        augmentations=augmentations,
        clips=clips,
        scanned=scanned,
        data_digest=digest,
        model=model,
        backbone_key=embedding_key(model.spec, model.settings, model.weights.sha256, digest),
        plan=plan,
        initial_sha256=initial,
        opened_as=opened_as,
        carry_over=carry_over,
        device=device,
        command=command,
    )


def run_job(
    job: FinetuneJob, folder: Path, wanted: list[int], jobs: int, engine: str, force: bool, progress: bool
) -> FinishedRun:
    """Trains the folds `wanted` that are not there yet, and writes the record of those that are.

    Args:
        jobs, engine: folds at once, and where, see `base.parallel.run_tasks`; force: train again what is there.
    """
    folds = list(job.clips.tested_folds)
    if force:
        results.forget_result(folder)
        _forget(folder, wanted)
    usable = results.usable_folds(folder, folds)
    missing = [fold for fold in wanted if fold not in usable]
    for fold in set(wanted).difference(missing):  # done, but for what its last act takes away
        for path in checkpoints(folder, fold):
            remove_file(path)
    if not missing and results.is_current(folder, usable):
        return FinishedRun(folder, results.read_result(folder), reused=True)
    began = time.perf_counter()
    inputs, device = folder.absolute() / "inputs", torch.device(job.device)
    keep_waves = any(True for _ in job.augmentations.of_stage("wave"))
    title = f"{job.model.spec.name}, {job.clips.name}"
    if missing:
        with progress_bar(f"decode {job.clips.name}", len(job.clips), "clips", shown=progress) as bar:
            prepare_inputs(inputs, job.clips, job.scanned, job.model, device, keep_waves=keep_waves, bar=bar)
        with live_table(f"fine-tune {title}", folder, missing, job.recipe.training.epochs, shown=progress):
            tasks = {task.fold: task for task in _tasks(job, folder, inputs, missing)}
            # Workers of a cluster train on as many threads as this process would.
            on = torch.get_num_threads() if engine == "dask" else None
            for trained in run_tasks(
                run_fold,
                [(task, on) for task in tasks.values()],
                jobs=jobs,
                engine=engine,
                paths=[inputs],
                in_order=False,
            ):
                trained.write(tasks[trained.result.fold])
    finished = results.read_finished_folds(folder, {*usable, *missing})
    decoded = open_inputs(inputs) if inputs.is_dir() else None  # a finished run's are gone
    failures = (set() if decoded is None else set(decoded.failures)) | _untested(job.clips, finished)
    said = [] if decoded is None else notes(decoded.findings)
    threads = sorted({int(line["threads"]) for one in finished for line in one.history if "threads" in line})
    info = job.describe_run(sorted(failures), said, threads, time.perf_counter() - began)
    info["overfitting"] = overfitting(finished)
    heard = {"audio_sha256": job.scanned.sha256, "duration_s": job.scanned.duration_s}  # as the store keeps them
    clips = dataclasses.replace(job.clips, columns={**job.clips.columns, **heard})
    results.write_result(folder, RunResult(finished, clips.class_names, info), clips)
    done = results.read_result(folder)
    if done.complete:
        shutil.rmtree(inputs, ignore_errors=True)
    return FinishedRun(folder, done, reused=False)


def _untested(clips: Clips, finished: Sequence[FoldResult]) -> set[str]:
    """The ids of the finished folds' clips that were not predicted, because they could not be read."""
    tested = np.isin(clips.folds, [result.fold for result in finished])
    predicted = [clip for result in finished for clip in result.ids]
    return set(clips.ids[tested & ~np.isin(clips.ids, predicted)].tolist())


def _forget(folder: Path, folds: Sequence[int]) -> None:
    """Deletes what was trained for `folds` before."""
    for fold in folds:
        for path in (results.fold_path(folder, fold), results.network_path(folder, fold), history_path(folder, fold)):
            remove_file(path)
        for path in checkpoints(folder, fold):
            remove_file(path)


def _tasks(job: FinetuneJob, folder: Path, inputs: Path, missing: Sequence[int]) -> list[FoldTraining]:
    clips = job.clips
    table = ClipsTable(clips.ids, clips.labels, clips.folds, clips.groups, loss_weights(clips, job.recipe.data))
    kept = keep_salience(clips.columns.get("salience"), job.recipe.data)
    about = {
        "kind": "finetune",
        "backbone": job.describe_backbone(),
        "class_names": list(clips.class_names),
        "head": "finetune",
        "dataset": job.describe_dataset(),
        "dropout": job.recipe.head.dropout,
    }
    file = Path(job.plan.weights)
    plan = dataclasses.replace(job.plan, weights=str(file.absolute())) if file.exists() else job.plan
    tasks, before = [], None
    for fold, rows, test in outer_splits(clips.folds):
        if fold in missing:
            tasks.append(
                FoldTraining(
                    fold=fold,
                    folder=folder.absolute(),
                    inputs=inputs,
                    recipe=job.recipe,
                    plan=plan,
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

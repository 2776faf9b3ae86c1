"""The training loop, read from top to bottom: data, model, optimiser, rate, loop.

It is given training clips and, where there is a validation part, validation clips; it never sees a test fold. A run
that was killed goes on from its last checkpoint and ends, on the same device, with the numbers of an unbroken one.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from soundprobe.base.errors import TrainingError, note
from soundprobe.training.averaging import between
from soundprobe.training.evaluating import clip_losses, judge
from soundprobe.training.feeding import batches_of, seeded
from soundprobe.training.inputs import ClipsPart
from soundprobe.training.networks import FinetunedNetwork
from soundprobe.training.recipes import FinetuneRecipe, TrainingTable
from soundprobe.training.schedules import rate_factor
from soundprobe.training.state import Course, Setting, TrainingState

HIGH_RATES = {"adam": 3e-3, "adamw": 3e-3, "sgd": 0.3}
"""Rates above which an optimiser often runs away; only used to say what to suspect."""


@dataclass(frozen=True)
class Trained:
    """The chosen epoch's weights, on the CPU, and how training went.

    Attributes:
        weights: the chosen epoch's; `interpolate` of the way to them where the recipe says so.
        epoch: the chosen one; the last where there is no validation.
        history: one mapping an epoch: epoch, lr (the head's, at the end of the epoch), train_loss (as trained:
            augmented, smoothed, with dropout), train_loss_eval (measured again at the end of the epoch, in eval mode,
            on the clean clips), validation_loss, validation_accuracy (None without validation), seconds, clips_per_s,
            threads (PyTorch's, on whose number the last digits hang).
    """

    weights: dict[str, Tensor]
    epoch: int
    history: list[dict[str, Any]]
    seconds: float


def train(
    network: FinetunedNetwork,
    training: ClipsPart,
    validation: ClipsPart | None,
    recipe: FinetuneRecipe,
    setting: Setting,
) -> Trained:
    """Trains `network` on `training`; the epoch is chosen on `validation`, or is the last where there is none.

    Raises:
        TrainingError: the loss is not a number. ConfigError: the recipe doesn't fit the network.
    """
    table = recipe.training
    start = {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}
    state = TrainingState(network, training, recipe, setting)
    if setting.checkpoint:
        state.restore(setting.checkpoint)
        note_threads(state.course, setting.fold)
        if setting.on_epoch and state.course.history:  # a killed run may have kept an epoch without telling of it
            setting.on_epoch(state.course.history)
    epochs = table.epochs if setting.stop_after is None else setting.stop_after
    while state.course.epoch < epochs and not has_stopped(state.course, table):
        began = time.perf_counter()
        line = train_epoch(state, training, recipe, setting)
        line["train_loss_eval"] = judge(state.judged, training, setting.device, table.batch_size, state.half).loss
        judge_epoch(state, validation, line, table, setting.device)
        check_finite(line, state, recipe, setting.fold)
        seconds = time.perf_counter() - began
        line |= {"seconds": round(seconds, 3), "clips_per_s": round(len(training) / seconds, 1)}
        line |= {"threads": torch.get_num_threads()}
        state.course.epoch = line["epoch"]
        state.course.seconds += seconds
        state.course.history.append(line)
        if setting.checkpoint:
            state.save(setting.checkpoint)
        if setting.on_epoch:
            setting.on_epoch(state.course.history)
    course = state.course
    weights = state.weights() if state.best is None else state.best
    if table.interpolate < 1.0:
        weights = between(start, weights, table.interpolate)
    return Trained(weights, course.best_epoch or course.epoch, course.history, course.seconds)


def train_epoch(state: TrainingState, training: ClipsPart, recipe: FinetuneRecipe, setting: Setting) -> dict[str, Any]:
    """One pass over the training clips. Returns the beginning of the epoch's line of history."""
    table, epoch = recipe.training, state.course.epoch + 1
    loss_sum, factor = 0.0, 1.0
    with seeded(setting.seed, setting.fold, epoch, setting.device) as generator:
        state.freezing.begin_epoch(epoch)
        batches = batches_of(torch.randperm(len(training), generator=generator).numpy(), table.batch_size)
        for number, batch in enumerate(batches):
            step = state.course.epoch * len(batches) + number
            factor = rate_factor(table, step, len(batches)) * state.plateau.factor
            for group, rate in zip(state.optimiser.param_groups, state.base_rates, strict=True):
                group["lr"] = rate * factor
            loss = train_step(state, batch, table, generator)
            if not math.isfinite(loss):
                where = f"step {step + 1} (fold {setting.fold}, epoch {epoch}, batch {number + 1} of {len(batches)})"
                raise TrainingError(f"The loss is {loss} at {where}. Suspect: {suspect(state, recipe)}.")
            loss_sum += loss * len(batch)
    return {"epoch": epoch, "lr": table.lr * factor, "train_loss": loss_sum / len(training)}


def train_step(state: TrainingState, batch: np.ndarray, table: TrainingTable, generator: torch.Generator) -> float:
    """One step of the optimiser on the clips `batch` (B,), in `accumulate` passes. Returns the mean loss."""
    state.optimiser.zero_grad(set_to_none=True)
    mean_loss = 0.0
    for which in np.array_split(batch, min(table.accumulate, len(batch))):
        spectrogram, targets, weights = state.feed.batch(which, generator)
        with torch.autocast(spectrogram.device.type, dtype=state.half, enabled=state.half is not None):
            logits = state.network(spectrogram)
        losses = clip_losses(logits, state.network.votes(spectrogram), targets, table.label_smoothing)
        loss = (losses * weights).sum() / weights.sum().clamp(min=1e-6) * (len(which) / len(batch))
        mean_loss += loss.item()
        if not math.isfinite(mean_loss):
            return mean_loss
        state.scaler.scale(loss).backward()
    state.scaler.unscale_(state.optimiser)
    if table.clip_norm:
        torch.nn.utils.clip_grad_norm_(state.network.parameters(), table.clip_norm)
    state.scaler.step(state.optimiser)
    state.scaler.update()
    if state.averaged is not None:
        state.averaged.update(state.network)
    return mean_loss


def judge_epoch(
    state: TrainingState, validation: ClipsPart | None, line: dict[str, Any], table: TrainingTable, device: torch.device
) -> None:
    """Adds the validation part's scores to the epoch's `line`, and keeps the weights where they are the best so far."""
    line |= {"validation_loss": None, "validation_accuracy": None}
    if validation is None:
        return
    seen = judge(state.judged, validation, device, table.batch_size, state.half)
    line |= {"validation_loss": seen.loss, "validation_accuracy": seen.accuracy}
    if table.schedule == "plateau":
        state.plateau.update(seen.loss, table)
    score = [-seen.loss] if table.choose_by == "loss" else [seen.accuracy, -seen.loss]
    if not state.course.best_score or score > state.course.best_score:
        state.course.best_epoch, state.course.best_score, state.best = line["epoch"], score, state.weights()


def note_threads(course: Course, fold: int) -> None:
    """Warns where training goes on with another number of threads than it began with."""
    before = course.history[-1].get("threads") if course.history else None
    now = torch.get_num_threads()
    if before not in (None, now):
        note(
            f"Fold {fold} goes on with {now} threads after {before}: its numbers differ from an unbroken run's in "
            f"their last digits. For the same ones: OMP_NUM_THREADS={before}."
        )


def has_stopped(course: Course, table: TrainingTable) -> bool:
    """Whether `patience` epochs have gone by without a better one."""
    return bool(table.patience and course.best_epoch and course.epoch - course.best_epoch >= table.patience)


def check_finite(line: dict[str, Any], state: TrainingState, recipe: FinetuneRecipe, fold: int) -> None:
    """Raises TrainingError where an epoch left weights behind whose losses aren't numbers."""
    for name in ("train_loss_eval", "validation_loss"):
        if line[name] is not None and not math.isfinite(line[name]):
            raise TrainingError(
                f"{name} is {line[name]} after fold {fold}, epoch {line['epoch']}. Suspect: {suspect(state, recipe)}."
            )


def suspect(state: TrainingState, recipe: FinetuneRecipe) -> str:
    """What in the recipe most likely made the loss run away, and what to try instead."""
    table = recipe.training
    if state.half == torch.float16:
        return "training.mixed_precision = true in float16; try --set training.mixed_precision=false"
    if table.lr > HIGH_RATES[table.optimiser]:
        return f"training.lr = {table.lr:g} is high for {table.optimiser}; try --set training.lr={table.lr / 10:g}"
    if not table.clip_norm:
        return "the gradient has no limit; try --set training.clip_norm=1.0, or a lower training.lr"
    if not table.warmup_epochs:
        return "the full rate from the first step; try --set training.warmup_epochs=1, or a lower training.lr"
    return f"training.lr = {table.lr:g}; try --set training.lr={table.lr / 10:g}, or augment tables one at a time"

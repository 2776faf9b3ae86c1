"""One fold of a fine-tuning run: a fresh network, trained without the test fold, which it predicts once at the end."""

from __future__ import annotations

import copy
import functools
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save

from soundprobe.backbones.load import LoadedBackbone, load_backbone
from soundprobe.backbones.weights.state_dicts import state_digest
from soundprobe.base.errors import DataError, StoreError, TrainingError, note, one_line
from soundprobe.base.files import atomic_file, remove_file
from soundprobe.base.machine import exactly
from soundprobe.base.parallel import check_wanted
from soundprobe.base.records import FoldResult
from soundprobe.base.remote import fetch
from soundprobe.base.stored import Settings
from soundprobe.scoring import results
from soundprobe.scoring.folds import inner_split
from soundprobe.scoring.run_records import NetworkRecord
from soundprobe.training.choosing import InnerSplit, choose
from soundprobe.training.evaluating import judge
from soundprobe.training.inputs import ClipsPart, ClipsTable, Inputs, open_inputs
from soundprobe.training.log import history_path, tensorboard_writer, write_history
from soundprobe.training.loop import Trained, train
from soundprobe.training.networks import FinetunedNetwork
from soundprobe.training.parts import part_training
from soundprobe.training.probe_start import start_from_probe
from soundprobe.training.recipes import FinetuneRecipe, ValidationTable, training_with
from soundprobe.training.state import Setting


@dataclass(frozen=True, eq=False)
class NetworkPlan:
    """From what each fold's network is made: always the same numbers, from the file or the seed.

    Of `recipe` counts what says the backbone and its head.
    """

    recipe: FinetuneRecipe
    weights: str
    classes: int
    seed: int

    def load(self, progress: bool = False) -> LoadedBackbone:
        """The backbone, on the CPU."""
        recipe = self.recipe
        how: dict[str, Any] = {"clip_seconds": recipe.data.clip_seconds, "layers": recipe.head.layers}
        return load_backbone(recipe.backbone, weights=self.weights, seed=self.seed, progress=progress, **how)

    def build(self) -> FinetunedNetwork:
        """The network before any training, on the CPU."""
        model, dropout = self.load(), self.recipe.head.dropout
        dim = model.spec.embedding_dim
        return FinetunedNetwork(model.on_spectrograms(), dim, self.classes, dropout=dropout, seed=self.seed)


@dataclass(frozen=True, eq=False)
class FoldTraining:
    """One fold's work, as it is handed to a worker.

    Attributes:
        rows: the training folds' clips; test: the fold's own, which are read after training only.
        kept: (N,) bool, which clips may train (salience), or None for all.
        initial_sha256: of the network that every fold starts from.
        carry_from: the network file of the fold before, only where the notes' mistake is repeated on purpose.
        about: what the trained network belongs to, kept with it.
    """

    fold: int
    folder: Path
    inputs: Path
    recipe: FinetuneRecipe
    plan: NetworkPlan
    table: ClipsTable
    rows: np.ndarray
    test: np.ndarray
    kept: np.ndarray | None
    device: str
    sample_rate_hz: int
    initial_sha256: str
    carry_from: Path | None
    about: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class TrainedFold:
    """What comes of a fold: its result, its head's arrays, and its network's file, which is not signed yet."""

    result: FoldResult
    head: Mapping[str, np.ndarray]
    network: bytes

    def write(self, task: FoldTraining) -> None:
        """Writes the network, then the fold file that marks the fold as done."""
        path = results.network_path(task.folder, task.fold)
        with atomic_file(path) as file:
            file.write(self.network)
        results.write_fold(task.folder, self.result, self.head, {"network": path.name}, task.about)
        for path in checkpoints(task.folder, task.fold):
            remove_file(path)


def run_fold(task: FoldTraining, threads: int | None = None) -> TrainedFold:
    """Trains and tests one fold. Between epochs it keeps its state, so that whoever does it again goes on from there.

    Args:
        threads: of PyTorch, on which the last digits hang; None leaves their number.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    device = torch.device(task.device)
    try:
        try:
            with exactly(device, deterministic=True):
                return _run_fold(task)
        except RuntimeError as error:
            if "does not have a deterministic implementation" not in str(error):
                raise
            note(
                f"Fold {task.fold} is trained without a fixed order of sums, since PyTorch has none on {device.type} "
                f"({one_line(error).partition(',')[0]}): trained again, it differs in its last digits."
            )
        # Outside, as the error holds the first try's network, and the device's memory may not hold two.
        with exactly(device):
            return _run_fold(task)
    finally:
        torch.set_num_threads(before)


def _run_fold(task: FoldTraining) -> TrainedFold:
    inputs = open_inputs(task.inputs)
    good = ~np.isin(task.table.ids, list(inputs.failures))
    rows, validation = _parts(task, good, task.recipe.validation)
    training_part = _training_part(task, inputs, rows)
    validation_part = None if validation is None else task.table.part(inputs, validation)
    task, settings, tuning = _choose(task, inputs, rows, validation_part)
    network, chosen = _initial(task)
    chosen |= _probe_start(network, training_part, task) | settings
    frozen = _probed(network, training_part, task) if tuning else None
    # The frozen network, where that was chosen, needs no epoch.
    stop_after = 0 if settings.get("interpolate") == 0.0 else settings.get("epochs")
    trained = train(network, training_part, validation_part, task.recipe, _setting(task, "selection", stop_after))
    chosen["epoch"] = trained.epoch
    if task.recipe.validation.refit and validation is not None:
        network, _ = _initial(task)
        training_part = _training_part(task, inputs, _parts(task, good, ValidationTable(kind="none"))[0])
        _probe_start(network, training_part, task)
        frozen = _probed(network, training_part, task) if tuning else None
        trained = _refit(network, training_part, trained, task)
    network.load_state_dict(trained.weights)
    choice = (frozen, tuning) if frozen and tuning else None
    return _tested(task, network, chosen, trained, len(training_part), good, choice)


def _parts(task: FoldTraining, good: np.ndarray, table: ValidationTable) -> tuple[np.ndarray, np.ndarray | None]:
    """Rows of the whole data set that train and that validate, cut from the training folds' clips alone."""
    rows = task.rows[good[task.rows]]
    columns = task.table
    training, validation = part_training(
        columns.labels[rows],
        columns.folds[rows],
        columns.groups[rows],
        test_fold=task.fold,
        table=table,
        seed=task.plan.seed,
    )
    if validation is not None and len(validation) == 0:
        raise DataError(f"Fold {task.fold} has no clip left to validate on. Give more clips, or --epochs-fixed.")
    return rows[training], None if validation is None else rows[validation]


def _training_part(task: FoldTraining, inputs: Inputs, rows: np.ndarray) -> ClipsPart:
    """Those of the clips `rows` that may train."""
    if task.kept is not None:
        rows = rows[task.kept[rows]]
    if len(np.unique(task.table.labels[rows])) < 2:
        raise DataError(
            f"The {len(rows)} clips left to train on for fold {task.fold} have fewer than 2 classes, so nothing "
            "can be learnt. Give more clips, another validation, or --salience all."
        )
    return task.table.part(inputs, rows)


def _choose(
    task: FoldTraining, inputs: Inputs, rows: np.ndarray, early: ClipsPart | None
) -> tuple[FoldTraining, Settings, dict[str, Any] | None]:
    """The fold's work with what was chosen on inner splits of `rows`, the settings, and what the choice saw."""
    choices, columns = task.recipe.choose, task.table
    if choices is None:
        return task, {}, None
    splits = []
    for train_rows, val_rows in inner_split(columns.labels[rows], columns.groups[rows], choices.splits, task.plan.seed):
        training = _training_part(task, inputs, rows[train_rows])
        start, _ = _initial(task)
        _probe_start(start, training, task)
        probed = start if task.recipe.head.init == "probe" else _probed(start, training, task)
        splits.append(InnerSplit(training, columns.part(inputs, rows[val_rows]), early, start, probed))
    settings, tuning = choose(task.recipe, choices, splits, functools.partial(_setting, task))
    recipe = task.recipe.model_copy(update={"training": training_with(task.recipe, settings)})
    return replace(task, recipe=recipe), settings, tuning


def _probed(network: FinetunedNetwork, training: ClipsPart, task: FoldTraining) -> FinetunedNetwork:
    """A copy of the network that a fold starts from, with the linear probe of `training` as its head."""
    probed = copy.deepcopy(network)
    if task.recipe.head.init != "probe":
        _fit_probe(probed, training, task)
    return probed


def _initial(task: FoldTraining) -> tuple[FinetunedNetwork, dict[str, Any]]:
    """The network that the fold starts from, and its digest for the record.

    Raises:
        StoreError: it isn't the network that the run began with.
    """
    network = task.plan.build()
    if task.carry_from is not None:
        results.check_network(task.carry_from)
        fetch(task.carry_from)
        network.load_state_dict(load_file(task.carry_from))
    digest = state_digest(network.state_dict())
    if task.carry_from is None and digest != task.initial_sha256:
        raise StoreError(
            f"Fold {task.fold} would start from other weights than the run began with: the weights' file has changed. "
            "Put it back, or run again with --force."
        )
    return network, {"initial_weights": digest[:12]}


def _probe_start(network: FinetunedNetwork, training: ClipsPart, task: FoldTraining) -> dict[str, Any]:
    return _fit_probe(network, training, task) if task.recipe.head.init == "probe" else {}


def _fit_probe(network: FinetunedNetwork, training: ClipsPart, task: FoldTraining) -> dict[str, Any]:
    batch_size = task.recipe.training.batch_size
    return start_from_probe(
        network, training, device=torch.device(task.device), batch_size=batch_size, seed=task.plan.seed
    )


def _refit(network: FinetunedNetwork, training: ClipsPart, selection: Trained, task: FoldTraining) -> Trained:
    """Trains anew on all training clips, for as many epochs of the same schedule as were chosen."""
    recipe = task.recipe.model_copy(
        update={
            "validation": ValidationTable(kind="none"),
            "training": task.recipe.training.model_copy(update={"patience": 0}),
        }
    )
    again = train(network, training, None, recipe, _setting(task, "refit", stop_after=selection.epoch))
    history = [*selection.history, *({**line, "refit": True} for line in again.history)]
    return replace(again, history=history, seconds=selection.seconds + again.seconds)


def checkpoints(folder: Path, fold: int) -> list[Path]:
    """What is kept of a fold that is not done yet."""
    return sorted((folder / "checkpoints").glob(f"fold-{fold:02d}-*"))


def _setting(task: FoldTraining, phase: str, stop_after: int | None = None) -> Setting:
    """Training's setting; each epoch's line goes to the fold's CSV file and, where there is one, to TensorBoard."""
    logs = history_path(task.folder, task.fold)
    log = None

    def on_epoch(history: list[dict[str, Any]]) -> None:
        nonlocal log
        check_wanted()
        if phase != "selection":
            return
        write_history(logs, history)
        log = log or tensorboard_writer(task.folder / "tensorboard" / f"fold-{task.fold:02d}", history[-1]["epoch"])
        log(history[-1])

    return Setting(
        fold=task.fold,
        seed=task.plan.seed,
        device=torch.device(task.device),
        sample_rate_hz=task.sample_rate_hz,
        checkpoint=task.folder / "checkpoints" / f"fold-{task.fold:02d}-{phase}.pt",
        stop_after=stop_after,
        on_epoch=on_epoch,
    )


def _tested(
    task: FoldTraining,
    network: FinetunedNetwork,
    chosen: dict[str, Any],
    trained: Trained,
    train_clips: int,
    good: np.ndarray,
    choice: tuple[FinetunedNetwork, dict[str, Any]] | None,
) -> TrainedFold:
    """Predicts the test fold, its only use.

    Args:
        choice: the frozen network, to be compared with, and what the choice of settings saw; None where there was none.
    """
    began = time.perf_counter()
    device, batch_size = torch.device(task.device), task.recipe.training.batch_size
    test = task.table.part(open_inputs(task.inputs), task.test[good[task.test]])
    answer, tuning, choosing_s = judge(network.to(device), test, device, batch_size), None, 0.0
    if broken := test.ids[~np.isfinite(answer.proba).all(axis=1)].tolist():
        raise TrainingError(f"Fold {task.fold}'s network answers {broken[0]!r} and {len(broken) - 1} more with NaN.")
    if choice is not None:
        frozen, seen = choice
        accuracy = judge(frozen.to(device), test, device, batch_size).accuracy
        tuning, choosing_s = {**seen, "frozen_test_accuracy": accuracy}, seen["seconds"]
    result = FoldResult(
        fold=task.fold,
        ids=test.ids,
        y_true=test.labels,
        proba=answer.proba,
        chosen=chosen,
        history=trained.history,
        tuning=tuning,
        train_clips=train_clips,
        seconds=choosing_s + trained.seconds + time.perf_counter() - began,
    )
    state = {name: tensor.contiguous() for name, tensor in network.cpu().state_dict().items()}
    record = NetworkRecord.of({**task.about, "fold": task.fold}, results.network_path(task.folder, task.fold))
    head = {"weights": network.head.weight.detach().numpy().T, "bias": network.head.bias.detach().numpy()}
    return TrainedFold(result, head, save(state, metadata=results.fold_metadata(record)))

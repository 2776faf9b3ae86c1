"""Choosing a recipe's settings in one fold: candidates are trained and judged on inner splits of its training clips.

No function here is given a test clip. What is finished of a trial is kept on disk, so a killed run goes on within it.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from soundprobe.base.files import remove_file
from soundprobe.base.stored import Count, Record, Settings
from soundprobe.scoring.tuning import JudgedRecord, TuningRecord
from soundprobe.training.averaging import between
from soundprobe.training.evaluating import judge
from soundprobe.training.inputs import ClipsPart
from soundprobe.training.loop import train
from soundprobe.training.networks import FinetunedNetwork
from soundprobe.training.recipes import ChooseTable, FinetuneRecipe, candidate_trainings
from soundprobe.training.state import Setting


class TrialRecord(Record):
    """One pair of candidates in training on one inner split, as far as it has come.

    Attributes:
        frozen: the linear probe's score; judged: those of all settings that were judged on the way.
        epochs: the numbers of them after which that was done; seconds: so far.
    """

    frozen: JudgedRecord
    judged: list[JudgedRecord]
    epochs: list[Count]
    seconds: float


@dataclass(frozen=True, eq=False)
class InnerSplit:
    """Clips of the training folds that a trial trains on and is judged on; no recording is on both sides.

    Attributes:
        early: where early stopping looks, if the recipe has any.
        start: the network that training starts from; probed: with the linear probe of `training` as its head.
    """

    training: ClipsPart
    validation: ClipsPart
    early: ClipsPart | None
    start: FinetunedNetwork
    probed: FinetunedNetwork


def choose(
    recipe: FinetuneRecipe, choices: ChooseTable, splits: Sequence[InnerSplit], setting_of: Callable[[str], Setting]
) -> tuple[Settings, dict[str, Any]]:
    """The candidate with the best mean score over the splits.

    Args:
        setting_of: a trial's setting by its name; its record is kept beside its checkpoint.

    Returns:
        The chosen value of each field that had candidates, and the content of a `TuningRecord` but for the test clips'
        `frozen_test_accuracy`.
    """
    pairs = candidate_trainings(recipe, choices)
    trials = [
        [
            run_trial(
                recipe.model_copy(update={"training": table}), choices, split, setting_of(f"choose-{pair}-{part}")
            )
            for part, split in enumerate(splits, 1)
        ]
        for pair, (_, table) in enumerate(pairs, 1)
    ]
    frozen = _mean({}, [trial.frozen for trial in trials[0]])
    candidates = [{**frozen, "settings": {"interpolate": 0.0}}] if 0.0 in choices.interpolate else []
    candidates += [
        _mean({**settings, **same[0].settings}, same)
        for (settings, _), of_pair in zip(pairs, trials, strict=True)
        for same in zip(*(trial.judged for trial in of_pair), strict=True)
    ]
    content = {
        "by": choices.by,
        "splits": len(splits),
        "clips": sum(len(split.validation) for split in splits),
        "trainings": len(pairs) * len(splits),
        "seconds": round(sum(trial.seconds for of_pair in trials for trial in of_pair), 3),
        "frozen": frozen,
        "candidates": candidates,
    }
    best = TuningRecord.model_validate({**content, "frozen_test_accuracy": 0.0}).best
    return dict(best.settings), content


def run_trial(recipe: FinetuneRecipe, choices: ChooseTable, split: InnerSplit, setting: Setting) -> TrialRecord:
    """Trains on one split, and judges each share of the way after each number of epochs.

    After each of them training goes on from its checkpoint, as it would after a kill.
    """
    assert setting.checkpoint is not None, "a trial goes on from there"
    path = setting.checkpoint.with_suffix(".json")
    table = recipe.training
    wanted = sorted(set(choices.epochs)) or [table.epochs]
    shares = [share for share in choices.interpolate if share > 0] or [table.interpolate]
    whole = recipe.model_copy(update={"training": table.model_copy(update={"interpolate": 1.0})})
    first = {name: tensor.detach().cpu() for name, tensor in split.start.state_dict().items()}

    def judged(network: FinetunedNetwork, settings: Settings) -> dict[str, Any]:
        seen = judge(network.to(setting.device), split.validation, setting.device, table.batch_size)
        return {"settings": settings, "log_loss": seen.loss, "accuracy": seen.accuracy}

    trial = TrialRecord.read_or_make(path)
    content = (
        {"format": TrialRecord.FORMAT, "frozen": judged(split.probed, {}), "judged": [], "epochs": [], "seconds": 0.0}
        if trial is None
        else trial.content
    )
    for epochs in wanted[len(content["epochs"]) :]:
        began = time.perf_counter()
        stopped = replace(setting, stop_after=epochs if choices.epochs else None)
        trained = train(copy.deepcopy(split.start), split.training, split.early, whole, stopped)
        scores = []
        for share in shares:
            network = copy.deepcopy(split.start)
            network.load_state_dict(between(first, trained.weights, share))
            after = {"epochs": epochs} if choices.epochs else {}
            scores.append(judged(network, {**after, **({"interpolate": share} if choices.interpolate else {})}))
        content = {
            **content,
            "judged": [*content["judged"], *scores],
            "epochs": [*content["epochs"], epochs],
            "seconds": content["seconds"] + time.perf_counter() - began,
        }
        TrialRecord.of(content, path).write(path)
    remove_file(setting.checkpoint)
    return TrialRecord.of(content, path)


def _mean(settings: Settings, scores: Sequence[JudgedRecord]) -> dict[str, Any]:
    """Of one candidate over the splits."""
    means = {name: float(np.mean([getattr(score, name) for score in scores])) for name in ("log_loss", "accuracy")}
    return {"settings": settings, **means}

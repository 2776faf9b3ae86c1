"""Everything that a training run carries from epoch to epoch, made anew or read from a checkpoint."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from soundprobe.backbones.weights.state_dicts import check_not_packed
from soundprobe.base.digests import FIELD, UNSIGNED, checked_metadata, note_damage, read_checked
from soundprobe.base.errors import DamagedError, StoreError, one_line
from soundprobe.base.files import atomic_file, remove_file
from soundprobe.base.machine import half_type
from soundprobe.training.averaging import AveragedWeights
from soundprobe.training.feeding import Feed, augmentations_of
from soundprobe.training.inputs import ClipsPart
from soundprobe.training.networks import FinetunedNetwork, Freezing, parameter_groups, stages_of, used_parameters
from soundprobe.training.recipes import FinetuneRecipe, TrainingTable
from soundprobe.training.schedules import Plateau


@dataclass(frozen=True)
class Setting:
    """What training needs to know besides recipe and clips.

    Attributes:
        fold: the fold that will be tested; seed: of everything random; sample_rate_hz: of the waves.
        checkpoint: where the state after each epoch is kept, or None.
        stop_after: train so many epochs of the recipe's schedule and no more; None for all.
        on_epoch: called with the history so far after each epoch.
    """

    fold: int
    seed: int
    device: torch.device
    sample_rate_hz: int
    checkpoint: Path | None = None
    stop_after: int | None = None
    on_epoch: Callable[[list[dict[str, Any]]], None] | None = None


@dataclass
class Course:
    """How far training has come.

    Attributes:
        epoch: the last finished one; best_epoch: the one with the best validation score, 0 where there is none.
        best_score: greater is better, compared element by element; seconds: of all epochs, in whatever process.
    """

    epoch: int = 0
    best_epoch: int = 0
    best_score: list[float] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0


class TrainingState:
    """A network on its device with its optimiser, and how far it has come.

    Attributes:
        judged: the network that is evaluated: the trained one, or its averaged weights.
        base_rates: the rate of each of the optimiser's groups before the schedule.
        half: the 16-bit type of mixed precision; None where it is off or the device has none.
        best: the weights of the best epoch so far, on the CPU.
    """

    def __init__(
        self, network: FinetunedNetwork, training: ClipsPart, recipe: FinetuneRecipe, setting: Setting
    ) -> None:
        table, device = recipe.training, setting.device
        # Channels last: the same numbers to rounding, and 1.2 to 1.7 times as many clips a second on a CPU.
        self.network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged = AveragedWeights(network, table.ema) if table.ema else None
        self.judged = network if self.averaged is None else self.averaged.network
        used = used_parameters(network, training.spectrograms(np.arange(1)).to(device))
        stages = stages_of(network, used)
        self.freezing = Freezing(network, stages, table, used)
        self.optimiser = make_optimiser(table, parameter_groups(network, stages, table, used))
        self.base_rates = [float(group["lr"]) for group in self.optimiser.param_groups]
        self.half = half_type(device) if table.mixed_precision else None
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.half == torch.float16)
        self.plateau, self.course = Plateau(), Course()
        self.best: dict[str, Tensor] | None = None
        self.feed = Feed(
            training,
            augmentations_of(recipe),
            network,
            sample_rate_hz=setting.sample_rate_hz,
            device=device,
            seed=setting.seed,
        )

    def save(self, path: Path) -> None:
        """Everything that the next epoch depends on. Random numbers need no state: see `feeding.seeded`."""
        averaged = self.averaged
        save_checkpoint(
            path,
            {
                "network": self.network.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "scaler": self.scaler.state_dict(),
                "averaged": None if averaged is None else averaged.network.state_dict(),
                "averaged_steps": 0 if averaged is None else averaged.steps,
                "plateau": asdict(self.plateau),
                "course": asdict(self.course),
                "best": self.best,
            },
        )

    def restore(self, path: Path) -> None:
        """Goes on from the checkpoint at `path`, where there is one.

        Raises:
            StoreError: it is of another network or optimiser.
        """
        saved = load_checkpoint(path)
        if saved is None:
            return
        try:
            self._take(saved)
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise StoreError(
                f"{path} is no checkpoint of this run ({one_line(error)[:100]}). Delete it: its fold then begins anew."
            ) from error

    def _take(self, saved: dict[str, Any]) -> None:
        self.network.load_state_dict(saved["network"])
        self.optimiser.load_state_dict(saved["optimiser"])
        self.scaler.load_state_dict(saved["scaler"])
        if self.averaged is not None:
            self.averaged.network.load_state_dict(saved["averaged"])
            self.averaged.steps = saved["averaged_steps"]
        self.plateau, self.course, self.best = Plateau(**saved["plateau"]), Course(**saved["course"]), saved["best"]

    def weights(self) -> dict[str, Tensor]:
        """The judged network's state, copied to the CPU."""
        return {name: tensor.detach().cpu().clone() for name, tensor in self.judged.state_dict().items()}


def make_optimiser(table: TrainingTable, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """The recipe's optimiser over parameter groups that bring their own rate and decay.

    Fused: one pass over each parameter. Piczak's 26 million spent 40 % of a step of 16 clips in SGD without.
    """
    if table.optimiser == "sgd":
        return torch.optim.SGD(groups, lr=table.lr, momentum=table.momentum, nesterov=table.momentum > 0, fused=True)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[table.optimiser]
    return kind(groups, lr=table.lr, betas=(table.betas[0], table.betas[1]), fused=True)


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Writes `state` (tensors, numbers, texts, lists and mappings of them) to `path`, atomically, with a digest.

    Raises:
        StoreError: the disk is full or can't be written.
    """
    with atomic_file(path) as file:
        torch.save({FIELD: UNSIGNED, **state}, file)


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """What `save_checkpoint` wrote, on the CPU; None where there is no such file. Runs no code from it.

    A damaged file is taken away, with a note: what it was of begins anew.
    """
    if not path.exists():
        return None
    try:
        content = read_checked(path)
        try:
            check_not_packed(path)
            state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        except Exception as error:  # of whatever kind: PyTorch's reader has no list of them
            raise DamagedError(path, f"it is no whole checkpoint ({one_line(error)[:100]})") from error
        if not isinstance(state, dict):
            raise DamagedError(path, "it is no checkpoint")
        return checked_metadata(state, path)
    except DamagedError as error:
        note_damage(error)
        remove_file(path)
        return None

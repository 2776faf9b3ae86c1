"""The learning rate at every step, as a factor of the recipe's rate. Plain functions: no state but the plateau's."""

from __future__ import annotations

import math
from dataclasses import dataclass

from soundprobe.training.recipes import TrainingTable


def rate_factor(table: TrainingTable, step: int, steps_per_epoch: int) -> float:
    """By what the recipe's rate is multiplied at `step` (0, 1, ...): a linear rise, then the schedule.

    "plateau" is constant here: `Plateau` lowers it between epochs.
    """
    warmup_steps = round(table.warmup_epochs * steps_per_epoch)
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    if table.schedule == "cosine":
        whole = max(1, table.epochs * steps_per_epoch - warmup_steps)
        progress = min(1.0, (step - warmup_steps) / whole)
        return table.final_lr + (1.0 - table.final_lr) * 0.5 * (1.0 + math.cos(math.pi * progress))
    if table.schedule == "step":
        past = step // steps_per_epoch - table.step_from
        return table.step_factor ** max(0, 1 + past // table.step_epochs) if past >= 0 else 1.0
    return 1.0


@dataclass
class Plateau:
    """Lowers the rate where the validation loss has stopped falling (ReduceLROnPlateau's rule, threshold 1e-4).

    Attributes:
        factor: what the rate is multiplied by now; best: the lowest loss; waited: epochs since it.
    """

    factor: float = 1.0
    best: float = math.inf
    waited: int = 0

    def update(self, validation_loss: float, table: TrainingTable) -> None:
        """To be called after each epoch, with the loss on the validation part."""
        if validation_loss < self.best * (1 - 1e-4):
            self.best, self.waited = validation_loss, 0
            return
        self.waited += 1
        if self.waited > table.plateau_patience:
            self.factor, self.waited = self.factor * table.step_factor, 0

"""What a fine-tuning recipe chose inside the training folds, and whether that beat the frozen backbone there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np
from pydantic import Field

from soundprobe.base.stored import Count, Entry, Settings


class JudgedRecord(Entry):
    """Means over the inner splits of the log loss (in nats) and the accuracy on their validation clips.

    Attributes:
        settings: the candidate's; empty for the frozen backbone with the linear probe.
    """

    settings: Settings = Field(default={})
    log_loss: float
    accuracy: float

    @property
    def is_frozen(self) -> bool:
        """Whether it leaves the network as it was, with the linear probe as its head."""
        return self.settings.get("interpolate") == 0.0


class TuningRecord(Entry):
    """One fold's choice.

    Attributes:
        by: what was chosen by; splits: inner splits, by recording; clips: that were validated on, over all of them.
        trainings: that this took beside the fold's own; seconds: how long, the judging included.
        frozen: the linear probe of the frozen backbone, fitted and judged on the same clips.
        candidates: in the order in which ties were settled, the first being taken.
        frozen_test_accuracy: of the linear probe on all training clips. No part in any choice.
    """

    by: Literal["log-loss", "accuracy"]
    splits: Count
    clips: Count
    trainings: Count
    seconds: float
    frozen: JudgedRecord
    candidates: list[JudgedRecord]
    frozen_test_accuracy: float

    @property
    def best(self) -> JudgedRecord:
        """What is chosen."""
        return min(self.candidates, key=self._score)

    @property
    def best_tuned(self) -> JudgedRecord:
        """The best candidate that isn't the frozen network."""
        return min((one for one in self.candidates if not one.is_frozen), key=self._score)

    def _score(self, judged: JudgedRecord) -> tuple[float, float]:
        """Lower is better."""
        by_loss = self.by == "log-loss"
        return (judged.log_loss, -judged.accuracy) if by_loss else (-judged.accuracy, judged.log_loss)


class TunedFold(Protocol):
    """Of `FoldScoresRecord`."""

    @property
    def accuracy(self) -> float: ...
    @property
    def tuning(self) -> TuningRecord | None: ...


def fine_tuning_verdict(folds: Sequence[TunedFold]) -> str:
    """Whether fine-tuning beat the frozen linear head, inside the training folds and on the test folds: two sentences.

    Empty where the recipe chose nothing, so that nothing was compared.
    """
    told = [(fold.tuning, fold.accuracy) for fold in folds if fold.tuning is not None]
    if not told:
        return ""
    inner = [tuning.best_tuned.accuracy - tuning.frozen.accuracy for tuning, _ in told]
    outer = [accuracy - tuning.frozen_test_accuracy for tuning, accuracy in told]
    kept = sum(tuning.best.is_frozen for tuning, _ in told)
    tried = max(len(tuning.candidates) for tuning, _ in told)
    scores = np.mean([accuracy for _, accuracy in told]), np.mean([tuning.frozen_test_accuracy for tuning, _ in told])
    return (
        f"Inside the training folds fine-tuning beat the frozen linear head in {_in_folds(inner)} of accuracy on "
        f"average; the best of {tried} settings, so rather too much). On the test folds what was chosen beat it in "
        f"{_in_folds(outer)} on average): {scores[0]:.3f} against {scores[1]:.3f}"
        f"{f', frozen being chosen in {kept}' if kept else ''}."
    )


def _in_folds(leads: Sequence[float]) -> str:
    ahead = sum(lead > 0 for lead in leads)
    return f"{ahead} of {len(leads)} folds ({100 * np.mean(leads):+.1f} points"

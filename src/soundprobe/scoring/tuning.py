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
    tried = max(sum(not one.is_frozen for one in tuning.candidates) for tuning, _ in told)
    best = f"the best of {tried} by {told[0][0].by.replace('-', ' ')}, so rather too much" if tried > 1 else ""
    scores = np.mean([accuracy for _, accuracy in told]), np.mean([tuning.frozen_test_accuracy for tuning, _ in told])
    inside = f"Inside the training folds fine-tuning was {_in_folds(inner, best)} of the frozen linear head."
    if kept == len(told):
        return f"{inside} Frozen was chosen in every fold, so the test scores are its own."
    chosen = f", frozen being chosen in {kept}" if kept else ""
    return (
        f"{inside} On the test folds what was chosen was {_in_folds(outer)} of it: "
        f"{scores[0]:.3f} against {scores[1]:.3f}{chosen}."
    )


def _in_folds(leads: Sequence[float], more: str = "") -> str:
    """ "ahead in 3, equal in 1 of 4 folds (+1.2 points of accuracy on average)", after which "of it" may follow."""
    from soundprobe.scoring.paired_tests import sign_test  # and scipy with it, which records must not bring along

    found = sign_test(leads)
    points = f"{100 * np.mean(leads):+.1f}".replace("-", "\N{MINUS SIGN}")
    equal = f", equal in {found.ties}" if found.ties else ""
    told = f"{points} points of accuracy on average{f'; {more}' if more else ''}"
    return f"ahead in {found.ahead}{equal} of {len(leads)} folds ({told})"

"""The notes' overfitting metric, as they define it and on a training loss that can be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from soundprobe.base.records import FoldResult

DEFINITION = "100 * (validation loss - training loss) / training loss, of the last epoch, averaged over folds before"


def overfitting(folds: Sequence[FoldResult]) -> dict[str, Any]:
    """The notes' "percentage difference between average validation loss and average training loss over the last epoch".

    `as_trained_percent` takes the training loss as the notes do: the mean over the epoch's batches, measured while the
    network still changed, with dropout and augmentation. `remeasured_percent` takes the training clips' loss measured
    as the validation loss is: after the epoch, in eval mode, on clean clips. Both are None without validation.
    """
    histories = {result.fold: result.history for result in folds}
    return {
        "definition": DEFINITION,
        **percents(list(histories.values())),
        "folds": [{"fold": fold, **percents([history])} for fold, history in histories.items()],
    }


def percents(histories: Sequence[Sequence[Mapping[str, Any]]]) -> dict[str, float | None]:
    """Both figures of `overfitting` over the folds whose `histories` are given, one mapping an epoch."""
    lines = [line for line in map(_last_validated, histories) if line is not None]
    return {
        "as_trained_percent": _percent(lines, "train_loss"),
        "remeasured_percent": _percent(lines, "train_loss_eval"),
    }


def _last_validated(history: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    validated = [line for line in history if isinstance(line.get("validation_loss"), int | float)]
    return validated[-1] if validated else None


def _percent(lines: Sequence[Mapping[str, Any]], name: str) -> float | None:
    if not all(isinstance(line.get(name), int | float) for line in lines):
        return None
    training = sum(float(line[name]) for line in lines)
    if not training:
        return None
    return 100.0 * (sum(float(line["validation_loss"]) for line in lines) - training) / training

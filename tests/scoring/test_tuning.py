"""What was chosen inside the training folds, and the sentence that says whether fine-tuning beat the frozen head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from soundprobe.scoring.tuning import TuningRecord, fine_tuning_verdict


@dataclass
class Fold:
    accuracy: float
    tuning: TuningRecord | None


def judged(log_loss: float, accuracy: float, **settings: Any) -> dict[str, Any]:
    return {"settings": settings, "log_loss": log_loss, "accuracy": accuracy}


def record(*candidates: dict[str, Any], frozen: float = 0.8, test: float = 0.8, by: str = "log-loss") -> TuningRecord:
    told = {"by": by, "splits": 2, "clips": 10, "trainings": 2, "seconds": 1.0, "frozen_test_accuracy": test}
    return TuningRecord.model_validate({**told, "frozen": judged(0.5, frozen), "candidates": list(candidates)})


@pytest.mark.parametrize(("by", "epochs"), [("log-loss", 1), ("accuracy", 3)])
def test_choice_is_the_best_by_the_criterion_and_of_equals_the_first(by: str, epochs: int):
    told = (judged(0.4, 0.7, epochs=1), judged(0.4, 0.7, epochs=2), judged(0.6, 0.9, epochs=3))
    assert record(*told, by=by).best.settings == {"epochs": epochs}


def test_equal_log_losses_are_told_apart_by_the_accuracy():
    assert record(judged(0.4, 0.7, epochs=1), judged(0.4, 0.8, epochs=2)).best.settings == {"epochs": 2}


def test_verdict_counts_folds_and_points_of_the_best_tuned_candidate_and_of_the_test_folds():
    frozen = judged(0.5, 0.8, interpolate=0.0)
    ahead = Fold(0.83, record(frozen, judged(0.4, 0.84, interpolate=1.0), test=0.80))
    behind = Fold(0.79, record(frozen, judged(0.6, 0.78, interpolate=1.0), test=0.79))
    assert fine_tuning_verdict([ahead, behind]) == (
        "Inside the training folds fine-tuning was ahead in 1 of 2 folds (+1.0 points of accuracy on average) of the "
        "frozen linear head. On the test folds what was chosen was ahead in 1, equal in 1 of 2 folds (+1.5 points of "
        "accuracy on average) of it: 0.810 against 0.795, frozen being chosen in 1."
    )


def test_verdict_where_frozen_was_chosen_everywhere_compares_no_test_scores():
    candidates = [judged(0.6, 0.7, interpolate=share) for share in (0.5, 1.0)]
    fold = Fold(0.8, record(judged(0.5, 0.8, interpolate=0.0), *candidates))
    assert fine_tuning_verdict([fold, fold]) == (
        "Inside the training folds fine-tuning was ahead in 0 of 2 folds (\N{MINUS SIGN}10.0 points of accuracy on "
        "average; the best of 2 by log loss, so rather too much) of the frozen linear head. Frozen was chosen in every "
        "fold, so the test scores are its own."
    )


def test_runs_that_chose_nothing_have_no_verdict():
    assert fine_tuning_verdict([Fold(0.9, None)]) == ""

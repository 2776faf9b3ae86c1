"""The learning rate at every step, checked by hand."""

from __future__ import annotations

import pytest

from soundprobe.training.recipes import TrainingTable
from soundprobe.training.schedules import Plateau, rate_factor


def test_warm_up_rises_linearly_and_ends_at_the_full_rate():
    table = TrainingTable(epochs=10, warmup_epochs=2.0, schedule="constant")
    assert [rate_factor(table, step, 2) for step in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


def test_cosine_halves_in_the_middle_and_ends_at_the_final_rate():
    table = TrainingTable(epochs=10, warmup_epochs=2.0, schedule="cosine", final_lr=0.1)
    assert rate_factor(table, 4, 2) == 1.0
    assert rate_factor(table, 12, 2) == pytest.approx(0.55)
    assert rate_factor(table, 20, 2) == pytest.approx(0.1)
    assert rate_factor(table, 99, 2) == pytest.approx(0.1)


def test_step_multiplies_after_every_so_many_epochs():
    table = TrainingTable(epochs=9, schedule="step", step_from=4, step_epochs=2, step_factor=0.5)
    assert [rate_factor(table, epoch * 3, 3) for epoch in range(9)] == [1, 1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.125]


def test_plateau_lowers_the_rate_only_after_its_patience_without_a_better_loss():
    table = TrainingTable(schedule="plateau", plateau_patience=1, step_factor=0.1)
    plateau, factors = Plateau(), []
    for loss in (1.0, 0.8, 0.9, 0.85, 0.9, 0.7, 0.7, 0.7):
        plateau.update(loss, table)
        factors.append(round(plateau.factor, 6))
    assert factors == [1, 1, 1, 0.1, 0.1, 0.1, 0.1, 0.01]

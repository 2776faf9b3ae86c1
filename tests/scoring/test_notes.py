from __future__ import annotations

import math

import numpy as np
import pytest

from soundprobe.scoring import notes
from soundprobe.training.recipes import finetune_recipe, flattened


def test_published_folds_give_the_published_mean_and_both_spreads():
    shares = [fold.accuracy for fold in notes.FOLDS]
    assert notes.PUBLISHED.accuracy.mean == pytest.approx(0.9354, abs=5e-5)
    assert notes.PUBLISHED.accuracy.std_population == pytest.approx(0.0868, abs=5e-5)
    assert notes.PUBLISHED.accuracy.std_sample == pytest.approx(0.0915, abs=5e-5)
    assert notes.PUBLISHED.accuracy.std_population == pytest.approx(float(np.std(shares)))
    assert notes.PUBLISHED.macro_f1.mean == pytest.approx(0.9400, abs=5e-5)
    assert notes.PUBLISHED.macro_f1.std_population == pytest.approx(0.0792, abs=5e-5)
    assert notes.PUBLISHED.macro_f1.std_sample == pytest.approx(0.0834, abs=5e-5)


def test_fold_sizes_are_those_of_the_whole_data_set():
    assert len(notes.FOLD_CLIPS) == len(notes.FOLDS)
    assert sum(notes.FOLD_CLIPS) == notes.DATASET_CLIPS


def test_clean_fold_is_the_first_one():
    assert (notes.clean().fold, notes.clean().accuracy, notes.clean().macro_f1) == (1, 0.7056, 0.7313)


def test_evidence_shows_that_every_later_fold_was_carried_over():
    found = notes.evidence()
    assert [handover.fold for handover in found] == list(range(2, 11))
    assert all(handover.carried_over for handover in found)
    assert found[0].ended_at == 0.1598
    assert found[0].began_at == 0.2619


def test_handovers_of_fresh_networks_are_not_called_carried_over():
    # The same clips with a fresh network in each fold begin near ln 10 = 2.30 every time.
    found = notes.handovers([2.22, 2.28, 2.28, 2.26], [0.9, 0.8, 1.0, 0.9])
    assert not any(handover.carried_over for handover in found)


def test_handovers_of_losses_that_do_not_match_are_refused():
    with pytest.raises(ValueError, match="zip"):
        notes.handovers([2.2, 0.3, 0.1], [0.2, 0.1])


def test_contamination_names_the_cause_the_evidence_and_what_counts():
    for part in (
        "created once, before the loop",
        ".26",
        ".16",
        "1.49",
        "2.30",
        ".9354",
        ".7056",
        ".7313",
        "contaminated",
    ):
        assert part in notes.CONTAMINATION
    assert math.log(10) == pytest.approx(notes.CHANCE_LOSS)
    assert "only fold 1 counts" in notes.CONTAMINATION_BRIEF


def test_published_drops_the_zero_as_the_notes_do():
    assert notes.shown(0.9354) == ".9354"
    assert notes.shown(1.4876, 2) == "1.49"


def test_training_of_the_notes_network_is_what_the_shipped_recipe_says():
    shipped = flattened(finetune_recipe(None, notes.RECIPE))
    assert {name: shipped[name] for name in notes.TRAINING} == notes.TRAINING
    assert not any(name.startswith(("augment.", "choose.")) for name in shipped)

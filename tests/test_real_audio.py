"""The main job on real clips with real pretrained weights: scores, how far random weights stay below, wrong labels."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from soundprobe.embeddings.store import find_sets, read_embeddings
from soundprobe.heads.catalog import make_head
from soundprobe.reporting.compared.comparison import comparisons_of
from soundprobe.reporting.compared.judgements import Judgements
from soundprobe.reporting.compared.suspects import find_suspects
from soundprobe.reporting.runs.collect import collect_runs
from soundprobe.scoring.folds import cross_validate
from soundprobe.scoring.results import FinishedRun
from soundprobe.verbs.extract import extract
from soundprobe.verbs.probe import probe

# Mean accuracies that scikit-learn's heads reach on the original implementation's embeddings of the same clips, with
# settings fixed beforehand. Ours, with settings chosen inside the training folds, must come within 2 points.
REFERENCE = {
    "UrbanSound8K": {"linear": 0.831, "mlp": 0.839, "knn": 0.806},
    "ESC-10": {"linear": 0.985, "mlp": 0.988, "knn": 0.990},
}
WITHIN = 0.02
PRETRAINING_IS_WORTH = 0.2  # the reference's smallest gap is .295
WRONGLY_LABELLED = {"ESC-10": {"3-143929-A.ogg", "5-186924-A.ogg"}, "UrbanSound8K": set()}  # heard by people


@pytest.fixture(scope="module", params=sorted(REFERENCE))
def probed(
    request: pytest.FixtureRequest, shared: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path, list[FinishedRun]]:
    """(data set, the folder of its embeddings/ and heads/, its runs)"""
    root = tmp_path_factory.mktemp(request.param)
    data = shared / "data" / request.param
    if not data.is_dir():
        pytest.skip(f"no {data}")
    done = []
    published = shared / "weights" / "mn04_as_mAP_432.pt"
    for folder, weights, heads in (("embeddings", published, "linear,mlp,knn"), ("random", "random", "linear,knn")):
        (outcome,) = extract(data, backbone="mn04", weights=weights, embeddings=root / folder, progress=False)
        assert not outcome.failures
        done += probe(head=heads, embeddings=root / folder, heads=root / "heads", progress=False)
    return request.param, root, done


@pytest.fixture
def scores(probed: tuple[str, Path, list[FinishedRun]]):
    """(data set, {(weights, head): mean accuracy})"""
    data, _, done = probed
    return data, {
        (run.result["backbone"]["weights"], run.result["head"]["name"]): run.result["summary"]["accuracy"]["mean"]
        for run in done
    }


def test_pretrained_embeddings_reach_the_reference_with_every_head(scores):
    data, accuracy = scores
    for head, reference in REFERENCE[data].items():
        assert accuracy["pretrained", head] >= reference - WITHIN, (head, accuracy)


def test_random_weights_stay_far_below(scores):
    _, accuracy = scores
    for head in ("linear", "knn"):
        assert accuracy["random", head] <= accuracy["pretrained", head] - PRETRAINING_IS_WORTH, (head, accuracy)
        assert accuracy["random", head] > 0.1, (head, accuracy)


def test_label_suspects_hold_the_known_wrong_labels_and_are_few(probed):
    data, root, _ = probed
    (comparison,) = comparisons_of(collect_runs(root / "heads").by_dataset())
    suspects = comparison.suspects
    assert set(suspects.ids) >= WRONGLY_LABELLED[data]
    assert len(suspects.ids) <= 0.06 * comparison.clips  # a linear head gets 1 % and 16 % wrong


def test_label_suspects_are_labels_that_were_flipped(probed):
    """Of 5 % of the recordings with another label than their own, in the data set whose labels people have heard."""
    data, root, _ = probed
    if data != "ESC-10":
        pytest.skip("UrbanSound8K has wrong labels of its own, and nobody knows which")
    (found,) = (one for one in find_sets(root / "embeddings")[0] if one.weights == "pretrained")
    clips, classes = read_embeddings(found), len(found.record.dataset.class_names)
    rng = np.random.default_rng(0)
    names = np.unique(clips.groups)
    flipped = np.isin(clips.groups, rng.choice(names, len(names) // 20, replace=False))
    labels = np.where(flipped, (clips.labels + rng.integers(1, classes)) % classes, clips.labels)
    head = partial(make_head, "linear", seed=0)
    done = cross_validate(head, clips.features, labels, clips.folds, clips.groups, clips.ids, classes)
    proba = np.zeros((len(labels), classes))
    for result, _ in done:
        proba[np.searchsorted(clips.ids, result.ids)] = result.proba
    judged = Judgements(clips.ids, clips.folds, labels, proba.argmax(axis=1), proba)
    rows = [row for one in find_suspects(judged, clips.groups) for row in one.rows]
    assert flipped[rows].mean() >= 0.8
    assert flipped[rows].sum() >= 0.6 * flipped.sum()

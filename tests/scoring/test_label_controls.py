"""Shuffled labels, peeking and learning curves: what each measures, on data where the answer is known."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from made_sets import make_set
from soundprobe.base.errors import ConfigError
from soundprobe.base.records import Embeddings, FoldResult
from soundprobe.extras.learning_curve import deal_recordings, first_share, measure_learning_curve
from soundprobe.extras.measure import with_copies_joined
from soundprobe.extras.peeking import measure_peeking
from soundprobe.heads.catalog import make_head
from soundprobe.scoring.label_controls import judged_by, shuffle_labels
from soundprobe.scoring.results import FoldScoresRecord
from soundprobe.verbs.probe import probe

C, FOLDS = 3, (1, 2, 3, 4)


def made_embeddings(n: int = 120, spread: float = 1.0, dim: int = 6, seed: int = 0) -> Embeddings:
    """`n` clips of 3 classes in 4 folds, two clips a recording; the larger `spread` and `dim`, the harder."""
    rng = np.random.default_rng(seed)
    recording = np.arange(n) // 2
    labels, folds = recording % C, 1 + recording // C % len(FOLDS)
    centres = 2 * np.eye(C, dim)
    return Embeddings(
        features=(centres[labels] + spread * rng.normal(size=(n, dim))).astype(np.float32),
        ids=np.array([f"c{i:03d}" for i in range(n)]),
        labels=labels,
        folds=folds,
        groups=np.array([f"r{i}" for i in recording]),
        class_names=("a", "b", "c"),
        columns={},
        meta={},
    )


def honest_folds(data: Embeddings, head: str, settings: dict, seed: int = 0) -> list[FoldScoresRecord]:
    """The `folds` of a run's record: an honest head for each fold."""
    folds = []
    for fold in FOLDS:
        train, test = data.folds != fold, data.folds == fold
        fitted = make_head(head, seed=seed, **settings).fit(
            data.features[train], data.labels[train], groups=data.groups[train]
        )
        accuracy = float((fitted.predict(data.features[test]) == data.labels[test]).mean())
        folds.append(
            FoldScoresRecord(
                fold=fold,
                train_clips=int(train.sum()),
                test_clips=int(test.sum()),
                accuracy=accuracy,
                macro_f1=accuracy,
                chosen=fitted.chosen_,
                seconds=0.0,
            )
        )
    return folds


def test_shuffled_labels_keep_every_folds_counts_and_depend_on_the_seed():
    labels, folds = np.arange(60) % 3, np.repeat([1, 2, 7], 20)
    first, again, other = (
        shuffle_labels(labels, folds, 0),
        shuffle_labels(labels, folds, 0),
        shuffle_labels(labels, folds, 1),
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert (first != labels).mean() > 0.4
    for fold in (1, 2, 7):
        np.testing.assert_array_equal(np.bincount(first[folds == fold]), np.bincount(labels[folds == fold]))


def test_shuffled_run_is_judged_by_true_labels_matched_by_id():
    result = FoldResult(1, np.array(["b", "c"]), np.array([2, 2]), np.eye(3, dtype=np.float32)[:2])
    judged = judged_by(result, np.array(["c", "a", "b"]), np.array([0, 1, 2]))
    assert judged.y_true.tolist() == [2, 0]
    assert judged.proba is result.proba


def test_probe_on_shuffled_labels_is_a_run_of_its_own_near_chance(tmp_path):
    make_set(tmp_path / "embeddings", n=240)
    folders = {"embeddings": tmp_path / "embeddings", "heads": tmp_path / "heads", "progress": False}
    (honest,) = probe(head="linear", **folders)
    shuffled = probe(head="linear", control="shuffled-labels", seeds=range(6), **folders)
    accuracies = [done.result["summary"]["accuracy"]["mean"] for done in shuffled]
    assert honest.result["summary"]["accuracy"]["mean"] > 0.85
    assert np.mean(accuracies) == pytest.approx(1 / 3, abs=0.15)
    assert {done.folder for done in shuffled}.isdisjoint({honest.folder})
    assert shuffled[0].result["head"]["settings"]["control"] == "shuffled-labels"
    assert "control" not in honest.result["head"]["settings"]


def test_probe_names_the_controls_for_a_wrong_one(tmp_path):
    with pytest.raises(ConfigError, match="Did you mean 'shuffled-labels'"):
        probe(control="shuffled-label", embeddings=tmp_path)
    with pytest.raises(ConfigError, match="nothing to peek for"):
        probe(control="shuffled-labels", measure_peeking=True, embeddings=tmp_path)


@pytest.mark.parametrize(
    ("head", "settings", "candidates"),
    [
        ("linear", {"strengths": [1e-4, 0.1, 10.0]}, 3),
        ("knn", {"ks": [1, 5, 20]}, 3),
        ("mlp", {"widths": [8], "learning_rates": [1e-2], "max_epochs": 4, "patience": 4}, 4),
    ],
)
def test_peeking_scores_every_candidate_and_never_falls_below_the_honest_choice(head, settings, candidates):
    data = made_embeddings(spread=1.5)
    tested = honest_folds(data, head, settings)
    found = measure_peeking(data, head, seed=0, settings=settings, tested=tested)
    assert [fold["fold"] for fold in found["folds"]] == list(FOLDS)
    assert {len(fold["candidates"]) for fold in found["folds"]} == {candidates}
    by_hand = np.mean(
        [
            max([told.accuracy, *(one["accuracy"] for one in fold["candidates"])])
            for fold, told in zip(found["folds"], tested, strict=True)
        ]
    )
    assert found["peeked_by_fold"] == pytest.approx(by_hand)
    assert found["honest"] == pytest.approx(np.mean([told.accuracy for told in tested]))
    assert found["honest"] <= found["peeked_overall"] <= found["peeked_by_fold"]


@pytest.mark.parametrize("head", ["linear", "knn", "mlp"])
def test_peeking_at_the_chosen_setting_gives_the_honest_accuracy(head):
    data = made_embeddings(spread=1.2)
    quick = {"linear": {}, "knn": {}, "mlp": {"widths": [8], "learning_rates": [1e-2], "max_epochs": 5}}[head]
    found = measure_peeking(data, head, seed=3, settings=quick, tested=honest_folds(data, head, quick, seed=3))
    for fold in found["folds"]:
        chosen = fold["honest"]["setting"]
        same = [
            one["accuracy"]
            for one in fold["candidates"]
            if all(chosen.get(name) == value for name, value in one["setting"].items())
        ]
        assert same == pytest.approx([fold["honest"]["accuracy"]])


def test_peeking_and_learning_curve_leave_the_run_as_it_was(tmp_path):
    make_set(tmp_path / "embeddings")
    folders = {"embeddings": tmp_path / "embeddings", "heads": tmp_path / "heads", "progress": False}
    (plain,) = probe(head="knn", **folders)
    before = {path.name: path.read_bytes() for path in plain.folder.iterdir() if path.name != ".lock"}
    (extra,) = probe(head="knn", measure_peeking=True, learning_curve=True, **folders)
    assert extra.reused
    assert extra.folder == plain.folder
    assert {name: (plain.folder / name).read_bytes() for name in before} == before
    assert json.loads((plain.folder / "peeking.json").read_text())["honest"] == pytest.approx(
        plain.result["summary"]["accuracy"]["mean"]
    )
    curve = json.loads((plain.folder / "learning-curve.json").read_text())
    for fold, told in zip(curve["folds"], plain.result["folds"], strict=True):
        assert fold["points"][-1]["share"] == 1.0
        assert fold["points"][-1]["accuracy"] == told["accuracy"]
    written = (plain.folder / "peeking.json").stat().st_mtime_ns
    probe(head="knn", measure_peeking=True, **folders)
    assert (plain.folder / "peeking.json").stat().st_mtime_ns == written


def test_extras_are_measured_again_when_more_folds_are_tested(tmp_path):
    make_set(tmp_path / "embeddings")
    folders = {"embeddings": tmp_path / "embeddings", "heads": tmp_path / "heads", "progress": False}
    for folds in ([1], [1, 2]):
        (done,) = probe(head="knn", measure_peeking=True, only_folds=folds, **folders)
        found = json.loads((done.folder / "peeking.json").read_text())
        assert [fold["fold"] for fold in found["folds"]] == folds


def test_shares_of_recordings_are_nested_and_hold_every_class_twice():
    data = made_embeddings()
    order = deal_recordings(data.labels, data.groups, np.random.default_rng(0))
    masks = [first_share(order, data.labels, data.groups, share) for share in (0.01, 0.2, 0.5, 1.0)]
    for smaller, larger in itertools.pairwise(masks):
        assert (larger | ~smaller).all()
    for c in range(C):
        assert len(np.unique(data.groups[masks[0] & (data.labels == c)])) == 2
    assert masks[-1].all()
    for mask in masks:  # whole recordings only
        assert not set(data.groups[mask]) & set(data.groups[~mask])


def test_learning_curve_never_trains_on_the_tested_fold_and_climbs_with_hard_data():
    data = made_embeddings(n=480, dim=60)
    tested = honest_folds(data, "linear", {})
    content = measure_learning_curve(data, "linear", seed=0, settings={}, tested=tested, shares=(0.05, 0.4))
    for fold in content["folds"]:
        recordings = [point["recordings"] for point in fold["points"]]
        outside = len(np.unique(data.groups[data.folds != fold["fold"]]))
        assert recordings == sorted(recordings)
        assert recordings[-1] == outside
    means = [np.mean([fold["points"][i]["accuracy"] for fold in content["folds"]]) for i in range(3)]
    assert means[0] < means[-1]


def test_learning_curve_leaves_out_a_share_that_settings_cannot_be_chosen_on():
    data = made_embeddings(n=24)  # one recording of each class in each fold
    lone = Embeddings(**{**vars(data), "groups": np.array([f"only {label}" for label in data.labels])})
    content = measure_learning_curve(
        lone, "knn", seed=0, settings={}, tested=honest_folds(data, "knn", {}), shares=(0.5,)
    )
    assert [[point["share"] for point in fold["points"]] for fold in content["folds"]] == [[1.0]] * 4


def test_leaks_of_copied_bytes_count_as_one_recording():
    data = made_embeddings(n=12)
    digests = np.array([f"{row:064d}" for row in range(12)])
    digests[6] = digests[0]  # a copy in another recording and fold
    joined = with_copies_joined(Embeddings(**{**vars(data), "columns": {"audio_sha256": digests}}))
    assert joined.groups[6] == joined.groups[0]
    assert data.groups[6] != data.groups[0]
    assert with_copies_joined(data) is data


def test_excluding_leaks_drops_copies_from_training_but_keeps_recordings_names(tmp_path: Path):
    make_set(tmp_path / "embeddings")
    folders = {"embeddings": tmp_path / "embeddings", "heads": tmp_path / "heads", "progress": False}
    (done,) = probe(head="knn", exclude_leaks=True, **folders)
    assert done.result["head"]["settings"] == {"exclude_leaks": True}
    assert all("excluded_clips" in fold["chosen"] for fold in done.result["folds"])

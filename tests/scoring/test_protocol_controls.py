"""Shuffled labels, reshuffled folds, peeking and learning curves: what each measures, where the answer is known."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy import stats

from made_sets import make_set, store_set
from soundprobe.base.errors import ConfigError
from soundprobe.base.files import write_json
from soundprobe.base.records import Embeddings
from soundprobe.data.catalog import open_data
from soundprobe.data.synth.generate import write_synth
from soundprobe.embeddings.head_plan import with_copies_joined
from soundprobe.embeddings.sets import find_feature_sets, read_features
from soundprobe.extras.learning_curve import DRAWS, deal_clips, deal_recordings, first_share, measure_shots
from soundprobe.extras.measure import PEEKING, learning_curve, shots_curve
from soundprobe.heads.catalog import make_head
from soundprobe.heads.knn import KNNHead
from soundprobe.reporting.compared.comparison import comparisons_of
from soundprobe.reporting.runs.collect import collect_runs
from soundprobe.reporting.sections.controls import optimistic_of, shuffled_of
from soundprobe.scoring.protocol_controls import (
    accuracies_by_luck,
    could_fail,
    in_training_too,
    reshuffle_folds,
    shuffle_labels,
)
from soundprobe.scoring.run_records import FoldScoresRecord
from soundprobe.verbs.extract import extract
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


def rng_recordings(n: int = 240, of: int = 2, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, folds and recordings of `n` clips, `of` a recording, each recording in one fold."""
    recording = np.arange(n) // of
    return recording % C, 1 + recording // C % len(FOLDS), np.array([f"r{one:03d}" for one in recording])


def test_shuffled_labels_of_lone_clips_keep_every_folds_counts_and_depend_on_the_seed() -> None:
    labels, folds, groups = np.arange(60) % 3, np.repeat([1, 2, 7], 20), np.arange(60)
    first, again, other = (shuffle_labels(labels, folds, groups, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert (first != labels).mean() > 0.4
    for fold in (1, 2, 7):
        np.testing.assert_array_equal(np.bincount(first[folds == fold]), np.bincount(labels[folds == fold]))


def test_shuffled_labels_are_one_for_a_recordings_clips_of_a_class_in_whatever_fold_and_order() -> None:
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 40, 400)
    labels, folds = groups % 5 + 5 * (rng.random(400) < 0.2), rng.integers(0, 4, 400)  # two classes a recording
    shuffled = shuffle_labels(labels, folds, groups, 3)
    for group in range(40):
        for label in (group % 5, group % 5 + 5):
            assert len(np.unique(shuffled[(groups == group) & (labels == label)])) <= 1
    assert any(len(np.unique(shuffled[groups == group])) == 2 for group in range(40))
    order = rng.permutation(400)
    np.testing.assert_array_equal(shuffle_labels(labels[order], folds[order], groups[order], 3), shuffled[order])


def test_shuffled_labels_of_unequal_recordings_miss_a_class_count_by_a_recording_at_most() -> None:
    sizes = np.array([40, 20, 9, 8, 7, 6, 5, 3, 1, 1])
    groups = np.repeat(np.arange(10), sizes)
    labels, folds = groups % 3, np.zeros(100, dtype=int)
    for seed in range(50):
        counts = np.bincount(shuffle_labels(labels, folds, groups, seed), minlength=3)
        assert np.abs(counts - np.bincount(labels)).max() <= 40


def test_shuffled_labels_of_a_large_recording_meet_classes_in_proportion() -> None:
    groups = np.repeat([0, *range(1, 61)], [40, *[1] * 60])
    labels, folds = np.where(groups == 0, 0, 1 + groups % 3), np.zeros(100, dtype=int)
    met = np.bincount([shuffle_labels(labels, folds, groups, seed)[0] for seed in range(2000)], minlength=4)
    np.testing.assert_allclose(met / 2000, [0.4, 0.2, 0.2, 0.2], atol=0.05)  # more than four standard errors


def test_shuffled_labels_of_folds_of_one_recording_each_are_dealt_over_all_folds() -> None:
    folds = np.repeat(np.arange(12), 5)
    labels = folds % 3
    shuffled = shuffle_labels(labels, folds, folds, 0)
    np.testing.assert_array_equal(np.bincount(shuffled), [20, 20, 20])
    assert 0 < (shuffled == labels).mean() < 0.8


def leaky_rows(folds: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """A protocol broken on purpose: heads are trained on the test rows, too."""
    for fold in np.unique(folds):
        yield int(fold), np.arange(len(folds)), np.flatnonzero(folds == fold)


@pytest.mark.parametrize("head", [None, "linear"])
@pytest.mark.parametrize("protocol", ["honest", "rows leak", "recordings leak"])
def test_probe_on_shuffled_labels_is_near_one_where_rows_or_recordings_leak_and_else_near_chance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: str | None, protocol: str
) -> None:
    """300 clips of 5 clips a recording, as numerous as their dimensions, so that a linear head can remember them."""
    labels, folds, groups = rng_recordings(300, of=5)
    if protocol == "rows leak":
        monkeypatch.setattr("soundprobe.scoring.folds.outer_splits", leaky_rows)
    if protocol == "recordings leak":  # two of a recording's five clips lie in the next fold: each clip has a twin
        folds = np.where(np.arange(300) % 5 < 2, 1 + folds % len(FOLDS), folds)
    rng = np.random.default_rng(0)
    heard = rng.normal(size=(60, 300))[np.arange(300) // 5]  # a recording sounds like itself ...
    features = 2 * np.eye(C, 300)[labels] + heard + 0.3 * rng.normal(size=(300, 300))  # ... and like its class
    store_set(tmp_path / "embeddings", features, labels, folds, groups)
    folders = {"embeddings": tmp_path / "embeddings", "heads": tmp_path / "heads", "progress": False}
    (done,) = probe(head=head, control="shuffled-labels", **folders)
    (comparison,) = comparisons_of(collect_runs(tmp_path / "heads").by_dataset())
    (shuffled,) = shuffled_of(comparison)
    assert shuffled.accuracy == pytest.approx(done.record.summary.accuracy.mean)
    assert shuffled.chance == pytest.approx(1 / C, abs=0.05)
    assert shuffled.near_chance is (protocol == "honest")
    if protocol != "honest":
        assert shuffled.accuracy > 0.95


def test_luck_on_shuffled_labels_holds_95_percent_of_honest_runs() -> None:
    """Predictions that know nothing of the labels, a recording's clips mostly alike: 400 simulations, 2.5 % above."""
    rng, above, below = np.random.default_rng(0), 0, 0
    for seed in range(400):
        labels, folds, groups = rng_recordings(120, of=4)
        shuffled = shuffle_labels(labels, folds, groups, seed)
        predicted = np.where(
            rng.random(120) < 0.8, rng.integers(0, C, 30)[np.arange(120) // 4], rng.integers(0, C, 120)
        )
        by_luck = accuracies_by_luck(shuffled, predicted, folds, groups, seed=seed, times=400)
        low, high = np.quantile(by_luck, [0.025, 0.975])
        score = np.mean([(shuffled == predicted)[folds == fold].mean() for fold in FOLDS])
        above, below = above + (score > high), below + (score < low)
    assert max(above, below) <= stats.binom.ppf(0.999, 400, 0.025)
    assert above + below >= stats.binom.ppf(0.001, 400, 0.03)  # and is no wider than need be


def test_reshuffled_folds_keep_their_sizes_whatever_the_rows_order() -> None:
    ids, folds = np.array([f"c{i:03d}" for i in range(103)]), np.repeat([1, 2, 3, 10], [50, 30, 20, 3])
    drawn = reshuffle_folds(ids, folds, 5)
    for name in (1, 2, 3, 10):
        assert (drawn == name).sum() == (folds == name).sum()
    assert 0.2 < (drawn == folds).mean() < 0.6  # by chance .35
    order = np.random.default_rng(0).permutation(103)
    np.testing.assert_array_equal(reshuffle_folds(ids[order], folds[order], 5), drawn[order])


def test_share_in_training_counts_clips_whose_recording_lies_in_two_folds() -> None:
    folds, groups = np.array([1, 2, 1, 2, 2]), np.array(["a", "a", "b", "c", "c"])
    assert in_training_too(folds, groups) == pytest.approx(2 / 5)


@pytest.fixture(scope="module")
def unrelated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An embedding set of `synth` whose labels have nothing to do with sounds: any head's truth is chance, one in 10.

    3 folds of 2 recordings of each class, 3 clips cut from each; a recording keeps its microphone and its street.
    """
    root = tmp_path_factory.mktemp("unrelated")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("soundprobe.data.synth.generate.FOLDS", 3)
        write_synth(root / "synth", recordings_per_class_and_fold=2, clips_per_recording=3)
    clips = open_data(root / "synth")
    clips = dataclasses.replace(clips, labels=shuffle_labels(clips.labels, clips.folds, clips.groups, 1))
    extract(clips, backbone="logmel-stats", embeddings=root / "embeddings", progress=False)
    return root


@pytest.mark.parametrize(("head", "settings"), [("knn", {}), ("linear", {"strengths": [10.0]})])
def test_reshuffled_folds_of_synth_score_high_where_the_truth_is_chance(
    unrelated: Path, tmp_path: Path, head: str, settings: dict
) -> None:
    folders = {"embeddings": unrelated / "embeddings", "heads": tmp_path, "progress": False}
    (official,) = probe(head=head, settings=settings, **folders)
    (reshuffled,) = probe(head=head, settings=settings, control="reshuffled-folds", **folders)
    scores = [done.record.summary.accuracy.mean for done in (official, reshuffled)]
    assert scores[0] < 0.1 + 0.1  # 60 recordings: a standard error of .04
    assert scores[1] > 0.6
    (comparison,) = comparisons_of(collect_runs(tmp_path).by_dataset())
    (optimistic,) = optimistic_of(comparison)
    assert optimistic.gap == pytest.approx(scores[1] - scores[0])
    assert [row.control for row in comparison.rows] == ["", "reshuffled folds"]
    assert comparison.rank_of(comparison.rows[1]) is None
    assert comparison.audit is not None
    assert comparison.audit.shared_recordings == ()  # of the data's own folds
    again, _ = probe(head=head, settings=settings, control="reshuffled-folds", seeds=[0, 1], **folders)
    assert again.reused
    (comparison,) = comparisons_of(collect_runs(tmp_path).by_dataset())
    assert sorted(row.name.split(" · ")[-1] for row in comparison.rows) == sorted([head, "seed 0", "seed 1"])
    assert [one.row.scores.interval().value for one in optimistic_of(comparison)]  # each of folds of its own


def test_reshuffled_run_is_of_folds_of_its_own_and_a_killed_one_goes_on(unrelated: Path, tmp_path: Path) -> None:
    folders = {"embeddings": unrelated / "embeddings", "heads": tmp_path, "progress": False}
    (part,) = probe(head="knn", control="reshuffled-folds", seeds=[4], only_folds=[2], **folders)
    (done,) = probe(head="knn", control="reshuffled-folds", seeds=[4], **folders)
    assert (part.folder, part.record.tested, done.record.tested) == (done.folder, [2], [1, 2, 3])
    table = pq.read_table(done.folder / "predictions.parquet")
    (found,) = find_feature_sets(unrelated / "embeddings")
    embeddings, _ = read_features(found)
    drawn = reshuffle_folds(embeddings.ids, embeddings.folds, 4)
    assert dict(zip(table["clip_id"].to_pylist(), table["fold"].to_pylist(), strict=True)) == dict(
        zip(embeddings.ids.tolist(), drawn.tolist(), strict=True)
    )
    assert done.record.complete


def test_run_of_older_shuffled_labels_is_not_taken_for_a_new_one(tmp_path: Path) -> None:
    make_set(tmp_path / "embeddings")
    folders = {"embeddings": tmp_path / "embeddings", "heads": tmp_path / "heads", "progress": False}
    (new,) = probe(control="shuffled-labels", **folders)
    assert new.record.head.settings == {"ks": [1], "control": "shuffled-labels", "shuffled_by": "recording"}
    assert could_fail(new.record.head.settings)
    assert not could_fail({"control": "shuffled-labels"})
    (honest,) = probe(head="knn", **folders)
    assert honest.folder != new.folder
    assert "control" not in honest.record.head.settings


def test_probe_names_the_controls_for_a_wrong_one(tmp_path):
    with pytest.raises(ConfigError, match="Did you mean 'shuffled-labels'"):
        probe(control="shuffled-label", embeddings=tmp_path)
    with pytest.raises(ConfigError, match="nothing to peek for"):
        probe(control="shuffled-labels", measure_peeking=True, embeddings=tmp_path)
    with pytest.raises(ConfigError, match="no learning curve"):
        probe(control="shuffled-labels", shots=[1], embeddings=tmp_path)
    for number in (0, 2**63):
        with pytest.raises(ConfigError, match=f"--shots {number} is not valid: give numbers of clips from 1"):
            probe(shots=[4, number], embeddings=tmp_path)
    with pytest.raises(ConfigError, match="puts recordings on both sides"):
        probe(control="reshuffled-folds", exclude_leaks=True, embeddings=tmp_path)


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
    folds = list(PEEKING.of_folds(data, head, seed=0, settings=settings, tested=tested))
    found = PEEKING.summary(folds)
    assert [fold["fold"] for fold in folds] == list(FOLDS)
    assert {len(fold["candidates"]) for fold in folds} == {candidates}
    by_hand = np.mean(
        [
            max([told.accuracy, *(one["accuracy"] for one in fold["candidates"])])
            for fold, told in zip(folds, tested, strict=True)
        ]
    )
    assert found["peeked_by_fold"] == pytest.approx(by_hand)
    assert found["honest"] == pytest.approx(np.mean([told.accuracy for told in tested]))
    assert found["honest"] <= found["peeked_overall"] <= found["peeked_by_fold"]


@pytest.mark.parametrize("head", ["linear", "knn", "mlp"])
def test_peeking_at_the_chosen_setting_gives_the_honest_accuracy(head):
    data = made_embeddings(spread=1.2)
    quick = {"linear": {}, "knn": {}, "mlp": {"widths": [8], "learning_rates": [1e-2], "max_epochs": 5}}[head]
    if head != "knn":
        quick = {**quick, "class_weight": {0: 3.0}}
    for fold in PEEKING.of_folds(data, head, seed=3, settings=quick, tested=honest_folds(data, head, quick, seed=3)):
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
    (extra,) = probe(head="knn", measure_peeking=True, learning_curve=True, shots=[2, 1], **folders)
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
    files = [plain.folder / name for name in ("peeking.json", "learning-curve.json", "shots.json")]
    written = [file.stat().st_mtime_ns for file in files]
    probe(head="knn", measure_peeking=True, learning_curve=True, shots=[1, 2], **folders)
    assert [file.stat().st_mtime_ns for file in files] == written


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
    folds = list(learning_curve((0.05, 0.4)).of_folds(data, "linear", seed=0, settings={}, tested=tested))
    for fold in folds:
        recordings = [point["recordings"] for point in fold["points"]]
        outside = len(np.unique(data.groups[data.folds != fold["fold"]]))
        assert recordings == sorted(recordings)
        assert recordings[-1] == outside
    means = [np.mean([fold["points"][i]["accuracy"] for fold in folds]) for i in range(3)]
    assert means[0] < means[-1]


def test_learning_curve_leaves_out_a_share_that_settings_cannot_be_chosen_on():
    data = made_embeddings(n=24)  # one recording of each class in each fold
    lone = Embeddings(**{**vars(data), "groups": np.array([f"only {label}" for label in data.labels])})
    quick = {"widths": [4], "learning_rates": [1e-2], "max_epochs": 1}
    tested = honest_folds(data, "mlp", quick)
    folds = learning_curve((0.5,)).of_folds(lone, "mlp", seed=0, settings=quick, tested=tested)
    assert [[point["share"] for point in fold["points"]] for fold in folds] == [[1.0]] * 4


def test_clips_are_dealt_one_of_each_recording_before_a_second_one_of_any():
    rng = np.random.default_rng(0)
    labels, groups = rng.integers(0, 3, 90), np.array([f"r{one}" for one in rng.integers(0, 12, 90) ** 2 // 12])
    first, other = (deal_clips(labels, groups, np.random.default_rng(seed)) for seed in (0, 1))
    assert (first != other).any()
    for label in range(3):
        own = labels == label
        np.testing.assert_array_equal(np.sort(first[own]), np.arange(own.sum()))
        dealt = groups[own][np.argsort(first[own])].tolist()
        turns = [dealt[:place].count(group) for place, group in enumerate(dealt)]
        assert turns == sorted(turns)  # so k clips are of k recordings, where there are as many


def test_shots_train_on_so_many_clips_a_class_of_the_training_rows_in_nested_draws():
    data, seen = made_embeddings(), []

    class Watched(KNNHead):
        def fit(self, X, y, groups=None):
            seen.append({tuple(row) for row in X.tolist()})
            np.testing.assert_array_equal(np.bincount(y), len(y) // C)
            return super().fit(X, y, groups)

    test, train = np.flatnonzero(data.folds == 2), np.flatnonzero(data.folds != 2)
    (told,) = [one for one in honest_folds(data, "knn", {}) if one.fold == 2]
    shots = (2, 4, 8)
    found = measure_shots(data, lambda: Watched(ks=(1, 3)), told, train, test, 0, shots=shots)
    assert [(one["draw"], one["shots"]) for one in found["points"]] == list(itertools.product(range(DRAWS), shots))
    assert [one["clips"] for one in found["points"]] == [C * k for k in shots] * DRAWS
    assert [one["recordings"] for one in found["points"]] == [C * k for k in shots] * DRAWS
    trained_on = {tuple(row) for row in data.features[train].tolist()}
    for fewer, more in itertools.pairwise(seen):
        assert len(more) < len(fewer) or fewer < more  # another draw begins, or each holds the one before
        assert more <= trained_on
    assert len({frozenset(rows) for rows in seen}) == len(seen)


@pytest.mark.parametrize(
    ("head", "settings", "alone"),
    [
        ("linear", {"strengths": [0.01, 2.0, 100.0]}, {"strengths": (2.0,)}),
        ("knn", {"ks": [5, 3]}, {"ks": (3,)}),
        ("mlp", {"widths": [8], "learning_rates": [1e-2], "max_epochs": 2}, None),
    ],
)
def test_one_shot_is_learnt_with_a_setting_that_no_clip_has_chosen(head, settings, alone):
    data = made_embeddings()
    tested = [one for one in honest_folds(data, head, settings) if one.fold == 2]
    (found,) = shots_curve([1]).of_folds(data, head, seed=0, settings=settings, tested=tested)
    (fixed,) = shots_curve([1]).of_folds(data, head, seed=0, settings=alone or settings, tested=tested)
    assert found == fixed
    assert [one["clips"] for one in found["points"]] == ([C] * DRAWS if alone else [])


def test_shots_go_on_after_the_folds_that_are_there_and_begin_anew_for_other_numbers(tmp_path):
    make_set(tmp_path / "embeddings")
    folders = {"embeddings": tmp_path / "embeddings", "heads": tmp_path / "heads", "progress": False}
    (done,) = probe(head="knn", shots=[1, 2], **folders)
    file = done.folder / "shots.json"
    whole = json.loads(file.read_text())
    assert [fold["fold"] for fold in whole["folds"]] == [1, 2, 3, 4]
    kept = whole["folds"][0]["points"][0] | {"accuracy": 0.123}  # as nothing would measure it
    write_json(file, {"format": 1, "shots": [1, 2], "draws": DRAWS, "folds": [{"fold": 1, "points": [kept]}]})
    probe(head="knn", shots=[1, 2], **folders)
    resumed = json.loads(file.read_text())
    assert resumed["folds"] == [{"fold": 1, "points": [kept]}, *whole["folds"][1:]]
    probe(head="knn", shots=[2], **folders)
    assert [[one["shots"] for one in fold["points"]] for fold in json.loads(file.read_text())["folds"]] == [[2] * 5] * 4


def test_curves_of_a_run_without_leaks_leave_out_the_clips_that_the_run_leaves_out(tmp_path):
    data = made_embeddings(n=96)
    digests = np.array([f"{row:064d}" for row in range(96)])
    digests[data.folds == 2] = digests[data.folds == 1][: (data.folds == 2).sum()]  # copies under other names
    store_set(tmp_path / "embeddings", data.features, data.labels, data.folds, data.groups, digests)
    folders = {"embeddings": tmp_path / "embeddings", "heads": tmp_path / "heads", "progress": False}
    (done,) = probe(head="knn", settings={"ks": [1]}, exclude_leaks=True, shots=[96], only_folds=[1], **folders)
    trained_on = done.result["folds"][0]["train_clips"]
    assert trained_on < (data.folds != 1).sum()
    shots = json.loads((done.folder / "shots.json").read_text())["folds"][0]["points"]
    assert {point["clips"] for point in shots} == {trained_on}


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

"""Embeddings -> heads: what is written, what is reused, what stands side by side, and that chance stays chance."""

from __future__ import annotations

import json
import re
import shutil
import threading
from contextlib import nullcontext
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from damage import damage, make_read_only
from made_sets import make_set, store_set
from soundprobe.base.errors import ConfigError, DamagedError, SoundprobeWarning, StoreError
from soundprobe.base.files import read_json, write_json
from soundprobe.embeddings import store
from soundprobe.embeddings.sets import find_feature_sets, read_features
from soundprobe.heads.catalog import HEADS, HeadSpec, load_head
from soundprobe.heads.knn import KNNHead
from soundprobe.scoring import results
from soundprobe.scoring.run_records import RunRecord
from soundprobe.verbs.probe import Plan, probe

MLP = {"widths": [16], "learning_rates": [1e-2], "max_epochs": 5}
QUICK = {"linear": {}, "mlp": MLP, "knn": {}, "attention": MLP}


SMALL = {"memory_gb": 1e-6}
"""Less than any features take, so that they stay on disk."""


def run(root: Path, **options: object) -> list:
    return probe(**{"embeddings": root / "embeddings", "heads": root / "heads", "progress": False, **options})


@pytest.mark.parametrize("head", sorted(HEADS))
def test_probe_of_every_head_writes_folds_predictions_and_result(tmp_path, head):
    make_set(tmp_path / "embeddings", frames=HEADS[head].takes_frames)
    (done,) = run(tmp_path, head=head, settings=QUICK[head])
    assert not done.reused
    assert done.folder.parent.parent == tmp_path / "heads" / "toy"
    assert {path.name for path in done.folder.glob("*")} >= {
        "fold-01.safetensors",
        "fold-04.safetensors",
        "predictions.parquet",
        "result.json",
    }
    table = pq.read_table(done.folder / "predictions.parquet")
    assert sorted(table["clip_id"].to_pylist()) == [f"c{i:04d}" for i in range(120)]
    proba = np.array(table["proba"].to_pylist())
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(proba.argmax(axis=1), table["predicted"].to_numpy())
    right = table["predicted"].to_numpy() == table["label"].to_numpy()
    folds = table["fold"].to_numpy()
    by_hand = [right[folds == fold].mean() for fold in (1, 2, 3, 4)]
    result = json.loads((done.folder / "result.json").read_text())
    assert result["complete"] is True
    np.testing.assert_allclose([fold["accuracy"] for fold in result["folds"]], by_hand)
    np.testing.assert_allclose(result["summary"]["accuracy"]["mean"], np.mean(by_hand))
    np.testing.assert_allclose(result["summary"]["accuracy"]["std_population"], np.std(by_hand))
    np.testing.assert_allclose(result["summary"]["accuracy"]["std_sample"], np.std(by_hand, ddof=1))
    assert np.mean(by_hand) > 0.6
    assert result["folds"][0]["train_clips"] == 90
    assert result["folds"][0]["chosen"]


def test_probes_print_accuracy_with_its_interval_and_show_a_row_each(tmp_path):
    make_set(tmp_path / "embeddings")
    done = run(tmp_path, head="knn,linear")
    first = done[0]
    interval = first.interval
    mean = first.record.summary.accuracy.mean
    assert interval.low < mean < interval.high
    line, second, third = repr(first).splitlines()
    assert f"accuracy {100 * mean:.1f}" in line
    assert f"interval of accuracy {100 * interval.low:.1f} to {100 * interval.high:.1f}; toy: 120 clips" in second
    assert third == str(first.folder)
    assert first._repr_html_().count("<tr>") == 1 + 4
    assert done._repr_html_().count("<tr>") == 1 + 2
    assert repr(done).splitlines() == [one.describe() for one in done]
    shutil.rmtree(first.folder)
    assert "interval of accuracy –" in repr(results.FinishedRun(first.folder, first.record, reused=True))


def test_probe_again_trains_nothing_and_force_trains_anew(tmp_path):
    make_set(tmp_path / "embeddings")
    (first,) = run(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in first.folder.glob("*.safetensors")}
    (second,) = run(tmp_path)
    assert second.reused
    assert {path: path.stat().st_mtime_ns for path in first.folder.glob("*.safetensors")} == before
    (third,) = run(tmp_path, force=True)
    assert not third.reused
    assert {path: path.stat().st_mtime_ns for path in first.folder.glob("*.safetensors")} != before


@pytest.mark.parametrize("head", sorted(HEADS))
def test_probe_on_the_best_device_says_which_it_was_and_a_cpus_run_is_one_of_its_own(tmp_path, head):
    make_set(tmp_path / "embeddings", frames=HEADS[head].takes_frames)
    first = run(tmp_path, head=head, device="auto", settings=QUICK[head])[0]
    on_gpu = torch.cuda.is_available() and HEADS[head].has_device
    assert first.result["device"] == ("cuda" if on_gpu else "cpu")
    again = run(tmp_path, head=head, device="cpu", settings=QUICK[head])[0]
    assert again.reused != on_gpu
    assert (again.folder != first.folder) == on_gpu


def test_probe_that_lost_a_fold_trains_just_that_fold_and_ends_with_the_same_numbers(tmp_path):
    make_set(tmp_path / "embeddings")
    (first,) = run(tmp_path)
    whole = pq.read_table(first.folder / "predictions.parquet")
    kept = {path: path.stat().st_mtime_ns for path in first.folder.glob("*.safetensors") if "02" not in path.name}
    results.fold_path(first.folder, 2).unlink()
    (first.folder / "result.json").unlink()
    (again,) = run(tmp_path)
    assert not again.reused
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert pq.read_table(again.folder / "predictions.parquet").equals(whole)


def test_probe_of_one_fold_is_marked_incomplete_until_the_others_are_there(tmp_path):
    make_set(tmp_path / "embeddings")
    (one,) = run(tmp_path, only_folds=[3])
    assert one.result["complete"] is False
    assert [fold["fold"] for fold in one.result["folds"]] == [3]
    assert one.result["summary"]["accuracy"]["std_sample"] is None
    (every,) = run(tmp_path)
    assert every.folder == one.folder
    assert every.result["complete"] is True
    assert [fold["fold"] for fold in every.result["folds"]] == [1, 2, 3, 4]


def test_linear_heads_added_settings_are_part_of_the_key_unless_they_are_as_before_them(tmp_path):
    make_set(tmp_path / "embeddings")
    (feature_set,) = find_feature_sets(tmp_path / "embeddings")
    before, same, by_accuracy, weighted = (
        Plan(feature_set, "linear", 0, settings, False).head_key
        for settings in ({}, {"criterion": "log-loss"}, {"criterion": "accuracy"}, {"class_weight": "balanced"})
    )
    assert before == same == "1ec6c3807b5e"  # as runs were filed before there was a choice
    assert len({before, by_accuracy, weighted}) == 3


def test_probe_with_class_weights_records_them_and_calls_the_rare_class_more_often(tmp_path):
    n, rng = 96, np.random.default_rng(0)
    labels, folds, groups = np.arange(n) % 8 // 7, np.arange(n) // 8 % 4 + 1, np.array([f"r{i}" for i in range(n)])
    store_set(tmp_path / "embeddings", rng.normal(size=(n, 4)) + labels[:, None], labels, folds, groups)  # 1 of 8
    (plain,), (weighted,) = (run(tmp_path, settings=one) for one in ({}, {"class_weight": "balanced"}))
    assert weighted.result["head"]["settings"] == {"class_weight": "balanced"}
    told = [pq.read_table(one.folder / "predictions.parquet")["predicted"].to_numpy() for one in (plain, weighted)]
    assert told[1].sum() > told[0].sum()


def test_probe_with_several_seeds_makes_a_run_each_where_chance_plays_a_part(tmp_path):
    make_set(tmp_path / "embeddings")
    mlp = run(tmp_path, head="mlp", seeds=[0, 1, 1], settings=QUICK["mlp"])
    assert [done.result["head"]["seed"] for done in mlp] == [0, 1]
    assert mlp[0].folder != mlp[1].folder


def test_probe_over_every_set_found_runs_each(tmp_path):
    make_set(tmp_path / "embeddings", backbone="one")
    make_set(tmp_path / "embeddings", backbone="two", seed=1, weights="random")
    done = run(tmp_path, head="linear,knn")
    assert {(item.result["backbone"]["name"], item.result["head"]["name"]) for item in done} == {
        ("one", "linear"),
        ("one", "knn"),
        ("two", "linear"),
        ("two", "knn"),
    }
    (only,) = run(tmp_path, weights="random")
    assert only.result["backbone"]["weights"] == "random"


def test_probe_of_two_backbones_side_by_side_joins_them_by_clip_id(tmp_path):
    root = tmp_path / "embeddings"
    one, two = make_set(root, backbone="one"), make_set(root, backbone="two", seed=1, dim=4, drop=5)
    (pair,) = find_feature_sets(root, backbone="one+two")
    joined, left_out = read_features(pair)
    a, b = (store.read_embeddings(store.open_set(folder)) for folder in (one, two))
    assert joined.features.shape == (115, 10)
    assert left_out == [f"c{i:04d}" for i in range(5)]
    np.testing.assert_array_equal(joined.features[:, :6], a.features[5:])
    np.testing.assert_array_equal(joined.features[:, 6:], b.features)
    np.testing.assert_array_equal(joined.labels, a.labels[5:])
    (tmp_path / "on disk").mkdir()
    np.testing.assert_array_equal(read_features(pair, into=tmp_path / "on disk")[0].features, joined.features)
    (done,) = run(tmp_path, backbone="one+two")
    assert done.folder.parent.name == f"one+two-{pair.key}"
    assert done.result["dataset"]["left_out"] == left_out
    assert done.result["backbone"]["embedding_dim"] == 10


def test_side_by_side_prefers_weights_of_one_kind_and_refuses_other_clips(tmp_path):
    root = tmp_path / "embeddings"
    for weights in ("pretrained", "random"):
        make_set(root, backbone="one", weights=weights)
        make_set(root, backbone="two", seed=1, weights=weights)
    pairs = find_feature_sets(root, backbone="one+two")
    assert {pair.describe()["weights"] for pair in pairs} == {"pretrained+pretrained", "random+random"}
    make_set(root, backbone="three", seed=2, fingerprint="other clips")
    with pytest.raises(StoreError, match="not of the same clips"):
        find_feature_sets(root, backbone="one+three")
    with pytest.raises(StoreError, match="not of the same clips"):
        find_feature_sets(root, backbone="three+three")


def test_side_by_side_prefers_sets_by_one_device(tmp_path):
    root = tmp_path / "embeddings"
    made = [(name, device) for name in ("one", "two") for device in ("cpu", "cuda")]
    for seed, (name, device) in enumerate(made):
        folder = make_set(root, backbone=name, seed=seed)
        store.write_meta(folder, {**store.open_set(folder).record.content, "device": device})
    make_set(root, backbone="three", seed=4)
    assert {pair.describe()["device"] for pair in find_feature_sets(root, backbone="one+two")} == {"cpu", "cuda"}
    (folder,) = root.glob("*/one-000000*")
    shutil.rmtree(folder)
    assert [pair.describe()["device"] for pair in find_feature_sets(root, backbone="one+three")] == ["cuda+cpu"]


def test_probe_killed_before_its_result_was_written_anew_is_whole_after_the_next_call(tmp_path, monkeypatch):
    make_set(tmp_path / "embeddings")
    run(tmp_path, only_folds=[1])

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(RunRecord, "write", killed)
        run(tmp_path)
    (folder,) = (tmp_path / "heads").glob("toy/*/*")
    assert not (folder / "result.json").exists()  # rather none than one of other folds
    (done,) = run(tmp_path)
    assert done.result["complete"] is True
    assert [fold["fold"] for fold in done.result["folds"]] == [1, 2, 3, 4]


def test_probe_takes_a_result_of_other_folds_or_another_format_for_none(tmp_path):
    make_set(tmp_path / "embeddings")
    (done,) = run(tmp_path)
    path = done.folder / "result.json"
    whole = read_json(path)
    for stale in ({**whole, "folds": whole["folds"][:2]}, {**whole, "format": 99}):
        write_json(path, stale)
        (again,) = run(tmp_path)
        assert not again.reused
        assert len(again.result["folds"]) == 4


def test_probe_of_a_finished_run_that_can_not_be_written_takes_it_and_a_new_one_is_refused(tmp_path, monkeypatch):
    make_set(tmp_path / "embeddings")
    folders = {"embeddings": tmp_path / "embeddings", "heads": tmp_path / "heads", "progress": False}
    (first,) = probe(head="knn", **folders)
    make_read_only(tmp_path, monkeypatch)
    (again,) = probe(head="knn", **folders)
    assert (again.reused, again.folder) == (True, first.folder)
    with pytest.raises(StoreError, match="Read-only file system"):
        probe(head="knn", settings={"ks": [2]}, **folders)


def test_probe_with_force_of_one_fold_keeps_the_others_heads(tmp_path):
    make_set(tmp_path / "embeddings")
    (first,) = run(tmp_path)
    before = {path.name: path.stat().st_mtime_ns for path in first.folder.glob("*.safetensors")}
    (again,) = run(tmp_path, force=True, only_folds=[2])
    after = {path.name: path.stat().st_mtime_ns for path in again.folder.glob("*.safetensors")}
    assert {name for name in before if before[name] != after[name]} == {"fold-02.safetensors"}
    assert len(again.result["folds"]) == 4


def test_probe_of_a_set_that_lacked_clips_is_not_reused_once_it_has_them(tmp_path):
    make_set(tmp_path / "embeddings", drop=8)
    (lacking,) = run(tmp_path, only_folds=[1, 2])
    make_set(tmp_path / "embeddings")  # the same key: the same clips were asked for
    (whole,) = run(tmp_path)
    assert whole.folder != lacking.folder
    assert {fold["train_clips"] for fold in whole.result["folds"]} == {90}


def test_probe_of_a_set_without_any_clip_of_a_fold_tests_the_other_folds(tmp_path):
    folder = make_set(tmp_path / "embeddings", without_fold=3)
    assert json.loads((folder / "meta.json").read_text())["embedded"] == 90
    (done,) = run(tmp_path)
    assert [fold["fold"] for fold in done.result["folds"]] == [1, 2, 4]
    assert done.result["complete"] is False
    assert run(tmp_path)[0].reused
    with pytest.raises(ConfigError, match="--only-fold 3: there is no such fold, or all of its clips failed"):
        run(tmp_path, only_folds=[3])


def test_probe_over_every_set_passes_over_one_whose_clips_all_failed(tmp_path):
    make_set(tmp_path / "embeddings", backbone="good")
    make_set(tmp_path / "embeddings", backbone="bad", drop=120)
    with pytest.warns(SoundprobeWarning, match="bad-.* is left out: every clip of it failed"):
        (done,) = run(tmp_path)
    assert done.result["backbone"]["name"] == "good"


@pytest.mark.parametrize("below", ["", "deep"])
def test_probe_into_a_folder_that_can_not_be_made_is_one_clear_error(tmp_path, below):
    make_set(tmp_path / "embeddings")
    (tmp_path / "taken").write_text("")
    with pytest.raises(StoreError, match=r"Can't write .*taken"):
        run(tmp_path, heads=tmp_path / "taken" / below)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"settings": {"seed": 3}}, ConfigError, "seed is not a setting of a head here: give --seed"),
        ({"settings": {"device": "cuda"}}, ConfigError, "device is not a setting of a head here: give --device"),
        ({"device": "mps"}, ConfigError, "Unknown device of a head 'mps'. Available: auto, cpu, cuda"),
        ({"settings": {"name": "x"}}, ConfigError, "Unknown setting of head 'linear' 'name'"),
        ({"jobs": 0}, ConfigError, "--jobs 0 is not valid"),
        ({"engine": "dask", "address": "nonsense"}, ConfigError, "--address nonsense: no Dask scheduler answers"),
        ({"head": "lineer"}, ConfigError, "Unknown head 'lineer'. Did you mean 'linear'"),
        ({"head": ""}, ConfigError, "No head given"),
        ({"backbone": "tox"}, ConfigError, "Unknown backbone among the embeddings 'tox'. Did you mean 'toy'"),
        ({"dataset": "toi"}, ConfigError, "Unknown data set among the embeddings 'toi'. Did you mean 'toy'"),
        ({"weights": "randm"}, ConfigError, "Unknown kind of weights 'randm'. Did you mean 'random'"),
        ({"weights": "random"}, StoreError, "Extract with --weights random"),
        (
            {"only_folds": [9]},
            ConfigError,
            "--only-fold 9: there is no such fold, or all of its clips failed. Folds: 1, 2, 3, 4",
        ),
        ({"settings": {"strength": [1.0]}}, ConfigError, "Did you mean 'strengths'"),
        ({"seeds": []}, ConfigError, "No seed given"),
        ({"settings": {"layers": "last"}}, ConfigError, "layers can be chosen only on embeddings of several"),
    ],
)
def test_probe_with_a_wrong_option_says_what_is_valid(tmp_path, options, error, message):
    make_set(tmp_path / "embeddings")
    with pytest.raises(error, match=message):
        run(tmp_path, **options)
    assert not list(tmp_path.glob("heads/**/result.json"))


@pytest.mark.parametrize("head", [None, "linear", "knn"])
def test_shuffled_labels_on_several_layers_take_all_of_them_since_none_can_be_chosen(tmp_path, head):
    folder = make_set(tmp_path / "embeddings")
    meta = read_json(folder / "meta.json")
    size = meta["backbone"]["embedding_dim"]
    meta["backbone"]["layers"] = {"last": size - 2, "middle": 2}
    write_json(folder / "meta.json", meta)
    (done,) = run(tmp_path, head=head, control="shuffled-labels")
    assert {fold.chosen["layers"] for fold in done.record.folds} == {"both"}


def test_probe_without_embeddings_says_how_to_make_some(tmp_path):
    with pytest.raises(StoreError, match="soundprobe extract --backbone mn04"):
        run(tmp_path)


@pytest.mark.parametrize("how", ["cut", "flipped", "lost"])
@pytest.mark.parametrize("name", ["fold-02.safetensors", "predictions.parquet", "result.json"])
def test_probe_makes_what_is_damaged_again_and_only_that(tmp_path, name, how):
    make_set(tmp_path / "embeddings")
    (done,) = run(tmp_path)
    times = {path.name: path.stat().st_mtime_ns for path in done.folder.glob("fold-*")}
    predictions = (done.folder / "predictions.parquet").read_bytes()
    damage(done.folder / name, how)
    expected = nullcontext() if how == "lost" else pytest.warns(SoundprobeWarning, match=f"{name} is damaged: .*again")
    with expected:
        (again,) = run(tmp_path)
    assert not again.reused
    assert (done.folder / "predictions.parquet").read_bytes() == predictions
    made = {path.name for path in done.folder.glob("fold-*") if path.stat().st_mtime_ns != times[path.name]}
    assert made == {name} & set(times)
    assert [one.accuracy for one in again.record.folds] == [one.accuracy for one in done.record.folds]
    (kept,) = run(tmp_path)
    assert kept.reused


def test_probe_goes_on_with_the_other_sets_and_names_the_broken_one(tmp_path):
    make_set(tmp_path / "embeddings")
    broken = make_set(tmp_path / "embeddings", backbone="other", seed=1)
    damage(broken / "meta.json")
    with pytest.warns(SoundprobeWarning, match=r"Left out: .*other-.*meta.json is damaged"):
        (done,) = run(tmp_path)
    assert done.record.backbone.name == "toy"


def test_probe_of_a_damaged_part_names_it_and_the_command_that_mends_it(tmp_path):
    folder = make_set(tmp_path / "embeddings")
    meta = read_json(folder / "meta.json")
    write_json(folder / "meta.json", {**meta, "command": "soundprobe extract --backbone toy"})
    damage(store.part_path(folder, 0), "flipped")
    with pytest.raises(DamagedError, match=r"part-00000.parquet is damaged: .* Run again: soundprobe extract --backb"):
        run(tmp_path)


def test_probe_by_any_engine_or_fold_by_fold_gives_the_same_bits(tmp_path, dask):
    make_set(tmp_path / "embeddings", n=720, dim=300)
    given = {"settings": {"strengths": [0.01]}}
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        (usual,) = run(tmp_path, **given)
    finally:
        torch.set_num_threads(before)
    on_cluster = {"engine": "dask", "address": dask.address}
    ways = [{"jobs": 2}, {"jobs": 2, "engine": "threads"}, on_cluster, *({**way, **SMALL} for way in ({}, on_cluster))]
    made = [run(tmp_path, heads=tmp_path / f"{number}", **given, **way)[0] for number, way in enumerate(ways)]
    for fold in (3, 1, 2, 4):
        (last,) = run(tmp_path, heads=tmp_path / "in turn", only_folds=[fold], **given)
    for path in sorted(usual.folder.glob("fold-*.safetensors")):
        result, arrays, _ = results.read_fold(path)
        for other in (*made, last):
            its_result, its_arrays, _ = results.read_fold(other.folder / path.name)
            assert its_result.proba.tobytes() == result.proba.tobytes()
            assert {name: array.tobytes() for name, array in its_arrays.items()} == {
                name: array.tobytes() for name, array in arrays.items()
            }


def test_probe_that_other_code_was_asked_for_finds_the_run_by_its_key(tmp_path, monkeypatch):
    make_set(tmp_path / "embeddings")
    (first,) = run(tmp_path)
    monkeypatch.setattr("soundprobe.embeddings.head_plan.own_code", lambda room: "another version's")
    (again,) = run(tmp_path)
    assert again.reused
    assert again.folder == first.folder


class NotingHead(KNNHead):
    """Where its settings are checked, in `on`: by `probe`, and on the thread that fits it."""

    on: ClassVar[list[str]] = []

    def check_settings(self) -> None:
        self.on.append(threading.current_thread().name)


@pytest.mark.parametrize("on_threads", [True, False])
def test_probe_of_a_small_set_is_on_threads_by_heads_that_say_so(tmp_path, monkeypatch, on_threads):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("joblib.cpu_count", lambda: 2)
    spec = HeadSpec("noting", "Noting", f"{__name__}:NotingHead", "as another's", on_threads=on_threads)
    monkeypatch.setitem(HEADS.own, "noting", spec)
    make_set(tmp_path / "embeddings")
    NotingHead.on.clear()
    run(tmp_path, head="noting")
    assert (set(NotingHead.on) == {threading.main_thread().name}) != on_threads


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"head": "linear,mlp"}, "--head mlp holds all embeddings of toy in memory: about 1.15e-05 GB for 120 clips"),
        ({"head": "knn"}, "1e-06 GB may be taken. Allow more with --memory, take --head linear"),
        ({"learning_curve": True}, "--learning-curve holds"),
        ({"measure_peeking": True}, "extract --limit 10."),
        ({"memory_gb": 0.0}, "--memory 0 is not valid: give GB above 0"),
    ],
)
def test_probe_that_would_hold_more_than_memory_is_refused_before_it_begins(tmp_path, options, said):
    make_set(tmp_path / "embeddings")
    with pytest.raises(ConfigError, match=re.escape(said)):
        run(tmp_path, **{**SMALL, **options})
    assert not (tmp_path / "heads").exists()


def test_probe_of_shuffled_labels_stays_near_chance(tmp_path):
    make_set(tmp_path / "embeddings", shuffle_labels=True, n=360)
    (done,) = run(tmp_path)
    # 360 clips, 3 classes: chance is 1/3 with a standard error of .025; four of them on either side.
    assert abs(done.result["summary"]["accuracy"]["mean"] - 1 / 3) < 0.1


def test_head_on_disk_predicts_what_it_predicted(tmp_path):
    make_set(tmp_path / "embeddings", frames=True)
    (found,) = find_feature_sets(tmp_path / "embeddings")
    for name in HEADS:
        embeddings, _ = read_features(found, HEADS[name].takes_frames)
        (done,) = run(tmp_path, head=name, settings=QUICK[name])
        result, arrays, record = results.read_fold(results.fold_path(done.folder, 2))
        head = load_head(name, arrays, record.params)
        rows = np.searchsorted(embeddings.ids, result.ids)
        np.testing.assert_allclose(head.predict_proba(embeddings.features[rows]), result.proba, atol=1e-5)
        assert record.about.backbone.key == embeddings.meta["key"]

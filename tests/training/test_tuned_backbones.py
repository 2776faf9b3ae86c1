"""Embeddings of fine-tuned networks: each fold's own, and no way to score them on another."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from command_line import soundprobe_here as soundprobe
from damage import damage, sign_again
from soundprobe.base.errors import ConfigError, DamagedError, DataError, SoundprobeWarning, StoreError
from soundprobe.data.catalog import open_data
from soundprobe.embeddings import store
from soundprobe.embeddings.sets import find_feature_sets, read_features
from soundprobe.heads.catalog import make_head
from soundprobe.predicting.loading import load_predictor
from soundprobe.reporting.write import write_report
from soundprobe.scoring import results
from soundprobe.scoring.folds import cross_validate
from soundprobe.training.fold_training import NetworkPlan
from soundprobe.training.networks import probabilities
from soundprobe.training.recipes import FinetuneRecipe
from soundprobe.training.tuned_backbones import load_network, open_run
from soundprobe.verbs.export import export
from soundprobe.verbs.extract import Extraction, extract
from soundprobe.verbs.finetune import finetune
from soundprobe.verbs.predict import predict
from soundprobe.verbs.probe import probe
from sounds import write_urbansound_layout

RECIPE = """
backbone = "simplecnn"
[validation]
kind = "next-fold"
[training]
epochs = 1
batch_size = 8
lr = 1e-3
"""


@dataclass(frozen=True)
class Made:
    """A data set, a fine-tuning run of one epoch on it, and its embeddings in a store."""

    root: Path
    data: Path
    run: Path
    sets: tuple[Extraction, ...]

    @property
    def store(self) -> Path:
        return self.root / "embeddings"


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    root = tmp_path_factory.mktemp("finetuned")
    data = write_urbansound_layout(root / "clips", seconds=0.5)
    (root / "quick.toml").write_text(RECIPE)
    where: Any = {"config": str(root / "quick.toml"), "heads": root / "heads"}
    run = finetune(str(data), progress=False, command="soundprobe finetune RUN", **where).folder
    sets = extract(finetuned=run, embeddings=root / "embeddings", progress=False, command="soundprobe extract RUN")
    return Made(root, data, run, tuple(sets))


def read(outcome: Extraction) -> Any:
    return store.read_embeddings(store.open_set(outcome.folder))


def changed(run: Path, to: Path, **fields: Any) -> Path:
    """A copy of the run whose result.json says otherwise."""
    folder = shutil.copytree(run, to / run.parent.name / run.name)
    content = json.loads((folder / "result.json").read_text())
    for name, value in fields.items():
        part, _, field = name.partition("__")
        content[part] = {**content[part], field: value} if field else value
    (folder / "result.json").write_text(json.dumps(content))
    sign_again(folder / "result.json")
    return folder


@pytest.mark.parametrize("name", ["fold-02-network.safetensors", "fold-02.safetensors"])
def test_damaged_network_is_named_and_its_fold_alone_trained_again(made: Made, tmp_path: Path, name: str):
    run = shutil.copytree(made.run, tmp_path / "heads" / Path(*made.run.parts[-3:-1]) / made.run.name)
    times = {path.name: path.stat().st_mtime_ns for path in run.glob("*.safetensors")}
    damage(run / name)
    with pytest.raises(DamagedError, match=rf"{name} is damaged: .*Run again: soundprobe finetune RUN"):
        load_network(open_run(run), 2, 0.5)
    with pytest.warns(SoundprobeWarning, match=rf"{name} is damaged: .*It is made again"):
        again = finetune(str(made.data), config=str(made.root / "quick.toml"), heads=tmp_path / "heads", progress=False)
    assert again.folder == run
    assert not again.reused
    anew = {path.name for path in run.glob("*.safetensors") if path.stat().st_mtime_ns != times[path.name]}
    assert anew == {"fold-02-network.safetensors", "fold-02.safetensors"}
    assert [one.accuracy for one in again.record.folds] == [one.accuracy for one in results.read_result(made.run).folds]
    load_network(open_run(run), 2, 0.5)


def test_each_fold_has_embeddings_of_all_clips_that_say_their_fold(made: Made):
    assert [outcome.fold for outcome in made.sets] == [1, 2, 3]
    assert {outcome.clips for outcome in made.sets} == {36}
    tuned = [read(outcome).meta["finetuned"] for outcome in made.sets]
    assert [about["fold"] for about in tuned] == [1, 2, 3]
    assert {about["run"] for about in tuned} == {made.run.name.removeprefix("finetune-")}
    assert len({about["key"] for about in tuned}) == 1
    assert len({about["network_sha256"] for about in tuned}) == len({outcome.folder for outcome in made.sets}) == 3


def test_run_of_networks_predicts_and_is_bundled_and_each_says_what_it_said_of_its_fold(made: Made, tmp_path: Path):
    folder = export(made.run, to=tmp_path / "bundle", format="bundle", heads=made.root / "heads", progress=False).folder
    for place in (made.run, folder):
        predictor = load_predictor(place, device="cpu")
        assert len(predictor.members) == len(made.sets)
        for fold, member in enumerate(predictor.members, 1):
            result, _, _ = results.read_fold(results.fold_path(made.run, fold))
            alone, clip = replace(predictor, members=(member,)), str(result.ids[0])
            (path,) = made.data.glob(f"audio/*/{clip}")
            np.testing.assert_allclose(alone.predict(str(path)).proba, result.proba[0], atol=1e-5)


def test_embeddings_of_a_fold_are_those_of_the_network_that_never_trained_on_it(made: Made):
    """Its own head on them repeats what the network said of the test fold, whose clips its record leaves out."""
    clips = open_data(str(made.data))
    for outcome in made.sets:
        fold = outcome.fold
        told, _, record = results.read_fold(results.fold_path(made.run, fold))
        assert set(told.ids.tolist()) == set(clips.ids[clips.folds == fold].tolist())
        assert told.train_clips == 12  # a fold of 12 trains, the next validates
        state = load_file(made.run / record.params["network"])
        network = NetworkPlan(FinetuneRecipe(backbone="simplecnn"), "random", 3, 0).build()
        network.load_state_dict(state)
        found = read(outcome)
        features = torch.from_numpy(found.features_of(fold))
        tested = np.searchsorted(found.ids, told.ids)
        with torch.inference_mode():
            said = probabilities(network.eval().head(features)[:, None], torch.ones(len(features), 1)).numpy()
        np.testing.assert_allclose(said[tested], told.proba, atol=1e-4)
        other = results.read_fold(results.fold_path(made.run, fold % 3 + 1))[0]
        elsewhere = np.searchsorted(found.ids, other.ids)
        assert np.abs(said[elsewhere] - other.proba).max() > 1e-3  # another network spoke there


def test_extract_again_embeds_nothing_and_goes_on_after_a_loss(made: Made, tmp_path: Path):
    shutil.copytree(made.store, tmp_path / "embeddings")
    again = extract(
        finetuned=made.run / "fold-02-network.safetensors", embeddings=tmp_path / "embeddings", progress=False
    )
    assert [outcome.reused for outcome in again] == [36, 36, 36]
    whole = read(again[1])
    shutil.rmtree(again[1].folder)
    resumed = extract(finetuned=made.run, embeddings=tmp_path / "embeddings", progress=False)
    assert [outcome.reused for outcome in resumed] == [36, 0, 36]
    np.testing.assert_allclose(read(resumed[1]).features_of(2), whole.features_of(2), atol=1e-5)


def test_networks_that_were_trained_again_get_sets_of_their_own(made: Made, tmp_path: Path):
    folder = changed(made.run, tmp_path)
    path = folder / "fold-02-network.safetensors"
    state = load_file(path)
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        about = file.metadata()
    name = next(name for name in state if name.startswith("backbone.") and state[name].ndim > 1)
    save_file({**state, name: state[name] + 0.01}, path, metadata=about)
    sign_again(path)
    again = extract(finetuned=folder, embeddings=tmp_path / "embeddings", progress=False)
    assert not {outcome.folder.name for outcome in again} & {outcome.folder.name for outcome in made.sets}


def test_features_refuse_any_fold_but_their_own(made: Made):
    second = read(made.sets[1])
    assert second.features_of(2).shape == (36, 128)
    with pytest.raises(DataError, match=r"Fold 1 can't be scored on these embeddings: .* tested on fold 2, which"):
        second.features_of(1)
    for wrong in (lambda: np.asarray(second.features), lambda: second.features[np.arange(3)]):
        with pytest.raises(DataError, match="each belongs to its fold"):
            wrong()


def test_cross_validation_refuses_a_fold_before_anything_is_trained(made: Made):
    second = read(made.sets[1])
    trained: list[Any] = []

    def head() -> Any:
        trained.append(make_head("linear", seed=0, strengths=[0.1]))
        return trained[-1]

    def run(**options: Any) -> list[Any]:
        columns = (second.labels, second.folds, second.groups, second.ids)
        return cross_validate(head, second.features, *columns, 3, **options)

    for folds in (None, [2, 3], [1]):
        with pytest.raises(DataError, match=r"Fold [13] can't be scored on these embeddings"):
            run(only_folds=folds)
    assert not trained
    ((result, _),) = run(only_folds=[2])
    assert result.fold == 2


def test_probe_scores_every_fold_on_its_own_set(made: Made):
    (features,) = find_feature_sets(made.store)
    assert (features.name, features.folds) == ("simplecnn-finetuned", [1, 2, 3])
    embeddings, left_out = read_features(features)
    assert left_out == []
    (done,) = probe(embeddings=made.store, heads=made.root / "heads", settings={"strengths": [0.1]}, progress=False)
    assert done.result["complete"]
    assert done.result["backbone"]["weights"] == "fine-tuned"
    assert done.folder.parent.name == f"simplecnn-finetuned-{features.key}"
    for outcome in made.sets:
        own = read(outcome)
        np.testing.assert_array_equal(embeddings.features_of(outcome.fold), own.features_of(outcome.fold))
        train, test = own.folds != outcome.fold, own.folds == outcome.fold
        head = make_head("linear", seed=0, strengths=[0.1])
        head.fit(own.features_of(outcome.fold)[train], own.labels[train], groups=own.groups[train])
        told = results.read_fold(results.fold_path(done.folder, outcome.fold))[0]
        said = head.predict_proba(own.features_of(outcome.fold)[test])
        np.testing.assert_allclose(said[np.argsort(own.ids[test])], told.proba[np.argsort(told.ids)], atol=1e-5)


def test_set_of_a_single_fold_is_scored_on_that_fold_alone(made: Made, tmp_path: Path):
    options = {"backbone": made.sets[1].folder.name, "embeddings": made.store, "heads": tmp_path, "progress": False}
    with pytest.raises(ConfigError, match="--only-fold 1: there is no such fold"):
        probe(only_folds=[1], **options)
    (done,) = probe(**options)
    assert [fold["fold"] for fold in done.result["folds"]] == [2]
    assert not done.result["complete"]


def test_run_without_the_set_of_a_fold_is_refused_by_name_and_else_left_out(made: Made, tmp_path: Path):
    shutil.copytree(made.store, tmp_path / "embeddings")
    shutil.rmtree(tmp_path / "embeddings" / "clips" / made.sets[2].folder.name)
    with pytest.raises(StoreError, match=r"no finished embeddings for fold 3. Go on with: soundprobe extract RUN"):
        find_feature_sets(tmp_path / "embeddings", backbone="simplecnn-finetuned")
    extract(str(made.data), backbone="simplecnn", weights="random", embeddings=tmp_path / "embeddings", progress=False)
    with pytest.warns(SoundprobeWarning, match="Left out: simplecnn-finetuned-.* for fold 3"):
        (found,) = find_feature_sets(tmp_path / "embeddings")
    assert found.name == "simplecnn"
    with pytest.raises(ConfigError, match="can't stand side by side"):
        find_feature_sets(tmp_path / "embeddings", backbone="simplecnn+simplecnn-finetuned")
    (frozen,) = find_feature_sets(tmp_path / "embeddings", backbone="simplecnn")
    assert frozen.finetuned is None


@pytest.mark.parametrize(
    ("option", "why"),
    [
        ({"exclude_leaks": True}, "--exclude-leaks says nothing .* trained on the leaking clips"),
        ({"control": "shuffled-labels"}, "--control shuffled-labels says nothing .* learnt from true labels"),
        ({"control": "reshuffled-folds"}, "--control reshuffled-folds says nothing .* know clips of any new one"),
        ({"learning_curve": True}, "--learning-curve says nothing .* trained on all recordings"),
    ],
)
def test_checks_that_the_networks_would_spoil_are_refused(made: Made, tmp_path: Path, option: dict, why: str):
    with pytest.raises(ConfigError, match=why):
        probe(embeddings=made.store, heads=tmp_path, progress=False, **option)
    assert not list(tmp_path.iterdir())


def test_peeking_is_measured_on_each_folds_own_set(made: Made, tmp_path: Path):
    (done,) = probe(
        head="knn", settings={"ks": [1, 3]}, embeddings=made.store, heads=tmp_path, measure_peeking=True, progress=False
    )
    peeked = json.loads((done.folder / "peeking.json").read_text())
    assert peeked["honest"] == pytest.approx(done.result["summary"]["accuracy"]["mean"])
    honest = {fold["fold"]: fold for fold in peeked["folds"]}
    for fold in done.result["folds"]:
        same = [one for one in honest[fold["fold"]]["candidates"] if one["setting"] == fold["chosen"]]
        assert same[0]["accuracy"] == pytest.approx(fold["accuracy"])


def test_carried_over_networks_and_other_folders_are_refused(made: Made, tmp_path: Path):
    settings = {**results.read_result(made.run).head.settings, "carry_over": True}
    with pytest.raises(ConfigError, match="carried over from fold to fold"):
        extract(finetuned=changed(made.run, tmp_path / "a", head__settings=settings), embeddings=tmp_path)
    with pytest.raises(ConfigError, match="is the run of a probe"):
        extract(finetuned=changed(made.run, tmp_path / "b", kind="probe"), embeddings=tmp_path)
    with pytest.raises(ConfigError, match="there is no such run"):
        extract(finetuned=tmp_path / "none", embeddings=tmp_path)
    with pytest.raises(ConfigError, match="it holds no networks"):
        extract(finetuned=made.data, embeddings=tmp_path)


def test_run_that_lacks_a_fold_is_refused_and_says_how_to_finish_it(made: Made, tmp_path: Path):
    folds = [fold for fold in results.read_result(made.run).content["folds"] if fold["fold"] != 3]
    folder = changed(made.run, tmp_path, folds=folds, command="soundprobe finetune THIS")
    (folder / "fold-01-network.safetensors").unlink()
    with pytest.raises(StoreError, match=r"network of fold 1, 3, .* Finish the run first: soundprobe finetune THIS"):
        extract(finetuned=folder, embeddings=tmp_path / "embeddings")


def test_network_of_another_fold_under_the_folds_name_is_refused(made: Made, tmp_path: Path):
    folder = changed(made.run, tmp_path)
    shutil.copy(folder / "fold-02-network.safetensors", folder / "fold-01-network.safetensors")
    with pytest.raises(StoreError, match="not the network that was tested on fold 1"):
        extract(finetuned=folder, embeddings=tmp_path / "embeddings", progress=False)


def test_network_that_is_trained_again_while_it_is_being_extracted_is_refused(made: Made, tmp_path: Path):
    folder = changed(made.run, tmp_path)
    run = open_run(folder)
    path = folder / "fold-02-network.safetensors"
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    save_file({**tensors, "backbone.fc1.bias": tensors["backbone.fc1.bias"] + 1}, path, metadata=metadata)
    sign_again(path)
    with pytest.raises(StoreError, match="trained anew while its embeddings were being made"):
        load_network(run, 2, 0.5)


def test_same_run_on_two_names_of_its_data_makes_two_feature_sets_and_a_copy_is_refused(made: Made, tmp_path: Path):
    shutil.copytree(made.store, tmp_path / "embeddings")
    renamed = shutil.copytree(made.data, tmp_path / "renamed")
    extract(str(renamed), finetuned=made.run, embeddings=tmp_path / "embeddings", progress=False)
    found = find_feature_sets(tmp_path / "embeddings", backbone="simplecnn-finetuned")
    assert sorted(one.sets[0].dataset for one in found) == ["clips", "renamed"]
    assert all(len({part.dataset for part in one.sets}) == 1 for one in found)
    assert all(one.folds == [1, 2, 3] for one in found)
    own = made.sets[0].folder
    shutil.copytree(own, tmp_path / "embeddings" / "clips" / f"{own.name}-backup")
    with pytest.raises(StoreError, match="are the same set. Delete one"):
        find_feature_sets(tmp_path / "embeddings", backbone="simplecnn-finetuned")


def test_clips_in_other_folds_than_the_run_had_are_refused(made: Made, tmp_path: Path):
    data = shutil.copytree(made.data, tmp_path / "clips")
    metadata = data / "metadata" / "UrbanSound8K.csv"
    lines = metadata.read_text().splitlines()
    row = lines[1].split(",")
    shutil.move(data / "audio" / f"fold{row[5]}" / row[0], data / "audio" / "fold2" / row[0])
    row[5] = "2"
    metadata.write_text("\n".join([lines[0], ",".join(row), *lines[2:]]) + "\n")
    with pytest.raises(DataError, match="may have been trained on clips that it would be tested on"):
        extract(str(data), finetuned=made.run, embeddings=tmp_path / "embeddings", progress=False)
    assert not (tmp_path / "embeddings").exists()
    moved = shutil.copytree(made.data, tmp_path / "moved" / "clips")
    again = extract(str(moved), finetuned=made.run, embeddings=made.store, progress=False)
    assert [outcome.reused for outcome in again] == [36, 36, 36]


@pytest.mark.parametrize(
    ("option", "value"),
    [("backbone", "mn04"), ("weights", "random"), ("clip_seconds", 2.0), ("limit", 5), ("folds", 5)],
)
def test_what_the_run_settles_can_not_be_given_beside_it(made: Made, tmp_path: Path, option: str, value: Any):
    with pytest.raises(ConfigError, match=rf"--{option.replace('_', '-')} {value} can't be used with --finetuned"):
        extract(finetuned=made.run, embeddings=tmp_path, **{option: value})


def test_heads_on_finetuned_embeddings_predict_new_clips_with_their_own_networks(made: Made, tmp_path: Path):
    (done,) = probe(embeddings=made.store, heads=tmp_path, settings={"strengths": [0.1]}, progress=False)
    path = sorted(made.data.glob("audio/fold2/*.wav"))[5]
    expected = []
    for outcome in made.sets:
        own = read(outcome)
        _, arrays, _ = results.read_fold(results.fold_path(done.folder, outcome.fold))
        head = make_head("linear", seed=0, strengths=[0.1])
        train = own.folds != outcome.fold
        head.fit(own.features_of(outcome.fold)[train], own.labels[train], groups=own.groups[train])
        here = own.features_of(outcome.fold)[own.ids == path.name]
        expected.append(head.predict_proba(here)[0])
    (said,) = predict(path, head=done.folder, weights=made.run, device="cpu", progress=False)
    assert said.heads == 3
    np.testing.assert_allclose(said.proba, np.mean(expected, axis=0), atol=1e-4)
    moved = shutil.move(shutil.copytree(made.run, tmp_path / "copy"), tmp_path / "moved")
    (same,) = predict(path, head=done.folder, weights=moved, device="cpu", progress=False)
    np.testing.assert_allclose(same.proba, said.proba)
    (moved / "fold-02-network.safetensors").write_bytes((moved / "fold-03-network.safetensors").read_bytes())
    with pytest.raises(ConfigError, match="network of fold 2 in .* is not the one"):
        predict(path, head=done.folder, weights=moved, device="cpu", progress=False)


def test_report_names_the_rows_keeps_them_out_of_pretraining_and_draws_no_map_of_them(made: Made, tmp_path: Path):
    heads = tmp_path / "heads"
    probe(embeddings=made.store, heads=heads, settings={"strengths": [0.1, 1.0]}, progress=False)
    frozen = {"embeddings": tmp_path / "embeddings", "progress": False}
    written = write_report(heads, tmp_path / "alone", embeddings=made.store, audio=False)
    assert "There is no map: networks that were fine-tuned in folds have other embeddings in each" in (
        written.html.read_text(encoding="utf-8")
    )
    extract(str(made.data), backbone="simplecnn", weights="random", **frozen)
    probe(embeddings=tmp_path / "embeddings", heads=heads, settings={"strengths": [0.1, 1.0]}, progress=False)
    written = write_report(heads, tmp_path / "both", embeddings=tmp_path / "embeddings", audio=False)
    rows = json.loads(written.json.read_text(encoding="utf-8"))["datasets"][0]["rows"]
    (tuned,) = [row for row in rows if row["name"].startswith("simplecnn-finetuned")]
    (control,) = [row for row in rows if row["is_control"]]
    assert tuned["tag"] == "trained from scratch in each fold"
    assert "then frozen" in tuned["title"]
    assert not tuned["is_control"]
    assert tuned["control"] is None
    assert "was seen by neither network nor head" in tuned["caution"]
    assert control["caution"] == ""
    assert "was seen by neither network nor head" in written.markdown.read_text(encoding="utf-8")


def test_command_line_extracts_a_run_and_names_a_conflict(made: Made, tmp_path: Path):
    done = soundprobe("extract", "--finetuned", str(made.run), "--quiet", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "for fold 3: 36 clips" in done.stdout
    conflict = soundprobe("extract", "--finetuned", str(made.run), "--backbone", "mn04", cwd=tmp_path)
    assert conflict.returncode == 1
    assert "--backbone mn04 can't be used with --finetuned" in conflict.stderr
    neither = soundprobe("extract", cwd=tmp_path)
    assert neither.returncode == 2
    assert "--finetuned RUN" in neither.stderr.replace("\n", " ")

"""Settings chosen inside the training folds: what is recorded, what a kill leaves, and that no test clip has a say."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from soundprobe.base.errors import ConfigError
from soundprobe.data.catalog import open_data
from soundprobe.embeddings.store import open_set, read_embeddings
from soundprobe.scoring import results
from soundprobe.scoring.folds import inner_split
from soundprobe.training import choosing, fold_training, state
from soundprobe.training.inputs import ClipsPart
from soundprobe.training.recipes import FinetuneRecipe
from soundprobe.verbs.extract import extract
from soundprobe.verbs.finetune import finetune
from soundprobe.verbs.probe import probe
from sounds import write_urbansound_layout

RECIPE = """
backbone = "simplecnn"
[validation]
kind = "none"
[head]
init = "probe"
[training]
epochs = 2
batch_size = 8
ema = 0.9
[augment.mixup]
[choose]
splits = 2
epochs = [1, 2]
interpolate = [0.0, 0.5, 1.0]
lr = [1e-3, 3e-3]
"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """36 clips of 0.5 s: 3 classes of tones in 3 folds, 2 recordings of 2 slices each."""
    return write_urbansound_layout(tmp_path_factory.mktemp("tiny") / "set", seconds=0.5)


@pytest.fixture(scope="module")
def chooses(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("recipe") / "chooses.toml"
    path.write_text(RECIPE)
    return str(path)


@pytest.fixture(scope="module", autouse=True)
def _one_thread_for_the_module() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def done(tiny: Path, chooses: str, tmp_path_factory: pytest.TempPathFactory) -> results.FinishedRun:
    """The unbroken run of fold 2."""
    heads = tmp_path_factory.mktemp("heads")
    return finetune(str(tiny), config=chooses, only_folds=[2], heads=heads, progress=False)


def told(run: results.FinishedRun, *, times: bool = False) -> dict[str, Any]:
    """What fold 2's choice saw."""
    (fold,) = [fold for fold in run.result["folds"] if fold["fold"] == 2]
    return {name: value for name, value in fold["tuning"].items() if times or name != "seconds"}


def network(run: results.FinishedRun, fold: int = 2) -> dict[str, torch.Tensor]:
    return load_file(results.network_path(run.folder, fold))


def assert_same_networks(one: results.FinishedRun, other: results.FinishedRun) -> None:
    for (name, mine), theirs in zip(network(one).items(), network(other).values(), strict=True):
        assert torch.equal(mine, theirs), name


def test_record_says_every_candidates_score_what_it_cost_and_what_was_chosen(done: results.FinishedRun):
    (fold,) = done.record.folds
    tuning = fold.tuning
    assert tuning is not None
    assert tuning.trainings == 2 * 2  # rates by splits; epochs and shares cost none
    assert (tuning.splits, tuning.clips) == (2, 24)  # every training clip is validated on once
    settings = [one.settings for one in tuning.candidates]
    assert settings[0] == {"interpolate": 0.0}
    assert settings[1:] == [
        {"lr": lr, "epochs": epochs, "interpolate": share}
        for lr in (1e-3, 3e-3)
        for epochs in (1, 2)
        for share in (0.5, 1.0)
    ]
    assert (tuning.candidates[0].log_loss, tuning.candidates[0].accuracy) == (
        tuning.frozen.log_loss,
        tuning.frozen.accuracy,
    )
    lowest = min(one.log_loss for one in tuning.candidates)
    assert tuning.best.log_loss == lowest
    assert {name: fold.chosen[name] for name in tuning.best.settings} == tuning.best.settings
    assert len({one.log_loss for one in tuning.candidates}) == len(settings)
    assert fold.seconds > tuning.seconds > 0
    assert done.verdict.startswith("Inside the training folds fine-tuning was ahead in ")
    assert not list((done.folder / "checkpoints").iterdir())


def test_trials_train_and_judge_on_inner_splits_by_recording_and_never_read_a_test_clip(
    tiny: Path, chooses: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    read: list[tuple[str, set[str]]] = []
    inside = ["outside"]
    plain = ClipsPart.spectrograms

    def spy(self: ClipsPart, which: np.ndarray) -> torch.Tensor:
        read.append((inside[0], {str(clip) for clip in self.ids[which]}))
        return plain(self, which)

    def marked(name: str, function: Any) -> Any:
        def call(*args: Any, **keywords: Any) -> Any:
            before, inside[0] = inside[0], name
            try:
                return function(*args, **keywords)
            finally:
                inside[0] = before

        return call

    monkeypatch.setattr(ClipsPart, "spectrograms", spy)
    monkeypatch.setattr(choosing, "train", marked("trial", choosing.train))
    monkeypatch.setattr(choosing, "judge", marked("judge", choosing.judge))
    monkeypatch.setattr(fold_training, "judge", marked("test", fold_training.judge))
    finetune(str(tiny), config=chooses, only_folds=[2], heads=tmp_path, progress=False)
    clips = open_data(str(tiny))
    rows = np.flatnonzero(clips.folds != 2)
    tested = set(clips.ids[clips.folds == 2].tolist())
    assert set().union(*(ids for where, ids in read if where != "test")) == set(clips.ids.tolist()) - tested
    assert set().union(*(ids for where, ids in read if where == "test")) == tested
    splits = inner_split(clips.labels[rows], clips.groups[rows], 2, 0)
    for where, side in (("trial", 0), ("judge", 1)):
        expected = [set(clips.ids[rows[split[side]]].tolist()) for split in splits]
        found = [ids for place, ids in read if place == where]
        assert all(any(ids <= part for part in expected) for ids in found)
        assert set().union(*found) == set().union(*expected)


def test_other_labels_and_sounds_in_the_test_fold_leave_choice_and_network_as_they_were(
    done: results.FinishedRun, tiny: Path, chooses: str, tmp_path: Path
):
    clips = open_data(str(tiny))
    tested = np.flatnonzero(clips.folds == 2)
    sources = list(clips.sources)
    for row in tested:
        sources[row] = clips.sources[tested[0]]
    labels = clips.labels.copy()
    labels[tested] = (labels[tested] + 1) % 3
    others = dataclasses.replace(clips, labels=labels, sources=sources)
    changed = finetune(others, config=chooses, only_folds=[2], heads=tmp_path, progress=False)
    assert_same_networks(done, changed)
    of_test = {"frozen_test_accuracy"}
    mine, theirs = ({k: v for k, v in told(run).items() if k not in of_test} for run in (done, changed))
    assert mine == theirs
    probas = [results.read_fold(results.fold_path(run.folder, 2))[0].proba for run in (done, changed)]
    assert not np.array_equal(*probas)  # the clips did change


def test_run_killed_after_each_thing_that_it_keeps_ends_as_the_unbroken_one(
    done: results.FinishedRun, tiny: Path, chooses: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    kept: list[str] = []

    def run() -> results.FinishedRun:
        return finetune(str(tiny), config=chooses, only_folds=[2], heads=tmp_path, progress=False)

    save, write = state.save_checkpoint, choosing.TrialRecord.write

    def killed_after_checkpoint(path: Path, content: dict[str, Any]) -> None:
        save(path, content)
        kept.append(path.name)
        raise KeyboardInterrupt

    def killed_after_record(self: choosing.TrialRecord, path: Path) -> None:
        write(self, path)
        kept.append(path.name)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(state, "save_checkpoint", killed_after_checkpoint)
        patch.setattr(choosing.TrialRecord, "write", killed_after_record)
        for _ in range(100):
            try:
                resumed = run()
            except KeyboardInterrupt:
                continue
            break
    trials = [f"fold-02-choose-{pair}-{split}" for pair in (1, 2) for split in (1, 2)]
    of_trials = [f"{trial}.{kind}" for trial in trials for kind in ("pt", "json") * 2]
    assert kept == [*of_trials, *["fold-02-selection.pt"] * len(done.result["folds"][0]["history"])]
    assert_same_networks(done, resumed)
    assert told(done) == told(resumed)


def test_single_folds_and_processes_choose_the_same(
    done: results.FinishedRun, tiny: Path, chooses: str, tmp_path: Path
):
    whole = finetune(str(tiny), config=chooses, jobs=2, heads=tmp_path, progress=False)
    assert whole.result["complete"]
    assert [one["settings"] for one in told(whole)["candidates"]] == [
        one["settings"] for one in told(done)["candidates"]
    ]
    losses = [[one["log_loss"] for one in told(run)["candidates"]] for run in (whole, done)]
    np.testing.assert_allclose(*losses, atol=1e-5)


def test_frozen_network_is_chosen_where_training_makes_it_worse(tiny: Path, chooses: str, tmp_path: Path):
    overrides = ["choose.lr=[0.3]", "training.clip_norm=1.0", "choose.epochs=[2]", "choose.interpolate=[0.0, 1.0]"]
    run = finetune(str(tiny), config=chooses, overrides=overrides, only_folds=[2], heads=tmp_path, progress=False)
    (fold,) = run.record.folds
    assert fold.chosen["interpolate"] == 0.0
    assert (fold.chosen["epoch"], fold.history) == (0, [])
    assert fold.tuning is not None
    assert fold.accuracy == fold.tuning.frozen_test_accuracy
    first = fold_training.NetworkPlan(FinetuneRecipe(backbone="simplecnn"), "random", 3, 0).build().state_dict()
    mine = network(run)
    assert all(torch.equal(mine[name], tensor) for name, tensor in first.items() if name.startswith("backbone."))
    assert run.verdict.endswith("Frozen was chosen in every fold, so the test scores are its own.")
    assert json.loads((run.folder / "result.json").read_text())["folds"][0]["tuning"] == told(run, times=True)


def test_choice_goes_together_with_early_stopping_a_refit_and_a_random_head(chooses: str, tmp_path: Path):
    data = write_urbansound_layout(tmp_path / "set", recordings=4, slices=1, seconds=0.5)
    overrides = [
        "validation.kind=next-fold",
        "validation.refit=true",
        "head.init=random",
        "training.patience=1",
        "choose.epochs=[]",
        "choose.interpolate=[0.5, 1.0]",
        'choose.freeze=["none", 1]',
        "choose.by=accuracy",
    ]
    run = finetune(str(data), config=chooses, overrides=overrides, only_folds=[2], heads=tmp_path, progress=False)
    (fold,) = run.record.folds
    assert fold.tuning is not None
    assert fold.tuning.trainings == 2 * 2 * 2
    assert fold.tuning.clips == 12  # fold 3 stops the training
    assert len(fold.tuning.candidates) == 8
    assert fold.tuning.best.accuracy == max(one.accuracy for one in fold.tuning.candidates)
    assert set(fold.tuning.best.settings) == {"interpolate", "lr", "freeze"}
    assert fold.train_clips == 24


def test_choice_with_a_network_that_is_carried_over_is_refused(tiny: Path, chooses: str, tmp_path: Path):
    with pytest.raises(ConfigError, match=r"--carry-over .* --set choose.splits=0"):
        finetune(str(tiny), config=chooses, carry_over=True, heads=tmp_path, progress=False)


def test_network_on_several_layers_is_trained_extracted_and_probed_as_on_the_last(tiny: Path, tmp_path: Path):
    overrides = ["training.epochs=1", "choose.epochs=[]", "choose.interpolate=[1.0]", "training.freeze=12"]
    run = finetune(
        str(tiny), backbone="mn04", weights="random", overrides=overrides, heads=tmp_path / "heads", progress=False
    )
    assert run.result["head"]["settings"]["head.layers"] == "both"
    assert run.result["backbone"]["layers"] == {"last": 384, "middle": 224}
    assert network(run)["head.weight"].shape == (3, 608)
    sets = extract(finetuned=run.folder, embeddings=tmp_path / "embeddings", progress=False)
    assert [one.layers for one in sets] == ["both"] * 3
    (done,) = probe(embeddings=tmp_path / "embeddings", heads=tmp_path / "heads", progress=False)
    embeddings = read_embeddings(open_set(sets[0].folder))
    with pytest.raises(ConfigError, match="--layer middle is not offered for simplecnn"):
        finetune(str(tiny), backbone="simplecnn", overrides=["head.layers=middle"], heads=tmp_path / "heads")
    tested = embeddings.folds == 1
    features = torch.from_numpy(embeddings.features_of(1)[tested])
    weights = network(run, 1)
    proba = (features @ weights["head.weight"].T + weights["head.bias"]).softmax(dim=1).numpy()
    result = results.read_fold(results.fold_path(run.folder, 1))[0]
    order = np.argsort(result.ids)
    np.testing.assert_allclose(proba[np.argsort(embeddings.ids[tested])], result.proba[order], atol=1e-4)
    assert done.record.backbone.embedding_dim == 608

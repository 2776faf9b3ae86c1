"""The verb from end to end on tiny clips: files, folds, resuming after a kill, and that the test fold stays unseen."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
import torch
from safetensors.torch import load_file

from soundprobe.base.errors import ConfigError, DataError, TrainingError
from soundprobe.base.records import Clips, FoldResult
from soundprobe.data.catalog import open_data
from soundprobe.scoring import results
from soundprobe.scoring.overfitting import overfitting
from soundprobe.scoring.run_records import RunRecord
from soundprobe.training import fold_training as fold_module
from soundprobe.training.inputs import ClipsPart
from soundprobe.training.tuned_backbones import load_network, open_run
from soundprobe.verbs.finetune import finetune
from sounds import write_urbansound_layout

RECIPE = """
backbone = "simplecnn"
[validation]
kind = "next-fold"
[head]
dropout = 0.3
[training]
epochs = 3
batch_size = 8
lr = 1e-3
schedule = "plateau"
plateau_patience = 0
ema = 0.9
[augment.spec_augment]
[augment.mixup]
"""
NUMBERS = ("epoch", "lr", "train_loss", "train_loss_eval", "validation_loss", "validation_accuracy")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """36 clips of 0.5 s: 3 classes of tones in 3 folds, 2 recordings of 2 slices each."""
    return write_urbansound_layout(tmp_path_factory.mktemp("tiny") / "set", seconds=0.5)


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A recipe's path: SimpleCNN with everything on that carries state from epoch to epoch."""
    path = tmp_path_factory.mktemp("recipe") / "quick.toml"
    path.write_text(RECIPE)
    return str(path)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Sums of several threads would not be the same in every process."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def numbers(fold: dict[str, Any]) -> list[list[Any]]:
    return [[line[name] for name in NUMBERS] for line in fold["history"]]


def probabilities(folder: Path) -> np.ndarray:
    return np.array(pq.read_table(folder / "predictions.parquet")["proba"].to_pylist(), dtype=np.float32)


@pytest.fixture(scope="module")
def done(tiny: Path, quick: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unbroken run's folder."""
    return finetune(str(tiny), config=quick, heads=tmp_path_factory.mktemp("heads"), progress=False).folder


def test_run_writes_what_probe_writes_and_its_networks(done: Path, tiny: Path):
    result = results.read_result(done).content
    assert result["kind"] == "finetune"
    assert result["complete"]
    assert result["head"]["settings"]["training.lr"] == 1e-3
    assert [fold["test_clips"] for fold in result["folds"]] == [12, 12, 12]
    assert [fold["train_clips"] for fold in result["folds"]] == [12, 12, 12]  # the next fold validates
    assert (done.parent.name.split("-")[0], done.name.split("-")[0]) == ("simplecnn", "finetune")
    names = {path.name for path in done.iterdir() if not path.name.startswith(".")}
    per_fold = {
        f"fold-0{n}{end}" for n in (1, 2, 3) for end in (".safetensors", "-network.safetensors", "-history.csv")
    }
    assert names >= per_fold | {"result.json", "predictions.parquet"}
    assert not (done / "inputs").exists()
    assert not list(done.rglob("*.pt"))
    assert {str(clip) for clip in pq.read_table(done / "predictions.parquet")["clip_id"].to_pylist()} == set(
        open_data(str(tiny)).ids.tolist()
    )


def test_network_that_answers_a_test_clip_with_nan_names_it(tiny: Path, quick: str, tmp_path: Path):
    data = shutil.copytree(tiny, tmp_path / "data")
    clip = next(data.glob("audio/fold1/*.wav"))
    wave, rate_hz = soundfile.read(clip, dtype="float32")
    soundfile.write(clip, 1e30 * wave, rate_hz, subtype="FLOAT")
    with pytest.raises(TrainingError, match=rf"^Fold 1's network answers '{clip.name}' and 0 more with NaN"):
        finetune(str(data), config=quick, heads=tmp_path / "heads", only_folds=[1], progress=False)
    assert not list((tmp_path / "heads").rglob("*.safetensors"))


def test_run_on_a_cluster_gives_the_same_networks_to_the_byte(done, tiny, quick, tmp_path, monkeypatch, dask):
    monkeypatch.chdir(tmp_path)
    there = finetune(str(tiny), config=quick, heads="heads", engine="dask", address=dask.address, progress=False).folder
    for fold in (1, 2, 3):
        assert results.network_path(there, fold).read_bytes() == results.network_path(done, fold).read_bytes()
        (one, its, _), (other, others, _) = (results.read_fold(results.fold_path(run, fold)) for run in (done, there))
        assert numbers(vars(one)) == numbers(vars(other))
        assert {name: array.tobytes() for name, array in its.items()} == {
            name: array.tobytes() for name, array in others.items()
        }
    assert probabilities(there).tobytes() == probabilities(done).tobytes()
    assert not list(there.rglob("*.pt"))


def test_every_fold_starts_from_the_same_weights(done: Path):
    starts = {fold["chosen"]["initial_weights"] for fold in results.read_result(done).content["folds"]}
    assert len(starts) == 1


def test_finished_run_is_not_done_again(done: Path, tiny: Path, quick: str):
    before = (done / "result.json").read_bytes()
    again = finetune(str(tiny), config=quick, heads=done.parents[2], progress=False)
    assert again.reused
    assert (done / "result.json").read_bytes() == before
    assert "(there before)" in again.describe()


def test_run_that_was_begun_with_one_fold_names_one_command_and_that_makes_all(tiny: Path, quick: str, tmp_path: Path):
    told = "soundprobe finetune --config quick.toml --only-fold 1"
    how: dict[str, Any] = {"heads": tmp_path, "only_folds": [1], "progress": False, "command": told}
    record = finetune(tiny, config=quick, **how).record
    assert [*record.backbone.commands, record.command] == ["soundprobe finetune --config quick.toml"] * 2


def test_several_seeds_give_a_run_each_and_take_what_is_there(done: Path, tiny: Path, quick: str):
    told: list[str] = []
    runs = finetune(
        tiny,
        config=quick,
        heads=done.parents[2],
        seed=[0, 1],
        only_folds=[1],
        progress=False,
        on_run=lambda run: told.append(run.describe()),
    )
    assert [run.record.head.seed for run in runs] == [0, 1]
    assert [run.reused for run in runs] == [True, False]
    assert runs[0].folder == done
    assert told == [run.describe() for run in runs]
    again = finetune(tiny, config=quick, heads=done.parents[2], seed=1, only_folds=[1], progress=False)
    assert again.reused
    assert again.folder == runs[1].folder


def test_no_seed_or_one_below_0_is_refused(tiny: Path, quick: str, tmp_path: Path):
    for seeds in ([], [0, -1]):
        with pytest.raises(ConfigError, match="give whole numbers, such as --seed 0,1,2"):
            finetune(tiny, config=quick, heads=tmp_path, seed=seeds, progress=False)


def test_stored_network_gives_the_stored_predictions(done: Path):
    weights = load_file(done / "fold-01-network.safetensors")
    result, arrays, record = results.read_fold(done / "fold-01.safetensors")
    np.testing.assert_array_equal(weights["head.weight"].numpy().T, arrays["weights"])
    assert record.params["network"] == "fold-01-network.safetensors"
    assert result.proba.shape == (12, 3)


def test_killed_run_goes_on_and_ends_with_the_numbers_of_the_unbroken_one(
    done: Path, tiny: Path, quick: str, tmp_path: Path
):
    command = [sys.executable, "-m", "soundprobe", "finetune", "--data", str(tiny), "--config", quick, "--quiet"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    running = subprocess.Popen([*command, "--heads", str(tmp_path)], env=environment, stderr=subprocess.PIPE)
    history = f"set/{done.parent.name}/{done.name}/fold-02-history.csv"
    deadline = time.monotonic() + 120
    while not (tmp_path / history).exists() and running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    _, error = running.communicate()
    assert running.returncode == -signal.SIGKILL, error.decode()
    folder = (tmp_path / history).parent
    assert not (folder / "result.json").exists()
    assert list(folder.glob("checkpoints/fold-02-*.pt"))
    resumed = finetune(str(tiny), config=quick, heads=tmp_path, progress=False)
    assert resumed.folder == folder
    unbroken = results.read_result(done).content
    assert [numbers(fold) for fold in resumed.result["folds"]] == [numbers(fold) for fold in unbroken["folds"]]
    np.testing.assert_array_equal(probabilities(folder), probabilities(done))


def test_single_folds_in_processes_make_the_same_run(done: Path, tiny: Path, quick: str, tmp_path: Path):
    part = finetune(str(tiny), config=quick, heads=tmp_path, only_folds=[3], progress=False)
    assert not part.result["complete"]
    whole = finetune(str(tiny), config=quick, heads=tmp_path, jobs=2, progress=False)
    assert whole.result["complete"]
    np.testing.assert_allclose(probabilities(whole.folder), probabilities(done), atol=1e-5)


def test_test_clips_reach_no_batch_of_training_or_validation(
    tiny: Path, quick: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    read: list[tuple[bool, set[str]]] = []
    inside = [False]
    for name in ("spectrograms", "waves"):
        plain = getattr(ClipsPart, name)

        def spy(self: ClipsPart, which: np.ndarray, plain: Any = plain) -> Any:
            read.append((inside[0], {str(clip) for clip in self.ids[which]}))
            return plain(self, which)

        monkeypatch.setattr(ClipsPart, name, spy)
    for name in ("train", "start_from_probe"):
        plain_function = getattr(fold_module, name)

        def marked(*args: Any, plain_function: Any = plain_function, **keywords: Any) -> Any:
            inside[0] = True
            try:
                return plain_function(*args, **keywords)
            finally:
                inside[0] = False

        monkeypatch.setattr(fold_module, name, marked)
    overrides = ["head.init=probe", "augment.background_noise.probability=1.0", "training.epochs=1"]
    finetune(str(tiny), config=quick, overrides=overrides, only_folds=[2], heads=tmp_path, progress=False)
    clips = open_data(str(tiny))
    tested = set(clips.ids[clips.folds == 2].tolist())
    trained_on = set().union(*(ids for during, ids in read if during))
    assert trained_on == set(clips.ids.tolist()) - tested
    assert [ids for during, ids in read if not during]
    assert set().union(*(ids for during, ids in read if not during)) == tested


def test_other_labels_in_the_test_fold_change_nothing_in_training(done: Path, tiny: Path, quick: str, tmp_path: Path):
    clips = open_data(str(tiny))
    labels = np.where(clips.folds == 1, (clips.labels + 1) % 3, clips.labels)
    others = Clips(
        clips.name, clips.ids, clips.sources, labels, clips.folds, clips.groups, clips.class_names, clips.columns
    )
    changed = finetune(others, config=quick, heads=tmp_path, only_folds=[1], progress=False)
    assert numbers(changed.result["folds"][0]) == numbers(results.read_result(done).content["folds"][0])
    ours, theirs = (results.read_fold(results.fold_path(folder, 1))[0] for folder in (changed.folder, done))
    np.testing.assert_array_equal(ours.proba, theirs.proba)
    assert (ours.y_true != theirs.y_true).all()


def test_carry_over_remembers_clips_of_shuffled_labels_and_says_so(tiny: Path, tmp_path: Path):
    clips = open_data(str(tiny))
    labels = np.random.default_rng(1).permutation(clips.labels)  # nothing to learn but the clips themselves
    shuffled = Clips("shuffled", clips.ids, clips.sources, labels, clips.folds, clips.groups, clips.class_names)
    overrides = ["training.epochs=15", "training.batch_size=8", "head.dropout=0.0"]
    honest, carried = (
        finetune(
            shuffled,
            config="notes-simplecnn",
            overrides=overrides,
            carry_over=carry_over,
            heads=tmp_path,
            progress=False,
        ).result
        for carry_over in (False, True)
    )
    assert carried["head"]["settings"]["carry_over"] is True
    assert "CARRIED OVER" in carried["head"]["title"]
    assert carried["head"]["name"] == "finetune-carry-over"
    assert "carry_over" not in honest["head"]["settings"]
    assert len({fold["chosen"]["initial_weights"] for fold in honest["folds"]}) == 1
    assert len({fold["chosen"]["initial_weights"] for fold in carried["folds"]}) == 3
    assert numbers(honest["folds"][0]) == numbers(carried["folds"][0])  # the first fold is honest in both
    chance, memory = (np.mean([fold["accuracy"] for fold in run["folds"][1:]]) for run in (honest, carried))
    assert chance < 0.45
    assert memory > chance + 0.2


def test_carry_over_of_single_folds_is_refused(tiny: Path, quick: str, tmp_path: Path):
    with pytest.raises(ConfigError, match="Leave --only-fold, --jobs and --engine out"):
        finetune(str(tiny), config=quick, carry_over=True, only_folds=[2], heads=tmp_path)


def test_refit_trains_again_on_all_training_folds_for_the_chosen_epochs(tiny: Path, quick: str, tmp_path: Path):
    overrides = ["validation.refit=true", "training.schedule=cosine"]
    result = finetune(
        str(tiny), config=quick, overrides=overrides, only_folds=[1], heads=tmp_path, progress=False
    ).result
    (fold,) = result["folds"]
    assert fold["train_clips"] == 24
    again = [line for line in fold["history"] if line.get("refit")]
    assert [line["epoch"] for line in again] == list(range(1, fold["chosen"]["epoch"] + 1))


def test_salience_keeps_training_clips_and_leaves_test_folds_whole(tiny: Path, quick: str, tmp_path: Path):
    result = finetune(
        str(tiny), config=quick, overrides=["data.salience=foreground"], only_folds=[1], heads=tmp_path, progress=False
    ).result
    assert (result["folds"][0]["train_clips"], result["folds"][0]["test_clips"]) == (6, 12)


def test_other_number_of_folds_than_the_data_has_is_refused(tiny: Path, quick: str, tmp_path: Path):
    with pytest.raises(DataError, match=r"--folds 10: data set 'set' has 3 folds of its own"):
        finetune(str(tiny), config=quick, folds=10, heads=tmp_path, progress=False)


def test_bad_clip_is_named_and_left_out(quick: str, tmp_path: Path):
    root = write_urbansound_layout(tmp_path / "set", seconds=0.3)
    bad = sorted((root / "audio" / "fold1").iterdir())[0]
    bad.write_bytes(b"")
    heads = tmp_path / "heads"
    result = finetune(str(root), config=quick, only_folds=[1, 2], heads=heads, progress=False).result
    assert result["dataset"]["left_out"] == [bad.name]
    assert [fold["test_clips"] for fold in result["folds"]] == [11, 12]
    whole = finetune(str(root), config=quick, heads=heads, progress=False)
    (whole.folder / "result.json").unlink()
    again = finetune(str(root), config=quick, heads=heads, progress=False).result
    assert again["complete"]
    assert again["dataset"]["left_out"] == [bad.name]


def test_channels_enter_the_run_its_key_and_its_networks_and_the_sound_is_noted(quick: str, tmp_path: Path):
    root = write_urbansound_layout(tmp_path / "set", seconds=0.3)
    clip = sorted((root / "audio" / "fold1").iterdir())[0]
    wave, rate_hz = soundfile.read(clip)
    soundfile.write(clip, np.stack([wave, -wave], axis=1), rate_hz)
    how: dict[str, Any] = {"config": quick, "overrides": ["training.epochs=1"], "heads": tmp_path, "progress": False}
    mean = finetune(str(root), **how)
    (noted,) = mean.record.dataset.sound_notes
    assert noted.startswith(f"1 clip is all but silent when the channels are mixed ({clip.name}): --channels first")
    first = finetune(str(root), channels="first", **how)
    assert first.record.dataset.sound_notes == []
    assert first.folder.parent != mean.folder.parent
    assert "channels" not in mean.record.backbone.settings
    assert first.record.backbone.settings["channels"] == "first"
    assert [load_network(open_run(done.folder), 1, 0.3).channels for done in (mean, first)] == ["mean", "first"]
    with pytest.raises(ConfigError, match="Unknown choice of --channels 'left'"):
        finetune(str(root), channels="left", **how)


def test_command_line_runs_and_names_a_wrong_field(tiny: Path, tmp_path: Path):
    command = [sys.executable, "-m", "soundprobe", "finetune", "--backbone", "simplecnn", "--data", str(tiny)]
    done = subprocess.run(
        [*command, "--set", "training.learning_rate=1", "--heads", str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "Unknown field 'training.learning_rate'" in done.stderr
    assert "Traceback" not in done.stderr


def test_overfitting_is_the_notes_difference_of_averages_in_percent():
    def fold(number: int, *lines: tuple[float, float, float]) -> FoldResult:
        history = [{"train_loss": a, "train_loss_eval": b, "validation_loss": c} for a, b, c in lines]
        return FoldResult(number, np.array(["a"]), np.array([0]), np.ones((1, 1)), {}, history)

    found = overfitting([fold(1, (9, 9, 9), (1.0, 0.5, 1.0)), fold(2, (3.0, 0.5, 1.0))])
    assert found["as_trained_percent"] == pytest.approx(-50.0)  # (2 - 4) / 4
    assert found["remeasured_percent"] == pytest.approx(100.0)  # (2 - 1) / 1
    assert [one["as_trained_percent"] for one in found["folds"]] == [0.0, pytest.approx(-200 / 3)]
    assert json.dumps(overfitting([fold(1)]))  # without validation: null


def test_run_killed_before_its_result_was_written_anew_is_whole_after_the_next_call(tiny, quick, tmp_path, monkeypatch):
    def run(**options: Any) -> Any:
        return finetune(str(tiny), config=quick, heads=tmp_path, progress=False, **options)

    folder = run(only_folds=[1]).folder

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(RunRecord, "write", killed)
        run()
    assert not (folder / "result.json").exists()  # rather none than one of fold 1 alone
    again = run()
    assert again.result["complete"]
    assert [fold["fold"] for fold in again.result["folds"]] == [1, 2, 3]
    assert run().reused

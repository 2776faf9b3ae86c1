"""One head on all clips: what it is trained on, what it says of its score, and what predict makes of it."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

import soundprobe
from damage import sign_again
from made_sets import make_set, store_set
from soundprobe.base.errors import ConfigError, StoreError
from soundprobe.cli.main import app
from soundprobe.embeddings.sets import find_feature_sets, read_features
from soundprobe.heads.catalog import HEADS, load_head, make_head
from soundprobe.heads.novelty import out_of_fold, passed, threshold_for
from soundprobe.heads.stored_rows import StoredMatrix
from soundprobe.predicting.loading import load_predictor
from soundprobe.predicting.prediction import NONE_OF_THESE
from soundprobe.predicting.predictor import Listening
from soundprobe.reporting.compared.comparison import comparisons_of
from soundprobe.reporting.runs.collect import collect_runs
from soundprobe.scoring.bootstrap import Predictions, resample
from soundprobe.scoring.fits import FitRecord, part, read_fit
from soundprobe.scoring.results import read_fold
from soundprobe.scoring.run_names import find_run, named_runs
from soundprobe.scoring.thresholds import choose_thresholds, cross_fitted
from soundprobe.verbs.export import export
from soundprobe.verbs.extract import extract
from soundprobe.verbs.fit import Fitted, fit
from soundprobe.verbs.probe import probe
from sounds import RATE_HZ, write_urbansound_layout

QUICK: dict[str, dict[str, Any]] = {"linear": {}, "mlp": {"widths": [8], "max_epochs": 5}, "knn": {}}
QUICK["attention"] = QUICK["mlp"]


def fitted(root: Path, **options: Any) -> Fitted:
    return fit(**{"embeddings": root / "embeddings", "heads": root / "heads", "progress": False, **options})


def probed(root: Path, frames: bool = False, **options: Any) -> Path:
    """The folder of a toy run below `root`."""
    make_set(root / "embeddings", frames=frames)
    where = {"embeddings": root / "embeddings", "heads": root / "heads", "progress": False}
    (done,) = probe(**{"head": "linear", **where, **options})
    return done.folder


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scored run, its embeddings and a fit for a precision."""
    root = tmp_path_factory.mktemp("fit")
    probed(root)
    fitted(root, precision=0.9, command="soundprobe fit --precision 0.9")
    return root


@pytest.mark.parametrize("head", sorted(HEADS))
def test_fit_of_every_head_is_its_recipe_on_all_clips(tmp_path, head):
    pools = HEADS[head].takes_frames
    probed(tmp_path, frames=pools, head=head, settings=QUICK[head])
    done = fitted(tmp_path)
    (features,) = find_feature_sets(tmp_path / "embeddings")
    clips, _ = read_features(features, pools)
    settings = {**QUICK[head], **({"frame_columns": 6} if pools else {})}
    expected = make_head(head, seed=0, **settings).fit(clips.features, clips.labels, groups=clips.groups)
    record, arrays = read_fit(done.folder)
    saved = load_head(head, part(arrays, "head."), record.params)
    np.testing.assert_allclose(saved.predict_proba(clips.features), expected.predict_proba(clips.features), atol=1e-6)
    assert record.chosen == expected.chosen_
    assert record.train_clips == 120
    assert done.name == f"{find_run(tmp_path / 'heads', 'best').name}-fit"


@pytest.mark.parametrize(("backbone", "columns"), [("toy", 6), ("toy+other", 12)])
def test_fit_on_features_that_stay_on_disk_is_the_same_to_the_bit(tmp_path, monkeypatch, backbone, columns):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    mapped, rows = [], StoredMatrix.rows.func
    monkeypatch.setattr(StoredMatrix, "rows", property(lambda matrix: mapped.append(matrix.shape) or rows(matrix)))
    make_set(tmp_path / "embeddings", backbone="other", seed=1)
    probed(tmp_path, backbone=backbone)
    _, expected = read_fit(fitted(tmp_path, precision=0.9).folder)
    assert not mapped
    _, found = read_fit(fitted(tmp_path, precision=0.9, force=True, memory_gb=1e-6).folder)
    assert {name: array.tobytes() for name, array in found.items()} == {k: v.tobytes() for k, v in expected.items()}
    assert set(mapped) == {(120, columns)}
    assert {path.name for path in tmp_path.iterdir()} == {"embeddings", "heads"}


def test_fit_of_a_head_that_would_hold_more_than_memory_is_refused_before_it_begins(tmp_path):
    folder = probed(tmp_path, head="knn")
    with pytest.raises(ConfigError, match=r"--head knn holds all embeddings of toy in memory.*take --head linear"):
        fitted(tmp_path, memory_gb=1e-6)
    assert [path.name for path in folder.parent.iterdir() if path.is_dir()] == [folder.name]


def test_fit_carries_the_score_of_its_recipe_with_the_interval_and_has_none_of_its_own(toy):
    run = find_run(toy / "heads", "toy-linear")
    (made,) = [one for one in named_runs(toy / "heads").found if one.kind == "fit"]
    folds = [read_fold(path)[0] for path in sorted(run.folder.glob("fold-*"))]
    ids = np.concatenate([one.ids for one in folds])
    clips, _ = read_features(find_feature_sets(toy / "embeddings")[0])
    rows = np.searchsorted(clips.ids, ids)
    said = np.concatenate([one.predicted for one in folds])
    columns = (clips.labels[rows], said, clips.folds[rows], clips.groups[rows])
    interval = resample(Predictions("toy", ids, *columns, 3)).interval()
    assert made.fit.run.summary == run.record.summary
    assert (made.fit.accuracy.low, made.fit.accuracy.high) == (interval.low, interval.high)
    assert "no score of its own" in made.fit.has_no_score
    assert f"{100 * interval.low:.1f} to {100 * interval.high:.1f}" in made.fit.has_no_score
    assert "accuracy" not in made.fit.content["about"]


def test_fit_is_no_scored_run_for_report_and_best(toy):
    assert find_run(toy / "heads", "best").name == "toy-linear"
    (only,) = collect_runs(toy / "heads").runs
    assert only.path.endswith(find_run(toy / "heads", "toy-linear").folder.name)
    assert collect_runs(toy / "heads").unreadable == ()
    named = find_run(toy / "heads", "toy-linear-fit-precision-0.9")
    assert (named.kind, named.contends) == ("fit", False)
    assert find_run(toy / "heads", named.key[:6]).folder == named.folder
    with pytest.raises(ConfigError, match="is one head on all clips"):
        find_run(toy / "heads", named.folder, kinds=("finetune",))


def test_thresholds_and_distance_say_what_they_reach_on_the_other_folds(toy):
    record = find_run(toy / "heads", "toy-linear-fit-precision-0.9").fit
    assert list(record.thresholds.classes) == ["a", "b|c", "<script>"]
    told = sum(one.told for one in record.thresholds.classes.values())
    right = sum(one.right for one in record.thresholds.classes.values())
    assert record.thresholds.reached == right / told
    assert record.thresholds.recall == right / 120
    assert sum(one.clips for one in record.thresholds.classes.values()) == 120
    assert record.novelty.passed == pytest.approx(0.95, abs=0.05)
    assert record.novelty.threshold > 0


def test_fit_again_trains_nothing_and_other_inputs_make_another(tmp_path):
    probed(tmp_path)
    first = fitted(tmp_path)
    written = (first.folder / FitRecord.FILE).stat().st_mtime_ns
    assert fitted(tmp_path).reused
    assert (first.folder / FitRecord.FILE).stat().st_mtime_ns == written
    others = [fitted(tmp_path, precision=0.9), fitted(tmp_path, passing=0.9), fitted(tmp_path, precision=0.8)]
    assert len({one.folder for one in [first, *others]}) == 4
    assert len({run.name for run in named_runs(tmp_path / "heads").found}) == 5
    again = fitted(tmp_path, force=True)
    assert (again.folder, again.reused) == (first.folder, False)


def test_fit_killed_before_its_end_leaves_nothing_that_counts_and_is_whole_after_the_next_call(tmp_path, monkeypatch):
    probed(tmp_path)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("soundprobe.base.files.os.replace", killed)
        fitted(tmp_path)
    assert [run.kind for run in named_runs(tmp_path / "heads").found] == ["probe"]
    done = fitted(tmp_path)
    assert not done.reused
    (done.folder / FitRecord.FILE).write_bytes(b"half")
    assert "is damaged" in named_runs(tmp_path / "heads").others[done.folder]
    with pytest.raises(StoreError, match="is damaged"):
        load_predictor(done.folder)
    assert not fitted(tmp_path).reused
    assert find_run(tmp_path / "heads", done.name).fit.key == done.record.key


def test_choices_of_a_fit_are_made_without_copies_of_what_they_are_judged_on(tmp_path):
    rng, labels, folds = np.random.default_rng(0), np.arange(120) % 3, np.arange(120) // 3 % 2 + 1
    folds[60:] += 2  # where each clip of folds 1 and 2 has a copy
    features = np.tile(rng.normal(size=(60, 6)) + 1.4 * np.eye(3, 6)[labels[:60]], (2, 1)).astype(np.float32)
    copy_of, ids = np.arange(120) % 60, np.array([f"r{i:03d}" for i in range(120)])
    sha256 = np.array([f"{i:064x}" for i in copy_of])
    store_set(tmp_path / "embeddings", features, labels, folds, ids, sha256)
    where = {"embeddings": tmp_path / "embeddings", "heads": tmp_path / "heads", "progress": False}
    (run,) = probe(head="knn", exclude_leaks=True, **where)
    results = [read_fold(path)[0] for path in sorted(run.folder.glob("fold-*"))]
    done = fitted(tmp_path, precision=0.6)
    record = done.record

    rows = np.array([int(name[1:]) for one in results for name in one.ids])
    proba = np.concatenate([one.proba for one in results])
    judged = cross_fitted(labels[rows], proba, folds[rows], copy_of[rows], 0.6)
    told = np.array([one.told for one in record.thresholds.classes.values()])
    assert told.tolist() == judged.told.tolist()
    assert told.tolist() != cross_fitted(labels[rows], proba, folds[rows], rows, 0.6).told.tolist()
    chosen = choose_thresholds(labels[rows], proba, 0.6)[proba.argmax(axis=1)]
    assert (proba.max(axis=1) >= chosen).sum() != told.sum()

    distances = out_of_fold(features, labels, folds, copy_of, [1, 2, 3, 4])
    assert record.novelty.threshold == pytest.approx(threshold_for(distances, 0.95))
    assert record.novelty.threshold > 1.05 * threshold_for(
        out_of_fold(features, labels, folds, rows, [1, 2, 3, 4]), 0.95
    )
    assert record.novelty.passed == passed(distances, folds, copy_of, 0.95)

    alone, together = (make_head("knn", seed=0).fit(features, labels, groups=of).chosen_ for of in (ids, ids[copy_of]))
    assert record.chosen == together != alone


def test_recordings_with_clips_of_the_same_bytes_count_once_in_the_interval_of_a_run_its_fit_and_its_card(tmp_path):
    clips = write_urbansound_layout(tmp_path / "clips", folds=2, recordings=4, slices=1)
    for folder in clips.glob("audio/*"):
        for one, other in zip(*[iter(sorted(folder.iterdir()))] * 2, strict=True):
            shutil.copyfile(one, other)
    where = {"embeddings": tmp_path / "embeddings", "progress": False}
    extract(clips, backbone="logmel-stats", **where)
    (run,) = probe(head="linear", heads=tmp_path / "heads", **where)
    (only,) = comparisons_of(collect_runs(tmp_path / "heads").by_dataset())
    low = only.rows[0].scores.interval().low
    (said,) = only.rows[0].predictions
    assert low < resample(replace(said, groups=said.ids)).interval().low - 0.05
    assert run.interval.low == fitted(tmp_path).record.accuracy.low == low
    bundle = export(run.folder, to=tmp_path / "bundle", format="bundle", heads=tmp_path / "heads", progress=False)
    assert bundle.record.content["accuracy"]["low"] == low


def test_fit_on_a_single_test_split_measures_on_recordings_that_chose_nothing(tmp_path):
    path = make_set(tmp_path / "embeddings") / "meta.json"
    content = json.loads(path.read_text())
    content["dataset"] |= {"folds": [4], "only_trained_on": 90}
    path.write_text(json.dumps(content))
    sign_again(path)
    probe(head="linear", embeddings=tmp_path / "embeddings", heads=tmp_path / "heads", progress=False)
    record = fitted(tmp_path, precision=0.5).record
    assert sum(one.clips for one in record.thresholds.classes.values()) == 30
    assert 0 < record.thresholds.recall <= 1
    assert 0.5 < record.novelty.passed <= 1


def test_fit_stays_when_its_run_is_removed_and_goes_by_name(tmp_path):
    run = probed(tmp_path)
    done = fitted(tmp_path)
    shutil.rmtree(run)
    with pytest.raises(ConfigError):
        find_run(tmp_path / "heads", "best")
    assert [one.name for one in soundprobe.runs(tmp_path / "heads")] == [done.name]
    assert soundprobe.remove_run(done.name, heads=tmp_path / "heads") == done.folder
    assert not done.folder.exists()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"head": "mlp"}, ConfigError, "Score it first: soundprobe probe --head mlp"),
        ({"head": "liner"}, ConfigError, "Did you mean 'linear'"),
        ({"backbone": "panns"}, ConfigError, "Score it first: soundprobe probe --backbone panns"),
        ({"dataset": "tou"}, ConfigError, "Did you mean 'toy'"),
        ({"run": "best", "head": "linear"}, ConfigError, "Leave --head and --backbone out"),
        ({"run": "toy-linear-fit-precision-0.9"}, ConfigError, "is one head on all clips"),
        ({"heads": "nowhere"}, ConfigError, "soundprobe probe"),
        ({"embeddings": "nowhere"}, StoreError, "are not in nowhere. Make them again: soundprobe extract"),
        ({"precision": 0.0}, ConfigError, "--precision 0.0 is not valid"),
        ({"passing": float("nan")}, ConfigError, "--passing nan is not valid"),
        ({"memory_gb": 0.0}, ConfigError, "--memory 0 is not valid"),
        ({"device": "gpu"}, ConfigError, "Unknown device"),
    ],
)
def test_fit_with_a_wrong_option_says_what_is_valid(toy, options, error, message):
    with pytest.raises(error, match=message):
        fitted(toy, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"only_folds": [1, 2]}, "has not tested 2 of its 4 folds"), ({"control": "shuffled-labels"}, "is a control")],
)
def test_run_that_scores_no_recipe_for_all_clips_is_not_fitted(tmp_path, options, message):
    folder = probed(tmp_path, **options)
    with pytest.raises(ConfigError, match=message):
        fitted(tmp_path, run=folder)


def test_trial_that_scores_higher_is_not_taken_for_the_recipe(tmp_path):
    probed(tmp_path, head="mlp", settings={"widths": [8], "max_epochs": 1})
    probed(tmp_path, head="linear", only_folds=[1])
    runs = {one.record.head.name: one for one in named_runs(tmp_path / "heads").found}
    assert runs["linear"].accuracy > runs["mlp"].accuracy
    assert fitted(tmp_path).record.recipe_name == runs["mlp"].name


def test_recipe_of_another_version_or_other_clips_is_refused(tmp_path):
    folder = probed(tmp_path)
    path = folder / "result.json"
    content = json.loads(path.read_text())
    content["head"]["settings"] = {"strengths": [0.5]}  # as if defaults had changed since
    path.write_text(json.dumps(content))
    sign_again(path)
    with pytest.raises(ConfigError, match="was scored by another version of linear"):
        fitted(tmp_path)


@pytest.fixture
def pretended_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heads that are asked to train with CUDA do so here, on the CPU."""
    for verb in ("probe", "fit"):
        monkeypatch.setattr(f"soundprobe.verbs.{verb}.head_device", lambda name: name)
    monkeypatch.setattr("soundprobe.heads.linear.head_device", lambda name: "cpu")


@pytest.mark.usefixtures("pretended_cuda")
def test_run_that_was_probed_with_cuda_is_fitted_and_each_device_has_a_fit_of_its_own(tmp_path):
    probed(tmp_path, device="cuda")
    here, there = fitted(tmp_path), fitted(tmp_path, device="cuda")
    assert [one.record.content["device"] for one in (here, there)] == ["cpu", "cuda"]
    assert here.folder != there.folder
    assert fitted(tmp_path).reused
    assert fitted(tmp_path, device="cuda").folder == there.folder


def test_run_of_an_earlier_version_whose_key_knows_no_device_is_fitted(tmp_path):
    path = probed(tmp_path) / "result.json"
    told = json.loads(path.read_text())
    path.write_text(json.dumps({**told, "device": "cuda"}))
    sign_again(path)
    assert not fitted(tmp_path).reused


def test_run_whose_heads_are_gone_or_damaged_is_not_fitted_and_its_command_is_named(tmp_path):
    path = probed(tmp_path, command="soundprobe probe") / "fold-02.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-8] + bytes(8))
    with pytest.raises(StoreError, match=r"fold-02.safetensors is damaged: .*Run again: soundprobe probe"):
        fitted(tmp_path)
    path.unlink()
    with pytest.raises(StoreError, match=r"head of fold 2 of toy-linear is gone. Run again: soundprobe probe"):
        fitted(tmp_path)


@dataclass(frozen=True)
class Heard:
    root: Path
    done: Fitted


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Heard:
    """A fit on tones by statistics of their spectrograms, which need no weights."""
    root = tmp_path_factory.mktemp("heard")
    clips = write_urbansound_layout(root / "clips", folds=3, recordings=3)
    extract(clips, backbone="logmel-stats", embeddings=root / "embeddings", progress=False)
    probe(head="linear", embeddings=root / "embeddings", heads=root / "heads", progress=False)
    return Heard(root, fitted(root, precision=0.9))


def test_predict_by_a_fit_is_its_head_on_the_stored_embedding_and_knows_the_clip(heard):
    clips, _ = read_features(find_feature_sets(heard.root / "embeddings")[0])
    record, arrays = read_fit(heard.done.folder)
    (path,) = (heard.root / "clips").glob(f"audio/*/{clips.ids[5]}")
    predictor = load_predictor(heard.done.folder, device="cpu")
    said = predictor.predict(path)
    expected = load_head("linear", part(arrays, "head."), record.params).predict_proba(clips.features[5:6])[0]
    np.testing.assert_allclose(said.proba, expected, atol=1e-4)
    assert (said.heads, said.trained_on, said.is_unknown) == (1, True, False)
    assert said.novelty == pytest.approx(float(predictor.novelty.score(clips.features[5:6])[0]), abs=1e-3)
    assert set(predictor.thresholds) == set(clips.class_names)


def test_predict_calls_what_was_never_heard_none_of_these_unless_told_not_to(heard, tmp_path):
    noise = np.random.default_rng(0).uniform(-0.9, 0.9, RATE_HZ)
    soundfile.write(tmp_path / "noise.wav", noise, RATE_HZ)
    where = {"run": heard.done.name, "heads": heard.root / "heads", "device": "cpu", "progress": False}
    (said,) = soundprobe.predict(tmp_path / "noise.wav", **where)
    assert (said.predicted, said.is_unknown, said.trained_on) == (NONE_OF_THESE, True, False)
    (said,) = soundprobe.predict(tmp_path / "noise.wav", unknown=False, **where)
    assert said.predicted in said.class_names


def test_stretches_that_are_none_of_the_classes_are_no_segments_and_have_no_say_in_the_whole(heard, tmp_path):
    path = sorted((heard.root / "clips").glob("audio/*/*-2-0-0.wav"))[0]
    tone = soundfile.read(path)[0]
    noise = np.random.default_rng(0).uniform(-0.9, 0.9, 4 * RATE_HZ)
    soundfile.write(tmp_path / "both.wav", np.concatenate([tone, tone, noise]), RATE_HZ)
    predictor, how = load_predictor(heard.done.folder, device="cpu"), Listening(1.0, 1.0, threshold=0.0)
    said = predictor.predict(tmp_path / "both.wav", how)
    assert said.timeline.is_unknown.tolist() == [False, False, True, True, True, True]
    assert [(one.label, one.start_s, one.end_s) for one in said.segments] == [("high", 0.0, 2.0)]
    np.testing.assert_allclose(said.proba, said.timeline.proba[:2].mean(axis=0))
    assert (said.predicted, said.novelty) == ("high", said.timeline.novelty.min())
    named = predictor.without_unknown().predict(tmp_path / "both.wav", how)
    assert named.segments[-1].end_s == 6.0


def test_run_of_fold_heads_tells_the_clips_that_trained_them_and_older_runs_by_their_predictions(heard, tmp_path):
    run = find_run(heard.root / "heads", "best")
    path = sorted((heard.root / "clips").glob("audio/*/*.wav"))[3]
    wave, rate_hz = soundfile.read(path)
    soundfile.write(tmp_path / "other.wav", wave[:-1], rate_hz, subtype="PCM_16")
    predictor = load_predictor(run.folder, device="cpu")
    assert predictor.predict(path).trained_on
    assert not predictor.predict(tmp_path / "other.wav").trained_on
    older = tmp_path / "older"
    shutil.copytree(run.folder, older)
    from safetensors import safe_open
    from safetensors.numpy import save_file

    for file in older.glob("fold-*.safetensors"):
        with safe_open(file, framework="numpy") as told:
            about, tensors = told.metadata(), {name: told.get_tensor(name) for name in told.keys()}  # noqa: SIM118
        del tensors["test.sha256"]
        save_file(tensors, file, metadata=about)
        sign_again(file)
    np.testing.assert_array_equal(load_predictor(older, device="cpu").known, predictor.known)
    assert len(predictor.known) == 54


def test_bundle_of_a_fit_says_what_it_says_and_whose_score_its_card_shows(heard, tmp_path):
    noise = np.random.default_rng(0).uniform(-0.9, 0.9, RATE_HZ)
    soundfile.write(tmp_path / "noise.wav", noise, RATE_HZ)
    tone = sorted((heard.root / "clips").glob("audio/*/*.wav"))[0]
    done = soundprobe.export(
        heard.done.name, to=tmp_path / "bundle", format="bundle", heads=heard.root / "heads", progress=False
    )
    own, bundled = (load_predictor(place, device="cpu") for place in (heard.done.folder, done.folder))
    assert bundled.thresholds == own.thresholds
    for clip in (tmp_path / "noise.wav", tone):
        here, there = own.predict(clip), bundled.predict(clip)
        np.testing.assert_allclose(there.proba, here.proba, atol=1e-6)
        assert there.novelty == pytest.approx(here.novelty)
        assert there.is_unknown == here.is_unknown == (clip != tone)
    card = (done.folder / "README.md").read_text()
    assert "no score of its own, this is its recipe's (logmel-stats-linear)" in card
    assert "of what is too unlike the training clips" in card
    assert done.record.accuracy.low == heard.done.record.accuracy.low
    again = soundprobe.export(done.folder, to=tmp_path / "again", format="bundle", progress=False)
    assert (again.record.recipe, again.record.novelty) == ("logmel-stats-linear", done.record.novelty)


def test_command_fits_says_whose_score_it_is_and_predicts(heard, tmp_path):
    def run(*words: object) -> Any:
        done = CliRunner().invoke(app, [*map(str, words), "--heads", str(heard.root / "heads")])
        assert done.exit_code == 0, done.output
        return done

    done = run("fit", "--embeddings", heard.root / "embeddings", "--json", "-q")
    told = json.loads(done.stdout)
    assert told["accuracy"] is None
    assert told["recipe"]["name"] == "logmel-stats-linear"
    assert "no score of its own" in done.stderr
    noise = np.random.default_rng(0).uniform(-0.9, 0.9, RATE_HZ)
    soundfile.write(tmp_path / "noise.wav", noise, RATE_HZ)
    known = sorted((heard.root / "clips").glob("audio/*/*.wav"))[0]
    said = run("predict", tmp_path / "noise.wav", known, "--run", told["name"], "--json", "--device", "cpu")
    noise_said, known_said = json.loads(said.stdout)["clips"]
    assert (noise_said["predicted"], noise_said["unknown"]) == (NONE_OF_THESE, True)
    assert noise_said["novelty"] > told["novelty"]["threshold"] >= known_said["novelty"]
    assert (noise_said["trained_on"], known_said["trained_on"]) == (False, True)
    assert "1 clip trained these heads" in said.stderr
    assert NONE_OF_THESE in said.stderr
    assert "the score is that of logmel-stats-linear" in run("runs", "list").stdout
    assert "no score of its own" in run("runs", "show", told["name"]).stdout

"""From clips to the page in one command, on generated sounds."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import soundfile
import torch

from command_line import soundprobe_here as soundprobe
from result_folders import ESC10, write_run
from soundprobe.backbones.catalog import BACKBONES
from soundprobe.backbones.load import load_backbone
from soundprobe.backbones.weights.verify import location
from soundprobe.base.cluster import Cluster
from soundprobe.base.errors import ConfigError
from soundprobe.scoring.run_names import named_runs
from soundprobe.workflows.compare import Compared, compare, files_of, predict_command
from sounds import RATE_HZ, tone, write_urbansound_layout


@dataclass
class Trial:
    """A comparison below `root` with weights of our own, and what was said meanwhile."""

    root: Path
    weights: Path
    said: list[str] = field(default_factory=list)

    def compare(self, **more: object) -> Compared:
        where = {name: self.root / name for name in ("embeddings", "heads", "reports")}
        given = {"weights": f"simplecnn={self.weights}", "head": "linear,knn", "device": "cpu", "progress": False}
        self.said.clear()
        told = self.said.append
        return compare(self.root / "clips", backbone="mn04,simplecnn", say=told, **{**where, **given, **more})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    root = tmp_path_factory.mktemp("compared")
    write_urbansound_layout(root / "clips")
    torch.save(load_backbone("simplecnn", weights="random", seed=5).network.state_dict(), root / "net.pt")
    return Trial(root, root / "net.pt")


@pytest.fixture(scope="module")
def done(trial: Trial, tmp_path_factory: pytest.TempPathFactory) -> Compared:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOUNDPROBE_OFFLINE", "1")
        patch.setenv("SOUNDPROBE_CACHE", str(tmp_path_factory.mktemp("cache")))
        return trial.compare()


def test_compare_runs_each_backbone_beside_what_it_has_to_beat(trial, done):
    names = {run.name for run in named_runs(trial.root / "heads").found}
    embedded = ("mn04-untrained", "simplecnn", "simplecnn-untrained", "logmel-stats")
    assert names == {f"{one}-{head}" for one in embedded for head in ("linear", "knn")} | {
        "simplecnn-knn-shuffled-labels"
    }
    assert set(done.left_out) == {"mn04"}
    assert "forbids to fetch" in done.left_out["mn04"]
    assert sum("mn04 is left out, pretrained" in line for line in trial.said) == 1
    assert done.report.html.exists()
    assert done.answer in json.loads(done.report.json.read_text(encoding="utf-8"))["datasets"][0]["verdict"]
    assert done.best.name in {name for name in names if "untrained" not in name and "shuffled" not in name}


def test_compare_again_trains_nothing_and_writes_the_same_page(trial, done, monkeypatch):
    monkeypatch.setenv("SOUNDPROBE_OFFLINE", "1")
    page = done.report.html.read_bytes()
    again = trial.compare()
    assert all(run.reused for run in again.runs)
    assert sum("(there before)" in line for line in trial.said) == len(again.runs) + 4
    assert again.report.html.read_bytes() == page
    assert repr(again) == repr(done)
    assert again._repr_html_().count("<tr>") == 1 + len(done.runs)


def test_compare_on_a_cluster_writes_the_bytes_of_this_machine(trial, done, dask, tmp_path, monkeypatch):
    sent = []
    run = Cluster.run
    monkeypatch.setattr(Cluster, "run", lambda *args, **more: sent.append(args) or run(*args, **more))
    how = ("-b", "simplecnn", "--weights", str(trial.weights), "--head", "knn", "-q")
    places = [option for one in ("embeddings", "heads", "reports") for option in (f"--{one}", str(tmp_path / one))]
    on_cluster = ("--engine", "dask", "--address", dask.address)
    said = soundprobe("compare", str(trial.root / "clips"), *how, *places, *on_cluster, cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    there = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.glob("*/*/**/*.parquet"))
    parts, predictions = ([path for path in there if name in path] for name in ("/part-", "/predictions."))
    assert (len(parts), len(predictions), len(sent)) == (3, 4, 3 + 4)  # knn on each, and one on shuffled labels
    for path in there:
        assert (tmp_path / path).read_bytes() == (trial.root / path).read_bytes(), path


def test_interval_that_a_run_shows_is_that_of_its_row_in_the_report(done):
    rows = json.loads(done.report.json.read_text(encoding="utf-8"))["datasets"][0]["rows"]
    told = {(row["intervals"]["accuracy"]["low"], row["intervals"]["accuracy"]["high"]) for row in rows}
    assert len(rows) == len(done.runs)
    assert told == {(run.interval.low, run.interval.high) for run in done.runs}


def test_command_that_compare_ends_with_predicts_with_the_best_run(trial, done, tmp_path):
    soundfile.write(tmp_path / "new.wav", tone(330, 1.0), RATE_HZ)
    program, *arguments = shlex.split(done.predict.replace("RECORDING", "new.wav"))
    assert program == "soundprobe"
    said = soundprobe(*arguments, "--json", cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout)["clips"][0]["clip"] == "new.wav"


def test_trial_of_a_few_clips_has_a_page_of_its_own_and_joins_no_other(trial, done, monkeypatch):
    monkeypatch.setenv("SOUNDPROBE_OFFLINE", "1")
    page = done.report.html.read_bytes()
    small = trial.compare(limit=18, head="knn")
    assert small.report.html != done.report.html
    assert done.report.html.read_bytes() == page
    assert "@" in small.predict
    listed = soundprobe("runs", "list", "--heads", str(trial.root / "heads"), cwd=trial.root)
    assert listed.stdout.count("trial of 18 clips") == 5
    assert f"{trial.root / 'clips'} --limit 18" in listed.stdout
    args = ("--no-audio", "--heads", str(trial.root / "heads"), "--reports", str(trial.root / "all"))
    for more, said in (((), "5 trials of fewer clips or folds left out"), (("--trials",), "18 clips")):
        told = soundprobe("report", *args, *more, cwd=trial.root)
        assert told.returncode == 0, told.stderr
        text = told.stdout + (trial.root / "all" / "report.md").read_text(encoding="utf-8")
        assert said in text
    assert "left out" not in told.stdout


def test_own_models_predictions_stand_beside_as_the_baseline(trial, done, monkeypatch):
    monkeypatch.setenv("SOUNDPROBE_OFFLINE", "1")
    table = pq.read_table(done.best.folder / "predictions.parquet").to_pylist()
    classes = done.best.record.dataset.class_names
    with (trial.root / "my-cnn.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["clip", "fold", "predicted"])
        rows.writerows([row["clip_id"], row["fold"], classes[row["predicted"]]] for row in table)
    own = trial.compare(baseline=trial.root / "my-cnn.csv")
    assert any(line.startswith("my-cnn: ") for line in trial.said)
    assert "my-cnn" in own.report.markdown.read_text(encoding="utf-8")
    assert own.best.name == done.best.name
    refused = soundprobe("predict", "clips", "--run", "my-cnn", cwd=trial.root)
    assert refused.returncode == 1
    assert "my-cnn was imported" in refused.stderr


@pytest.mark.parametrize(
    ("weights", "names", "found"),
    [
        (None, ["mn04"], {}),
        ("pretrained", ["mn04"], {}),
        ("a=b.pt", ["mn04"], {"mn04": "a=b.pt"}),
        (["mn04=a.pt", "panns=b=c.pt"], ["mn04", "panns"], {"mn04": "a.pt", "panns": "b=c.pt"}),
        ({"panns": Path("b.pt")}, ["mn04", "panns"], {"panns": Path("b.pt")}),
    ],
)
def test_files_of_weights_belong_to_the_backbones_they_are_given_for(weights, names, found):
    assert files_of(weights, names) == found


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("random", "compared in any case"),
        ("a.pt", "whose are they? Give --weights mn04=a.pt"),
        ({"ast": "a.pt"}, "ast is not among the backbones"),
    ],
)
def test_files_of_weights_that_fit_no_backbone_are_refused(weights, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        files_of(weights, ["mn04", "panns"])


@pytest.mark.parametrize(("weights", "needed"), [("pretrained", False), ("file", True)])
def test_command_to_predict_names_the_file_unless_the_same_weights_are_cached(weights, needed, tmp_path, monkeypatch):
    monkeypatch.setenv("SOUNDPROBE_CACHE", str(tmp_path / "cache"))
    published = location(BACKBONES["mn04"].weights)
    published.parent.mkdir(parents=True)
    published.touch()
    os.truncate(published, BACKBONES["mn04"].weights.size_bytes or 0)
    write_run(tmp_path / "heads", ESC10, weights=weights)
    (run,) = named_runs(tmp_path / "heads").found
    command = predict_command(run.name, run, Path("heads"), {"mn04": "my.pt"})
    assert ("--weights my.pt" in command) is needed

"""Runs in a folder of MLflow's own, read back by MLflow."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from made_sets import make_set
from optional import needed
from soundprobe.base.errors import ConfigError, SoundprobeWarning
from soundprobe.base.locks import locked
from soundprobe.cli.main import app
from soundprobe.verbs.probe import probe
from soundprobe.verbs.track import check_tracker, track

mlflow = needed("mlflow")


@pytest.fixture(scope="module")
def probed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with embeddings and two runs."""
    folder = tmp_path_factory.mktemp("track")
    make_set(folder / "embeddings")
    probe(embeddings=folder / "embeddings", heads=folder / "heads", head="knn,linear", progress=False)
    return folder


def again(folder: Path, **options: Any) -> list:
    return probe(embeddings=folder / "embeddings", heads=folder / "heads", progress=False, **options)


def logged(where: Path) -> list:
    client = mlflow.MlflowClient(tracking_uri=where.resolve().as_uri())
    experiment = client.get_experiment_by_name("toy")
    return client.search_runs([experiment.experiment_id], order_by=["params.head"])


def test_runs_are_in_mlflow_with_settings_keys_scores_by_fold_and_curves_and_each_once(probed, tmp_path):
    runs = again(probed, head="knn,linear")
    for _ in range(2):
        track(runs, tmp_path / "mlruns")
    found = logged(tmp_path / "mlruns")
    assert [one.info.run_name for one in found] == ["toy-knn", "toy-linear"]
    client = mlflow.MlflowClient(tracking_uri=(tmp_path / "mlruns").as_uri())
    for run, seen in zip(runs, found, strict=True):
        record, data = run.record, seen.data
        assert seen.info.status == "FINISHED"
        assert data.params["backbone"] == "toy"
        assert data.tags["soundprobe.head"] == record.head.key
        assert data.tags["soundprobe.embeddings"] == record.backbone.key
        assert data.metrics["accuracy"] == record.summary.accuracy.mean
        by_fold = {one.step: one.value for one in client.get_metric_history(seen.info.run_id, "fold/accuracy")}
        assert by_fold == {one.fold: one.accuracy for one in record.folds}
        name = next(name for name, value in record.folds[0].history[0].items() if isinstance(value, float))
        curve = client.get_metric_history(seen.info.run_id, f"fold-01.{name}")
        assert [one.value for one in sorted(curve, key=lambda one: one.step)] == [
            line[name] for line in record.folds[0].history
        ]


def test_same_run_with_more_folds_is_logged_beside_what_it_was(probed, tmp_path):
    (part,) = again(probed, seeds=[5], head="knn", only_folds=[1])
    track([part], tmp_path)
    time.sleep(1.1)  # runs tell when they were made to the second
    track(again(probed, seeds=[5], head="knn"), tmp_path)
    assert len(logged(tmp_path)) == 2


def test_run_whose_logging_was_killed_is_logged_whole_the_next_time(probed, tmp_path):
    (run,) = again(probed, head="knn")
    track([run], tmp_path / "whole")
    ((whole,), client) = logged(tmp_path / "whole"), mlflow.MlflowClient(tracking_uri=(tmp_path / "cut").as_uri())
    client.create_run(client.create_experiment("toy"), tags=whole.data.tags)
    track([run], tmp_path / "cut")
    (found,) = logged(tmp_path / "cut")
    assert (found.info.status, found.data.metrics) == ("FINISHED", whole.data.metrics)


def test_tracker_that_fails_is_a_warning_and_leaves_the_run(probed, tmp_path):
    (tmp_path / "full").write_text("no folder")
    with pytest.warns(SoundprobeWarning, match="MLflow has no run toy-knn: .*The run itself is kept"):
        track(again(probed, head="knn"), tmp_path / "full" / "mlruns")


def test_second_process_that_logs_waits_for_the_first_so_that_none_is_lost_or_twice(probed, tmp_path, capsys):
    (run,) = again(probed, head="knn")
    free, done = threading.Event(), []

    def first() -> None:
        with locked(tmp_path):
            free.set()
            time.sleep(0.3)
            done.append("first")

    other = threading.Thread(target=first)
    other.start()
    free.wait()
    track([run], tmp_path)
    other.join()
    assert done == ["first"]
    assert "Another process is writing" in capsys.readouterr().err
    assert len(logged(tmp_path)) == 1


def test_command_logs_what_it_ran_and_what_was_there_before(probed, tmp_path):
    folders = ["--embeddings", str(probed / "embeddings"), "--heads", str(probed / "heads")]
    done = CliRunner().invoke(app, ["probe", "--head", "knn,linear", *folders, "--mlflow", str(tmp_path), "--quiet"])
    assert done.exit_code == 0, done.output
    assert len(logged(tmp_path)) == 2


def test_tracker_that_is_not_installed_is_one_clear_error(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(ConfigError, match=r"pip install 'soundprobe\[mlflow\]'"):
        track([], tmp_path)


def test_server_is_refused_where_the_network_is_forbidden(monkeypatch):
    monkeypatch.setenv("SOUNDPROBE_OFFLINE", "1")
    with pytest.raises(ConfigError, match="SOUNDPROBE_OFFLINE forbids. Name a folder"):
        check_tracker("http://localhost:5000")
    assert check_tracker("sqlite:///runs.db") == "sqlite:///runs.db"


def test_tracker_without_a_name_is_refused():
    with pytest.raises(ConfigError, match="--mlflow is empty. Name a folder"):
        check_tracker("")


def test_folder_with_something_else_in_it_takes_runs_without_a_traceback(probed, tmp_path, caplog):
    (tmp_path / "photos").mkdir()
    track(again(probed, head="knn"), tmp_path)
    assert not caplog.records
    assert len(logged(tmp_path)) == 1

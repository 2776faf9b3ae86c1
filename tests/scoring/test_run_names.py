"""Runs by names: what they are called, and which one a text means."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from result_folders import ESC10, SAMPLE, Data, write_run
from soundprobe.base.errors import ConfigError, StoreError
from soundprobe.scoring.run_names import base_name, find_run, named_runs, run_folder
from soundprobe.scoring.run_records import RunRecord
from soundprobe.verbs.runs import runs

SMALL = Data("toy", {1: 20, 2: 20}, ("a", "b"), fingerprint="aaaa1111")


def changed(folder: Path, table: str, **fields: Any) -> Path:
    path = folder / "result.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content[table].update(fields)
    path.write_text(json.dumps(content), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two data sets; on one of them controls, a better run of fewer folds and one of fewer clips."""
    root = tmp_path_factory.mktemp("named") / "heads"
    write_run(root, SAMPLE, accuracy=0.7)
    write_run(root, SAMPLE, head="knn", accuracy=0.6)
    write_run(root, SAMPLE, accuracy=0.9, weights="random")
    write_run(root, SAMPLE, accuracy=0.9, key="0123456789ab", head_settings={"control": "reshuffled-folds"})
    write_run(root, SAMPLE, backbone="panns", accuracy=0.9, folds=[1, 2])
    write_run(root, SAMPLE, backbone="ast", head="finetune", accuracy=0.8, kind="finetune")
    write_run(root, ESC10, accuracy=0.9)
    trial = write_run(root, Data("urbansound8k", {1: 20, 2: 20, 3: 20, 10: 20}, fingerprint="bbbb"), key="fff0aa")
    changed(trial, "dataset", opened_as={"data": "urbansound8k", "limit": 80})
    return root


@pytest.mark.parametrize(
    ("head", "backbone", "kind", "name"),
    [
        ({}, {}, "probe", "mn04-linear"),
        ({"seed": 1}, {}, "probe", "mn04-linear-seed1"),
        ({"settings": {"widths": [512]}}, {}, "probe", "mn04-linear-widths-512"),
        ({"settings": {"exclude_leaks": True}}, {}, "probe", "mn04-linear-without-leaks"),
        ({"settings": {"control": "shuffled-labels", "ks": [1]}}, {}, "probe", "mn04-linear-shuffled-labels"),
        ({}, {"weights": "random", "weights_label": "random (seed 0)"}, "probe", "mn04-untrained-linear"),
        ({}, {"weights": "random", "weights_label": "random (seed 2)"}, "probe", "mn04-untrained-seed2-linear"),
        ({}, {"settings": {"precision": "int8", "layers": "both"}}, "probe", "mn04-int8-both-linear"),
        ({}, {"name": "mn04+ast", "weights": "pretrained+random"}, "probe", "mn04+ast-untrained-linear"),
        ({}, {"name": "my.package:Net"}, "probe", "Net-linear"),
        ({"settings": {"recipe": "finetune-mn04"}}, {}, "finetune", "mn04-finetuned"),
        ({"settings": {"recipe": "long"}, "seed": 3}, {}, "finetune", "mn04-finetuned-long-seed3"),
        (
            {"settings": {"recipe": "notes-simplecnn", "carry_over": True}},
            {"name": "simplecnn", "weights": "random"},
            "finetune",
            "notes-simplecnn-carried-over",
        ),
        ({}, {"name": "../<script>\n"}, "probe", "script-linear"),
    ],
)
def test_name_says_everything_that_is_not_as_usual(tmp_path, head, backbone, kind, name):
    folder = write_run(tmp_path, SMALL, kind=kind)
    content = json.loads((folder / "result.json").read_text())
    for table, fields in (("head", head), ("backbone", backbone)):
        content[table].update(fields)
    assert base_name(RunRecord.of(content, "result.json")) == name


def test_runs_of_one_name_get_the_beginning_of_the_key_that_tells_them_apart(tmp_path):
    for key, length_s in (("abc1" + "0" * 8, 2.0), ("abc2" + "0" * 8, 4.0)):
        write_run(tmp_path, SMALL, key=key, backbone_settings={"clip_seconds": length_s})
    assert sorted(run.name for run in named_runs(tmp_path).found) == ["mn04-linear-abc1", "mn04-linear-abc2"]
    with pytest.raises(ConfigError, match="There are: mn04-linear-abc"):
        find_run(tmp_path, "mn04-linear")


def test_best_is_of_all_folds_and_clips_and_no_control(heads):
    assert find_run(heads, "best", dataset="urbansound8k").name == "ast-finetuned"
    assert find_run(heads, "best", dataset="urbansound8k", kinds=("probe",)).name == "mn04-linear"
    with pytest.raises(ConfigError, match="runs on esc10, urbansound8k. Say which with --dataset esc10"):
        find_run(heads, "best")


def test_best_of_runs_that_may_not_be_it_says_why_of_each(heads):
    with pytest.raises(ConfigError, match=r"Name one \(urbansound8k@bbbb/mn04-linear: trial of 80 clips\)"):
        find_run(heads, "best", dataset="urbansound8k@bbbb")


def test_runs_print_a_line_each_and_show_a_row_each(heads):
    found = runs(heads, dataset="urbansound8k@bbbb")
    assert repr(found) == "mn04-linear on urbansound8k@bbbb: 82.5 ± 5.6 % over 4 folds; trial of 80 clips"
    assert repr(found[0]).splitlines() == [repr(found), str(found[0].folder)]
    assert runs(heads)._repr_html_().count("<tr>") == 1 + len(runs(heads)) == 9
    assert "<td>trial of 80 clips</td>" in found[0]._repr_html_()


def test_best_keeps_leaks_in_unless_no_other_run_does(tmp_path):
    twin = write_run(tmp_path, SAMPLE, accuracy=0.9, key="00ff", head_settings={"exclude_leaks": True})
    assert find_run(tmp_path, "best").folder == twin
    write_run(tmp_path, SAMPLE, accuracy=0.7)
    assert find_run(tmp_path, "best").name == "mn04-linear"


def test_run_is_found_by_name_key_and_folder(heads):
    run = find_run(heads, "mn04-knn")
    assert run.record.head.name == "knn"
    for text in (
        run.record.head.key[:6],
        str(run.folder),
        run.folder,
        run.folder.relative_to(heads),
        f"{run.data}/{run.name}",
    ):
        assert find_run(heads, text).folder == run.folder
    assert find_run(heads, "esc10/mn04-linear").data == "esc10"
    assert find_run(heads, "mn04-linear", dataset="esc10").data == "esc10"
    # The run of all clips is meant, and the trial is named with its data.
    assert not find_run(heads, "mn04-linear", dataset="urbansound8k").record.is_trial
    assert find_run(heads, "urbansound8k@bbbb/mn04-linear").record.is_trial


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (None, {}, "--run is missing. There are: esc10/mn04-linear, "),
        ("mn04-kn", {}, "--run mn04-kn: there is no such run. Did you mean 'mn04-knn'?"),
        ("mn04-linear", {}, "fits 3 runs: esc10/mn04-linear; urbansound8k/mn04-linear; urbansound8k@bbbb/mn04-linear"),
        ("ast-finetuned", {"kinds": ("probe",)}, "ast-finetuned holds fine-tuned networks, not heads"),
        ("mn04-knn", {"kinds": ("finetune",), "option": "--finetuned"}, "--finetuned mn04-knn: mn04-knn is the run of"),
        ("mn04-knn", {"dataset": "esc11"}, "Unknown data set with results 'esc11'. Did you mean 'esc10'?"),
        ("mn04-knn", {"dataset": "esc10"}, "no such run"),
        ("", {}, "no such run"),
        ("\0", {}, "no such run"),
        ("x" * 5000, {}, "no such run"),
    ],
)
def test_missing_or_wrong_run_lists_what_there_is(heads, text, options, message):
    with pytest.raises(ConfigError) as error:
        find_run(heads, text, **options)
    assert message in str(error.value)


def test_folder_without_runs_says_what_to_run(tmp_path):
    with pytest.raises(ConfigError, match="No runs found in .*soundprobe compare DATA"):
        find_run(tmp_path / "heads", "best")


def test_data_sets_of_one_name_are_told_apart_by_their_fingerprint(tmp_path):
    for digest in ("aaaa1111", "bbbb2222"):
        write_run(tmp_path, Data("toy", {1: 20, 2: 20}, ("a", "b"), fingerprint=digest), key=digest)
    runs = named_runs(tmp_path)
    assert [(run.name, run.data) for run in runs.found] == [
        ("mn04-linear", "toy@aaaa11"),
        ("mn04-linear", "toy@bbbb22"),
    ]
    assert find_run(tmp_path, "best", dataset="toy@bbbb22").record.dataset.fingerprint == "bbbb2222"
    with pytest.raises(ConfigError, match="--dataset toy@aaaa11"):
        find_run(tmp_path, "best", dataset="toy")


def test_folder_of_a_stopped_run_is_taken_as_it_is_and_half_a_record_is_no_run(tmp_path):
    stopped = tmp_path / "heads" / "toy" / "mn04-00" / "linear-00"
    stopped.mkdir(parents=True)
    assert run_folder(tmp_path / "heads", str(stopped)) == stopped
    (stopped / "result.json").write_text("{")
    assert list(named_runs(tmp_path / "heads").others) == [stopped]
    with pytest.raises(StoreError):
        run_folder(tmp_path / "heads", str(stopped), kinds=("probe",))

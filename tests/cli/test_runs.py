"""`soundprobe runs`: what is listed, shown and removed, on results as they lie on disk."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from command_line import soundprobe_here as soundprobe
from result_folders import ESC10, Data, write_result, write_run
from soundprobe.base.errors import ConfigError, StoreError
from soundprobe.base.locks import locked
from soundprobe.verbs.runs import remove_run, runs


@pytest.fixture
def heads(tmp_path: Path) -> Path:
    """Two runs on ten classes, one on a data set whose name is markup, one that was stopped, and a page beside them."""
    root = tmp_path / "heads"
    write_run(root, ESC10, accuracy=0.9)
    write_run(root, ESC10, head="knn", accuracy=0.7, folds=[1, 2])
    write_run(root, Data("[red]x", {1: 20, 2: 20}, fingerprint="abcd"), backbone="panns", accuracy=0.8)
    (root / "esc10" / "mn04-00" / "linear-00").mkdir(parents=True)
    (root / "README.md").write_text("what this is")
    return root


def test_list_has_each_run_by_name_and_says_what_is_no_run(heads):
    done = soundprobe("runs", "list", cwd=heads.parent)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines[1:4]] == [
        ["panns-linear", "[red]x"],
        ["mn04-linear", "esc10"],
        ["mn04-knn", "esc10"],
    ]
    assert "2 of 5" in lines[3]
    assert lines[3].rstrip().endswith("trial")
    assert lines[4].startswith("no run: heads/esc10/mn04-00/linear-00: still being made")
    told = json.loads(soundprobe("runs", "list", "--dataset", "esc10", "--json", cwd=heads.parent).stdout)
    assert [(run["name"], run["trial"], len(run["folds"])) for run in told["runs"]] == [
        ("mn04-linear", False, 5),
        ("mn04-knn", True, 2),
    ]
    assert [run.name for run in runs(heads, dataset="esc10")] == ["mn04-linear", "mn04-knn"]


def test_show_has_the_command_that_makes_the_run_again_and_each_fold(heads):
    done = soundprobe("runs", "show", "best", "--dataset", "esc10", cwd=heads.parent)
    assert done.returncode == 0, done.stderr
    assert "soundprobe probe --backbone mn04 --head linear --seed 0" in done.stdout
    assert "heads/esc10/mn04-" in done.stdout
    folds = [line.split()[:3] for line in done.stdout.splitlines() if line.strip()[:1].isdigit()]
    assert folds == [[str(fold), "320", "80"] for fold in range(1, 6)]
    told = json.loads(soundprobe("runs", "show", "panns-linear", "--json", cwd=heads.parent).stdout)
    assert told["result"]["dataset"]["name"] == "[red]x"


def test_rm_asks_first_and_says_what_goes(heads):
    asked = soundprobe("runs", "rm", "mn04-knn", cwd=heads.parent)  # nobody answers
    assert asked.returncode == 1
    assert "mn04-knn on esc10, " in asked.stdout
    assert len(runs(heads)) == 3
    done = soundprobe("runs", "rm", "mn04-knn", "heads/esc10/mn04-00/linear-00", "--yes", "--json", cwd=heads.parent)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["removed"]) == 2
    assert [run.name for run in runs(heads, dataset="esc10")] == ["mn04-linear"]
    assert sorted(path.name for path in (heads / "esc10").iterdir()) == [f"mn04-{b'mn04pretrained'.hex()[:12]}"]


def test_rm_leaves_a_run_that_is_being_written(heads):
    (run,) = runs(heads, dataset="[red]x")
    for held in (run.folder, run.folder.parent):  # imports hold all of a model
        with locked(held), pytest.raises(StoreError, match="Another process is writing"):
            remove_run("panns-linear", heads=heads)
    assert (run.folder / "result.json").exists()
    remove_run("panns-linear", heads=heads)
    assert not run.folder.parent.exists()


def test_rm_deletes_nothing_outside_the_heads_folder(heads, tmp_path):
    elsewhere = write_run(tmp_path / "other", ESC10, backbone="ast", accuracy=0.9)
    for link in (heads / "esc10" / elsewhere.parent.name, heads / "esc10" / "mn04-00" / elsewhere.name):
        target = elsewhere.parent if link.parent.name == "esc10" else elsewhere
        link.symlink_to(target, target_is_directory=True)
        with pytest.raises(ConfigError, match="outside .*heads. Delete it there"):
            remove_run("ast-linear", heads=heads)
        link.unlink()
    with pytest.raises(ConfigError, match="no such run"):
        remove_run(elsewhere, heads=heads)
    assert (elsewhere / "result.json").exists()


def test_rm_leaves_a_link_within_the_heads_folder_and_what_it_leads_to(heads):
    (run,) = runs(heads, dataset="[red]x")
    link = heads / "esc10" / "mn04-00" / "link"
    link.symlink_to(run.folder.resolve(), target_is_directory=True)
    assert [one.folder for one in runs(heads, dataset="[red]x")] == [run.folder]
    with pytest.raises(ConfigError, match="is a link to"):
        remove_run("esc10/mn04-00/link", heads=heads)
    assert (run.folder / "result.json").exists()
    assert link.is_symlink()


def test_rm_takes_no_whole_run_for_a_trial_of_its_name(heads):
    trial = write_run(heads, replace(ESC10, fingerprint="7a1a1", fold_clips={1: 20, 2: 20}), accuracy=0.5, key="7a1a1")
    info = json.loads((trial / "result.json").read_text())
    info["dataset"]["opened_as"] = {"data": "ESC-10", "limit": 40}
    write_result(trial, info)
    assert [run.name for run in runs(heads)].count("mn04-linear") == 2
    with pytest.raises(ConfigError, match="fits 2 runs: esc10/mn04-linear; esc10@7a1a1/mn04-linear"):
        remove_run("mn04-linear", heads=heads)
    assert remove_run("esc10@7a1a1/mn04-linear", heads=heads) == trial

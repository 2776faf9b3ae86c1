"""`soundprobe probe` as it is typed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from made_sets import make_set
from soundprobe.base.files import read_json, write_json
from soundprobe.cli.main import app
from soundprobe.reporting.write import write_report


def probe(root: Path, *arguments: str) -> str:
    places = ("--embeddings", str(root / "embeddings"), "--heads", str(root / "heads"), "--quiet")
    done = CliRunner().invoke(app, ["probe", *places, *arguments])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize(
    ("given", "tried"),
    [
        (["--layer", "0"], {"0"}),
        (["--layers", "last,weighted"], {"last", "weighted"}),  # as extract's was called
        (["--set", "layers=0"], {"0"}),
        ([], {"last", "0", "both"}),
    ],
)
def test_layer_says_which_layers_a_head_tries(tmp_path: Path, given: list[str], tried: set[str]):
    folder = make_set(tmp_path / "embeddings")
    meta = read_json(folder / "meta.json")
    meta["backbone"]["layers"] = {"last": 3, "0": 3}
    write_json(folder / "meta.json", meta)
    probe(tmp_path, "--only-fold", "1", *given)
    (result,) = (tmp_path / "heads").glob("**/result.json")
    (fold,) = json.loads(result.read_text(encoding="utf-8"))["folds"]
    assert {step["layers"] for step in fold["history"]} == tried


def test_shots_print_a_line_of_accuracies_by_clips_a_class_that_the_report_has_too(tmp_path: Path):
    make_set(tmp_path / "embeddings")
    told = probe(tmp_path, "--head", "knn", "--shots", "8,2,4", "--only-fold", "1")
    line = next(line for line in told.splitlines() if "clips a class" in line)
    found = re.fullmatch(r"  accuracy by clips a class: 2 ([\d.]+) %, 4 ([\d.]+) %, 8 ([\d.]+) % \(5 draws\)", line)
    assert found, line
    report = write_report(tmp_path / "heads", tmp_path / "reports", trials=True).markdown.read_text(encoding="utf-8")
    for clips, accuracy in zip((2, 4, 8), found.groups(), strict=True):
        assert re.search(rf"\| {clips} \| [\d.]+ \| {accuracy} \|", report)

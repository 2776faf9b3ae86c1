"""`soundprobe probe` as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from made_sets import make_set
from soundprobe.base.files import read_json, write_json
from soundprobe.cli.main import app


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

"""The figures of README and docs: commands are commands, tables are as recorded, and a figure that is off is named."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import typer.main

from soundprobe.cli.main import app

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """docs/figures.py, which makes its runs in a folder of the test's own."""
    spec = importlib.util.spec_from_file_location("figures", ROOT / "docs" / "figures.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "figures", module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "MADE", tmp_path)
    return module


def test_every_command_of_the_figures_is_one_that_the_command_line_takes(figures: ModuleType) -> None:
    verbs = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for figure, data in figures.wanted([]):
        for verb, *arguments in figures.commands(figure, data):
            verbs[verb].make_context(verb, arguments)


def test_every_figure_is_recorded_with_all_its_seeds_and_folds(figures: ModuleType) -> None:
    recorded = json.loads(figures.RECORDED.read_text())["runs"]
    for figure, data in figures.wanted([]):
        for head, seeds in recorded[f"{data} {figure['name']}"].items():
            if asked := figures.seeds_of(figure, data):
                assert sorted(seeds) == [str(seed) for seed in asked], (figure["name"], head)
            assert {len(folds) for folds in seeds.values()} == {5 if data == "esc10" else 4}
    assert set(recorded) == {f"{data} {figure['name']}" for figure, data in figures.wanted([])}


def test_tables_of_readme_and_docs_are_what_was_recorded(figures: ModuleType) -> None:
    assert figures.tables(only_check=True) == []
    pages = "".join(page.read_text() for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")))
    assert all(f"<!-- figures: {spec['name']} -->" in pages for spec in figures.PLAN["table"])


def test_figures_made_again_are_as_recorded_and_one_that_is_off_is_named(
    figures: ModuleType, shared: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(figures, "SHARED", shared)
    monkeypatch.setattr(figures, "WEIGHTS", shared / "weights" / "mn04_as_mAP_432.pt")
    assert figures.check(["quick"])  # nothing has been run yet
    for figure, data in figures.wanted(["quick"]):
        figures.make(figure, data)
    assert figures.check(["quick"]) == []
    content = json.loads(figures.RECORDED.read_text())
    seeds = content["runs"]["urbansound8k frozen/mn04"]["linear"]
    content["runs"]["urbansound8k frozen/mn04"]["linear"] = {
        seed: [fold - 0.01 for fold in folds] for seed, folds in seeds.items()
    }
    monkeypatch.setattr(figures, "RECORDED", tmp_path / "other.json")
    figures.RECORDED.write_text(json.dumps(content))
    (wrong,) = figures.check(["quick"])
    assert wrong.startswith("urbansound8k frozen/mn04, linear: ")

"""The built wheel is whole, and imports between the rooms point one way."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
SOURCE = PROJECT / "src" / "soundprobe"


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """soundprobe's wheel, built with the pinned backend and without the network."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(PROJECT)],
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("soundprobe-*.whl")
    return built


def test_wheel_holds_recipes_templates_and_the_typing_mark(wheel: Path):
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in (PROJECT / "configs").glob("*.toml"):
        assert f"soundprobe/configs/{path.name}" in names
    for path in SOURCE.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            assert f"soundprobe/{path.relative_to(SOURCE).as_posix()}" in names


def test_command_from_the_wheel_runs_from_any_folder(wheel: Path, tmp_path: Path):
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    script = (
        "import soundprobe, sys; assert soundprobe.__file__.startswith(sys.argv[1]), soundprobe.__file__\n"
        "from soundprobe.config import *\n"
        "print(read_recipe('demo', ComparisonRecipe).data, recipe_folder())"
    )
    (tmp_path / "elsewhere").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "site")],
        cwd=tmp_path / "elsewhere",
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("synth ")
    assert str(tmp_path / "site") in done.stdout


# A room may import those on its own level and below; what is above it does not exist for it.
LEVELS = [
    {"errors"},
    {"records", "files", "keys", "machine", "packed", "progress", "parallel"}
    | {"config", "download", "containers", "state_dicts"},
    {"weights", "audio", "metrics"},
    {"notes", "resampling", "compare", "against_notes"},
    {"data", "backbones", "store", "heads", "crossval", "augment"},
    {"featuresets", "results", "pipeline"},
    {"training", "learning_curve", "controls", "peeking", "measuring", "quantising", "precisions"},
    {"finetuned", "head_backbones"},
    {"extraction", "probing", "finetuning", "benchmarking", "diagnosis", "prediction"},
    {"viewing"},
    {"reporting"},
    {"demonstration"},
    {"cli"},
]
LEVEL_OF = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}


def imports_of(path: Path) -> set[str]:
    """The rooms of soundprobe that the module at `path` imports, anywhere in it."""
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = (
                [f"{node.module}.{alias.name}" for alias in node.names]
                if node.module == "soundprobe"
                else [node.module]
            )
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        rooms |= {name.split(".")[1] for name in names if name.startswith("soundprobe.")}
    return rooms


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_imports_between_rooms_point_one_way(path: Path):
    room = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    if room in ("__init__", "__main__"):
        return
    above = {other for other in imports_of(path) if LEVEL_OF[other] > LEVEL_OF[room]}
    assert not above
    if room in ("probing", "reporting", "featuresets", "results"):
        assert "backbones" not in imports_of(path)


def test_no_module_is_longer_than_300_lines():
    assert not [str(path) for path in SOURCE.rglob("*.py") if len(path.read_text().splitlines()) > 300]

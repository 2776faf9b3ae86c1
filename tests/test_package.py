"""The built wheel is whole."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from readme_renderer import markdown

PROJECT = Path(__file__).resolve().parent.parent
SOURCE = PROJECT / "src" / "soundprobe"
README = (PROJECT / "README.md").read_text(encoding="utf-8")
REPOSITORY = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["metadata"][
    "hooks"
]["custom"]["repository"]
building = runpy.run_path(str(PROJECT / "hatch_build.py"))


def links_of(readme: str, repository: str) -> list[str]:
    """What a page of it leads to; within the repository all of it is there."""
    led = re.findall(r'(?:href|src)="([^"]+)"', markdown.render(readme) or "")
    assert [link for link in led if not link.startswith(("https://", "#"))] == []
    for link in led:
        if repository and link.startswith(repository):
            path = link.removeprefix(repository).split("#")[0]
            assert (PROJECT / re.sub("^/(raw|blob)/main/", "", path)).exists(), link
    return led


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
        "from soundprobe.base.config import *\n"
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


def test_wheel_says_readme_and_the_addresses_as_a_package_index_shows_them(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = Parser().parsestr(archive.read(name).decode())
    urls = dict(line.split(", ") for line in metadata.get_all("Project-URL", []))
    assert urls == building["urls"](REPOSITORY)
    assert metadata.get_payload().strip() == building["shown"](README, REPOSITORY).strip()


@pytest.mark.parametrize("repository", ["", "https://github.com/owner/name"])
def test_links_of_readme_on_a_package_index_lead_to_the_repository_or_are_none(repository: str):
    led = links_of(building["shown"](README, repository), repository)
    assert (f"{repository}/raw/main/docs/images/report.png" in led) == bool(repository)

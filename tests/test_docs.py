"""Every command and code block of README and docs is the command line's, and runs unless its page says why not."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import typer.main
from typer.testing import CliRunner

import soundprobe
from doc_blocks import PAGES, PROJECT, Block, blocks_of, commands_of
from soundprobe.backbones.catalog import MN04
from soundprobe.backbones.weights.verify import location
from soundprobe.cli.main import app
from sounds import RATE_HZ, tone, write_urbansound_layout

BLOCKS = {page: blocks_of(page) for page in PAGES}
WHAT_TO_DO = "Mend it, or say above the block why it is not run: <!-- not run WORDS OF THE LINE: the reason -->"


def parse(words: list[str]) -> None:
    """Raises what the command line would, and runs nothing."""
    command: Any = typer.main.get_command(app)
    rest = words[1:]
    while rest and hasattr(command, "commands"):
        name, *rest = rest
        if name not in command.commands:
            raise LookupError(f"no command {name!r} among {', '.join(command.commands)}")
        command = command.commands[name]
    command.make_context(words[0], rest)


def told(error: Exception) -> str:
    return error.format_message() if hasattr(error, "format_message") else repr(error)


def check(block: Block) -> None:
    """Raises where a block is none of its language, or a command, script, target or option is not there."""
    match block.language:
        case "sh":
            for words in (words for line in block.pieces for words in commands_of(line)):
                program = Path(words[0]).name
                if program == "soundprobe":
                    parse(words)
                elif program == "make":
                    targets = re.findall(
                        r"^([\w-]+):", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE
                    )
                    assert [word for word in words[1:] if "=" not in word and word not in targets] == []
                elif program == "python" and words[1] != "-m":
                    script = (PROJECT / words[1]).read_text(encoding="utf-8")
                    own = words[: words.index("--")] if "--" in words else words  # what follows is for what it runs
                    assert [word for word in own if word.startswith("--") and f'"{word}"' not in script] == []
        case "python":
            compile(block.content, block.page, "exec")
        case "toml":
            tomllib.loads(block.content)
        case "json":
            json.loads(block.content)
        case language:
            assert language in ("text", "csv"), "fence it as sh, python, toml, json, csv or text"


@pytest.mark.parametrize("page", PAGES)
def test_commands_and_blocks_of_page_are_well_formed(page: str) -> None:
    for block in BLOCKS[page]:
        try:
            check(block)
        except Exception as error:
            pytest.fail(f"{page}:{block.line}: {told(error)}")


@pytest.mark.parametrize("page", PAGES)
def test_commands_in_the_sentences_of_page_are_the_command_lines(page: str) -> None:
    text = (PROJECT / page).read_text(encoding="utf-8")
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    for command in re.findall(r"`(soundprobe [a-z][^`]*)`", prose):
        try:
            parse(shlex.split(command))
        except Exception as error:
            if type(error).__name__ != "MissingParameter":  # a sentence needn't say the whole
                pytest.fail(f"{page}: {command}: {told(error)}")


@pytest.mark.parametrize("page", PAGES)
def test_marks_of_page_keep_something_back(page: str) -> None:
    marks = {mark for block in BLOCKS[page] for mark in block.marks}
    keeping = {m for block in BLOCKS[page] for m in block.marks for piece in block.pieces if m.words in piece}
    assert marks - keeping == set()


def runs(block: Block) -> bool:
    """Whether anything of it is run."""
    return block.language in ("sh", "python") and any(block.reason(piece) is None for piece in block.pieces)


@contextmanager
def inside(folder: Path, cache: Path) -> Iterator[None]:
    """As if one worked there, without a network."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(folder)
        patch.setenv("SOUNDPROBE_CACHE", str(cache))
        patch.setenv("SOUNDPROBE_OFFLINE", "1")
        yield


def run(page: str, folder: Path, cache: Path) -> None:
    """Runs what isn't kept back of a page in a folder, in order."""
    names: dict[str, Any] = {}
    with inside(folder, cache):
        for block in filter(runs, BLOCKS[page]):
            for piece in block.pieces:
                if block.reason(piece) is not None:
                    continue
                where = f"{page}:{block.line}: {piece}"
                if block.language == "python":
                    try:
                        exec(compile(piece, where, "exec"), names)
                    except Exception as error:
                        pytest.fail(f"{where}\n{error!r}\n{WHAT_TO_DO}")
                    continue
                for words in commands_of(piece):
                    assert Path(words[0]).name == "soundprobe", f"{where}\nonly soundprobe is run here. {WHAT_TO_DO}"
                    done = CliRunner().invoke(app, words[1:], input="y\n")
                    assert done.exit_code == 0, f"{where}\n{done.output}\n{done.exception!r}\n{WHAT_TO_DO}"


@pytest.fixture(scope="module")
def cache(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds mn04's published weights."""
    folder = tmp_path_factory.mktemp("cache")
    assert MN04.weights
    with inside(folder, folder):
        place = location(MN04.weights)
    place.parent.mkdir(parents=True)
    shutil.copy(shared / "weights" / "mn04_as_mAP_432.pt", place)
    return folder


@pytest.fixture(scope="module")
def made(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the data sets, recordings and tables that the pages speak of.

    Labels have nothing to do with the sounds, so that heads stop learning soon.
    """
    folder = tmp_path_factory.mktemp("made")
    rng = np.random.default_rng(0)
    rows = ["path,label"]
    for name in ("dog", "rain"):
        (folder / "my-clips" / name).mkdir(parents=True)
        for number in range(10):
            rows.append(f"my-clips/{name}/{number}.wav,{name}")
            sound = tone(rng.uniform(200, 2000), 0.5, seed=len(rows))
            soundfile.write(folder / "my-clips" / name / f"{number}.wav", sound, RATE_HZ)
    (folder / "clips.csv").write_text("\n".join(rows))
    write_urbansound_layout(folder / "UrbanSound8K", folds=4, recordings=1, slices=1, classes=2, seconds=0.5)
    for recording in ("recording.wav", "dawn.flac"):
        soundfile.write(folder / recording, tone(440, 2.0), RATE_HZ)
    predicted = ["clip,fold,predicted"]
    for data in ("my-clips", "UrbanSound8K"):
        clips = soundprobe.open_data(folder / data)
        names = np.array(clips.class_names)[clips.labels]
        predicted += [",".join(map(str, row)) for row in zip(clips.ids, clips.folds, names, strict=True)]
    for table in ("my-cnn.csv", "predictions.csv"):
        (folder / table).write_text("\n".join(predicted))
    shutil.copy(shared / "weights" / "mn04_as_mAP_432.pt", folder)
    return folder


@pytest.fixture(scope="module")
def followed(made: Path, cache: Path) -> Path:
    """The folder in which README was followed from its beginning to its end."""
    run("README.md", made, cache)
    return made


@pytest.mark.filterwarnings("default::soundprobe.base.errors.SoundprobeWarning")
@pytest.mark.parametrize("page", [page for page in PAGES if any(map(runs, BLOCKS[page]))])
def test_commands_and_blocks_of_page_run_after_readmes(page: str, followed: Path, cache: Path, tmp_path: Path) -> None:
    if page != "README.md":
        run(page, shutil.copytree(followed, tmp_path / "work"), cache)

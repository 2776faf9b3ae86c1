"""Every command and code block of README and docs is the command line's, and runs unless its page says why not."""

from __future__ import annotations

import argparse
import inspect
import json
import os
import re
import runpy
import shlex
import shutil
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import soundfile
import typer.main
from huggingface_hub import constants

import soundprobe
from command_line import soundprobe_here
from doc_blocks import PAGES, PROJECT, Block, Piece, blocks_of
from hub_server import TOKEN, Repo, serving
from soundprobe.backbones.catalog import MN04
from soundprobe.backbones.weights.verify import location
from soundprobe.cli.main import app
from sounds import RATE_HZ, tone, write_urbansound_layout
from tiny_transformers import save_tiny

BLOCKS = {page: blocks_of(page) for page in PAGES}
WITH_SLOW = os.environ.get("SOUNDPROBE_DOCS") == "all"
"""Whether what is marked slow is run, too: make docs-run."""
AST, COMMIT = "MIT/ast-finetuned-audioset-10-10-0.4593", "f826b80d28226b62986cc218e5cec390b1096902"
WHAT_TO_DO = "Mend it, or say above the block why it is not run: <!-- not run WORDS OF THE COMMAND: the reason -->"


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


class ParsedError(Exception):
    """A script's arguments were understood, and it need not go on."""


def parse_script(words: list[str]) -> None:
    """Raises where a script doesn't take its arguments; runs nothing that comes after it has read them."""
    understood = argparse.ArgumentParser.parse_known_args

    def some(parser: argparse.ArgumentParser) -> None:
        understood(parser, words[1:])
        raise ParsedError

    def all_(parser: argparse.ArgumentParser) -> None:
        if unknown := understood(parser, words[1:])[1]:
            parser.error(f"unrecognized arguments: {unknown}")
        raise ParsedError

    script = PROJECT / words[0]
    sys_path = [str(script.parent), *sys.path]
    reading = patch.multiple(argparse.ArgumentParser, parse_args=all_, parse_known_args=some)
    with reading, patch.object(sys, "path", sys_path):
        try:
            runpy.run_path(str(script), run_name="__main__")
        except ParsedError:
            return
        except SystemExit as error:
            raise ValueError(f"{words[0]} does not take {' '.join(words[1:])}") from error
    raise AssertionError(f"{words[0]} reads no arguments")


def told(error: Exception) -> str:
    return error.format_message() if hasattr(error, "format_message") else repr(error)


def check(block: Block) -> None:
    """Raises where a block is none of its language, or a command, script, target or option is not there."""
    match block.language:
        case "sh":
            for piece in block.pieces:
                words = list(piece.words)
                program = Path(words[0]).name
                if program == "soundprobe":
                    parse(words)
                elif program == "make":
                    targets = re.findall(
                        r"^([\w-]+):", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE
                    )
                    assert [word for word in words[1:] if "=" not in word and word not in targets] == []
                elif program == "python" and words[1].startswith("benchmarks/"):
                    parse_script(words[1:])
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
    keeping = {m for block in BLOCKS[page] for m in block.marks for piece in block.pieces if m.words in piece.text}
    assert marks - keeping == set()


@pytest.mark.parametrize("name", [name for name in soundprobe.__all__ if inspect.isfunction(getattr(soundprobe, name))])
def test_docstring_of_public_function_tells_every_parameter_and_what_it_raises(name: str) -> None:
    function = getattr(soundprobe, name)
    told = inspect.getdoc(function) or ""
    unsaid = [one for one in inspect.signature(function).parameters if not re.search(rf"\b{one}\b", told)]
    assert unsaid == []
    assert "Raises:" in told or name == "find_sets"  # which gives back what it can't use


def is_run(block: Block, piece: Piece) -> bool:
    mark = block.mark_of(piece)
    return mark is None or (mark.is_slow and WITH_SLOW)


def runs(block: Block) -> bool:
    """Whether anything of it is run."""
    return block.language in ("sh", "python") and any(is_run(block, piece) for piece in block.pieces)


@contextmanager
def inside(folder: Path, cache: Path) -> Iterator[None]:
    """As if one worked there, without a network."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(folder)
        patch.setenv("SOUNDPROBE_CACHE", str(cache))
        patch.setenv("SOUNDPROBE_OFFLINE", "1")
        yield


@contextmanager
def online() -> Iterator[None]:
    """As if the Hub, which is on this machine, were all of the network."""
    with pytest.MonkeyPatch.context() as patch:
        for offline in ("HF_HUB_OFFLINE", "SOUNDPROBE_OFFLINE"):
            patch.delenv(offline, raising=False)
        patch.setattr(constants, "HF_HUB_OFFLINE", False)  # what these variables set, but at the client's import
        patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        patch.setenv("HF_TOKEN", TOKEN)
        yield


def run_command(piece: Piece, where: str) -> None:
    words = list(piece.words)
    assert Path(words[0]).name == "soundprobe", f"{where}\nonly soundprobe is run here. {WHAT_TO_DO}"
    if piece.is_piped:
        soundfile.write("piped", tone(440, 2.0), RATE_HZ, "PCM_16", format="RAW" if "--raw" in words else "WAV")
    else:
        Path("piped").write_text("y\n")
    with open("piped") as piped:
        done = soundprobe_here(*words[1:], cwd=Path.cwd(), stdin=piped)
    assert done.returncode == 0, f"{where}\n{done.stdout}\n{done.stderr}\n{WHAT_TO_DO}"


def run(page: str, folder: Path, cache: Path) -> None:
    """Runs what isn't kept back of a page in a folder, in order; what is slow comes last."""
    names: dict[str, Any] = {}
    pieces = [(block, piece) for block in BLOCKS[page] if runs(block) for piece in block.pieces if is_run(block, piece)]
    with inside(folder, cache):
        for block, piece in sorted(pieces, key=lambda pair: pair[0].mark_of(pair[1]) is not None):
            where, began = f"{page}:{block.line}: {piece.text}", perf_counter()
            if block.language == "python":
                try:
                    exec(compile(piece.text, where, "exec"), names)
                except Exception as error:
                    pytest.fail(f"{where}\n{error!r}\n{WHAT_TO_DO}")
            elif "hf:" in piece.text or " push " in piece.text:
                with online():
                    run_command(piece, where)
            else:
                run_command(piece, where)
            print(f"{perf_counter() - began:.1f} s {where.splitlines()[0]}")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The models of transformers that the pages speak of, tiny and with random weights, on a Hub on this machine."""
    with serving() as hub, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", hub.url)
        patch.setattr(constants, "HF_HUB_CACHE", str(tmp_path_factory.mktemp("hub")))
        for name, family in (("facebook/wav2vec2-base", "Wav2Vec2"), (AST, "AST")):
            folder = save_tiny(family, tmp_path_factory.mktemp(family))
            files = {path.name: path.read_bytes() for path in folder.iterdir()}
            hub.repos[f"models/{name}"] = Repo(private=False, commits=[(COMMIT, files)])
        yield


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
    save_tiny("HuBERT", folder / "my-model")
    (folder / "reports").mkdir()
    (folder / "reports" / "label-suspects.csv").write_text("clip,given,correction\ndog/0.wav,dog,rain\n")  # by ear
    return folder


@pytest.fixture(scope="module")
def followed(made: Path, cache: Path, hub: None) -> Path:
    """The folder in which README was followed from its beginning to its end."""
    run("README.md", made, cache)
    return made


@pytest.mark.filterwarnings("default::soundprobe.base.errors.SoundprobeWarning")
@pytest.mark.parametrize("page", [page for page in PAGES if any(map(runs, BLOCKS[page]))])
def test_commands_and_blocks_of_page_run_after_readmes(page: str, followed: Path, cache: Path, tmp_path: Path) -> None:
    if page != "README.md":
        run(page, shutil.copytree(followed, tmp_path / "work"), cache)

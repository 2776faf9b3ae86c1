"""What a command imports before it knows that it can do its work: nothing heavy for a wrong name or path."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from command_line import soundprobe_here
from sounds import write_urbansound_layout

HEAVY = {
    "torch",
    "torchaudio",
    "torchvision",
    "transformers",
    "timm",
    "datasets",
    "sklearn",
    "scipy",
    "pandas",
    "matplotlib",
}
SERVE = """import json, os, sys
import numpy, pydantic, soundfile
from soundprobe.cli.main import main
for line in sys.stdin:
    if child := os.fork():
        os.waitpid(child, 0)
        print(flush=True)
        continue
    *command, told, loaded = json.loads(line)
    for file, handle in ((os.devnull, 0), (os.devnull, 1), (told, 2)):
        os.dup2(os.open(file, os.O_RDWR | os.O_CREAT), handle)
    sys.argv, code = ["soundprobe", *command], 0
    try:
        main()
    except SystemExit as stop:
        code = stop.code or 0
    open(loaded, "w").write(" ".join([str(code), *sys.modules]))
    break"""
"""Each command in a fork of a process that has imported the command line and light libraries that most need."""


@pytest.fixture(scope="module")
def probed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with clips, a set of embeddings and a head."""
    folder = tmp_path_factory.mktemp("startup")
    write_urbansound_layout(folder / "clips")
    for command in ("extract -b simplecnn --weights random --data clips", "probe --head linear,knn"):
        done = soundprobe_here(*command.split(), cwd=folder)
        assert done.returncode == 0, done.stderr
    (folder / "full").write_text("no folder")
    (folder / "bare").mkdir()
    (folder / "bare" / "config.json").write_text("{}")
    return folder


Loaded = Callable[[str], tuple[int, set[str], str]]
"""From a command to its exit code, the names of all modules, and what went to standard error."""


@pytest.fixture(scope="module")
def loaded(probed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    files = [tmp_path_factory.mktemp("told") / name for name in ("errors", "modules")]
    cache = str(probed / "cache")
    environ = {**os.environ, "SOUNDPROBE_OFFLINE": "1", "SOUNDPROBE_CACHE": cache, "HF_DATASETS_CACHE": cache}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
    with subprocess.Popen([sys.executable, "-c", SERVE], cwd=probed, env=environ, **pipes) as server:

        def run(command: str) -> tuple[int, set[str], str]:
            for file in files:
                file.unlink(missing_ok=True)
            print(json.dumps([*command.split(), *map(str, files)]), file=server.stdin)
            assert server.stdout.readline() == "\n"
            told, (code, *modules) = files[0].read_text(), files[1].read_text().split()
            return int(code), set(modules), told

        yield run
        server.stdin.close()


@pytest.mark.parametrize(
    ("command", "messages"),
    [
        ("extract -b ast", ["(7.0 GB)", "The weights of ast (346 MB)"]),
        ("extract -b ast,panns --data nowhere/", ["nowhere", "--weights random", "of panns (327 MB)"]),
        ("finetune -b panns", ["soundprobe data fetch urbansound8k", "of panns (327 MB)"]),
        ("finetune -b mn04 --data nowhere/ --weights nothing.pt", ["nowhere", "No weights file at 'nothing.pt'"]),
        ("predict gone.wav --heads none", ["gone.wav", "soundprobe compare DATA"]),
        ("predict gone.wav --run simplecnn-untrained-knn --weights none.pt", ["gone.wav", "none.pt"]),
        ("view gone.wav --run nothing --heads none", ["gone.wav", "soundprobe compare DATA"]),
    ],
)
def test_all_that_is_missing_is_told_at_once_before_anything_heavy_is_imported(
    command: str, messages: list[str], loaded: Loaded
) -> None:
    code, modules, told = loaded(command)
    assert code == 1, told
    first, *lines = told.strip().splitlines()
    assert first == f"Error: {len(messages)} things are missing:"
    for line, message in zip(lines, messages, strict=True):
        assert message in line
    assert not modules & HEAVY


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("extract -b mn04 --data nowhere/ --weights random", "nowhere"),
        ("extract -b mn4 --data clips", "Unknown backbone"),
        ("extract -b mn04 --data clips --weights nothing.pt", "No weights file"),
        ("extract -b mn04 --data clips", "forbids to fetch"),
        ("extract -b hf:./nowhere --data clips", "there is no nowhere/config.json"),
        ("extract -b hf:./bare --data clips", "is no audio encoder"),
        ("extract -b simplecnn --data clips", "trained from scratch"),
        ("extract -b logmel-stats --data clips --weights random", "Leave --weights out"),
        ("extract -b mn04 --data clips --weights random --precision fp8", "Unknown precision"),
        ("extract -b simplecnn --data clips --weights random --precision int8", "not offered"),
        ("extract -b mn04 --data clips --weights random --device gpu", "Unknown device"),
        ("extract -b ast --data clips --weights random --clip-seconds 99", "not valid for ast"),
        ("extract -b mn04 --data clips --weights random --embeddings full/here", "no folder"),
        ("extract --finetuned nowhere", "no such run"),
        ("probe --head liner", "Unknown head"),
        ("probe --embeddings nowhere", "No finished embeddings"),
        ("probe --backbone mn5", "Unknown backbone"),
        ("predict clips/audio/fold1 --run nowhere", "there is no such run. There are: simplecnn-untrained-knn"),
        ("view clips/audio/fold1 --head nowhere", "there is no such run"),
        ("export nowhere --to out --format bundle", "there is no such run"),
        ("export simplecnn-untrained-knn --to out --format onx", "Did you mean 'onnx'"),
        ("export simplecnn-untrained-knn --to clips --format bundle", "something else than an export"),
        ("export simplecnn-untrained-knn --to full/here --format bundle", "no folder"),
        ("runs show nowhere", "there is no such run"),
        ("runs rm best", "say which run by its name"),
        ("runs show best --heads nowhere", "No runs found"),
        ("compare nowhere/", "nowhere"),
        ("compare clips -b mn4", "Unknown backbone"),
        ("compare clips --head liner", "Unknown head"),
        ("compare clips --weights nothing.pt", "No weights file"),
        ("compare clips -b mn04,panns --weights clips", "whose are they?"),
        ("compare clips --baseline nothing.csv", "nothing.csv"),
        ("compare clips -b simplecnn", "trained from scratch"),
        ("finetune --config nothing", "Unknown recipe"),
        ("finetune -b logmel-stats --config finetune-timm --data clips", "can't be fine-tuned"),
        ("finetune -b simplecnn --data nowhere", "nowhere"),
        ("finetune -b mn04 --weights nothing.pt --data clips", "No weights file"),
        ("extract -b mn04 --data clips --allow-failures some", "such as 10 or 1%"),
        ("finetune -b simplecnn --data clips --heads full/here", "no folder"),
        ("import nothing.csv --name my-cnn --data clips", "No such file"),
        ("import clips/metadata/UrbanSound8K.csv --name my-cnn --data nowhere", "nowhere"),
        ("import clips/metadata/UrbanSound8k.csv --name a --data clips", "The nearest name there is UrbanSound8K.csv"),
        ("compare clips --baseline clips/metadata/UrbanSound.csv", "The nearest name there is UrbanSound8K.csv"),
        ("fit --head mlp", "Score it first: soundprobe probe --head mlp"),
        ("fit --run simplecnn-untrained-linear --embeddings nowhere", "Make them again: soundprobe extract"),
        ("report --heads nowhere", "No runs found"),
        ("report --baseline zzz", "zzz"),
        ("data check nowhere", "Unknown data set 'nowhere'"),
    ],
)
def test_wrong_name_or_path_is_one_line_before_anything_heavy_is_imported(
    command: str, message: str, loaded: Loaded
) -> None:
    code, modules, told = loaded(command)
    assert code == 1, told
    assert message in told
    assert len(told.strip().splitlines()) == 1, told
    reads_tables = command.startswith("report --baseline")  # pyarrow takes pandas along, where it is installed
    assert not modules & (HEAVY - {"pandas"} if reads_tables else HEAVY)


@pytest.mark.parametrize(
    ("command", "unneeded"), [("probe --head linear,knn -q", HEAVY), ("report --no-audio", {"torch"})]
)
def test_probe_that_was_done_before_imports_nothing_heavy_and_report_no_torch(
    command: str, unneeded: set[str], loaded: Loaded
) -> None:
    code, modules, told = loaded(command)
    assert code == 0, told
    assert not modules & unneeded


@pytest.mark.parametrize("asked", ["logmel-stats", "mn04 --weights random --seed 0,1 --limit 6"])
def test_extract_of_sets_that_are_there_imports_nothing_heavy(asked: str, loaded: Loaded) -> None:
    for times in range(2):
        code, modules, told = loaded(f"extract -b {asked} --data clips --embeddings again")
        assert code == 0, told
        assert bool(modules & HEAVY) != bool(times)


def test_predict_imports_torch_for_the_backbone_but_not_what_heads_are_trained_with(
    probed: Path, loaded: Loaded
) -> None:
    clip = next((probed / "clips" / "audio").glob("*/*.wav"))
    for head in sorted((probed / "heads").glob("*/*/*")):
        code, modules, told = loaded(f"predict {clip} --head {head}")
        assert code == 0, told
        assert "torch" in modules
        assert not modules & {
            "sklearn",
            "scipy",
            "pandas",
            "pyarrow",
            "transformers",
            "timm",
            "torchvision",
            "datasets",
        }

"""The command line as a person meets it: quick help, clear errors, exit codes, the whole way."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

from command_line import soundprobe, soundprobe_here
from soundprobe.base.onednn import can_pack
from soundprobe.cli import main
from sounds import write_urbansound_layout

PROJECT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "torchaudio", "torchvision", "transformers", "timm", "datasets", "sklearn", "matplotlib", "librosa")


def modules_loaded_by(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint('\\n'.join(sys.modules))"
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    return set(printed.split())


@pytest.mark.parametrize(
    "arguments",
    [
        "--help",
        "extract --help",
        "probe --help",
        "report --help",
        "data --help",
        "compare --help",
        "runs --help",
        "--version",
    ],
)
def test_help_answers_without_importing_torch_or_another_heavy_library(arguments):
    loaded = modules_loaded_by(
        f"sys.argv = ['soundprobe', *{arguments!r}.split()]\n"
        "from soundprobe.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code, stop.code"
    )
    assert "typer" in loaded
    assert not loaded & set(HEAVY)


def test_backbones_table_needs_no_torch():
    loaded = modules_loaded_by("from soundprobe.backbones.catalog import BACKBONES\nassert len(BACKBONES) >= 4")
    assert not loaded & set(HEAVY)


def test_probe_and_report_never_import_a_backbone():
    loaded = modules_loaded_by("import soundprobe.verbs.probe, soundprobe.reporting")
    assert not [name for name in loaded if name.startswith("soundprobe.backbones.") and "catalog" not in name]
    assert not loaded & {"transformers", "timm", "torchaudio", "torchvision", "panns_inference", "torch"}


def test_probing_and_reporting_a_stored_set_load_no_library_that_only_backbones_need(tmp_path):
    write_urbansound_layout(tmp_path / "clips")
    extracted = soundprobe_here("extract", "-b", "simplecnn", "--weights", "random", "--data", "clips", cwd=tmp_path)
    assert extracted.returncode == 0, extracted.stderr
    loaded = modules_loaded_by(
        f"import os; os.chdir({str(tmp_path)!r})\n"
        "from soundprobe.cli.main import main\n"
        "for arguments in ('probe --head linear,knn', 'report'):\n"
        "    sys.argv = ['soundprobe', *arguments.split()]\n"
        "    try:\n        main()\n    except SystemExit as stop:\n        assert not stop.code, stop.code"
    )
    assert {"torch", "sklearn"} <= loaded
    assert not loaded & {"transformers", "timm", "torchaudio", "torchvision", "datasets", "panns_inference"}
    assert not [name for name in loaded if name.startswith("soundprobe.backbones.") and "catalog" not in name]


def test_the_way_from_clips_to_report_takes_three_commands(tmp_path):
    write_urbansound_layout(tmp_path / "clips")
    extracted = soundprobe("extract", "--backbone", "simplecnn", "--weights", "random", "--data", "clips", cwd=tmp_path)
    assert extracted.returncode == 0, extracted.stderr
    assert "36 clips" in extracted.stdout
    probed = soundprobe("probe", "--head", "linear,knn", cwd=tmp_path)
    assert probed.returncode == 0, probed.stderr
    assert probed.stdout.count("over 3 folds") == 2
    reported = soundprobe("report", cwd=tmp_path)
    assert reported.returncode == 0, reported.stderr
    (page,) = tmp_path.glob("reports/*.html")
    html = page.read_text(encoding="utf-8")
    assert "<b>hum</b>" not in html
    assert "random weights" in html
    stored = json.loads(next(tmp_path.glob("embeddings/clips/*/meta.json")).read_text())
    assert stored["command"].startswith("soundprobe extract --backbone simplecnn")


def test_extract_with_a_bad_clip_exits_with_3_and_names_it(tmp_path):
    data = write_urbansound_layout(tmp_path / "clips", folds=2, recordings=1)
    victim = next(data.glob("audio/fold1/*.wav"))
    victim.write_bytes(b"")
    done = soundprobe_here("extract", "-b", "simplecnn", "--weights", "random", "--data", "clips", cwd=tmp_path)
    assert done.returncode == 3
    assert f"failed: {victim.name}: empty file" in done.stderr
    assert "11 clips" in done.stdout
    checked = soundprobe_here("data", "check", "--data", "clips", cwd=tmp_path)
    assert checked.returncode == 3
    assert victim.name in checked.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["extract", "--backbone", "pans", "--data", "x"], "Unknown backbone 'pans'. Did you mean 'panns'?"),
        (["extract", "--backbone", "mn04", "--weights", "random", "--data", "no/such/folder"], "no/such/folder"),
        (["extract", "--backbone", "mn04", "--weights", "no.pt", "--data", "../clips"], "no.pt"),
        (["extract", "--backbone", "ast", "--data", "../clips"], "model.safetensors"),
        (
            ["extract", "-b", "mn04", "--weights", "random", "--seed", "0,x"],
            "--seed 'x' is not valid: give whole numbers",
        ),
        (["extract", "-b", "mn04", "--layer", "frist"], "frist is not offered for mn04, only last, middle, all."),
        (["extract", "-b", "mn04", "--layers", "frist"], "--layer frist is not offered for mn04"),  # as it was called
        (["extract", "-b", "mn04", "--frame-type", "float16"], "--frame-type is of --frames, which is not given"),
        (["probe", "--seed", "-1"], "--seed '-1' is not valid: give whole numbers"),
        (["probe"], "soundprobe extract --backbone mn04"),
        (["probe", "--head", "tree"], "Unknown head 'tree'"),
        (["probe", "--config", "nothing"], "Unknown recipe 'nothing'"),
        (["report"], "soundprobe probe"),
        (["data", "fetch", "esc50"], "Unknown data set on the Hub 'esc50'"),
        (["data", "check", "--data", "urbansound8k"], "urbansound8k"),
    ],
)
def test_a_mistake_is_one_clear_line_and_exit_code_1(tmp_path, arguments, message):
    write_urbansound_layout(tmp_path / "clips", folds=2, recordings=1, slices=1)
    empty = tmp_path / "empty"
    empty.mkdir()
    done = soundprobe_here(*arguments, cwd=empty)
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr
    assert not list(empty.iterdir())


def lack_on_gpu() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


@pytest.mark.parametrize(
    "work",
    [lambda: torch.empty(2**60), lambda: np.empty(2**50), lack_on_gpu],
    ids=["torch", "numpy", "gpu"],
)
def test_work_that_needs_more_memory_than_there_is_ends_with_a_remedy(work, monkeypatch, capsys):
    monkeypatch.setattr(main, "app", work)
    with pytest.raises(SystemExit) as stop:
        main.main()
    assert stop.value.code == 1
    assert "Memory ran out. Give a smaller --batch-size or fewer --jobs" in capsys.readouterr().err


def test_a_bug_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr(main, "app", lambda: [][0])
    with pytest.raises(IndexError):
        main.main()


def test_usage_mistake_exits_with_2(tmp_path):
    for verb in ("extract", "compare"):
        assert soundprobe_here(verb, cwd=tmp_path).returncode == 2


def test_data_list_backbones_and_doctor_print_what_there_is(tmp_path):
    assert "esc50" in soundprobe_here("data", "list", cwd=tmp_path).stdout
    table = soundprobe_here("backbones", cwd=tmp_path).stdout
    for name in ("panns", "ast", "mn04", "simplecnn"):
        assert name in table
    found = soundprobe_here("doctor", cwd=tmp_path).stdout
    assert "not fetched" in found
    assert re.search(rf"packed products +{'yes' if can_pack() else 'NO'}", found)


def test_every_installed_package_is_pinned():
    """`constraints.txt` names every distribution that soundprobe's dependencies bring along, at the version in use."""
    from importlib.metadata import distribution, distributions

    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    lines = [Requirement(line) for line in (PROJECT / "constraints.txt").read_text().splitlines()]
    pins = {
        canonicalize_name(line.name): str(line.specifier).removeprefix("==")
        for line in lines
        if line.marker is None or line.marker.evaluate()  # some are of other Pythons or systems
    }
    installed = {canonicalize_name(item.metadata["Name"]) for item in distributions()}
    config = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    project = config["project"]
    todo = [Requirement(line) for line in (*project["dependencies"], *project["optional-dependencies"]["dev"])]
    todo += [Requirement(line) for line in config["build-system"]["requires"]]
    seen: set[tuple[str, frozenset[str]]] = set()
    while todo:
        wanted = todo.pop()
        name = canonicalize_name(wanted.name)
        if (name, frozenset(wanted.extras)) in seen or name not in installed:
            continue
        seen.add((name, frozenset(wanted.extras)))
        if name != "soundprobe":  # whose extras name each other
            assert pins.get(name) == distribution(name).version, f"{name} is not pinned to what is installed"
        for line in distribution(name).requires or []:
            needed = Requirement(line)
            if any(needed.marker is None or needed.marker.evaluate({"extra": e}) for e in ("", *wanted.extras)):
                todo.append(needed)
    assert {"torch", "torchaudio", "torchvision", "numpy"} <= {name for name, _ in seen}
    assert [pins[name] for name in ("torch", "torchaudio", "torchvision")] == ["2.11.0", "2.11.0", "0.26.0"]


def test_mistake_with_line_breaks_and_terminal_codes_in_a_name_stays_one_line(tmp_path):
    done = soundprobe("extract", "--finetuned", "no\nsuch\x1b[31mrun", cwd=tmp_path)
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert "\x1b" not in line

"""What every verb prints: JSON on request, whole tables, exit codes that may allow failures, help with examples."""

from __future__ import annotations

import json
import os
import pty
import shlex
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from fcntl import ioctl
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
from rich.console import ConsoleDimensions
from rich.table import Table
from typer.main import get_command
from typer.models import OptionInfo
from typer.testing import CliRunner

from command_line import soundprobe, soundprobe_here
from made_sets import make_set
from soundprobe.base.allowance import parse_allowance
from soundprobe.base.errors import ConfigError
from soundprobe.base.files import plain_json
from soundprobe.cli.main import app
from soundprobe.cli.output import Output, fits, out, print_table
from sounds import write_urbansound_layout

QUIET = ["--quiet"]


def verbs(command: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every command of the tree that does something, by its words."""
    command = command or get_command(app)
    below = getattr(command, "commands", {})
    for name, child in below.items():
        yield from verbs(child, (*path, name))
    if not below:
        yield " ".join(path), command


VERBS = dict(verbs())


def examples_of(command: Any) -> list[str]:
    return [line.strip() for line in (command.epilog or "").splitlines() if line.strip().startswith("soundprobe ")]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder to work in, with clips, one of which is bad, a set of embeddings and two runs."""
    folder = tmp_path_factory.mktemp("output")
    write_urbansound_layout(folder / "clips")
    min((folder / "clips" / "audio").glob("*/*.wav")).write_bytes(b"")
    before = Path.cwd()
    os.chdir(folder)
    for line in ("extract -b simplecnn --weights random --data clips -q", "probe --head linear,knn -q"):
        CliRunner().invoke(app, line.split())
    yield folder
    os.chdir(before)


def run(line: str) -> Any:
    return CliRunner().invoke(app, shlex.split(line))


@pytest.mark.parametrize(
    ("line", "code", "names"),
    [
        ("backbones", 0, {"backbones"}),
        ("doctor", 0, {"machine"}),
        ("data list", 0, {"datasets", "layouts"}),
        ("data check clips -q", 3, {"data", "audit"}),
        ("extract -b simplecnn --weights random --data clips -q", 3, {"sets"}),
        ("probe --head linear,knn -q", 0, {"runs"}),
        ("finetune -b simplecnn --data clips --set training.epochs=1 --only-fold 1 -q", 3, {"runs"}),
        ("report --no-audio", 0, {"files", "format", "datasets"}),
        ("runs list", 0, {"runs"}),
        ("runs show simplecnn-untrained-knn", 0, {"name", "result"}),
        ("predict clips/audio --run simplecnn-untrained-knn -q", 3, {"clips", "failures"}),
        ("view clips/audio/fold2 --limit 1 -q", 0, {"page", "clips", "failed"}),
    ],
)
def test_answer_in_json_is_one_object_and_all_else_goes_to_standard_error(place, line, code, names):
    done = run(f"{line} --json")
    assert done.exit_code == code, done.output
    content = json.loads(done.stdout, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert isinstance(content, dict)
    assert names <= set(content)
    assert run(line).stdout  # what is said to people without it


def test_every_verb_that_answers_takes_json():
    without = [name for name, command in VERBS.items() if "--json" not in {o for p in command.params for o in p.opts}]
    assert without == []


def test_runs_and_sets_bear_the_same_names_in_every_answer(place):
    (made,) = json.loads(run("extract -b simplecnn --weights random --data clips -q --json").stdout)["sets"]
    (probed, _) = json.loads(run("probe --head linear,knn -q --json").stdout)["runs"]
    (row, *_) = json.loads(run("report --no-audio --json").stdout)["datasets"][0]["rows"]
    assert (made["backbone"], made["weights_label"]) == (probed["backbone"], probed["weights_label"])
    assert len(made["failures"]) == probed["failed"] == 1
    assert set(row["accuracy"]) == set(probed["accuracy"])
    assert {"fold", "accuracy", "macro_f1"} == set(probed["folds"][0]) < set(row["folds"][0])


def test_what_c_code_writes_with_json_goes_to_standard_error(tmp_path):
    code = (
        "import os, sys, soundprobe.cli.output as output\n"
        "with output._answering():\n"
        "    print('from Python', flush=True), os.write(1, b'from C\\n'), output.answer(True, a=1)\n"
        "print('after')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.split("\n") == ["from Python", "from C", ""]
    assert json.loads(done.stdout.removesuffix("after\n")) == {"a": 1}


def test_head_of_others_that_ends_the_program_is_a_line_and_exit_1(tmp_path, monkeypatch):
    (tmp_path / "ends.py").write_text(
        "import sys\n"
        "from soundprobe.heads.knn import KNNHead\n"
        "class Ends(KNNHead):\n"
        "    def train_rows(self, *rows):\n"
        "        sys.exit(0)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    make_set(tmp_path / "embeddings")
    ended = soundprobe_here("probe", "--head", "ends:Ends", "--quiet", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "Error: Code of others ended the program (0, at ends.py:5)" in ended.stderr


def test_mistake_with_json_is_a_line_on_standard_error_and_nothing_else(tmp_path):
    done = soundprobe("extract", "-b", "simplecnn", "--weights", "random", "--data", "nowhere", "--json", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1


def test_json_has_null_for_what_is_no_number_and_text_for_paths():
    given = {"a": float("nan"), "b": [np.float32("inf"), np.int64(3)], "c": Path("x/y"), 1: np.zeros(2)}
    assert plain_json(given) == {"a": None, "b": [None, 3], "c": "x/y", "1": [0.0, 0.0]}


@pytest.mark.parametrize(
    ("allowed", "code"), [("1", 0), ("10", 0), ("3%", 0), ("100 %", 0), ("0", 3), ("2%", 3), ("0.5%", 3)]
)
def test_allowed_failures_keep_the_exit_code_at_0_and_are_still_told(place, allowed, code):
    done = run(f"extract -b simplecnn --weights random --data clips -q --allow-failures '{allowed}'")
    assert done.exit_code == code
    assert "1 clips failed" in done.stderr


@pytest.mark.parametrize(
    "line",
    ["data check clips -q", "predict clips/audio --run simplecnn-untrained-knn -q", "view clips/audio/fold1 -q"],
)
def test_every_verb_that_may_fail_in_part_allows_it(place, line):
    assert run(line).exit_code == 3
    assert run(f"{line} --allow-failures 1").exit_code == 0


@pytest.mark.parametrize("text", ["", "-1", "x", "1.5", "%", "5%%", "1e2%"])
def test_allowance_that_is_neither_number_nor_share_is_refused(text):
    with pytest.raises(ConfigError, match="give a number of clips or a share"):
        parse_allowance(text, "--allow-failures")


@pytest.mark.parametrize("verb", ["backbones", "doctor", "extract --help"])
def test_pipe_that_nobody_reads_any_more_ends_a_command_without_a_word(verb, tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "soundprobe", *verb.split()]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, cwd=tmp_path, text=True, check=False)
    os.close(writer)
    assert done.stderr == ""
    assert done.returncode in (1, 120)  # 120 is Python's own, where the last line is lost as it ends


def test_piped_table_has_a_line_for_each_row_however_wide():
    wide = "description " * 30
    table = Table("name", "what")
    table.add_row("x", wide)
    console = Output()
    with console.capture() as captured:
        console.print(table)
    assert wide.strip() in captured.get()
    listed = run("data list").stdout.splitlines()
    assert sum("audio/fold1" in line and "UrbanSound8K" in line for line in listed) == 1


def in_terminal(line: str, columns: int, cwd: Path) -> list[str]:
    """What the command shows on a terminal of so many columns."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    environ = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    environ |= {"NO_COLOR": "1", "TERM": "xterm"}
    command = [sys.executable, "-m", "soundprobe", *line.split()]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=cwd, env=environ) as process:
        os.close(theirs)
        shown = b""
        try:
            while some := os.read(ours, 65536):
                shown += some
        except OSError:  # how Linux says that the other end was closed
            pass
    os.close(ours)
    assert process.returncode == 0, shown
    return shown.decode().replace("\r", "").splitlines()


@pytest.mark.parametrize("columns", [80, 60])
def test_backbones_are_shown_whole_on_a_narrow_terminal(columns, tmp_path):
    lines = in_terminal("backbones", columns, tmp_path)
    assert not [line for line in lines if "…" in line]
    (row,) = [line for line in lines if line.startswith("panns ")]
    assert {"80.8", "2048"} <= set(row.split())
    assert len(row) <= columns


def test_narrow_table_loses_the_columns_that_matter_least(monkeypatch):
    monkeypatch.setattr(Output, "size", ConsoleDimensions(40, 25))
    table = Table("name", "score", "made", box=None)
    table.add_row("a" * 20, "83.6 ± 2.3", "2026-11-26 04:22")
    assert not fits(table)
    with out.capture() as captured:
        print_table(table, "made")
    assert "83.6 ± 2.3" in captured.get()
    assert "2026" not in captured.get()
    assert "(A wider terminal also shows made.)" in captured.get()


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_says_what_it_does_and_has_examples_that_parse(name):
    command = VERBS[name]
    assert command.help
    examples = examples_of(command)
    assert [example for example in examples if example.startswith(f"soundprobe {name}")], name
    for example in examples:
        words = shlex.split(example)[1:]
        asked = next(path for path in VERBS if words[: len(path.split())] == path.split())
        with VERBS[asked].make_context(asked, words[len(asked.split()) :]) as context:
            assert context.params


def test_examples_of_the_first_help_parse():
    examples = examples_of(get_command(app))
    assert examples
    for example in examples:
        words = shlex.split(example)[1:]
        asked = next(path for path in VERBS if words[: len(path.split())] == path.split())
        VERBS[asked].make_context(asked, words[len(asked.split()) :]).close()


def test_help_of_every_option_and_argument_names_its_value():
    valued = [(name, one) for name, verb in VERBS.items() for one in verb.params if not getattr(one, "is_flag", False)]
    unnamed = [(name, one.name) for name, one in valued if not one.hidden and not (one.metavar or "").isupper()]
    assert unnamed == []


def test_option_whose_metavar_is_its_parameters_name_says_its_own():
    """typer 0.27 names an option by such a metavar, --DATA, unless it is told a name."""
    untold = [
        (verb, parameter)
        for verb, command in VERBS.items()
        for parameter, hint in get_type_hints(command.callback, include_extras=True).items()
        for told in get_args(hint)[1:]
        if isinstance(told, OptionInfo)
        and told.default is ...
        and str(told.metavar).lower() == parameter.replace("_", "-")
    ]
    assert untold == []


def test_help_is_whole_and_no_wider_than_80_columns():
    for words in ([], *(name.split() for name in VERBS)):
        lines = CliRunner().invoke(app, [*words, "--help"]).stdout.splitlines()
        assert not [line for line in lines if line.endswith("...") and not line.startswith("Usage")], words
        assert max(len(line) for line in lines if not line.startswith("    soundprobe ")) <= 80, words  # but examples

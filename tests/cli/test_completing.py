"""What real shells complete behind `soundprobe`, by the script that `--show-completion` prints."""

from __future__ import annotations

import os
import pty
import select
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_startup import HEAVY

from made_sets import make_set
from soundprobe.backbones.catalog import BACKBONES
from soundprobe.data.catalog import DATASETS
from soundprobe.heads.catalog import HEADS
from soundprobe.verbs.probe import probe

SHELLS = {
    "bash": ("bash --norc -i", ". ./complete.bash"),
    "zsh": ("zsh -f -i", "autoload -U compinit; compinit -u -D; . ./complete.zsh"),
}
"""How one is begun without the user's settings, and what makes it complete."""


class Shell:
    """A bash in `folder`, in which `soundprobe` is this checkout's and completes."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.script = folder, folder / "complete.bash"
        command = folder / "bin" / "soundprobe"
        command.parent.mkdir()
        command.write_text(f"#!{sys.executable}\nfrom soundprobe.__main__ import main\nmain()\n")
        command.chmod(0o755)
        self.environ = {**os.environ, "PATH": f"{command.parent}:{os.environ['PATH']}", "SOUNDPROBE_OFFLINE": "1"}
        self.environ["HF_HUB_CACHE"] = str(folder / "hub")
        for kind in (*SHELLS, "fish"):
            made = self.run(f"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION=1 soundprobe --show-completion {kind}")
            (folder / f"complete.{kind}").write_text(made)

    def run(self, commands: str) -> str:
        bash = ["bash", "--norc", "-c", commands]
        done = subprocess.run(bash, cwd=self.folder, env=self.environ, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def completed(self, *words: str) -> list[str]:
        """What bash gets for the last of the words, as it splits them."""
        given = shlex.join(["soundprobe", *words])
        call = f"COMP_WORDS=({given}); COMP_CWORD={len(words)}; _soundprobe_completion soundprobe"
        return self.run(f'. {self.script}; {call}; printf "%s\\n" "${{COMPREPLY[@]}}"').split()


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """With embeddings, two runs, and a repository of each kind in the Hub's cache."""
    folder = tmp_path_factory.mktemp("completing")
    make_set(folder / "embeddings", backbone="toy")
    probe(head="knn,linear", embeddings=folder / "embeddings", heads=folder / "heads", progress=False)
    for kind in ("models--me--net", "datasets--me--clips", "models--me--$(touch ran)", "models--me--\x1b[31m\nline"):
        (folder / "hub" / kind).mkdir(parents=True)
    (folder / "model").mkdir()
    (folder / "model" / "config.json").write_text("{}")
    return Shell(folder)


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["extract", "--backbone", ""], {*BACKBONES, *(f"{prefix}:" for prefix in BACKBONES.prefixes)}),
        (["extract", "-b", "mn04,pa"], {"mn04,panns"}),
        (["extract", "-b", "timm", ":", "resnet10t"], {"resnet10t"}),
        (["extract", "-b", "hf", ":", ""], {"me/net", "./model"}),
        (["extract", "--layer", ""], {"last", "all", "mean"}),
        (["extract", "-b", "mn04", "--layer", ""], {"last", "all", "middle"}),
        (["probe", "--layer", "w"], {"weighted"}),
        (["probe", "--head", "=", ""], {*HEADS}),
        (["probe", "--backbone", ""], {"toy"}),
        (["predict", "--run", ""], {"best", "toy-knn", "toy-linear"}),
        (["predict", "--heads", "embeddings", "--run", ""], set()),
        (["runs", "rm", "toy-knn", "toy-l"], {"toy-linear"}),
        (["compare", "hf", ":", ""], {"me/clips"}),
        (["data", "check", ""], {*DATASETS, "hf:"}),
    ],
)
def test_bash_gets_the_names_that_there_are(shell, words, names):
    assert set(shell.completed(*words)) == names


@pytest.mark.parametrize("kind", SHELLS)
def test_tab_behind_a_colon_completes_the_line_in_an_interactive_shell(shell, kind):
    begin, load = SHELLS[kind]
    if shutil.which(kind) is None:
        pytest.skip(f"no {kind} here")
    terminal, end = pty.openpty()
    environ = {**shell.environ, "PS1": "$ ", "TERM": "dumb"}
    on_it = {"stdin": end, "stdout": end, "stderr": end, "start_new_session": True}
    started = subprocess.Popen(begin.split(), cwd=shell.folder, env=environ, **on_it)
    os.write(terminal, f"{load}\nsoundprobe extract -b mn04,timm:resnet10t\t".encode())
    seen, until = "", time.monotonic() + 30
    while "timm:resnet10t " not in seen and time.monotonic() < until:
        if select.select([terminal], [], [], 1)[0]:
            seen += os.read(terminal, 4096).decode(errors="replace")
    started.kill()
    started.wait()
    os.close(terminal)
    os.close(end)
    assert "mn04,timm:resnet10t " in seen, seen


@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish here")
@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("extract --backbone hf:", {"hf:", "hf:me/net", "hf:./model"}),
        ("extract --layer ", {"last", "all", "mean"}),
        ("probe --head ", {*HEADS}),
    ],
)
def test_fish_gets_the_names_that_there_are(shell, line, names):
    fish = ["fish", "--no-config", "-c", f"source complete.fish; complete -C'soundprobe {line}'"]
    done = subprocess.run(fish, cwd=shell.folder, env=shell.environ, capture_output=True, text=True, timeout=60)
    assert set(done.stdout.split()) == names, done.stderr


def test_completion_imports_nothing_heavy(tmp_path):
    asking = {"_SOUNDPROBE_COMPLETE": "complete_bash", "COMP_WORDS": "soundprobe\nextract\n-b\ntimm\n:\n"}
    script = (
        "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
        "from soundprobe.cli.main import main; sys.argv = ['soundprobe']; main()"
    )
    environ = {**os.environ, **asking, "COMP_CWORD": "5"}
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environ, capture_output=True, text=True)
    assert (done.returncode, "resnet10t" in done.stdout.split()) == (0, True)
    modules = set(done.stderr.split())
    assert "soundprobe.cli.completing" in modules
    assert not modules & HEAVY

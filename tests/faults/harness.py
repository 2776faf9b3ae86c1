"""Commands killed, cut off from their disk and stopped at every act, and after that: the same command, the same result.

    make test-faults                            every point of five seeds
    python tests/faults/harness.py --points 60  as many, drawn over all commands and modes
    python tests/faults/harness.py --only report --mode torn --at 17   a finding again

This process imports everything once; each command runs in a child that it forks, from the command line's entry on, in a
folder in memory where the system has one.
"""

from __future__ import annotations

import argparse
import csv
import functools
import gc
import hashlib
import http.server
import importlib
import json
import multiprocessing
import os
import pickle
import random
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import typer
from disk import MODES, Watch, tree, watched
from power import of_disk, replay, write_state
from safetensors import safe_open

import soundprobe.cli.main as cli
import soundprobe.embeddings.embed as embed
import soundprobe.training.fold_training as fold_training
from soundprobe.__main__ import main
from soundprobe.backbones.weights.verify import WeightFile, fetch
from sounds import write_urbansound_layout

LEFT = re.compile(r"\.tmp$|\.part(\.from)?$|\.holder$|\.removed$|/checkpoints/fold")
UNSTEADY = {"seconds", "seconds_per_clip", "created", "digest", "clips_per_s", "command", "versions"}
RECIPE = """
backbone = "simplecnn"
[validation]
kind = "next-fold"
[training]
epochs = 2
batch_size = 8
[augment.gain]
"""
LIMIT_S = 120
IN_MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class Command:
    """`line` of the command in a folder that `prepare` has made ready; `keeps` what must come out the same."""

    name: str
    prepare: Callable[[Path, int], None]
    line: tuple[str, ...]
    keeps: tuple[str, ...]
    clips: int = 0


def data(root: Path, seed: int) -> None:
    write_urbansound_layout(root / "data", classes=2, slices=1 + seed % 2, seconds=0.1 + 0.02 * (seed % 5))


EXTRACT = ("extract", "--backbone", "logmel-stats", "--data", "data", "-q")
PROBE = ("probe", "--head", "knn", "-q")
REPORT = ("report", "--max-audio-mb", "0.05")


def with_sets(root: Path, seed: int) -> None:
    data(root, seed)
    run(root, EXTRACT)


def with_predictions(root: Path, seed: int) -> None:
    data(root, seed)
    with open(root / "data/metadata/UrbanSound8K.csv") as file, open(root / "my.csv", "w") as own:
        own.write("clip,predicted,fold\n")
        for row in csv.DictReader(file):
            own.write(f"{row['slice_file_name']},{row['class']},{row['fold']}\n")


def with_run(root: Path, seed: int) -> None:
    with_sets(root, seed)
    run(root, PROBE)


def with_report(root: Path, seed: int) -> None:
    """Of one run of two; where the seed is odd, as an older version left it."""
    with_run(root, seed)
    run(root, REPORT)
    if seed % 2:
        for name in ("report.html", "report.md", "report.json"):
            content = (root / "reports" / name).read_bytes()
            (root / "reports" / name).unlink()
            (root / "reports" / name).write_bytes(content)
        for path in (root / "reports").glob(".report*"):
            path.unlink() if path.is_symlink() else shutil.rmtree(path)
    run(root, (*PROBE, "--set", "ks=[1]"))


def with_recipe(root: Path, seed: int) -> None:
    data(root, seed)
    (root / "recipe.toml").write_text(RECIPE)


def with_server(root: Path, seed: int) -> None:
    (root / "cache").mkdir()
    (root / "url").write_text(f"{SERVER.url}/{100_000 + 10_000 * seed}")


COMMANDS = {
    one.name: one
    for one in (
        Command("extract", data, EXTRACT, ("embeddings",)),
        Command("probe", with_sets, PROBE, ("heads",)),
        Command("import", with_predictions, ("import", "my.csv", "--name", "my", "--data", "data", "-q"), ("heads",)),
        Command("report", with_report, REPORT, ("reports",)),
        Command(
            "finetune", with_recipe,
            ("finetune", "--config", "recipe.toml", "--data", "data", "--only-fold", "1", "-q"), ("heads",),
        ),
        Command("predict", with_run, ("predict", "data/audio", "--run", "best", "--json", "-q"), ()),
        Command(
            "label", with_run, ("predict", "data/audio", "--run", "best", "--to", "labels", "-q"), ("labels",)
        ),
        Command("download", with_server, ("download",), ("cache",)),
    )
}  # fmt: skip


class Server:
    """Gives as many bytes as the path says, resumed where asked; a process of its own."""

    def __init__(self) -> None:
        class Answer(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                content = self.content(int(self.path[1:]))
                start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
                self.send_response(206 if start else 200)
                self.send_header("ETag", '"one"')
                self.send_header("Content-Length", str(len(content) - start))
                if start:
                    self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
                self.end_headers()
                self.wfile.write(content[start:])

            content = staticmethod(self.content)

            def log_message(self, *_: Any) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{server.server_port}"
        self.process = os.fork()
        if not self.process:
            threading.Thread(target=self._until_alone, daemon=True).start()
            server.serve_forever()
        server.server_close()

    @staticmethod
    def content(size: int) -> bytes:
        return random.Random(size).randbytes(size)

    @staticmethod
    def _until_alone() -> None:
        while os.getppid() != 1:
            time.sleep(1)
        os._exit(0)


def run(root: Path, line: tuple[str, ...], watch: Watch | None = None) -> tuple[int, str, str]:
    """The command in a child of its own: exit code, or minus the signal; standard output and error."""
    gc.collect()
    gc.freeze()  # so that the child copies less
    child = os.fork()
    if not child:
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell in the background has ignored
        os.chdir(root)
        for handle, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{root}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), handle)
        sys.argv, os.environ["SOUNDPROBE_CACHE"] = ["soundprobe", *line], str(root / "cache")
        torch.set_num_threads(1)
        if line == ("download",):
            cli.app = functools.partial(_download, root)
        code = 70
        try:
            if watch is not None:
                watched(watch)
            main()
            code = 0
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else int(bool(error.code))
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            if watch is None or watch.mode is None:
                Path(f"{root}.modules").write_text("\n".join(sys.modules))
            if watch is not None and watch.mode is None:
                Path(f"{root}.acts").write_bytes(pickle.dumps(watch.acts))
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    began = time.monotonic()
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() - began > LIMIT_S:
            os.killpg(child, signal.SIGKILL)
        time.sleep(0.002)
    if watch is None or watch.mode is None:
        for module in Path(f"{root}.modules").read_text().splitlines():  # so that the next child needn't
            if module not in sys.modules:
                with suppress(Exception):
                    importlib.import_module(module)
    told = [Path(f"{root}.{name}").read_text(errors="replace") for name in ("out", "err")]
    return os.waitstatus_to_exitcode(ended[1]), told[0], told[1]


def _download(root: Path) -> None:
    url = (root / "url").read_text()
    content = Server.content(int(url.rpartition("/")[2]))
    fetch(WeightFile("w.pt", url, hashlib.sha256(content).hexdigest(), len(content)), progress=False)


def steady(value: Any) -> Any:
    """A record without what is another one every time."""
    if isinstance(value, dict):
        return {name: steady(item) for name, item in value.items() if name not in UNSTEADY}
    return [steady(item) for item in value] if isinstance(value, list) else value


def outcome(root: Path, keeps: tuple[str, ...]) -> dict[str, Any]:
    """What must come out the same: bytes, but of records and histories what is no time."""
    found: dict[str, Any] = {}
    for kept in keeps:
        for name, content in tree(root / kept).items():
            path, name = root / kept / name, f"{kept}/{name}"
            if "tensorboard" in name or name.endswith((".lock", "/predict.jsonl")):
                continue
            if isinstance(content, bytes) and kept != "reports":
                if path.suffix == ".json":
                    content = steady(json.loads(content))
                elif path.suffix == ".csv":
                    rows = csv.DictReader(content.decode().splitlines())
                    content = [{key: value for key, value in row.items() if key not in UNSTEADY} for row in rows]
                elif path.suffix == ".safetensors":
                    with safe_open(path, framework="numpy") as file:
                        tensors = {key: file.get_tensor(key).tobytes() for key in file.keys()}  # noqa: SIM118
                        content = tensors, steady(json.loads(file.metadata()["soundprobe"]))
            found[name] = content
    return found


SHOWN = ("reports/report.html", "reports/report.md", "reports/report.json")


def seen(root: Path) -> dict[str, Any]:
    """What a reader takes for finished: whole sets and runs with their records, the report, the file."""
    found: dict[str, Any] = {}
    for path in root.glob("embeddings/*/*/meta.json"):
        if json.loads(path.read_text())["complete"]:
            found |= outcome(root, (str(path.parent.relative_to(root)),))
    for path in root.glob("heads/*/*/*/result.json"):
        found |= outcome(root, (str(path.parent.relative_to(root)),))
    found |= {name: (root / name).read_bytes() for name in SHOWN if (root / name).exists()}
    for path in (*root.glob("cache/weights/*.pt"), *root.glob("labels/*.csv")):
        found[str(path.relative_to(root))] = path.read_bytes()
    return {name: value for name, value in found.items() if not LEFT.search(name)}


class FaultError(AssertionError):
    """The promise that was broken, and how to see it again."""


@dataclass
class Trial:
    """One command on one seed's data: as it is before it, after it, and what it does in between."""

    command: Command
    seed: int
    folder: Path

    def __post_init__(self) -> None:
        self.before = self.folder / f"{self.command.name}-{self.seed}"
        self.before.mkdir()
        self.command.prepare(self.before, self.seed)
        self.seen_before = seen(self.before)
        self.root = self.folder / "here"  # always the same, since records name paths
        root = self.fresh()
        self.expect_good(run(root, self.command.line, Watch(str(root), reads=self.reads)), "unbroken")
        self.acts = pickle.loads(Path(f"{root}.acts").read_bytes())
        self.expected, self.seen_after = outcome(root, self.command.keeps), seen(root)

    def fresh(self) -> Path:
        """What is there before the command."""
        shutil.rmtree(self.root, ignore_errors=True)
        return shutil.copytree(self.before, self.root, symlinks=True)

    def expect_good(self, ran: tuple[int, str, str], when: str) -> None:
        if ran[0] != 0:
            raise FaultError(f"{self.command.name}, seed {self.seed}, {when}: exit code {ran[0]}: {ran[2][-2000:]}")

    def points(self) -> list[tuple[str, int]]:
        """Every mode at every act at which it is another than the mode before it."""
        writes = [number for number, act in enumerate(self.acts) if act.name == "write"]
        every = range(len(self.acts))
        return [(mode, number) for mode in MODES for number in (writes if mode == "torn" else every)]

    @property
    def reads(self) -> bool:
        """Of what writes nothing, every file that is opened is a point."""
        return not self.command.keeps

    def check(self, mode: str, at: int) -> None:
        """The command with `mode` at act `at`, and then without.

        Raises:
            FaultError: a promise was broken.
        """
        root = self.fresh()
        watch = Watch(str(root), mode, at, self.reads)
        code, out, err = run(root, self.command.line, watch)
        act = self.acts[at] if at < len(self.acts) else None
        where = (
            f"--only {self.command.name} --seed {self.seed} --mode {mode} --at {at} ({act and (act.name, act.path)})"
        )

        def hold(true: bool, broken: str) -> None:
            if not true:
                raise FaultError(f"{where}: {broken}: exit code {code}: {err[-1500:]}")

        lines = [line for line in err.splitlines() if not line.startswith("Note: ")]
        if mode in ("kill", "torn"):
            hold(code in (-signal.SIGKILL, 0), "not killed")
        elif mode == "stop":
            hold(code in (130, 0), "not stopped")
            hold(code == 0 or (lines[-1:] != [] and lines[-1].startswith("Stopped")), "not one line")
        else:
            hold(code in (0, 1) or (code == 3 and self.command.name == "predict"), "not an error")
            hold(code != 1 or (len(lines) == 1 and lines[0].startswith("Error: ")), "not one line")
        self.hold_after(root, hold)

    def hold_after(self, root: Path, hold: Callable[[bool, str], None]) -> None:
        """A reader sees the old or the new; the same command gives the unbroken run's result and leaves nothing."""
        now = seen(root)
        for kind in ("embeddings", "heads", "reports", "w.pt", "labels"):
            part, old, new = (
                {name: value for name, value in one.items() if kind in name}
                for one in (now, self.seen_before, self.seen_after)
            )
            whole = part in (old, new) or all(name in new and new[name] == part[name] for name in new if name in part)
            hold(whole if kind != "reports" else part in (old, new), f"a reader sees half of {kind}")
        again = run(root, self.command.line)
        hold(again[0] == 0, f"the same command ends with {again[0]}: {again[2][-1500:]}")
        result = outcome(root, self.command.keeps)
        other = [name for name in {*result, *self.expected} if result.get(name) != self.expected.get(name)]
        hold(not other, f"the same command gives other {other[:5]}")
        left = [name for name in tree(root) if LEFT.search(name)]
        hold(not left, f"left over: {left[:5]}")

    def check_power(self, draw: random.Random) -> None:
        """Power goes at some act; the reader and the same command find one of the states that may be left."""
        at = draw.randrange(len(self.acts) + 1)
        folder = of_disk(self.before)
        replay(folder, str(self.root), self.acts[:at])
        shutil.rmtree(self.root, ignore_errors=True)
        write_state(folder, self.root, draw)

        def hold(true: bool, broken: str) -> None:
            if not true:
                raise FaultError(f"{self.command.name}, seed {self.seed}, power lost before act {at}: {broken}")

        self.hold_after(self.root, hold)


def try_out(given: argparse.Namespace, name: str, seed: int) -> tuple[str, int, float, list[str]]:
    """All that is asked for of one command and seed: its name, how many points and seconds, and what broke."""
    began, draw = time.monotonic(), random.Random(f"{name} {seed}")
    broken: list[str] = []
    with tempfile.TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None) as place:
        trial = Trial(COMMANDS[name], seed, Path(place))
        points = trial.points()
        if given.mode is not None:
            points = [(mode, at) for mode, at in points if mode == given.mode and given.at in (None, at)]
        if given.points is not None:
            points = draw.sample(points, min(len(points), round(given.points * SHARES[name])))
        tries: list[Callable[[], None]] = [functools.partial(trial.check, *point) for point in points]
        if trial.command.keeps:  # else nothing is written that could be lost
            tries += [functools.partial(trial.check_power, draw)] * given.power
        for check in tries:
            try:
                check()
            except FaultError as error:
                broken.append(str(error))
                print(error, file=sys.stderr, flush=True)
                if len(broken) > 20:
                    break
    return name, len(tries), time.monotonic() - began, broken


def main_of_harness() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, help="Default: all.")
    parser.add_argument("--power", type=int, default=0, help="How many states after a power cut, of each command.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="Commands that are tried at once.")
    parser.add_argument("--only", choices=COMMANDS)
    parser.add_argument("--mode", choices=MODES)
    parser.add_argument("--at", type=int)
    given = parser.parse_args()
    for offline in ("HF_HUB_OFFLINE", "SOUNDPROBE_OFFLINE"):  # it fetches from this machine
        os.environ.pop(offline, None)
    embed.PART_CLIPS = 4
    fold_training.tensorboard_writer = lambda *_: lambda line: None  # its import is long, its files are no promise
    cli.app = typer.main.get_command(cli.app)  # once, and not in each child
    names = [given.only] if given.only else list(COMMANDS)
    counts: Counter[str] = Counter()
    spent: Counter[str] = Counter()
    broken: list[str] = []
    with ProcessPoolExecutor(given.jobs, multiprocessing.get_context("fork")) as pool:
        for seed in range(given.seed, given.seed + given.seeds):
            for name, tries, seconds, found in pool.map(functools.partial(try_out, given, seed=seed), names):
                counts[name] += tries
                spent[name] += seconds
                broken += found
                print(f"seed {seed}, {name}: {tries} points, {seconds:.0f} s", file=sys.stderr, flush=True)
    told = ", ".join(f"{name} {counts[name]} ({spent[name]:.1f} s)" for name in names)
    print(f"{sum(counts.values())} points: {told}; {len(broken)} broken promises")
    return int(bool(broken))


SHARES = {
    "extract": 0.22,
    "probe": 0.2,
    "import": 0.2,
    "report": 0.1,
    "finetune": 0.05,
    "predict": 0.03,
    "label": 0.03,
    "download": 0.17,
}
"""Of the points that are drawn: quick commands get more."""

if __name__ == "__main__":
    SERVER = Server()
    sys.exit(main_of_harness())

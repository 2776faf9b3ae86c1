"""Ctrl-C and SIGTERM, in processes of their own, at moments in which nothing can be interrupted."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time

import pytest
from distributed import Client

from dask_cluster import wait_for

LIMIT_S = 2.0
LINE = "What is finished is kept: the same command goes on from there.\n"

RUN = """
import sys
sys.argv = ['soundprobe', 'extract', '--backbone', 'mn04']
from soundprobe.__main__ import main
main()
"""
IMPORTING = """
import sys, time
class Slow:
    def find_spec(self, name, *rest):
        if name == "soundprobe.verbs.extract":
            print("ready", flush=True)
            while True:
                try:
                    time.sleep(60)
                except BaseException:  # as libraries do on import
                    pass
sys.meta_path.insert(0, Slow())
"""
WRITING = """
import time
from pathlib import Path
from concurrent.futures import ThreadPoolExecutor
import soundprobe.cli.main as cli
import tempfile
from soundprobe.base.files import atomic_file, scratch_folder
from soundprobe.base.locks import locked
tempfile.tempdir = "."
def work():
    with scratch_folder(), locked(Path("set")), atomic_file(Path("set/part")) as file, ThreadPoolExecutor(2) as pool:
        pool.submit(time.sleep, 60)
        print("ready", flush=True)
        pool.submit(time.sleep, 60).result()
cli.app = work
"""
WORKERS = """
import time
import soundprobe.cli.main as cli
from soundprobe.base.parallel import run_tasks
def wait(number):
    if number == 1:
        print("ready", flush=True)
    time.sleep(60)
cli.app = lambda: list(run_tasks(wait, [(1,), (2,)], jobs=2))
"""


ON_CLUSTER = """
import time
import soundprobe.cli.main as cli
from soundprobe.base.parallel import run_tasks
cli.app = lambda: [print("ready", flush=True) for _ in run_tasks(
    time.sleep, [(0,), *[(60,)] * 9], engine="dask", address="{address}", in_order=False)]
"""


ENDED = """
import os, sys, time
import soundprobe.cli.main as cli
class Late:
    def __del__(self, write=os.write, sleep=time.sleep):  # as the interpreter takes everything down
        write(1, b"ready\\n")
        sleep(0.3)
sys.late = Late()
cli.app = lambda: None
"""


def start(code: str, folder, **streams) -> subprocess.Popen:
    """The command, once `code` has said that it is where it is to be stopped; in a process group of its own."""
    process = subprocess.Popen(
        [sys.executable, "-c", code + RUN], cwd=folder, stdout=subprocess.PIPE, text=True, start_new_session=True,
        **streams,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize(
    ("code", "one"),
    [(IMPORTING, signal.SIGINT), (WRITING, signal.SIGINT), (WRITING, signal.SIGTERM), (WORKERS, signal.SIGINT)],
    ids=["importing", "writing", "writing, SIGTERM", "workers"],
)
def test_one_signal_ends_a_command_at_any_moment_with_one_line(tmp_path, code, one):
    process = start(code, tmp_path, stderr=subprocess.PIPE)
    began = time.monotonic()
    os.killpg(process.pid, one)
    code_of_exit = process.wait(30)
    assert time.monotonic() - began < LIMIT_S
    _, said = process.communicate()  # once its workers are gone, too
    assert code_of_exit == 130
    assert said == f"Stopped{' while writing set' if code == WRITING else ''}. {LINE}"
    assert not [*tmp_path.glob("set/.*.tmp"), *tmp_path.glob(".*.tmp")]


def test_one_signal_ends_a_command_on_a_cluster_with_one_line_and_cancels_its_tasks(tmp_path, dask):
    process = start(ON_CLUSTER.format(address=dask.address), tmp_path, stderr=subprocess.PIPE)
    with Client(dask.address, set_as_default=False) as client:
        assert any(client.processing().values())
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert process.communicate()[1].splitlines(keepends=True)[1:] == [f"Stopped. {LINE}"]
        wait_for(lambda: not any(client.processing().values()))
    dask.end(*dask.workers)  # which a sleep would keep for the rest of its minute
    dask.refill()


@pytest.mark.parametrize("one", [signal.SIGINT, signal.SIGTERM])
def test_signal_after_everything_is_done_changes_nothing(tmp_path, one):
    process = start(ENDED, tmp_path, stderr=subprocess.PIPE)
    process.send_signal(one)
    assert (process.wait(LIMIT_S), process.communicate()[1]) == (0, "")


def test_second_signal_ends_a_command_that_can_not_tidy_up_at_once(tmp_path):
    stuck = "import soundprobe.cli.stopping as s\ns.WITHIN_S = 60\ns._flush = lambda: __import__('time').sleep(60)\n"
    process = start(IMPORTING + stuck, tmp_path, stderr=subprocess.PIPE)
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    process.send_signal(signal.SIGINT)
    assert process.wait(LIMIT_S) == 130
    process.communicate()


def test_terminal_has_its_cursor_back(tmp_path):
    bar = "from soundprobe.base.progress import progress_bar\nprogress_bar('embed', 2, 'clips').__enter__()\n"
    ours, theirs = pty.openpty()
    process = start(bar + IMPORTING, tmp_path, stderr=theirs)
    process.send_signal(signal.SIGINT)
    assert process.wait(LIMIT_S) == 130
    process.communicate()
    os.close(theirs)
    shown = b""
    while select.select([ours], [], [], 0.2)[0]:
        try:
            shown += os.read(ours, 65536)
        except OSError:  # its end
            break
    os.close(ours)
    assert shown.rindex(b"\x1b[?25h") > shown.rindex(b"\x1b[?25l")
    assert shown.decode().replace("\r\n", "\n").endswith(f"\nStopped. {LINE}")


def test_files_take_no_closed_streams_number_and_no_messages(tmp_path):
    work = """
import sys
import soundprobe.cli.main as cli
def work():
    with open("written", "w") as file:
        print(file.fileno(), file=file)
        file.flush()
        print("said", flush=True)
        print("told", file=sys.stderr, flush=True)
cli.app = work
"""
    closing = 'exec "$@" <&- >&- 2>&-'
    done = subprocess.run(["sh", "-c", closing, "sh", sys.executable, "-c", work + RUN], cwd=tmp_path, check=False)
    assert done.returncode == 0
    number, *others = (tmp_path / "written").read_text().split()
    assert int(number) > 2
    assert others == []

"""One writer a folder, and what a dead one leaves."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from damage import make_read_only
from soundprobe.base.errors import StoreError
from soundprobe.base.files import write_json
from soundprobe.base.locks import locked, removed_path

HOLD = """
import sys, time
from pathlib import Path
from soundprobe.base.locks import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path):
    """Another process that holds `tmp_path / "set"`."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path / "set"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_second_writer_is_told_who_the_first_is_and_takes_over_from_a_dead_one(holder, tmp_path):
    who = f"process {holder.pid} on {socket.gethostname()}, since 20"
    with (
        pytest.raises(StoreError, match=rf"Another process is writing .*set \({who}.*Wait for it"),
        locked(tmp_path / "set"),
    ):
        pass
    (tmp_path / "set" / ".lock.holder").write_text("[" * 100_000)
    with pytest.raises(StoreError, match=r"Another process is writing .*set\. Wait for it"), locked(tmp_path / "set"):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with locked(tmp_path / "set"):
        pass
    assert [path.name for path in (tmp_path / "set").iterdir()] == [".lock"]


def test_second_writer_that_waits_says_for_whom_and_goes_on_once_the_first_is_done(holder, tmp_path, capsys):
    timer = threading.Timer(0.5, holder.kill)
    timer.start()
    with locked(tmp_path / "set", wait=True):
        assert holder.poll() is not None or not timer.is_alive()
    assert f"(process {holder.pid} on " in capsys.readouterr().err


def test_leftovers_of_dead_writers_go_and_those_of_a_living_one_below_stay(tmp_path):
    folder = tmp_path / "run"
    left = [folder / ".a.json.99999.tmp", folder / "checkpoints" / ".b.pt.99999.tmp", removed_path(folder) / "x"]
    others = folder / "own" / ".c.99999.tmp"
    for path in (*left, others, folder / "own" / ".lock"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    with locked(folder):
        assert not any(path.exists() for path in left)
        assert others.exists()


def test_leftovers_that_are_folders_go_and_files_of_living_writers_and_of_others_stay(tmp_path):
    (tmp_path / ".export.99999.tmp").mkdir()
    (tmp_path / ".export.99999.tmp" / "model.onnx").touch()
    living = os.getppid()
    kept = [tmp_path / f".a.csv.{living}.tmp", tmp_path / "b" / f".a.csv.{living}.tmp", tmp_path / ".x.tmp"]
    for path in kept:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    with locked(tmp_path):
        assert not (tmp_path / ".export.99999.tmp").exists()
        assert all(path.exists() for path in kept)


def test_folder_that_can_not_be_written_is_not_held_and_a_writer_is_told(tmp_path, monkeypatch):
    (tmp_path / "set").mkdir()
    make_read_only(tmp_path, monkeypatch)
    with locked(tmp_path / "set"):
        with pytest.raises(StoreError, match=r"Can't write .*Read-only file system\. Make it writable or choose"):
            write_json(tmp_path / "set" / "a.json", {})

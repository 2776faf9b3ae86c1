"""Tasks on a real cluster of separate processes, whose workers die, hang, come back late, or are of another kind."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from dask_cluster import DaskCluster, Wire, wait_for
from soundprobe.base import cluster
from soundprobe.base.errors import ConfigError, SoundprobeError
from soundprobe.base.parallel import UnwantedError, check_wanted, one_cluster, run_tasks
from soundprobe.base.registry import code_of


def square(shared: list[int], x: int, wait_s: float = 0.0) -> int:
    time.sleep(wait_s)
    return shared[0] * x * x


def first_time(folder: Path) -> bool:
    """Whether no task asked before; who did is kept."""
    try:
        with (folder / "first").open("x") as file:
            file.write(str(os.getpid()))
    except FileExistsError:
        return False
    return True


def get_signal_once(folder: Path, signal_: int, x: int) -> int:
    if x == 2 and first_time(folder):
        os.kill(os.getpid(), signal_)
    return x * x


def hang_once(folder: Path, x: int) -> str:
    if x == 2 and first_time(folder):
        try:
            while not (folder / "go on").exists():
                time.sleep(0.05)
                check_wanted()
        except UnwantedError:
            (folder / "unwanted").touch()
        return "late"
    return "good"


def test_tasks_of_a_killed_worker_are_done_elsewhere(dask, tmp_path):
    tasks, how = [(x,) for x in range(8)], {"shared": (tmp_path, signal.SIGKILL), "engine": "dask"}
    assert list(run_tasks(get_signal_once, tasks, address=str(dask.file), **how)) == [x * x for x in range(8)]
    assert (tmp_path / "first").exists()
    dask.refill()


def test_tasks_of_a_stopped_worker_are_done_elsewhere(tmp_path):
    tasks, how = [(x,) for x in range(8)], {"shared": (tmp_path, signal.SIGSTOP), "engine": "dask"}
    with DaskCluster(tmp_path, DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL="2s") as own:
        assert list(run_tasks(get_signal_once, tasks, address=own.address, **how)) == [x * x for x in range(8)]
    assert (tmp_path / "first").exists()


def test_task_that_hangs_is_done_elsewhere_and_the_late_result_is_not_wanted(dask, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "HUNG_S", 0.5)
    monkeypatch.setattr(cluster, "WATCH_S", 0.1)
    tasks, how = [(x,) for x in range(8)], {"shared": (tmp_path,), "engine": "dask"}
    assert list(run_tasks(hang_once, tasks, address=dask.address, **how)) == ["good"] * 8
    wait_for((tmp_path / "unwanted").exists)


def test_task_that_ends_every_worker_is_given_up_in_one_line(tmp_path):
    with DaskCluster(tmp_path, count=1, DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="0") as own:
        with pytest.raises(SoundprobeError, match=r"A task ended 1 workers .* want of memory.* goes on from there"):
            list(run_tasks(get_signal_once, [(tmp_path, signal.SIGKILL, 2)], engine="dask", address=own.address))


def test_connection_cut_for_five_seconds_goes_on_and_gives_each_result_once(dask):
    wire = Wire(dask.address)
    with one_cluster("dask", wire.address, shown=False):
        found = run_tasks(
            square, [(x, 0.2) for x in range(12)], shared=([2],), engine="dask", address=wire.address, in_order=False
        )
        results = [next(found), next(found)]
        wire.cut(5.0)
        results += found
    assert sorted(results) == [2 * x * x for x in range(12)]


def test_scheduler_that_stays_away_is_one_line(dask, monkeypatch):
    monkeypatch.setattr(cluster, "CUT_S", 0.5)
    monkeypatch.setattr(cluster, "CONNECT_S", 0.5)
    wire = Wire(dask.address)
    found = run_tasks(square, [(x, 0.1) for x in range(9)], shared=([2],), engine="dask", address=wire.address)
    assert next(found) == 0
    wire.cut(60.0)
    with pytest.raises(SoundprobeError, match=r"scheduler at tcp://.* could not be reached for .* goes on from there"):
        list(found)


def test_worker_of_another_version_is_refused_by_name(dask, tmp_path):
    fake = tmp_path / "torch-2.0.0.dist-info"
    fake.mkdir()
    (fake / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 2.0.0\n")
    stranger = dask.add(path=(tmp_path,))
    dask.refill()
    try:
        with pytest.raises(ConfigError, match=r"The worker tcp://127.* has torch 2.0.0, and this process 2\.\d+"):
            list(run_tasks(square, [(x, 0.1) for x in range(30)], shared=([2],), engine="dask", address=dask.address))
    finally:
        dask.end(stranger)
        dask.refill()


def ask(x: int) -> int:
    time.sleep(0.1)
    from soundprobe.base.registry import code_of

    assert code_of("optional:needed")  # which imports it
    return x


def test_worker_with_other_code_of_what_keys_name_is_refused_by_name(dask, tmp_path):
    (tmp_path / "optional.py").write_text("def needed(name):\n    return name\n")
    assert code_of("optional:needed")
    stranger = dask.add(path=(tmp_path,))
    dask.refill()
    try:
        with pytest.raises(ConfigError, match=r"The worker tcp://127.* has other code of optional than this process"):
            list(run_tasks(ask, [(x,) for x in range(30)], engine="dask", address=dask.address))
    finally:
        dask.end(stranger)
        dask.refill()


def test_worker_that_can_not_see_a_path_is_refused_with_the_path(dask, tmp_path):
    with pytest.raises(ConfigError, match=r"The worker tcp://127.* can't see .*/gone: clips and results must"):
        list(run_tasks(square, [(1,)], shared=([2],), paths=[tmp_path / "gone"], engine="dask", address=str(dask.file)))


def test_without_a_worker_tasks_wait_for_one_and_say_so(tmp_path, capfd):
    with DaskCluster(tmp_path, count=0) as empty:
        threading.Timer(1.0, empty.add).start()
        assert list(run_tasks(square, [(3,)], shared=([1],), engine="dask", address=str(empty.file))) == [9]
    assert f"No worker at {empty.file}: waiting for one." in capfd.readouterr().err


def test_file_that_is_no_schedulers_is_one_line(tmp_path):
    (tmp_path / "s.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"--address .*s.json: no scheduler's file .*dask scheduler --scheduler-file"):
        list(run_tasks(square, [(1,)], engine="dask", address=str(tmp_path / "s.json")))


@pytest.mark.parametrize("address", ["", "localhost", "http://127.0.0.1:1", "tcp://127.0.0.1:abc"])
def test_address_that_is_none_is_one_line_at_once(address, recwarn, capfd):
    began = time.monotonic()
    with pytest.raises(ConfigError, match=f"--address {address}: no Dask scheduler answers there"):
        list(run_tasks(square, [(1,)], engine="dask", address=address))
    assert time.monotonic() - began < 5
    assert not capfd.readouterr().err

"""Every engine gives the same results in the same order, on real threads, processes, and a real Dask cluster."""

from __future__ import annotations

import os
import signal
import warnings
from pathlib import Path

import pytest
from joblib import cpu_count
from joblib.externals.loky import get_reusable_executor

from dask_cluster import DaskCluster
from soundprobe.base.errors import AudioError, ConfigError, SoundprobeError, SoundprobeWarning
from soundprobe.base.parallel import ENGINES, jobs_for, run_tasks


def square_and_pid(x: int) -> tuple[int, int]:
    return x * x, os.getpid()


def fail(x: int) -> int:
    raise AudioError(f"clip {x}", "truncated")


@pytest.mark.parametrize("engine", ENGINES)
def test_run_tasks_on_every_engine_keeps_the_order(engine: str):
    outcomes = list(run_tasks(square_and_pid, [(i,) for i in range(6)], jobs=2, engine=engine))
    assert [value for value, _ in outcomes] == [0, 1, 4, 9, 16, 25]
    here = {pid for _, pid in outcomes} == {os.getpid()}
    assert here == (engine == "threads")


def doubt(x: int) -> int:
    warnings.warn(f"task {x} has not converged", SoundprobeWarning, stacklevel=2)
    return x


@pytest.mark.parametrize("engine", ENGINES)
def test_run_tasks_on_every_engine_says_here_what_a_task_warned_of(
    engine: str, dask: DaskCluster, capfd: pytest.CaptureFixture[str]
):
    address = dask.address if engine == "dask" else None
    with pytest.warns(SoundprobeWarning) as told:
        assert list(run_tasks(doubt, [(1,), (2,)], jobs=2, engine=engine, address=address)) == [1, 2]
    assert sorted(str(one.message) for one in told) == ["task 1 has not converged", "task 2 has not converged"]
    assert "has not converged" not in capfd.readouterr().err


@pytest.mark.parametrize("engine", ENGINES)
def test_run_tasks_when_a_task_fails_raises_its_error_whole(engine: str, dask: DaskCluster):
    with pytest.raises(AudioError, match="clip 0: truncated"):
        list(run_tasks(fail, [(0,)], jobs=2, engine=engine, address=dask.address if engine == "dask" else None))


def test_run_tasks_with_one_job_runs_here_one_by_one():
    stream = run_tasks(square_and_pid, iter([(2,), (3,)]))
    assert next(stream) == (4, os.getpid())


def test_run_tasks_with_an_unknown_engine_names_the_near_one():
    with pytest.raises(ConfigError, match="Unknown engine 'dusk'. Did you mean 'dask'"):
        list(run_tasks(square_and_pid, [], engine="dusk"))


def die(x: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)  # as the system does where memory runs out
    return x


def test_run_tasks_when_a_process_is_killed_says_what_to_do_in_one_line():
    with pytest.raises(
        SoundprobeError,
        match=r"died, most likely for want of memory.*--jobs 1, or with less --memory: finished",
    ):
        list(run_tasks(die, [(1,), (2,)], jobs=2))


def test_file_called_as_a_module_of_python_runs_in_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    Path("signal.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    get_reusable_executor().shutdown()  # another test's processes
    assert list(run_tasks(square_and_pid, [(1,), (2,)], jobs=2))[1][0] == 4
    assert not Path("ran").exists()
    assert "PYTHONSAFEPATH" not in os.environ


def test_jobs_for_heeds_a_limit_of_threads(monkeypatch: pytest.MonkeyPatch):
    for limit, expected in (("1", 1), ("2", min(2, cpu_count())), ("many", min(cpu_count(), 6))):
        monkeypatch.setenv("OMP_NUM_THREADS", limit)
        assert jobs_for(10, task_bytes=72 * MB, memory_bytes=500 * MB) == expected


MB = 10**6


@pytest.mark.parametrize(
    ("task_bytes", "tasks", "expected"),
    [
        (72 * MB, 1, 1),
        (72 * MB, 10, min(cpu_count(), 6)),
        (300 * MB, 10, 1),  # too large for two
        (10**12, 10, 1),
    ],
)
def test_jobs_for_tasks_of_any_size_fit_cores_tasks_and_memory(
    task_bytes: int, tasks: int, expected: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert jobs_for(tasks, task_bytes=task_bytes, memory_bytes=500 * MB) == expected

"""Every engine gives the same results in the same order, on real threads, processes, and a real Dask cluster."""

from __future__ import annotations

import os

import pytest

from soundprobe.errors import AudioError, ConfigError
from soundprobe.parallel import ENGINES, run_tasks


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


@pytest.mark.parametrize("engine", ENGINES)
def test_run_tasks_when_a_task_fails_raises_its_error_whole(engine: str):
    with pytest.raises(AudioError, match="clip 0: truncated"):
        list(run_tasks(fail, [(0,)], jobs=2, engine=engine))


def test_run_tasks_with_one_job_runs_here_one_by_one():
    stream = run_tasks(square_and_pid, iter([(2,), (3,)]))
    assert next(stream) == (4, os.getpid())


def test_run_tasks_with_an_unknown_engine_names_the_near_one():
    with pytest.raises(ConfigError, match="Unknown engine 'dusk'. Did you mean 'dask'"):
        list(run_tasks(square_and_pid, [], engine="dusk"))

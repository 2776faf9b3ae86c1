"""Where independent tasks run: here, on threads, in processes, or on a Dask cluster. Only this module knows which."""

from __future__ import annotations

import importlib
import os
import signal
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from soundprobe.base.errors import ConfigError, SoundprobeError, unknown

Result = TypeVar("Result")
ENGINES = ("threads", "processes", "dask")
TRACKERS = ("joblib.externals.loky.backend.resource_tracker", "multiprocessing.resource_tracker")
MEMORY_BYTES = 4e9
"""What all tasks' own copies of the features may take together."""
COPIES = 8
"""A task's own copies of the features: its training rows, standardised, packed twice, Gram matrices."""


def jobs_for(feature_bytes: int, tasks: int, *, repaying_bytes: float) -> int:
    """How many of so many `tasks` on features of so many bytes to run at once: up to a core each.

    One thread for each of several folds is quicker than several threads for one after the other, whose many short steps
    wait for each other. One where the features are under `repaying_bytes`, and no more than `MEMORY_BYTES` hold.
    """
    from joblib import cpu_count

    threads = os.environ.get("OMP_NUM_THREADS", "")  # who limits those doesn't want a process on every core either
    cores = min(cpu_count(), int(threads)) if threads.isdecimal() and int(threads) else cpu_count()
    if feature_bytes < repaying_bytes:
        return 1
    return max(1, min(cores, tasks, int(MEMORY_BYTES / (COPIES * feature_bytes))))


def check_engine(name: str) -> None:
    """Raises ConfigError where `name` is none of `ENGINES`."""
    if name not in ENGINES:
        raise ConfigError(unknown("engine", name, ENGINES))


def run_tasks(
    function: Callable[..., Result],
    arguments: Iterable[tuple[Any, ...]],
    *,
    jobs: int = 1,
    engine: str = "processes",
    address: str | None = None,
) -> Iterator[Result]:
    """Yields `function(*args)` for each of `arguments`, in their order, as soon as it and those before it are done.

    Args:
        jobs: how many at once; 1 runs them here, one after the other, -1 takes every core.
        engine: "threads", "processes" (joblib's loky) or "dask".
        address: of the Dask scheduler ("tcp://host:8786"); without one a cluster on this machine is started.

    Raises:
        ConfigError: the engine is unknown or Dask is not installed.
        Exception: whatever a task raised. What it warned of is said here.
    """
    check_engine(engine)
    if jobs == 0 or jobs < -1:
        raise ConfigError(f"--jobs {jobs} is not valid: give 1 or more, or -1 for every core.")
    if jobs == 1 and engine != "dask":
        for args in arguments:
            yield function(*args)
        return
    from joblib import Parallel, delayed, parallel_config

    if engine != "threads":
        _start_trackers()
    told = function if engine == "threads" else _Telling(function)
    tasks = [delayed(told)(*args) for args in arguments]
    if engine == "dask":
        try:
            from distributed import Client
        except ImportError:
            raise ConfigError("--engine dask needs Dask: pip install 'soundprobe[dask]'.") from None
        # Threads would share one interpreter lock and one set of BLAS threads: a worker is a process.
        try:
            client = Client(address) if address else Client(n_workers=jobs if jobs > 0 else None, threads_per_worker=1)
        except (ValueError, OSError) as error:
            raise ConfigError(f"--address {address}: no Dask scheduler answers there ({error}).") from error
        with client, parallel_config(backend="dask"):
            yield from map(_repeated, Parallel(return_as="list")(tasks))
        return
    if engine == "threads":
        yield from Parallel(n_jobs=jobs, backend="threading", return_as="generator")(tasks)
    else:
        try:
            yield from map(_repeated, Parallel(n_jobs=jobs, backend="loky", return_as="generator")(tasks))
        except BrokenProcessPool as error:
            raise SoundprobeError(
                "A process that trained a fold died, most likely for want of memory. Run the command again with "
                "--jobs 1: finished folds are kept."
            ) from error


def _start_trackers() -> None:
    """Starts what watches over the workers' shared memory, which lets signals through in its thread: a worker that is
    started from there later would get the Ctrl-C that this process was asked to keep from it."""
    if os.name == "nt":
        return
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    for module in TRACKERS:
        importlib.import_module(module).ensure_running()
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


class _Telling:
    """`function` in another process, whose warnings come back with its result instead of being printed there."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *args: Any) -> tuple[Any, list[tuple[type[Warning], str]]]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            result = self.function(*args)
        return result, [(told.category, str(told.message)) for told in caught]


def _repeated(told: tuple[Result, list[tuple[type[Warning], str]]]) -> Result:
    result, caught = told
    for category, message in caught:
        warnings.warn(message, category, stacklevel=2)
    return result

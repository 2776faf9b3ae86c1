"""Where independent tasks run: here, on threads, in processes, or on a Dask cluster. Only this module knows which."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from soundprobe.base.errors import ConfigError, SoundprobeError, unknown

if TYPE_CHECKING:
    from soundprobe.base.cluster import Cluster

Result = TypeVar("Result")
ENGINES = ("threads", "processes", "dask")
NETWORK_ENGINES = ("threads", "dask")
"""Of what one network does for many clips: another process of this machine would only need memory for another."""
SAFE_PATH = "PYTHONSAFEPATH"
TRACKERS = ("joblib.externals.loky.backend.resource_tracker", "multiprocessing.resource_tracker")


def jobs_for(tasks: int, *, task_bytes: float, memory_bytes: float) -> int:
    """How many of so many `tasks`, each of which takes `task_bytes`, to run at once: up to a core each.

    One thread for each of several folds is quicker than several threads for one after the other, whose many short steps
    wait for each other. No more than `memory_bytes` hold.
    """
    from joblib import cpu_count

    threads = os.environ.get("OMP_NUM_THREADS", "")  # who limits those doesn't want a process on every core either
    cores = min(cpu_count(), int(threads)) if threads.isdecimal() and int(threads) else cpu_count()
    return max(1, min(cores, tasks, int(memory_bytes / task_bytes)))


def check_engine(name: str, address: str | None = None, among: Sequence[str] = ENGINES) -> None:
    """Raises ConfigError where `name` is none of `among`, or an address is given that it has no use for."""
    if name not in among:
        raise ConfigError(unknown("engine", name, among))
    if address is not None and name != "dask":
        raise ConfigError(f"--address {address} is of a Dask cluster: give --engine dask, too.")


_open: ContextVar[Cluster | None] = ContextVar("cluster", default=None)


@contextmanager
def one_cluster(
    engine: str, address: str | None = None, workers: int | None = None, *, shown: bool = True
) -> Iterator[None]:
    """Within it all tasks of the engine "dask" share one cluster, which is closed at its end; others need none."""
    if engine != "dask" or _open.get() is not None:
        yield
        return
    from soundprobe.base.cluster import Cluster

    count = workers if workers and workers > 0 else None
    with _prepared_processes(), closing(Cluster(address, count, shown=shown)) as cluster:
        token = _open.set(cluster)
        try:
            yield
        finally:
            _open.reset(token)


def run_tasks(
    function: Callable[..., Result],
    arguments: Iterable[tuple[Any, ...]],
    *,
    jobs: int = 1,
    engine: str = "processes",
    address: str | None = None,
    shared: Sequence[Any] = (),
    paths: Iterable[str | Path] = (),
    in_order: bool = True,
) -> Iterator[Result]:
    """Yields `function(*shared, *args)` for each of `arguments`, as soon as it is done, and those before it.

    Args:
        jobs: how many at once; 1 runs them here, one after the other, -1 takes every core. A Dask cluster at an address
            has its own number.
        engine: "threads", "processes" (joblib's loky) or "dask", where whatever kills a worker or cuts a connection
            makes tasks be done again, see `base.cluster`.
        address: of the Dask scheduler ("tcp://host:8786"), or its file; without one a cluster on this machine is
            started. See `one_cluster`.
        shared: what all tasks take, sent to a worker once.
        paths: what tasks read and write; a worker of a cluster that can't see one is refused.
        in_order: False has a cluster's results come as they are done.

    Raises:
        ConfigError: the engine is unknown, Dask is not installed, or a worker lacks something.
        Exception: whatever a task raised. What it warned of is said here.
    """
    check_engine(engine, address)
    if jobs == 0 or jobs < -1:
        raise ConfigError(f"--jobs {jobs} is not valid: give 1 or more, or -1 for every core.")
    if engine == "dask":
        with one_cluster(engine, address, jobs):
            cluster = _open.get()
            assert cluster is not None
            told = _Telling(function)
            yield from map(_repeated, cluster.run(told, arguments, shared=shared, paths=paths, in_order=in_order))
        return
    if jobs == 1:
        for args in arguments:
            yield function(*shared, *args)
        return
    from joblib import Parallel, delayed

    if engine == "threads":
        tasks = [delayed(function)(*shared, *args) for args in arguments]
        yield from Parallel(n_jobs=jobs, backend="threading", return_as="generator")(tasks)
        return
    tasks = [delayed(_Telling(function))(*shared, *args) for args in arguments]
    try:
        with _prepared_processes():
            yield from map(_repeated, Parallel(n_jobs=jobs, backend="loky", return_as="generator")(tasks))
    except BrokenProcessPool as error:
        raise SoundprobeError(
            "A process that trained a fold died, most likely for want of memory. Run the command again with "
            "--jobs 1, or with less --memory: finished folds are kept."
        ) from error


class UnwantedError(Exception):
    """Nobody waits for this task any more."""


def check_wanted() -> None:
    """Raises UnwantedError in a cluster's task whose asker is gone, or has its result from another worker: for tasks
    that take hours."""
    if "distributed.worker" not in sys.modules:
        return
    from distributed.worker import get_worker, thread_state

    with suppress(ValueError):  # no worker's thread
        task = get_worker().state.tasks.get(getattr(thread_state, "key", ""))
        if task is not None and task.state == "cancelled":
            raise UnwantedError


@contextmanager
def _prepared_processes() -> Iterator[None]:
    """Keeps from processes the modules in the folder that the user is in, where a data set's `signal.py` would run in
    place of Python's; what this process has in its path they get once they run.

    Starts what watches over the workers' shared memory, which lets signals through in its thread: a worker that is
    started from there later would get the Ctrl-C that this process was asked to keep from it.
    """
    before = os.environ.get(SAFE_PATH)
    os.environ[SAFE_PATH] = before or "1"
    try:
        if os.name != "nt":
            blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
            for module in TRACKERS:
                importlib.import_module(module).ensure_running()
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        yield
    finally:
        if before is None:
            os.environ.pop(SAFE_PATH, None)
        else:
            os.environ[SAFE_PATH] = before


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

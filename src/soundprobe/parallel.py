"""Where independent tasks run: here, on threads, in processes, or on a Dask cluster. Only this module knows which."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from soundprobe.errors import ConfigError, unknown

Result = TypeVar("Result")
ENGINES = ("threads", "processes", "dask")


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
        Exception: whatever a task raised.
    """
    if engine not in ENGINES:
        raise ConfigError(unknown("engine", engine, ENGINES))
    if jobs == 0 or jobs < -1:
        raise ConfigError(f"--jobs {jobs} is not valid: give 1 or more, or -1 for every core.")
    if jobs == 1 and engine != "dask":
        for args in arguments:
            yield function(*args)
        return
    from joblib import Parallel, delayed, parallel_config

    tasks = [delayed(function)(*args) for args in arguments]
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
            yield from Parallel(return_as="list")(tasks)
        return
    backend = {"threads": "threading", "processes": "loky"}[engine]
    yield from Parallel(n_jobs=jobs, backend=backend, return_as="generator")(tasks)

"""Tasks on a Dask cluster: each is done again elsewhere where its worker died, hung or came back late.

A task is some kB of pickled arguments. What all tasks share (a network, a set's features) is sent once, and worker
hands it to worker. Results come back to the one process that asked, which alone writes them: a task that was done twice
changes nothing.
"""

from __future__ import annotations

import functools
import importlib.util
import logging
import pickle
import queue
import time
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from soundprobe.base.errors import ConfigError, SoundprobeError, one_line
from soundprobe.base.files import KEPT, parse_json
from soundprobe.base.machine import versions
from soundprobe.base.progress import say
from soundprobe.base.registry import keyed, other_code

CONNECT_S = 10.0
CUT_S = 60.0
"""How long the scheduler may be out of reach before the run stops."""
CUTS = 10
"""How often that may be, or all workers be lost, with no task done in between."""
HUNG_S, HUNG_TIMES = 300.0, 5.0
"""A second worker gets a task that takes longer than both: seconds, and times the longest of those done. Workers that
say nothing at all are given up by the scheduler (its setting worker-ttl, by default 300 s)."""
RETRIES = 2
"""How often a task is tried again that failed by no mistake of the user's."""
WATCH_S = 1.0
AHEAD, LEAST_AHEAD = 4, 64
"""How many tasks are handed out from the first unfinished one on: for each of the workers' threads, and at least."""
SAME = ("soundprobe", "torch", "python", "av", "numpy", "scikit-learn", "soundfile", "soxr", "transformers")
"""What results hang on. What a worker has none of it can't use, either."""


class _Cut:
    """Says that the scheduler can't be reached, or has forgotten what it was asked."""


@dataclass(frozen=True)
class _Needs:
    """What a worker must have: the same versions, these absolute paths, and the same code of others in its modules."""

    versions: dict[str, str]
    paths: tuple[str, ...]
    code: dict[str, str]

    def check(self) -> None:
        """Raises ConfigError in a worker that lacks something."""
        from distributed import get_worker

        worker, here = get_worker().address, versions()
        for name in SAME:
            parts = 2 if name == "python" else None
            found, wanted = (".".join(told[name].split(".")[:parts]) for told in (here, self.versions))
            if found != wanted and "not installed" not in (found, wanted):
                raise ConfigError(
                    f"The worker {worker} has {name} {found}, and this process {wanted}: results could differ. "
                    "Install the same there, or take that worker away."
                )
        for path in self.paths:
            if not Path(path).exists():
                raise ConfigError(
                    f"The worker {worker} can't see {path}: clips and results must be reachable under the same path "
                    "on every machine. Share the folder, and give it by that path."
                )

    def check_code(self) -> None:
        """Raises ConfigError in a worker that has imported other code than keys say."""
        from distributed import get_worker

        if module := other_code(self.code):
            raise ConfigError(
                f"The worker {get_worker().address} has other code of {module} than this process: results would be "
                "filed under code that didn't make them. Put the same there, and start the worker anew."
            )


def _do(needs: _Needs, packed: bytes, *shared: Any) -> tuple[Any, SoundprobeError | None]:
    """A task's result in a worker, or the user's mistake, which no other try would mend."""
    try:
        needs.check()
        function, args = pickle.loads(packed)  # noqa: S301 # of whoever the cluster works for
        needs.check_code()
        result = function(*shared, *args)
        needs.check_code()  # of what it imported meanwhile
        return result, None
    except SoundprobeError as error:
        return None, error


class Cluster:
    """A connection to a Dask scheduler, made anew where it was cut.

    Args:
        address: "tcp://host:8786" or a scheduler file; None starts `workers` processes here, by default one a core.
        shown: whether to say where the cluster and its dashboard are.

    Raises:
        ConfigError: Dask is not installed, or no scheduler answers.
    """

    def __init__(self, address: str | None, workers: int | None = None, *, shown: bool = True) -> None:
        try:
            from distributed import LocalCluster
            from distributed.comm import get_address_host_port
        except ImportError:
            raise ConfigError("--engine dask needs Dask: pip install 'soundprobe[dask]'.") from None
        silent = logging.CRITICAL + 1  # what its libraries would say of a cut connection, a line of ours does
        for handler in logging.getLogger("distributed").handlers:
            handler.setLevel(silent)
        self._local = None
        if address is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # another cluster's dashboard is on the usual port
                # Threads would share one interpreter lock and one set of BLAS threads: a worker is a process.
                self._local = LocalCluster(n_workers=workers, threads_per_worker=1, silence_logs=silent)
            address = str(self._local.scheduler_address)
        self.named, self.address = address, _address_in(Path(address)) if address.endswith(".json") else address
        try:
            get_address_host_port(self.address)  # raises where it is no address, of which a client can't be closed
            self.client = self._connected()
        except (ValueError, OSError, ImportError) as error:
            told = one_line(error)[:200]
            raise ConfigError(f"--address {self.named}: no Dask scheduler answers there ({told}).") from error
        if shown:
            has_bokeh = self.client.run_on_scheduler(importlib.util.find_spec, "bokeh") is not None
            link = self.client.dashboard_link
            board = f"dashboard {link}" if has_bokeh else "no dashboard: its scheduler lacks bokeh"
            say(f"Dask at {self.address}, {len(self.client.nthreads())} workers; {board}")

    def close(self) -> None:
        self.client.close()
        if self._local is not None:
            self._local.close()

    def reconnect(self) -> None:
        """Raises SoundprobeError where that is not possible for `CUT_S`."""
        with suppress(Exception):  # of whatever kind: this one is given up
            self.client.close(timeout=0)
        until = time.monotonic() + CUT_S
        while True:
            try:
                self.client = self._connected()
                return
            except (ValueError, OSError) as error:
                if time.monotonic() > until:
                    raise SoundprobeError(
                        f"The Dask scheduler at {self.named} could not be reached for {CUT_S:.0f} s "
                        f"({one_line(error)[:100]}). {KEPT}"
                    ) from None
                time.sleep(WATCH_S)

    def _connected(self) -> Any:
        from distributed import Client

        return Client(self.address, timeout=CONNECT_S, set_as_default=False)

    def run(
        self,
        function: Callable[..., Any],
        arguments: Iterable[tuple[Any, ...]],
        *,
        shared: Sequence[Any],
        paths: Iterable[str | Path],
        in_order: bool,
    ) -> Iterator[Any]:
        """See `soundprobe.base.parallel.run_tasks`."""
        needs = _Needs(versions(), tuple(str(Path(path).absolute()) for path in paths), dict(keyed))
        ready: dict[int, Any] = {}
        given = 0
        for number, result in _Tasks(self, function, shared, needs).results(arguments):
            if not in_order:
                yield result
                continue
            ready[number] = result
            while given in ready:
                yield ready.pop(given)
                given += 1


def _address_in(file: Path) -> str:
    try:
        return str(parse_json(file.read_text(encoding="utf-8"))["address"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"--address {file}: no scheduler's file ({one_line(error)[:100]}). Start one: dask scheduler "
            "--scheduler-file FILE"
        ) from None


@dataclass
class _Task:
    """What was handed out, pickled; since when; and a future for each worker that was asked."""

    packed: bytes
    since: float = 0.0
    futures: list[Any] = field(default_factory=list)


class _Tasks:
    """The tasks of one run that are handed out and not done."""

    def __init__(self, cluster: Cluster, function: Callable[..., Any], shared: Sequence[Any], needs: _Needs) -> None:
        self.cluster, self.function, self.shared, self.needs = cluster, function, shared, needs
        self.name = f"soundprobe-{uuid.uuid4().hex}"
        self.tasks: dict[int, _Task] = {}
        self.sent: list[Any] | None = None
        self.done: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
        self.longest_s, self.ahead, self.watched = 0.0, LEAST_AHEAD, 0.0
        self.waiting = False

    def results(self, arguments: Iterable[tuple[Any, ...]]) -> Iterator[tuple[int, Any]]:
        """The tasks' numbers and results, as they come."""
        import cloudpickle

        left, cuts = enumerate(arguments), 0
        step: Callable[[], Any]
        new = next(left, None)
        while new or self.tasks:
            if new and (not self.tasks or new[0] < next(iter(self.tasks)) + self.ahead):
                number, args = new
                self.tasks[number] = _Task(cloudpickle.dumps((self.function, args)))
                new, step = next(left, None), functools.partial(self._hand_out, number)
            else:
                step = self._wait
            done = self._unless_cut(step)
            while isinstance(done, _Cut):
                cuts += 1
                if cuts > CUTS:
                    raise SoundprobeError(f"The workers of {self.cluster.named} were lost {CUTS} times. {KEPT}")
                done = self._unless_cut(self._begin_again)
            if done is None:
                continue
            cuts = 0
            number, result, error = done
            del self.tasks[number]
            if error is not None:
                raise error
            yield number, result

    def _unless_cut(self, step: Callable[[], Any]) -> Any:
        from distributed import CancelledError

        try:
            return step()
        except (OSError, CancelledError):
            return _Cut()
        except SoundprobeError:
            raise
        except Exception:
            if self.cluster.client.status == "running":
                raise
            return _Cut()

    def _hand_out(self, number: int, to: Sequence[str] | None = None) -> None:
        """Asks any worker, or one of those named."""
        client, task = self.cluster.client, self.tasks[number]
        if self.sent is None:
            while not client.nthreads():
                self._tell_waiting()
                time.sleep(WATCH_S)
            # Not broadcast, which never ends where a worker dies meanwhile: who needs it fetches it from who has it.
            self.sent = client.scatter(list(self.shared), hash=False) if self.shared else []
        key = f"{self.name}-{number}-{len(task.futures)}"
        how = {"key": key, "pure": False, "retries": RETRIES, "workers": to}
        future = client.submit(_do, self.needs, task.packed, *self.sent, **how)
        task.futures.append(future)
        task.since = time.monotonic()
        future.add_done_callback(lambda one: self.done.put((number, one)))

    def _begin_again(self) -> None:
        """Connects anew, and hands out anew what isn't done."""
        self.cluster.reconnect()
        self.sent = None
        for number, task in self.tasks.items():
            task.futures = []
            self._hand_out(number)

    def _wait(self) -> tuple[int, Any, Exception | None] | None:
        """What was done first, its result or error; None where there is nothing yet."""
        from distributed import KilledWorker

        if time.monotonic() - self.watched > WATCH_S:
            self._watch()
        try:
            number, future = self.done.get(timeout=WATCH_S)
        except queue.Empty:
            return None
        task = self.tasks.get(number)
        if task is None or future not in task.futures:  # late, or of before a cut
            return None
        if future.status == "error":
            error = future.exception()
            if isinstance(error, KilledWorker):
                error = SoundprobeError(
                    f"A task ended {error.allowed_failures + 1} workers one after the other, most likely for want of "
                    f"memory. Give each worker more. {KEPT}"
                )
            return number, None, error
        result, error = future.result()
        self.longest_s = max(self.longest_s, time.monotonic() - task.since)
        return number, result, error

    def _watch(self) -> None:
        """Counts the workers, and asks a second one for what takes too long."""
        client, now = self.cluster.client, time.monotonic()
        threads = client.nthreads()
        self.ahead = max(LEAST_AHEAD, AHEAD * sum(threads.values()))
        if not threads:
            self._tell_waiting()
        else:
            self.waiting = False
        late_s = max(HUNG_S, HUNG_TIMES * self.longest_s)
        late = [number for number, task in self.tasks.items() if now - task.since > late_s]
        if late and self.longest_s:
            at_work = client.processing()
            for number in late:
                keys = {future.key for future in self.tasks[number].futures}
                others = [worker for worker in threads if keys.isdisjoint(at_work.get(worker, ()))]
                if others:
                    self._hand_out(number, others)
        self.watched = time.monotonic()

    def _tell_waiting(self) -> None:
        if not self.waiting:
            say(f"No worker at {self.cluster.named}: waiting for one.")
        self.waiting = True

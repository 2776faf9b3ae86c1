"""A real Dask cluster on this machine: a scheduler and workers, each a process of its own; and a way to cut it off."""

from __future__ import annotations

import json
import os
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent


def _start(command: str, *args: str, path: tuple[Path, ...] = (), **settings: str) -> subprocess.Popen:
    places = [*path, PROJECT / "src", PROJECT / "tests", PROJECT / "tests" / "base"]
    env = {**os.environ, **settings, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(map(str, places))}
    given = [sys.executable, "-m", f"distributed.cli.dask_{command}", "--host", "127.0.0.1", "--no-dashboard", *args]
    return subprocess.Popen(given, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class DaskCluster:
    """A scheduler and `count` workers of one thread each; the scheduler's `settings` are environment variables.

    Attributes:
        file: the scheduler's; address: "tcp://127.0.0.1:12345".
    """

    def __init__(self, folder: Path, count: int = 2, **settings: str) -> None:
        self.folder, self.file, self.count = folder, folder / "scheduler.json", count
        self.scheduler = _start("scheduler", "--port", "0", "--scheduler-file", str(self.file), **settings)
        self.workers: list[subprocess.Popen] = []

    def __enter__(self) -> DaskCluster:
        wait_for(self.file.exists)
        self.address = json.loads(self.file.read_text())["address"]
        self.refill()
        return self

    def __exit__(self, *_: object) -> None:
        self.end(*self.workers, self.scheduler)

    def add(self, path: tuple[Path, ...] = ()) -> subprocess.Popen:
        """One more worker; modules of `path` go before all others."""
        own = ["--nthreads", "1", "--no-nanny", "--death-timeout", "30", "--local-directory", str(self.folder)]
        self.workers.append(_start("worker", self.address, *own, path=path))
        return self.workers[-1]

    def end(self, *workers: subprocess.Popen) -> None:
        """Kills them, and waits until they are dead: `refill` would count who is about to be."""
        for process in workers:
            process.kill()
            process.wait()

    def refill(self) -> None:
        """Puts new workers in the place of those that died, and waits for them."""
        from distributed import Client

        with Client(self.address, set_as_default=False) as client:

            def is_whole() -> bool:
                self.workers = [one for one in self.workers if one.poll() is None]
                while len(self.workers) < self.count:
                    self.add()
                return len(client.nthreads()) == len(self.workers)

            wait_for(is_whole)


def wait_for(there: Callable[[], bool], within_s: float = 60.0) -> None:
    until = time.monotonic() + within_s
    while not there():
        assert time.monotonic() < until
        time.sleep(0.02)


class Wire:
    """A TCP proxy in front of a scheduler. `cut` closes what is open and takes nothing for some seconds."""

    def __init__(self, target: str) -> None:
        host, _, port = target.removeprefix("tcp://").partition(":")
        self.target = host, int(port)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self.listener.getsockname()[1]}"
        self.open: list[socket.socket] = []
        self.dead_until = 0.0
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, seconds: float) -> None:
        self.dead_until = time.monotonic() + seconds
        for one in self.open:
            one.close()
        self.open = []

    def _accept(self) -> None:
        while True:
            ours, _ = self.listener.accept()
            if time.monotonic() < self.dead_until:
                ours.close()
                continue
            theirs = socket.create_connection(self.target)
            self.open += [ours, theirs]
            threading.Thread(target=_pump, args=(ours, theirs), daemon=True).start()


def _pump(one: socket.socket, other: socket.socket) -> None:
    with selectors.DefaultSelector() as ready:
        try:
            ready.register(one, selectors.EVENT_READ, other)
            ready.register(other, selectors.EVENT_READ, one)
            while True:
                for key, _ in ready.select(0.1):
                    content = key.fileobj.recv(65536)  # type: ignore[union-attr]
                    if not content:
                        return
                    key.data.sendall(content)
        except (OSError, ValueError):  # cut
            pass
        finally:
            one.close()
            other.close()

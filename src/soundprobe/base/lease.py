"""One writer a folder of a store: a lock object beside what is written, which its holder keeps alive.

It is created only where there is none, and changed only by whom knows its last content; both the store decides.
"""

from __future__ import annotations

import datetime
import json
import os
import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from soundprobe.base import remote
from soundprobe.base.errors import StoreError, one_line
from soundprobe.base.files import lives, parse_json
from soundprobe.base.places import url_of

LOCK = ".lock.json"
REFRESH_S, STALE_S = 20.0, 120.0
"""How often a holder gives a sign of life, and how long after the last one another may take over."""
POLL_S = 2.0


@contextmanager
def leased(folder: Path, *, wait: bool) -> Iterator[None]:
    """Holds what `folder` is the copy of, if it is one, and brings the copy up to date; see `locks.locked`.

    Raises:
        StoreError: another process holds it, or the store can't be written.
    """
    url = url_of(folder)
    if url is None:
        yield
        return
    lease = _Lease(folder, url)
    try:
        lease.take(wait=wait)
    except remote.DeniedError:
        if any(not path.name.startswith(".") for path in remote.local(folder).iterdir()):
            yield  # what is finished can be used, and whoever writes is told
            return
        raise
    try:
        remote.pull(folder)
        remote.local(folder)
        yield
    finally:
        lease.release()


class _Lease:
    def __init__(self, copy: Path, folder: str) -> None:
        self.folder, self.url, self.path = folder, f"{folder}/{LOCK}", copy / LOCK
        self.told: dict[str, Any] = {
            "process": os.getpid(),
            "host": socket.gethostname(),
            "since": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "id": uuid.uuid4().hex,
        }
        self.token = ""
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._keep_alive, daemon=True, name="lease")

    def take(self, *, wait: bool) -> None:
        said = False
        while not self._taken():
            there = remote.get(self.url)
            if there is None:
                continue
            other = f"Another process is writing {self.folder}{_who(there[0])}."
            if not wait:
                raise StoreError(
                    f"{other} Wait for it, then run the command again: finished work is kept. One that died is taken "
                    f"over {STALE_S:.0f} s after its last sign of life."
                )
            if not said:
                print(one_line(f"{other} Waiting for it ..."), file=sys.stderr, flush=True)
            said = True
            time.sleep(POLL_S)
        self._thread.start()

    def _taken(self) -> bool:
        """Whether there was no holder, or a dead one, whose place this one took."""
        with suppress(remote.OutdatedError):
            self.token = remote.put(self.url, self._content(), None)
            return True
        there = remote.get(self.url)
        if there is not None and _is_dead(there[0]):
            with suppress(remote.OutdatedError):
                self.token = remote.put(self.url, self._content(), there[1])
                return True
        return False

    def _content(self) -> bytes:
        return json.dumps({**self.told, "seen": time.time()}).encode()

    def _keep_alive(self) -> None:
        seen = time.monotonic()
        while not self._done.wait(REFRESH_S):
            try:
                self.token = remote.put(self.url, self._content(), self.token)
                seen = time.monotonic()
                remote.lost.pop(self.folder, None)
            except remote.OutdatedError:
                self._lose()
                return
            except StoreError:  # it can't be reached now; whether somebody took over shows when it can
                if time.monotonic() - seen > STALE_S:
                    self._lose()

    def _lose(self) -> None:
        remote.lost[self.folder] = (
            f"Nothing more is written to {self.folder}: this process gave no sign of life there for {STALE_S:.0f} s, "
            "and another may write it now. Run the command again: finished work is kept."
        )

    def release(self) -> None:
        self._done.set()
        self._thread.join()
        remote.lost.pop(self.folder, None)
        with suppress(StoreError):  # it grows stale
            there = remote.get(self.url)
            if there is not None and _read(there[0]).get("id") == self.told["id"]:
                remote.remove(self.path)


def _read(content: bytes) -> dict[str, Any]:
    with suppress(ValueError):
        return parse_json(content.decode())
    return {}


def _who(content: bytes) -> str:
    told = _read(content)
    return f" (process {told.get('process')} on {told.get('host')}, since {told.get('since')})"


def _is_dead(content: bytes) -> bool:
    told = _read(content)
    seen, process = told.get("seen"), told.get("process")
    if not isinstance(seen, int | float) or not isinstance(process, int) or time.time() - seen > STALE_S:
        return True
    return (
        os.name != "nt" and told.get("host") == socket.gethostname() and process != os.getpid() and not lives(process)
    )

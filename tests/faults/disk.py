"""What a process does to a disk, act by act: counted, recorded, and stopped or refused at any of them.

`watched` puts itself in the place of the functions of `os` and of `open` in this very process, which is a child that
does nothing else. Acts outside the watched folder are not its own.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MODES = ("kill", "torn", "full", "cut", "stop")
"""Killed before an act; after half of a write; no room from an act on; no disk; Ctrl-C at it."""
NOT_STOPPED = 71
"""The exit code of a command that went on after Ctrl-C."""
ROOMLESS = ("open", "write", "mkdir", "symlink", "posix_fallocate")
"""What a full disk refuses."""


@dataclass
class Act:
    """`name` of what is done to `path`, and where it is moved; `content` is what a file holds as it is made durable."""

    name: str
    path: str
    other: str = ""
    content: bytes | None = None


@dataclass
class Watch:
    """Counts the acts below `root`; at number `at` (from 0) `mode` happens, None lets all pass.

    `reads` counts what is opened for reading, too.
    """

    root: str
    mode: str | None = None
    at: int = -1
    reads: bool = False
    acts: list[Act] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)
    count: int = 0
    inside: int = 0

    def is_ours(self, path: Any) -> bool:
        return (os.path.abspath(os.fsdecode(path)) + os.sep).startswith(self.root + os.sep)

    def act(self, name: str, path: Any, other: Any = "", half: Callable[[], Any] | None = None) -> None:
        """Notes the act, or makes of it what the mode is; `half` does half of it."""
        with self.lock:
            number, self.count = self.count, self.count + 1
            self.acts.append(Act(name, os.path.abspath(os.fsdecode(path)), os.fsdecode(other)))
            due, past = number == self.at, number >= self.at >= 0
            if (self.mode == "kill" and due) or (self.mode == "torn" and due):
                if self.mode == "torn" and half is not None:
                    half()
                os.kill(os.getpid(), signal.SIGKILL)
            if self.mode == "stop" and due:
                os.kill(os.getpid(), signal.SIGINT)
        if self.mode == "stop" and due:
            time.sleep(30)
            os._exit(NOT_STOPPED)
        if self.mode == "full" and past and name in ROOMLESS:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        if self.mode == "cut" and past:
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)


class _Raw(io.FileIO):
    watch: Watch

    def write(self, content: Any, /) -> int:
        part = bytes(content)
        self.watch.act("write", self.name, half=lambda: super(_Raw, self).write(part[: len(part) // 2]))
        return super().write(part)


def watched(watch: Watch) -> None:
    """From here to the end of the process all acts pass through `watch`."""
    real = {name: getattr(os, name) for name in ("write", "fsync", "posix_fallocate")}

    def path_of(handle: int) -> str:
        return os.readlink(f"/proc/self/fd/{handle}")

    def write(handle: int, content: Any) -> int:
        if handle > 2 and watch.is_ours(path := path_of(handle)):
            part = bytes(content)
            watch.act("write", path, half=lambda: real["write"](handle, part[: len(part) // 2]))
        return real["write"](handle, content)

    def fsync(handle: int) -> None:
        if watch.is_ours(path := path_of(handle)):
            watch.act("fsync", path)
            if watch.mode is None and os.path.isfile(path):
                with _open(path, "rb") as file:
                    watch.acts[-1].content = file.read()
        real["fsync"](handle)

    def fallocate(handle: int, *rest: Any) -> None:
        if watch.is_ours(path := path_of(handle)):
            watch.act("posix_fallocate", path)
        real["posix_fallocate"](handle, *rest)

    _open = io.open

    def opened(file: Any, mode: str = "r", buffering: int = -1, *rest: Any, **named: Any) -> Any:
        if isinstance(file, int) or not set(mode) & set("wax+") or not watch.is_ours(file):
            return _open(file, mode, buffering, *rest, **named)
        raw = _Raw(file, mode.replace("b", "").replace("t", ""))
        raw.watch = watch
        if buffering == 0:
            return raw
        buffered: Any = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        if "b" in mode:
            return buffered
        names = ("encoding", "errors", "newline")
        return io.TextIOWrapper(buffered, *rest, **{name: named[name] for name in names if name in named})

    def heard(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str | bytes | os.PathLike) and watch.is_ours(arguments[0]):
            writes = (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            if writes:
                new = not os.path.exists(arguments[0]) or bool(arguments[2] & os.O_TRUNC)
                watch.act("open" if new else "reopen", arguments[0])
            elif watch.reads:
                watch.act("read", arguments[0])
            elif watch.mode == "cut" and watch.count > watch.at >= 0:
                raise OSError(errno.EIO, os.strerror(errno.EIO), arguments[0])

    def wrap(name: str) -> None:
        original = getattr(os, name)

        def call(path: Any, *rest: Any, **named: Any) -> Any:
            if named.get("dir_fd") is not None or watch.is_ours(rest[0] if name == "symlink" else path):
                if name == "symlink":  # its own path comes second
                    watch.act(name, rest[0], path)
                elif name in ("replace", "rename"):
                    watch.act(name, path, os.path.abspath(os.fsdecode(rest[0])))
                else:
                    watch.act(name, path)
            return original(path, *rest, **named)

        setattr(os, name, call)

    os.write, os.fsync, os.posix_fallocate = write, fsync, fallocate  # type: ignore[assignment]
    io.open = builtins.open = opened  # type: ignore[assignment]
    for name in ("replace", "rename", "unlink", "remove", "rmdir", "mkdir", "symlink"):
        wrap(name)
    sys.addaudithook(heard)


def tree(root: Path) -> dict[str, bytes | str | None]:
    """What lies below `root`: path -> bytes of a file, target of a link, None of a folder."""
    found: dict[str, bytes | str | None] = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        found[name] = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
    return found

"""One writer a folder: others wait for it, or say who it is. What a dead one left half-written goes with its lock."""

from __future__ import annotations

import datetime
import errno
import glob
import json
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from soundprobe.base.errors import StoreError, one_line
from soundprobe.base.files import make_folder, parse_json, refused, remove_left_over
from soundprobe.base.lease import leased

LOCK, HOLDER = ".lock", ".holder"
READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)

held: list[str] = []
"""What this process is doing under its locks, the latest last."""


@contextmanager
def locked(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Holds `folder`, which is made where it is missing, for one writer, and clears it of what a dead one left.

    The copy of what is in a store is held there, too, and brought up to date.

    The lock ends with its process, however that ends. A folder that is there and can't be written is not held: what is
    finished in it can be used, and whoever writes there is told.

    Args:
        wait: until another writer is done, which is said; else that is an error.

    Raises:
        StoreError: another process is writing there, named by its number, its machine and since when; or `folder` can't
            be made.
    """
    with ExitStack() as stack:
        there = folder.is_dir()
        try:
            make_folder(folder)
            stack.enter_context(held_lock(folder / LOCK, f"writing {folder}", wait=wait))
            remove_leftovers(folder)
            stack.enter_context(leased(folder, wait=wait))
        except OSError as error:
            if not (there and error.errno in READ_ONLY):
                raise StoreError(refused(f"Can't write {folder}", error)) from error
        yield


@contextmanager
def held_lock(path: Path, doing: str, *, wait: bool) -> Iterator[None]:
    """Holds the lock file at `path`; beside it stands who does. What a dead holder left half-written is deleted.

    Args:
        doing: what its holder is, such as "writing x"; wait: see `locked`.

    Raises:
        StoreError: another process holds it. OSError: it can't be written.
    """
    lock, holder = FileLock(path), path.with_name(path.name + HOLDER)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        other = f"Another process is {doing}{_told(holder)}."
        if not wait:
            raise StoreError(f"{other} Wait for it, then run the command again: finished work is kept.") from None
        print(one_line(f"{other} Waiting for it ..."), file=sys.stderr, flush=True)
        lock.acquire()
    held.append(doing)
    try:
        for left in path.parent.glob(f".{glob.escape(path.name.removesuffix(LOCK))}*.tmp"):
            remove_left_over(left)
        since = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        with suppress(OSError):  # nobody needs it to write
            holder.write_text(json.dumps({"process": os.getpid(), "host": socket.gethostname(), "since": since}))
        yield
    finally:
        held.remove(doing)
        with suppress(OSError):
            holder.unlink()
        lock.release()


def _told(holder: Path) -> str:
    try:
        known = parse_json(holder.read_text(encoding="utf-8"))
        return f" (process {known['process']:d} on {known['host']}, since {known['since']})"
    except (OSError, ValueError, KeyError, TypeError):  # it has just begun, or is an older version's
        return ""


def remove_leftovers(folder: Path) -> None:
    """Deletes what a dead writer left under temporary names below, and a folder that was being taken away before this.

    Folders below with a lock of their own are their own writers'. Only the holder of the lock may call it.
    """
    for path in folder.glob("*/.*.tmp"):
        if not (path.parent / LOCK).exists():
            remove_left_over(path)
    shutil.rmtree(removed_path(folder), ignore_errors=True)


def removed_path(folder: Path) -> Path:
    """What `folder` is called while it is taken away."""
    return folder.with_name(f".{folder.name}.removed")

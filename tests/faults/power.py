"""Power loss: what a file system may leave of a recorded trace of acts, where nothing is durable before its fsync.

A file's bytes are those of its last fsync, or any others; a folder's entries are those of its last fsync and any of the
acts since, each whole, since a journal keeps an act whole but promises no order between folders.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from disk import Act


@dataclass(eq=False)
class File:
    durable: bytes | None = None
    """None: it was never made durable."""


@dataclass(eq=False)
class Link:
    target: str


@dataclass(eq=False)
class Folder:
    entries: dict[str, File | Link | Folder] = field(default_factory=dict)
    durable: dict[str, File | Link | Folder] = field(default_factory=dict)
    pending: list[dict[str, File | Link | Folder | None]] = field(default_factory=list)

    def change(self, changed: dict[str, File | Link | Folder | None]) -> None:
        self.pending.append(changed)
        _apply(self.entries, changed)

    def sync(self) -> None:
        self.durable, self.pending = dict(self.entries), []


def _apply(entries: dict[str, File | Link | Folder], changed: dict[str, File | Link | Folder | None]) -> None:
    for name, node in changed.items():
        if node is None:
            entries.pop(name, None)
        else:
            entries[name] = node


def of_disk(root: Path) -> Folder:
    """What lies below `root`, all of it durable."""
    folder = Folder()
    for path in root.iterdir():
        if path.is_symlink():
            folder.entries[path.name] = Link(os.readlink(path))
        else:
            folder.entries[path.name] = of_disk(path) if path.is_dir() else File(path.read_bytes())
    folder.sync()
    return folder


def replay(folder: Folder, root: str, acts: Sequence[Act]) -> None:
    """Does the acts to `folder`, which is what `root` was."""

    def parent(path: str) -> tuple[Folder, str]:
        *above, name = os.path.relpath(path, root).split(os.sep)
        place = folder
        for part in above:
            found = place.entries[part]
            if isinstance(found, Link):
                found = place.entries[found.target]
            assert isinstance(found, Folder)
            place = found
        return place, name

    for act in acts:
        if not act.path.startswith(root + os.sep):
            if act.name == "fsync" and act.path == root:
                folder.sync()
            continue
        try:
            place, name = parent(act.path)
        except KeyError:  # a name relative to an open folder, of a tree that is being taken away
            continue
        if act.name == "open":
            if not isinstance(place.entries.get(name), File):
                place.change({name: File()})
            else:
                place.entries[name].durable = None  # type: ignore[union-attr]
        elif act.name == "mkdir" and name not in place.entries:
            place.change({name: Folder()})
        elif act.name in ("unlink", "remove", "rmdir") and name in place.entries:
            place.change({name: None})
        elif act.name == "symlink":
            place.change({name: Link(act.other)})
        elif act.name in ("replace", "rename") and name in place.entries:
            there, other = parent(os.path.abspath(act.other))
            assert there is place, "a rename from folder to folder is two acts"
            place.change({name: None, other: place.entries[name]})
        elif act.name == "fsync":
            node = place.entries.get(name)
            if isinstance(node, Folder):
                node.sync()
            elif isinstance(node, File):
                node.durable = act.content


def write_state(folder: Folder, root: Path, draw: random.Random) -> None:
    """Writes one of the states that a power cut may leave of `folder` to `root`, which isn't there."""
    root.mkdir()
    entries = dict(folder.durable)
    share = draw.choice((0.0, 0.5, 1.0))
    for changed in folder.pending:
        if draw.random() < share:
            _apply(entries, changed)
    for name, node in entries.items():
        if isinstance(node, Folder):
            write_state(node, root / name, draw)
        elif isinstance(node, Link):
            (root / name).symlink_to(node.target)
        else:
            lost = draw.choice((b"", b"\0" * 100, b"half of what was wri"))
            (root / name).write_bytes(lost if node.durable is None else node.durable)

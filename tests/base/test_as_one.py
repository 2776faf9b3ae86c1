"""Files that change together."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from soundprobe.base.as_one import write_as_one

OLD, NEW = {"a.html": "old", "b.json": "old"}, {"a.html": "new", "b.json": "new", "c.md": "new"}


def seen(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.glob("[!.]*") if path.exists()}


def plain(folder: Path) -> None:
    """As an older version left them."""
    for name, text in OLD.items():
        (folder / name).write_text(text)


def linked(folder: Path) -> None:
    write_as_one(folder, "report", OLD)


def copied(folder: Path) -> None:
    write_as_one(folder / "first", "report", OLD)
    shutil.copytree(folder / "first", folder, dirs_exist_ok=True)
    shutil.rmtree(folder / "first")


@pytest.mark.parametrize("before", [plain, linked, copied])
def test_files_show_the_old_ones_or_the_new_ones_wherever_the_writer_stops(tmp_path, monkeypatch, before):
    steps, last = [0], [10**9]
    for name in ("replace", "symlink", "fsync"):
        real = getattr(os, name)

        def step(*args, real=real, **named):
            steps[0] += 1
            if steps[0] > last[0]:
                raise KeyboardInterrupt
            return real(*args, **named)

        monkeypatch.setattr(os, name, step)
    for stop in range(1, 100):
        folder = tmp_path / str(stop)
        folder.mkdir()
        last[0] = 10**9
        before(folder)
        steps[0], last[0] = 0, stop
        try:
            write_as_one(folder, "report", NEW)
        except KeyboardInterrupt:
            assert seen(folder) in (OLD, NEW), stop
            last[0] = 10**9
            write_as_one(folder, "report", NEW)
            ended = False
        else:
            ended = True
        assert seen(folder) == NEW
        assert not any((folder / name).is_symlink() for name in NEW)  # whoever moves one has it
        assert len(list(folder.glob(".report-*"))) == 1
        if ended:
            break
    assert 10 < stop < 99


def test_files_where_there_are_no_links_are_plain(tmp_path, monkeypatch):
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "symlink", refused)
    plain(tmp_path)
    write_as_one(tmp_path, "report", NEW)
    assert seen(tmp_path) == NEW
    assert not any(path.is_symlink() for path in tmp_path.iterdir())

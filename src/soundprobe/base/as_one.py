"""Several files that change as one: readers see those of the last time or all new ones, whenever they look.

While they change, each visible file is a link into the folder that one other link, the pointer, leads to; renaming a
new pointer over the old one changes them all. `report.html` leads to `.report/report.html`, and `.report` to
`.report-0123456789ab`. Before and after, they are plain files, which may be moved and sent.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from soundprobe.base.errors import StoreError
from soundprobe.base.files import atomic_file, digest_key, make_folder, refused, sync_folder, write_text


def write_as_one(folder: Path, name: str, texts: Mapping[str, str]) -> None:
    """Writes the texts to files of these names in `folder`, which change together. Only the folder's writer may.

    Where the system has no links (Windows, some drives), each file is whole and they change one after the other.

    Args:
        name: of the pointer, without its dot.

    Raises:
        StoreError: the folder can't be written.
    """
    try:
        make_folder(folder)
        made = folder / _folder_name(name, texts)
        for file, text in texts.items():
            write_text(made / file, text)
        pointer = folder / f".{name}"
        links = {folder / file: Path(pointer.name, file) for file in texts}
        try:
            if any(not _leads_to(path, target) for path, target in links.items()):
                _take_over(folder, name, links)
            _link(pointer, Path(made.name))
        except (NotImplementedError, PermissionError):  # of links; what can't be written at all has failed before
            made = folder
        for file, text in texts.items():
            write_text(folder / file, text)
        for other in folder.glob(f".{name}-*"):
            if other != made:
                shutil.rmtree(other, ignore_errors=True)
    except OSError as error:
        raise StoreError(refused(f"Can't write {folder}", error)) from error


def is_whole(made: Path, name: str) -> bool:
    """Whether the folder `made`, of `write_as_one` with this `name`, and the visible files are as they were written.

    Raises:
        OSError, ValueError: a file can't be read as text.
    """
    texts = {path.name: path.read_bytes().decode() for path in made.iterdir()}
    visible = ((made.parent / file, text) for file, text in texts.items())
    as_written = all(path.read_bytes() == text.encode() for path, text in visible if path.exists())
    return as_written and made.name == _folder_name(name, texts)


def _folder_name(name: str, texts: Mapping[str, str]) -> str:
    return f".{name}-{digest_key(dict(texts))}"


def _take_over(folder: Path, name: str, links: Mapping[Path, Path]) -> None:
    """Makes links of the visible files, each of which goes on showing what it does until the pointer changes."""
    before = next(path for n in itertools.count() if not (path := folder / f".{name}-before-{n}").exists())
    make_folder(before)
    for path in links:
        with suppress(FileNotFoundError):
            content = path.read_bytes()
            with atomic_file(before / path.name) as file:
                file.write(content)
    pointer = folder / f".{name}"
    if pointer.is_dir() and not pointer.is_symlink():  # a copy of a report, made by what follows links
        os.replace(pointer, before.with_name(f"{before.name}-copy"))
    _link(pointer, Path(before.name))
    for path, target in links.items():
        _link(path, target)


def _leads_to(path: Path, target: Path) -> bool:
    return path.is_symlink() and Path(os.readlink(path)) == target


def _link(path: Path, target: Path) -> None:
    """Makes `path` a link to `target` in one step, whatever it was."""
    if _leads_to(path, target):
        return
    temporary = path.with_name(f".{path.name.lstrip('.')}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    os.replace(temporary, path)
    sync_folder(path.parent)

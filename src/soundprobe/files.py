"""Writing files so that a crash never leaves half a one that looks whole."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from soundprobe.errors import StoreError


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`; at the end of the block it is flushed to disk and renamed to `path`.

    Readers see the old file or the new one, never a part. Where the block fails, nothing stays behind.

    Raises:
        StoreError: the folder can't be written (full, read-only, no permission).
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        raise StoreError(
            f"Can't write {path}: {error.strerror or error}. Free space there or choose another folder."
        ) from error
    finally:
        with suppress(OSError):  # gone already, or its folder never came to be
            temporary.unlink()


def sync_folder(folder: Path) -> None:
    """Makes a rename in `folder` survive a power cut, where the system can (not on Windows)."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes `content` as indented JSON, atomically. NaN is refused: it isn't JSON."""
    with atomic_path(path) as temporary:
        temporary.write_text(
            json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8"
        )


def read_json_of_format(path: Path, version: int) -> dict[str, Any] | None:
    """The object in the JSON file at `path`, or None where there is no file or its `format` is another version.

    Raises:
        StoreError: as `read_json`.
    """
    if not path.exists():
        return None
    content = read_json(path)
    return content if content.get("format") == version else None


def read_json(path: Path) -> dict[str, Any]:
    """The object in the JSON file at `path`.

    Raises:
        StoreError: there is no such file, or it isn't a JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StoreError(f"No file {path}.") from None
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{path} can't be read as JSON ({error}). Delete it and run the command that made it."
        ) from error
    if not isinstance(content, dict):
        raise StoreError(f"{path} holds {type(content).__name__} where a JSON object is needed.")
    return content

"""Files that carry a digest of themselves, so that damage to them shows when they are opened.

A file's metadata hold `MARK` and 32 hexadecimal digits: the XXH3 (128 bits) of all its bytes, with zeros in place of
these digits. So file and digest are put in place by one rename and can't disagree, whenever a writer is stopped, and a
file that is copied or moved takes its digest along. A JSON object has it as the field "digest", safetensors and
`torch.save` as that of a mapping in their metadata, Parquet as metadata of the schema. Where a format has no place for
it, the record beside the file names `digest_of` it.

XXH3 notices accidents, not forgery. benchmarks/digests.py measures what it costs.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar

import xxhash

from soundprobe.base.errors import DamagedError, StoreError, note
from soundprobe.base.remote import fetch, fetch_again

Read = TypeVar("Read")
MARK = "xxh3-128:"
ZEROS = "0" * 32
UNSIGNED = MARK + ZEROS
"""What a writer puts into a file's metadata; `sign` fills in the digits."""
FIELD = "digest"
HEAD = 4096
"""Bytes at a file's beginning in which the mark stands, but for Parquet, whose metadata are at its end."""
OF_PARQUET = b"soundprobe.digest\x18\x29"
"""What stands before the mark there: its key, and by Thrift's compact protocol that 41 bytes follow. Clips may be
called like a mark, and columns like the key too, but they stand before it."""
CHUNK = 1 << 20
_noted: set[str] = set()


def sign(path: Path) -> None:
    """Fills in the digest in the file at `path`, where it has a place for one. Nobody else may have it open."""
    with path.open("rb+") as file:
        at = _place(file, UNSIGNED)
        if at is not None:
            digest = _digest(file, None)
            file.seek(at + len(MARK))
            file.write(digest.encode())


def read_checked(path: Path) -> bytes:
    """The bytes of the file at `path`, which are those that were written.

    A file of an earlier version, without a digest, is read with a note.

    Raises:
        DamagedError: they are others. StoreError: there is no such file, or it can't be read now.
    """
    return _whole(path, _read)


def check_file(path: Path) -> None:
    """As `read_checked`, without keeping the bytes: for files that are too large for that, or are mapped."""
    _whole(path, _look)


def _whole(path: Path, read: Callable[[Path], Read]) -> Read:
    """What `read` gives, after a copy of what is in a store was fetched anew where it is damaged."""
    fetch(path)
    try:
        return read(path)
    except DamagedError:
        if not fetch_again(path):
            raise
    return read(path)


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise StoreError(f"No file {path}.") from None
    except OSError as error:
        raise StoreError(f"Can't read {path}: {error.strerror or error}.") from error
    _check(io.BytesIO(content), path)
    return content


def _look(path: Path) -> None:
    try:
        with path.open("rb") as file:
            _check(file, path)
    except FileNotFoundError:
        raise DamagedError(path, "it is gone") from None
    except OSError as error:
        raise StoreError(f"Can't read {path}: {error.strerror or error}.") from error


def _check(file: IO[bytes], path: Path) -> None:
    at = _place(file, MARK)
    if at is None:
        _note(path)
        return
    file.seek(at + len(MARK))
    told = file.read(len(ZEROS))
    if _digest(file, at + len(MARK)).encode() != told:
        raise DamagedError(path)


def is_signed(path: Path) -> bool:
    """Whether the file at `path` carries a digest, right or wrong. Raises OSError where it can't be read."""
    fetch(path)
    with path.open("rb") as file:
        return _place(file, MARK) is not None


def digest_of(path: Path) -> str:
    """The digest of all bytes at `path`, for a record that stands beside it. Raises OSError where it can't be read."""
    fetch(path)
    with path.open("rb") as file:
        return MARK + _digest(file, None)


def short_digest(content: bytes) -> str:
    """16 hexadecimal digits of `content`, for the end of a file's name."""
    return xxhash.xxh3_64_hexdigest(content)


def is_as_named(path: Path) -> bool:
    """Whether the file's name ends in the `short_digest` of its bytes. False also where it can't be read."""
    fetch(path)
    try:
        return path.stem.endswith("-" + short_digest(path.read_bytes()))
    except OSError:
        return False


def checked_metadata(content: dict[str, Any], path: Path) -> dict[str, Any]:
    """`content` of a file that was checked, without its digest.

    Raises:
        DamagedError: it has one that the check could not see.
    """
    content = dict(content)
    told = content.pop(FIELD, MARK)
    if not (isinstance(told, str) and told.startswith(MARK)):
        raise DamagedError(path)
    return content


def note_damage(error: DamagedError) -> None:
    """Says that what is damaged is being made again."""
    note(f"{error.path} is damaged: {error.why}. It is made again.")


def _place(file: IO[bytes], wanted: str) -> int | None:
    """Where `wanted` stands in the file: in its first bytes, or among the metadata of Parquet."""
    size = file.seek(0, os.SEEK_END)
    if size >= 12:
        file.seek(-8, os.SEEK_END)
        end = file.read(8)
        if end[4:] == b"PAR1":
            start = max(0, size - 8 - int.from_bytes(end[:4], "little"))
            file.seek(start)
            content = file.read()
            at = content.rfind(OF_PARQUET + wanted.encode())
            return _place_in(content, start, at if at < 0 else at + len(OF_PARQUET))
    file.seek(0)
    content = file.read(HEAD)
    return _place_in(content, 0, content.find(wanted.encode()))


def _place_in(content: bytes, start: int, at: int) -> int | None:
    return None if at < 0 or at + len(UNSIGNED) > len(content) else start + at


def _digest(file: IO[bytes], digits_at: int | None) -> str:
    """Of all of the file, its own digits at `digits_at` taken for zeros."""
    file.seek(0)
    digest = xxhash.xxh3_128()
    for start, chunk in _chunks(file):
        if digits_at is not None and start - len(ZEROS) < digits_at < start + len(chunk):
            for at in range(max(digits_at, start), min(digits_at + len(ZEROS), start + len(chunk))):
                chunk[at - start] = ord("0")
        digest.update(chunk)
    return digest.hexdigest()


def _chunks(file: IO[bytes]) -> Iterator[tuple[int, memoryview]]:
    buffer, start = bytearray(CHUNK), 0
    view = memoryview(buffer)
    while count := file.readinto(buffer):  # type: ignore[attr-defined]
        yield start, view[:count]
        start += count


def _note(path: Path) -> None:
    """Once in a process: thousands of files may be of an earlier version."""
    if not _noted:
        _noted.add(str(path))
        note(f"{path} is of an earlier version and has no digest, so damage to it, or to others like it, doesn't show.")

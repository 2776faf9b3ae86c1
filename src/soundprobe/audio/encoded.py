"""The encoded bytes of a clip: in memory, or of a large file where they lie, read as they are asked for.

Both are sliced, searched and joined alike, so that what looks at headers needn't know which it has.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
import stat
import struct
from collections.abc import Iterator
from functools import partial
from typing import Any, overload

from soundprobe.base.errors import AudioError, ClipReadError
from soundprobe.base.places import told, url_of
from soundprobe.base.records import EncodedAudio, Source
from soundprobe.base.remote import fetch, placed

MAX_BYTES = 32 * 1024**3
IN_MEMORY_BYTES = 64 * 1024**2
"""Smaller files are read at once. Of larger ones, this much is never held."""
SHORT_BYTES = 1024**2
"""Slices of a large file up to this are bytes; headers and Ogg's pages are far shorter."""
CHUNK_BYTES = 1024**2
WINDOW_BYTES = 64 * 1024
NOT_ZERO = re.compile(rb"[^\0]")


class _File:
    """An open file, read at any place, one window ahead. For one thread at a time."""

    def __init__(self, file: io.FileIO, name: str) -> None:
        self.file, self.name = file, name
        self.status = os.fstat(file.fileno())
        self._at, self._window = 0, b""

    def __del__(self) -> None:
        self.file.close()

    def read(self, at: int, size: int) -> bytes:
        """Bytes `at` to `at + size`, which all lie in the file as it was when it was opened.

        Raises:
            AudioError: the disk fails, or the file became shorter since.
        """
        begin = at - self._at
        if begin >= 0 and begin + size <= len(self._window):
            return self._window[begin : begin + size]
        wanted = max(size, min(WINDOW_BYTES, self.status.st_size - at))
        try:
            self.file.seek(at)
            parts, left = [], wanted
            while left and (part := self.file.read(left)):
                parts.append(part)
                left -= len(part)
        except OSError as error:
            raise unreadable(self.name, error) from error
        found = b"".join(parts)
        if len(found) < size:
            raise AudioError(self.name, "became shorter while it was read")
        if wanted <= WINDOW_BYTES:
            self._at, self._window = at, found
        return found[:size]

    def changed(self) -> bool:
        now, then = os.fstat(self.file.fileno()), self.status
        return (now.st_size, now.st_mtime_ns) != (then.st_size, then.st_mtime_ns)


_Piece = tuple[bytes | _File, int, int]
"""Bytes, or a file, and which of its bytes: from and to."""


class FileBytes:
    """Bytes that mostly lie in a file: of `bytes`, what decoding needs. Slices and sums copy nothing."""

    def __init__(self, pieces: list[_Piece]) -> None:
        self._pieces = pieces
        self._length = sum(end - start for _, start, end in pieces)

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> Any: ...  # bytes where it is short, as headers are
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, int):
            at = range(self._length)[index]
            return self.read(at, 1)[0]
        start, end, _ = index.indices(self._length)
        if end - start <= SHORT_BYTES:
            return self.read(start, end - start) if end > start else b""
        return FileBytes(self._cut(start, end))

    def __add__(self, other: Encoded) -> FileBytes:
        return FileBytes([*self._pieces, *_pieces(other)])

    def __radd__(self, other: bytes) -> FileBytes:
        return FileBytes([*_pieces(other), *self._pieces])

    def _cut(self, start: int, end: int) -> list[_Piece]:
        kept: list[_Piece] = []
        at = 0
        for content, first, last in self._pieces:
            low, high = max(start, at), min(end, at + last - first)
            if low < high:
                kept.append((content, first + low - at, first + high - at))
            at += last - first
        return kept

    def read(self, at: int, size: int) -> bytes:
        """At most `size` bytes from byte `at` on: fewer at the end only."""
        parts = [
            content[first:last] if isinstance(content, bytes) else content.read(first, last - first)
            for content, first, last in self._cut(at, min(at + size, self._length))
        ]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def find(self, wanted: bytes, start: int = 0, end: int | None = None) -> int:
        end = self._length if end is None else min(end, self._length)
        while start + len(wanted) <= end:
            chunk = self.read(start, min(CHUNK_BYTES, end - start))
            if (at := chunk.find(wanted)) != -1:
                return start + at
            start += max(1, len(chunk) - len(wanted) + 1)
        return -1

    def startswith(self, beginning: bytes | tuple[bytes, ...], start: int = 0) -> bool:
        longest = max(map(len, beginning)) if isinstance(beginning, tuple) else len(beginning)
        return self.read(start, longest).startswith(beginning)

    def changed(self) -> bool:
        """Whether a file is no longer as it was when it was opened."""
        return any(content.changed() for content, _, _ in self._pieces if isinstance(content, _File))


Encoded = bytes | FileBytes


def _pieces(content: Encoded) -> list[_Piece]:
    return content._pieces if isinstance(content, FileBytes) else [(content, 0, len(content))]


def joined(parts: list[Encoded]) -> Encoded:
    """`parts`, one after the other."""
    if all(isinstance(part, bytes) for part in parts):
        return b"".join(parts)  # type: ignore[arg-type]
    return FileBytes([piece for part in parts for piece in _pieces(part)])


class Reader(io.RawIOBase):
    """Encoded bytes as a file, for libsndfile and FFmpeg. `failed` is why something could not be read.

    They ask through C, where an exception would only be printed; and a damaged header that sends libsndfile before the
    beginning moves nothing.
    """

    def __init__(self, content: Encoded) -> None:
        self._content, self._at = content, 0
        self.failed: AudioError | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self._content)}[whence]
        if base + offset >= 0:
            self._at = base + offset
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        try:
            found = self._content[self._at : self._at + len(buffer)]
            found = found if isinstance(found, bytes) else found.read(0, len(found))
        except AudioError as error:
            self.failed = error
            return 0
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)


def source_name(source: Source) -> str:
    """How messages name a clip's source: its path or URL, or the name that it brings."""
    return source.name if isinstance(source, EncodedAudio) else told(os.fspath(source))


def from_anywhere(source: Source) -> Source:
    """The same source under the same name, for a process that runs in another folder, or with another cache."""
    if isinstance(source, EncodedAudio):
        return source
    read = partial(_open_placed, url_of(source) or os.path.abspath(source))
    return EncodedAudio(source_name(source), read)  # type: ignore[arg-type]  # large files stay where they are


def _open_placed(place: str) -> Encoded:
    return open_encoded(placed(place))


OF_THE_FILE = (errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL)
"""What the system says of a file itself, again and again; the rest may pass."""


def unreadable(name: str, error: Exception) -> AudioError:
    passing = isinstance(error, OSError) and error.errno not in (None, *OF_THE_FILE)
    kind = ClipReadError if passing else AudioError
    return kind(name, f"unreadable: {getattr(error, 'strerror', None) or error}")


def _open_at_once(path: str, flags: int) -> int:
    """What became a pipe in the meantime is not waited for."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def open_encoded(source: Source) -> Encoded:
    """The encoded bytes of a clip: those of a file above `IN_MEMORY_BYTES` stay where they are.

    Raises:
        AudioError: "missing file", "not a file", "larger than 32 GiB" or "unreadable: ..." (no permission); a
            ClipReadError where the system fails.
    """
    name = source_name(source)
    try:
        if isinstance(source, EncodedAudio):
            return source.read()
        fetch(source, clip=True)
        if not stat.S_ISREG(os.stat(source).st_mode):  # reading a pipe would wait for ever, and a device may act
            raise AudioError(name, "not a file")
        opened = _File(io.FileIO(os.fspath(source), opener=_open_at_once), name)
        if not stat.S_ISREG(opened.status.st_mode):
            raise AudioError(name, "not a file")
        size = opened.status.st_size
        if size > MAX_BYTES:
            raise AudioError(name, f"larger than {MAX_BYTES // 1024**3} GiB")
        return FileBytes([(opened, 0, size)]) if size > IN_MEMORY_BYTES else opened.file.readall()
    except FileNotFoundError:
        raise AudioError(name, "missing file") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the path
        raise unreadable(name, error) from error


def read_bytes(source: Source) -> bytes:
    """All encoded bytes of a clip.

    Raises:
        AudioError: as `open_encoded`.
    """
    content = open_encoded(source)
    return content if isinstance(content, bytes) else content.read(0, len(content))


def digest(content: Encoded) -> str:
    """The SHA-256 of the bytes, in hexadecimal digits."""
    found = hashlib.sha256()
    for chunk in chunks(content):
        found.update(chunk)
    return found.hexdigest()


def chunks(content: Encoded, at: int = 0, overlap: int = 0) -> Iterator[bytes]:
    """The bytes from `at` on, in pieces of at most `CHUNK_BYTES` and the `overlap` with the next."""
    if isinstance(content, bytes) and not overlap and at == 0:
        yield content
        return
    for start in range(at, len(content), CHUNK_BYTES):
        piece = content[start : start + CHUNK_BYTES + overlap]
        yield piece if isinstance(piece, bytes) else piece.read(0, len(piece))


def search(pattern: re.Pattern[bytes], content: Encoded, at: int, longest: int) -> Iterator[int]:
    """Where from byte `at` on `pattern` matches, which takes at most `longest` bytes."""
    if isinstance(content, bytes):
        for match in pattern.finditer(content, at):
            yield match.start()
        return
    start = at
    for chunk in chunks(content, at, longest - 1):
        for match in pattern.finditer(chunk):
            if match.start() < CHUNK_BYTES:
                yield start + match.start()
        start += CHUNK_BYTES


def after_zeros(content: Encoded, at: int) -> int:
    """The first byte from `at` on that is not zero, or the end."""
    return next(search(NOT_ZERO, content, at, 1), len(content))


def unpack(form: str, content: Encoded, at: int) -> tuple[Any, ...]:
    """`struct.unpack` of the bytes from `at` on."""
    return struct.unpack(form, content[at : at + struct.calcsize(form)])

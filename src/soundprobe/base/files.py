"""Files that a crash never leaves half-written, and the keys that name what a file was made from."""

from __future__ import annotations

import dataclasses
import errno
import glob
import hashlib
import io
import json
import math
import os
import platform
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from soundprobe.base import remote
from soundprobe.base.digests import FIELD, UNSIGNED, checked_metadata, read_checked, sign
from soundprobe.base.errors import HARMFUL_IN_LINES, DamagedError, StoreError, one_line
from soundprobe.base.places import told

if TYPE_CHECKING:
    import numpy as np

KEY_LENGTH = 12
BUFFER_BYTES = 1024**2
MOST_NESTED = 64
TOO_DEEP = f"nested more than {MOST_NESTED} deep"


LOST = (errno.EIO, errno.ENODEV, errno.ENXIO, errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTDOWN)
REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "Free space there or choose another folder"),
    **dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), "Make it writable or choose another folder"),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "Let more files be open at once (ulimit -n 1024)"),
    **dict.fromkeys(LOST, "See whether its drive is still there and well"),
}
"""What to do where the system refuses to read or write, by its number for that."""
KEPT = "What is finished is kept: the same command goes on from there."

LEFT_OVER = re.compile(r"\..+\.(\d+)\.tmp", re.DOTALL)
"""Names of temporary files, with their writer's number."""

being_written: set[Path] = set()
"""The temporary files and folders of this process."""


def refused(what: str, error: OSError) -> str:
    """The one line for what the system refused, such as "Can't write x".

    >>> refused("Can't write x", OSError(errno.ENOSPC, "No space left on device"))
    "Can't write x: No space left on device. Free space there or choose another folder. What is finished is kept: \
the same command goes on from there."
    """
    remedy = REMEDIES.get(error.errno or 0, "Choose another folder")
    return f"{what}: {error.strerror or error}. {remedy}. {KEPT}"


def refusal_in(error: BaseException | None) -> OSError | None:
    """What the system refused, where `error` comes of that, in whatever words a library tells it; else None."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in REMEDIES:
            return error
        if isinstance(error, OSError | ImportError | RuntimeError):
            for number in REMEDIES:
                if os.strerror(number) in str(error):
                    return OSError(number, os.strerror(number))
        error = error.__cause__ or error.__context__
    return None


class _Written(io.RawIOBase):
    """A new file that is written from its beginning.

    It keeps the first error: libraries that write through it tell of one in words of their own.
    """

    def __init__(self, path: Path) -> None:
        self.failed: OSError | None = None
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o666)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._handle

    def tell(self) -> int:
        return os.lseek(self._handle, 0, os.SEEK_CUR)

    def write(self, content: Any, /) -> int:
        try:
            return os.write(self._handle, content)
        except OSError as error:
            self.failed = self.failed or error
            raise

    def close(self) -> None:
        if not self.closed:
            super().close()
            os.close(self._handle)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`; at the end of the block it is signed, flushed to disk and renamed to `path`.

    Where `path` is the copy of an object in a store, that is written before it is renamed.

    Readers see the old file or the new one, never a part. Where the block fails, nothing stays behind. For libraries
    that write to a path alone; `atomic_file` is for all others.

    Raises:
        StoreError: the folder can't be written (full, read-only, no permission).
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        make_folder(path.parent)
        being_written.add(temporary)
        yield temporary
        sign(temporary)
        sync_file(temporary)
        remote.push(temporary, path)
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        raise StoreError(refused(f"Can't write {path}", error)) from error
    finally:
        with suppress(OSError):  # gone already, or its folder never came to be
            temporary.unlink()
        being_written.discard(temporary)


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write bytes to, which is at `path` once the block is over; else as `atomic_path`.

    Raises:
        StoreError: it can't be written, in whatever words the block tells of it.
    """
    with atomic_path(path) as temporary, closing(_Written(temporary)) as raw:
        try:
            with io.BufferedWriter(raw, BUFFER_BYTES) as file:
                yield file
        except Exception as error:
            if raw.failed is None or raw.failed is error:
                raise
            raise raw.failed from error


def remove_left_over(path: Path) -> None:
    """Deletes the temporary file or folder at `path`, if it is one of ours and its writer is gone.

    Raises:
        OSError: it can't be deleted.
    """
    found = LEFT_OVER.fullmatch(path.name)
    if found is None or path in being_written or lives(int(found[1])):
        return
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def remove_leftovers_of(files: Iterable[Path]) -> None:
    """Deletes what dead writers left of these files under temporary names, where no lock's next holder would.

    Raises:
        OSError: it can't be deleted.
    """
    wanted = set(files)
    for folder in {file.parent for file in wanted}:
        for left in folder.glob(".*.tmp"):
            if left.with_name(left.name[1:].rsplit(".", 2)[0]) in wanted:
                remove_left_over(left)


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder in the system's temporary one, which goes at the end of the block, or with the process; before that go
    those of dead processes of this machine: others may share the place, and say nothing of theirs by a number.
    """
    import tempfile

    prefix = f".soundprobe-{hashlib.sha256(platform.node().encode()).hexdigest()[:8]}-"
    for left in Path(tempfile.gettempdir()).glob(f"{prefix}*.tmp"):
        with suppress(OSError):  # another user's
            remove_left_over(left)
    folder = Path(tempfile.mkdtemp(prefix=prefix, suffix=f".{os.getpid()}.tmp"))
    being_written.add(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        being_written.discard(folder)


def lives(process: int) -> bool:
    """Whether it is another process of this machine. Windows, where asking is not safe, keeps open files by itself."""
    if process == os.getpid() or os.name == "nt":
        return False
    try:
        os.kill(process, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True


def write_text(path: Path, text: str) -> None:
    """Writes `text` as UTF-8 with its own line breaks, atomically."""
    with atomic_file(path) as file:
        file.write(told(text).encode("utf-8"))


def make_folder(folder: Path) -> None:
    """Makes `folder` and what is missing above it, so that a power cut leaves them."""
    missing, place = [], folder
    while not place.exists() and place != place.parent:
        missing.append(place)
        place = place.parent
    folder.mkdir(parents=True, exist_ok=True)
    for made in missing:
        sync_folder(made.parent)


def remove_file(path: Path) -> None:
    """Takes the file away, where there is one, before anything that is written after it."""
    remote.remove(path)
    with suppress(FileNotFoundError):
        path.unlink()
        sync_folder(path.parent)


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """A new folder beside `folder`, which takes its name at the end of the block; an older one there then goes.

    Readers see the old folder, the new one or, for a moment, none; never a part of one. Where the block fails, the old
    one stays, and nothing else.

    Raises:
        StoreError: it can't be written.
    """
    folder = folder.resolve()
    temporary, older = (folder.with_name(f".{folder.name}.{os.getpid()}.{which}") for which in ("tmp", "old"))
    try:
        _take_up(folder)
        make_folder(temporary)
        yield temporary
        for path in temporary.iterdir():
            sync_file(path)
        sync_folder(temporary)
        if folder.exists():
            os.replace(folder, older)
        os.replace(temporary, folder)
        sync_folder(folder.parent)
    except OSError as error:
        raise StoreError(refused(f"Can't write {folder}", error)) from error
    finally:
        if older.exists() and not folder.exists():
            os.replace(older, folder)
        for leftover in (temporary, older):
            shutil.rmtree(leftover, ignore_errors=True)


def _take_up(folder: Path) -> None:
    """Puts the older folder back where a writer was killed before the newer one took its name; clears what it left."""
    for left in folder.parent.glob(f".{glob.escape(folder.name)}.*"):
        found = re.fullmatch(rf"\.{re.escape(folder.name)}\.(\d+)\.(tmp|old)", left.name)
        if found is None or lives(int(found[1])):
            continue
        if found[2] == "old" and not folder.exists():
            os.replace(left, folder)
        else:
            shutil.rmtree(left, ignore_errors=True)


def check_room(folder: Path, needed_bytes: float) -> None:
    """Whether files of so many bytes can be written in `folder`, which need not be there yet.

    Raises:
        StoreError: it is no folder, is read-only, or its disk is too full.
    """
    if remote.is_url(folder):
        raise StoreError(f"Can't write {folder}: only --embeddings, --heads and --reports may be URLs. Name a folder.")
    place = folder.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        raise StoreError(f"Can't write {folder}: {place} is no folder. Choose another.")
    if not os.access(place, os.W_OK | os.X_OK):
        raise StoreError(f"Can't write {folder}: {place} is read-only. Choose another.")
    free_bytes = shutil.disk_usage(place).free
    if free_bytes < needed_bytes:
        raise StoreError(
            f"Can't write {folder}: about {needed_bytes / 1e6:.0f} MB are needed and {free_bytes / 1e6:.0f} MB free. "
            "Free space there or choose another folder."
        )


def size_of(folder: Path) -> int:
    """Bytes of all files in `folder` and below."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def sync_file(path: Path) -> None:
    """Makes the content of the file at `path` survive a power cut."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Makes a rename in `folder` survive a power cut, where the system can (not on Windows)."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems know no such thing
            raise
    finally:
        os.close(handle)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes `content` as indented JSON with a digest, atomically. NaN is refused: it isn't JSON."""
    write_text(path, json_text({FIELD: UNSIGNED, **content}))


def json_text(content: Mapping[str, Any]) -> str:
    """`content` as indented JSON, as it can be shown on a terminal: `HARMFUL_IN_LINES` are escaped."""
    text = told(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    return HARMFUL_IN_LINES.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def plain_json(value: Any) -> Any:
    """`value` of JSON's own types: records as objects, NumPy's arrays and numbers, paths as text.

    Null stands in place of what JSON has no number for.
    """
    if hasattr(value, "tolist"):
        value = value.tolist()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(name): plain_json(item) for name, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [plain_json(item) for item in value]
    return value


def read_json(path: Path) -> dict[str, Any]:
    """The object in the JSON file at `path`, without its digest.

    Raises:
        DamagedError: it isn't what was written, or isn't a JSON object. StoreError: there is no such file.
    """
    content = read_checked(path)
    try:
        return checked_metadata(parse_json(content.decode()), path)
    except ValueError as error:
        raise DamagedError(path, f"it is not a whole JSON object ({one_line(error)[:200]})") from error


def parse_json(text: str) -> dict[str, Any]:
    """The JSON object in `text`.

    Raises:
        ValueError: it is none, a key stands twice, or it is nested deeper than what is done with it can bear.
    """
    try:
        content = json.loads(text, object_pairs_hook=_unique)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    if not isinstance(content, dict):
        raise ValueError(f"{type(content).__name__} where an object is needed")
    level: list[Any] = [content]
    for _ in range(MOST_NESTED):
        level = [
            child
            for value in level
            for child in (value.values() if isinstance(value, dict) else value if isinstance(value, list) else ())
        ]
    if level:
        raise ValueError(TOO_DEEP)
    return content


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} stands twice")
        found[key] = value
    return found


def digest_key(content: Mapping[str, Any]) -> str:
    """The first 12 hexadecimal digits of the SHA-256 of `content` as canonical JSON.

    Equal content gives equal keys whatever the order of its fields; 48 bits keep the sets of one folder apart.
    """
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:KEY_LENGTH]


def leading_digits(sha256: Iterable[str]) -> np.ndarray:
    """(n,) uint64, sorted: the first 64 bits of hexadecimal digests, enough to know a file again; '' is left out."""
    import numpy as np  # here alone: it is most of what a command line imports

    return np.unique(np.array([int(one[:16], 16) for one in sha256 if one], dtype=np.uint64))


def printable(text: str) -> str:
    """`text` as UTF-8 can hold it: bytes of a path that are not UTF-8 become backslash escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def path_name(name: str) -> str:
    """`name` as one safe path component: letters, digits, '.', '_', '+' and '-'; anything else becomes '-'.

    >>> path_name("timm:resnet18"), path_name("../x y")
    ('timm-resnet18', 'x-y')
    """
    return re.sub(r"[^\w.+-]+", "-", name, flags=re.ASCII).strip(".-") or "unnamed"


def offline() -> str | None:
    """The name of the environment variable that forbids to use the network, or None."""
    for name in ("SOUNDPROBE_OFFLINE", "HF_HUB_OFFLINE"):
        if os.environ.get(name, "").strip().lower() not in ("", "0", "false", "no", "off"):
            return name
    return None

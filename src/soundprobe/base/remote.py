"""Sets, runs, reports and clips at URLs that fsspec knows (s3://, gs://, hf://, ...), by copies that all else works on.

Below `places.copies_folder()` lies a file for each object of a store that was looked at: as large and as old as the
object and empty (sparse) until somebody reads it, which `fetch` comes before; `index.sqlite` says which are here.
`files.atomic_path` puts what it writes into the store before it takes its name here, so a copy never has what the store
lacks, and records (JSON), which say that something is whole, only where the store still has what this machine knew of
them. docs/stores.md says what that is worth with each scheme.
"""

from __future__ import annotations

import errno
import os
import re
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from soundprobe.base.errors import HARMFUL, ConfigError, SoundprobeError, StoreError, note, one_line
from soundprobe.base.places import copies_folder, url_of

if TYPE_CHECKING:
    import sqlite3

URL = re.compile(r"(?!https?:)([a-z][a-z0-9+.-]+):/+(.*)", re.DOTALL)
"""Of a web server nothing can be listed. `Path` has made one slash of two."""
CREATES = ("s3", "s3a", "gs", "gcs", "memory")
"""Schemes whose stores can be told to write an object only where there is none."""
RECORD = ".json"
SCRATCH = "/inputs/inputs.json"
"""The record of a run's decoded clips, which stay with the machine that decoded them."""
FRESH_S = 10.0
"""A listing of so long ago is not asked for again but under a lock."""
AT_ONCE = 8
MOST_GB = 20.0
"""Of clips that were fetched; `SOUNDPROBE_CACHE_GB` says another number. The oldest make room for new ones ..."""
RECENT_S = 60.0
"""... but for those that somebody may just be about to open."""
SECRET = re.compile(
    r"(?i)((?:secret|token|signature|password|credential)[\w-]*[\"']?\s*[=:]\s*)[^\s&,;]+|(?<=//)[^/\s]+@"
)

BELOW = "FROM objects WHERE (url = ? OR (url > ? AND url < ?))"

lost: dict[str, str] = {}
"""Folders' URLs that this process must not write to any more, and why: see `lease`."""
_listed: dict[str, float] = {}


class OutdatedError(StoreError):
    """Another writer has changed the object at `url` since it was read."""

    def __init__(self, url: str) -> None:
        super().__init__(f"{url} was changed by another writer. Run the command again: finished work is kept.")


class DeniedError(StoreError):
    """The store lets itself be read at most."""


class _Object(NamedTuple):
    size: int
    token: str
    """Changes when the object does: its ETag, where it has one."""
    changed_s: float


def _is_table(name: str) -> bool:
    return name.endswith((RECORD, ".csv"))


def is_url(place: object) -> bool:
    return isinstance(place, str | os.PathLike) and URL.fullmatch(os.fspath(place)) is not None


def placed(place: str | os.PathLike[str]) -> Path:
    """Where the copy of what a URL names is on this machine; any other path as it is. Asks no store.

    Raises:
        ConfigError: the URL holds a password, or what no path of a file has.
    """
    found = URL.fullmatch(os.fspath(place))
    if found is None:
        return Path(place)
    scheme, rest = found.groups()
    if "@" in rest.partition("/")[0]:
        raise ConfigError(
            f"{scheme}://...: a URL here holds no user or password. Give them as the library of {scheme}:// takes them."
        )
    if scheme == "file":
        return Path(f"/{rest}" if os.name != "nt" else rest)
    parts = [part for part in rest.split("/") if part]
    if not parts or not all(_is_name(part) and not part.startswith(".") for part in parts):
        raise ConfigError(
            f"{scheme}://{rest} names no place in a store, or a hidden one. Give one such as {scheme}://bucket/folder."
        )
    return Path(copies_folder(), scheme, *parts)


def local(place: str | os.PathLike[str], now: Callable[[str], bool] = _is_table) -> Path:
    """`placed`, after its copy was brought up to date with the store: every object has its file here.

    Args:
        now: of which names the content is fetched now; of all others when it is read (`fetch`).

    Raises:
        StoreError: the store can't be read. ConfigError: as `placed`, or its library is not installed.
    """
    path = placed(place)
    if url_of(path) is not None:
        seen = max(_listed.get(str(one), -FRESH_S) for one in (path, *path.parents))
        if time.monotonic() - seen > FRESH_S:
            pull(path)
        _fetch_all(path, now)
    return path


Named = TypeVar("Named", bound=str | Path | None)


def local_if_url(named: Named) -> Named | Path:
    """`local` of a URL; what else may be named, such as a run by its name or a folder, as it is."""
    return local(named) if named is not None and is_url(named) else named


def pull(path: Path) -> None:
    """Brings the copy at `path` up to date; see `local`. Contents are fetched later."""
    url = url_of(path)
    assert url is not None, "of a copy"
    began, began_s = time.monotonic(), time.time()
    there = _listing(url)
    with asking(url), _index(write=True) as index:
        known = {row[0]: row[1:] for row in index.execute(f"SELECT url, token, at {BELOW}", _below(url))}
        for gone in known.keys() - there.keys():
            if known[gone][1] < began_s:
                with suppress(OSError):
                    placed(gone).unlink()
                index.execute("DELETE FROM objects WHERE url = ?", (gone,))
        left_out = [one for one, found in there.items() if not _lay_down(index, one, found, known.get(one), began_s)]
    if left_out:
        note(
            f"{len(left_out)} objects below {url} are left out, because a folder can't hold files of their names; the "
            f"first: {left_out[0]}"
        )
    _listed[str(path)] = began


def _fetch_all(path: Path, now: Callable[[str], bool]) -> None:
    with _index() as index:
        asked = index.execute(f"SELECT url {BELOW} AND here = 0", _below(url_of(path) or "")).fetchall()
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="fetch") as pool:
        list(pool.map(fetch, [placed(url) for (url,) in asked if now(url)]))


def fetch(path: str | os.PathLike[str], *, clip: bool = False) -> None:
    """Brings the content of the file at `path`, where that is a copy and not here yet.

    Args:
        clip: it may go again when `MOST_GB` are reached.

    Raises:
        StoreError: the store can't be read, or the object is not what it was when it was listed.
    """
    url = url_of(path)
    if url is None:
        return
    with _index() as index:
        row = index.execute("SELECT size, token, changed, here, used FROM objects WHERE url = ?", (url,)).fetchone()
    here = (row is None or row[3]) and os.path.exists(path)  # without a row it is of this machine alone
    if here and row and row[4] and time.time() - row[4] > RECENT_S:
        with _index(write=True) as index:
            index.execute("UPDATE objects SET used = ? WHERE url = ?", (time.time(), url))
            here = os.path.exists(path)
    if here:
        return
    from soundprobe.base.files import being_written, sync_file, sync_folder

    temporary = Path(copies_folder(), f".{uuid.uuid4().hex}.{os.getpid()}.tmp")
    being_written.add(temporary)
    with asking(url):
        try:
            system, name = _system(url)
            try:
                found = _Object(*row[:3]) if row else _object(system.info(name))
                system.get_file(name, str(temporary))
            except (FileNotFoundError, IsADirectoryError):  # whoever opens it says that it is missing
                Path(path).unlink(missing_ok=True)
                return
            if temporary.stat().st_size != found.size:
                raise OutdatedError(url)
            sync_file(temporary)
            os.utime(temporary, (found.changed_s, found.changed_s))
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            with _index(write=True) as index:
                os.replace(temporary, path)
                sync_folder(Path(path).parent)  # after a power cut the index may know more than the folder has
                _note(index, url, found, used=time.time() if clip else None)
                if clip:
                    _make_room(index)
        finally:
            temporary.unlink(missing_ok=True)
            being_written.discard(temporary)


def fetch_again(path: Path) -> bool:
    """Brings the content anew where the file at `path` is a copy, which was damaged here. False where it is none."""
    url = url_of(path)
    if url is None:
        return False
    with _index(write=True) as index:
        was_here = index.execute("UPDATE objects SET here = 0 WHERE url = ? AND here = 1", (url,)).rowcount
    if was_here:
        note(f"The copy of {url} in the cache is damaged. It is fetched again.")
        fetch(path)
    return bool(was_here)


def push(written: Path, path: Path) -> None:
    """Puts the file `written` into the store as what `path` is the copy of, if it is one, before it has that name.

    Raises:
        StoreError: the store can't be written, or another writer has its folder. OutdatedError: or has changed the
            record.
    """
    url = url_of(path)
    if url is None or "/." in url or url.endswith(SCRATCH):
        return
    for folder, why in list(lost.items()):
        if url.startswith(f"{folder}/"):
            raise StoreError(why)
    if path.suffix == RECORD:
        with _index() as index:
            row = index.execute("SELECT token FROM objects WHERE url = ?", (url,)).fetchone()
        put(url, written.read_bytes(), row and row[0])
    else:
        with asking(url, "write"):
            system, name = _system(url, write=True)
            system.put_file(str(written), name)
    with asking(url):
        system, name = _system(url)
        found = _object(system.info(name))
    with _index(write=True) as index:
        _note(index, url, found)


def remove(path: Path) -> None:
    """Takes what `path` is the copy of out of the store: an object, or all below; records first. Copies stay.

    Raises:
        StoreError: the store can't be written.
    """
    url = url_of(path)
    if url is None:
        return
    with asking(url, "write"):
        system, name = _system(url, write=True)
        below = system.find(name) if path.is_dir() else [name]
        for one in sorted(below, key=lambda one: not one.endswith(RECORD)):
            with suppress(FileNotFoundError):
                system.rm_file(one)
    with _index(write=True) as index:
        index.execute(f"DELETE {BELOW}", _below(url))


def get(url: str) -> tuple[bytes, str] | None:
    """The content and token of the object at `url`; None where there is none."""
    with asking(url):
        system, name = _system(url)
        try:
            token = _object(system.info(name)).token
            return system.cat_file(name), token
        except FileNotFoundError:
            return None


def put(url: str, content: bytes, token: str | None) -> str:
    """Writes the object at `url` if it is still the one of `token`, or there is none for None. Returns its new token.

    Raises:
        OutdatedError: it is another. StoreError: the store can't be written.
    """
    with asking(url, "write"):
        system, name = _system(url, write=True)
        try:
            if token is None:
                done = system.pipe_file(name, content, mode="create")
            elif url.startswith("s3"):
                done = system.pipe_file(name, content, IfMatch=token)
            elif _object(system.info(name)).token == token:
                done = system.pipe_file(name, content)
            else:
                raise FileExistsError
        except Exception as error:
            if not (isinstance(error, FileExistsError | FileNotFoundError) or "pre-condition" in str(error)):
                raise
            there = get(url)  # it may be ours: of a try whose answer was lost
            if there is None or there[0] != content:
                raise OutdatedError(url) from error
            return there[1]
        return str(done["ETag"]) if isinstance(done, dict) and "ETag" in done else _object(system.info(name)).token


@contextmanager
def asking(url: str, doing: str = "read") -> Iterator[None]:
    """Makes one line of whatever a library raises when it asks a store; what is secret in it is left out."""
    try:
        yield
    except SoundprobeError:
        raise
    except Exception as error:
        said = SECRET.sub(lambda found: f"{found[1] or ''}...", one_line(error))[:200].rstrip(".")
        denied = isinstance(error, PermissionError) or "redential" in type(error).__name__
        remedy = "See whether it is there and can be reached"
        if denied:
            remedy = "See which credentials its library finds, and what they allow"
        elif getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            remedy = "Its copy needs room in the cache: free some, or name another folder in SOUNDPROBE_CACHE"
        raise (DeniedError if denied else StoreError)(
            f"Can't {doing} {url}: {said}. {remedy}, then run the command again: finished work is kept."
        ) from error


def _system(url: str, *, write: bool = False) -> tuple[Any, str]:
    """The file system of `url`, and what that calls the object.

    Raises:
        ConfigError: its library is not installed, or nobody knows the scheme. DeniedError: it is only read here.
    """
    scheme = url.partition(":")[0]
    if write and scheme not in CREATES:
        raise DeniedError(
            f"{url}: {scheme}:// is only read, since two writers there could not be told apart. Write to a folder or "
            "to s3://, gs:// or memory://."
        )
    import fsspec

    try:
        system = fsspec.filesystem(scheme, use_listings_cache=False)
    except ImportError as error:
        with_extra = "pip install 'soundprobe[remote]'" if scheme in ("s3", "s3a") else one_line(error)
        raise ConfigError(f"{scheme}:// needs a library that is not installed: {with_extra}.") from error
    except ValueError as error:
        raise ConfigError(f"{url}: {one_line(error)}.") from error
    return system, system._strip_protocol(url)


def _listing(url: str) -> dict[str, _Object]:
    """What is at `url` and below, by its URL; nothing that is hidden."""
    with asking(url):
        system, base = _system(url)
        found = system.find(base, detail=True)
        named = {f"{url}{name[len(base) :]}": info for name, info in found.items() if not name.endswith("/")}
        return {
            one: _object(info)
            for one, info in named.items()
            if info["type"] == "file" and not any(part.startswith(".") for part in one[len(url) :].split("/"))
        }


def _object(info: dict[str, Any]) -> _Object:
    known = ("ETag", "etag", "generation", "blob_id", "created", "mtime", "LastModified", "last_modified")
    token = next((str(info[name]) for name in known if info.get(name) is not None), "")
    changed = next((info[name] for name in ("LastModified", "updated", "created", "mtime") if info.get(name)), 0.0)
    if hasattr(changed, "timestamp"):
        changed = changed.timestamp()
    return _Object(int(info["size"]), token, changed if isinstance(changed, int | float) else 0.0)


def _is_name(part: str) -> bool:
    """Whether a file can be called so, in its folder."""
    return (
        part not in ("", ".", "..") and not HARMFUL.search(part) and len(os.fsencode(part)) < 256 and "\\" not in part
    )


def _lay_down(
    index: sqlite3.Connection, url: str, found: _Object, known: tuple[str, float] | None, now_s: float
) -> bool:
    """Makes the empty file of an object that is new, another, or whose file is gone. False where no file can be it."""
    if not all(map(_is_name, url.partition("://")[2].split("/"))):
        return False
    path = placed(url)
    if known is not None and (known[1] >= now_s or (known[0] == found.token and path.exists())):
        return True
    temporary = Path(copies_folder(), f".laid.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.truncate(found.size)
        os.utime(temporary, (found.changed_s, found.changed_s))
        os.replace(temporary, path)
    except (FileExistsError, NotADirectoryError, IsADirectoryError):  # one object is called as a folder of others
        return False
    _note(index, url, found, here=False, at=now_s)
    return True


def _most_bytes() -> float:
    """Raises ConfigError where the variable says no size."""
    asked = os.environ.get("SOUNDPROBE_CACHE_GB") or str(MOST_GB)
    with suppress(ValueError):
        if (size := float(asked)) > 0:
            return 1e9 * size
    raise ConfigError(f"SOUNDPROBE_CACHE_GB={asked} is not valid: give GB above 0, such as {MOST_GB:g}.")


def _make_room(index: sqlite3.Connection) -> None:
    """Takes the oldest fetched clips away where there are more than `MOST_GB`."""
    most = _most_bytes()
    (taken,) = index.execute("SELECT total(size) FROM objects WHERE used IS NOT NULL AND here = 1").fetchone()
    if taken <= most:
        return
    oldest = index.execute(
        "SELECT url, size FROM objects WHERE here = 1 AND used < ? ORDER BY used", (time.time() - RECENT_S,)
    ).fetchall()
    for url, size in oldest:
        if taken <= 0.9 * most:
            break
        placed(url).unlink(missing_ok=True)
        index.execute("UPDATE objects SET here = 0 WHERE url = ?", (url,))
        taken -= size


def _below(url: str) -> tuple[str, str, str]:
    """What `BELOW` asks for: the object at `url`, and those between "url/" and "url0"."""
    return url, f"{url}/", f"{url}0"


def _note(
    index: sqlite3.Connection,
    url: str,
    found: _Object,
    *,
    here: bool = True,
    used: float | None = None,
    at: float = 0.0,
) -> None:
    index.execute(
        "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?, ?, ?)", (url, *found, here, used, at or time.time())
    )


@lru_cache
def _clear(root: str) -> None:
    """Takes away what dead processes were fetching, once a process."""
    from soundprobe.base.files import remove_left_over

    for left in Path(root).glob(".*.tmp"):
        with suppress(OSError):
            remove_left_over(left)


@contextmanager
def _index(*, write: bool = False) -> Iterator[sqlite3.Connection]:
    """What is known of each `_Object`; whether its content is here, when it was last used as a clip, and when all that
    was noted. With `write` nobody else changes it, nor the copies, in between.

    Raises:
        StoreError: it can't be written, or is damaged.
    """
    import sqlite3

    file = os.path.join(copies_folder(), "index.sqlite")
    os.makedirs(copies_folder(), exist_ok=True)
    _clear(copies_folder())
    try:
        with closing(sqlite3.connect(file, timeout=600, isolation_level=None)) as index:
            index.execute("PRAGMA synchronous = OFF")  # it can be made again
            index.execute(
                "CREATE TABLE IF NOT EXISTS objects "
                "(url TEXT PRIMARY KEY, size INT, token TEXT, changed REAL, here INT, used REAL, at REAL)"
            )
            index.execute("BEGIN IMMEDIATE" if write else "BEGIN")
            yield index  # an error leaves without a commit
            index.execute("COMMIT")
    except sqlite3.Error as error:
        raise StoreError(
            f"Can't use {file}: {error}. See that it can be written, or delete its folder, which holds copies alone."
        ) from error

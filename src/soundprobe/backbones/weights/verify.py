"""Find, download and verify pretrained weights; `state_dicts.py` reads them.

A file counts only when its sha256 is the expected one: the digest in the catalogue, or, for a file pinned by its
revision on the Hugging Face Hub, the digest that the Hub states for that revision. The latter is written to
`<name>.sha256` beside the file, and every later use is checked against it.

The digest is computed at every use rather than remembered with the file's size and time: 330 MB take 0.2 to 1 s,
against minutes of extraction, and a remembered time would pass a file that rotted or was replaced by `cp -p`.

Importing this module imports neither torch nor an HTTP client.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from soundprobe.base.errors import StoreError, WeightsError, note
from soundprobe.base.files import make_folder, offline, sync_file, sync_folder, write_text
from soundprobe.base.locks import HOLDER, held_lock
from soundprobe.base.places import cache_folder
from soundprobe.base.remote import fetch as fetch_copy

HUB = "https://huggingface.co"
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class WeightFile:
    """A file of pretrained weights and what proves that it is the right one.

    Attributes:
        filename: a bare name, without folders; its ending says how it is read (`load_state_dict`).
        url: where it is fetched from. `HF_ENDPOINT` replaces https://huggingface.co.
        sha256: of the file's bytes, 64 hexadecimal digits; None where `revision` pins the file.
        size_bytes: of the file, where it is known; size_mb: about, where only that is.
        revision: the commit on the Hub, which must stand in `url`.
        licence: of the weights.
        note: what a user should know before using them.

    Raises:
        WeightsError: the file is pinned by neither digest nor revision, or the name has a folder in it.
    """

    filename: str
    url: str
    sha256: str | None = None
    size_bytes: int | None = None
    size_mb: int | None = None
    revision: str | None = None
    licence: str = ""
    note: str = ""

    @property
    def size(self) -> str:
        """In words, such as "4 MB"; empty where it isn't known."""
        megabytes = self.size_mb if self.size_bytes is None else round(self.size_bytes / 1e6)
        return "" if megabytes is None else f"{megabytes} MB"

    def __post_init__(self) -> None:
        if not self.filename or Path(self.filename).name != self.filename:
            raise WeightsError(f"Weight file name {self.filename!r} must be a bare name, without a folder.")
        if self.sha256 is not None:
            object.__setattr__(self, "sha256", self.sha256.lower())
            if not SHA256.fullmatch(self.sha256.lower()):
                raise WeightsError(f"{self.filename}: sha256 {self.sha256!r} is not 64 hexadecimal digits.")
        elif not self.revision:
            raise WeightsError(f"{self.filename} is pinned by nothing: give its sha256, or the Hub's revision.")
        elif self.revision not in self.url:
            raise WeightsError(f"{self.filename}: revision {self.revision!r} does not stand in its URL {self.url}.")


def location(file: WeightFile) -> Path:
    """Where `file` lies in the cache once it is fetched or put there by hand. Two revisions never share a path."""
    return cache_folder() / "weights" / f"{(file.sha256 or file.revision or '')[:16]}-{file.filename}"


def is_cached(file: WeightFile) -> bool:
    """Whether a file of the right size lies at `location(file)`. Quick; `fetch` is what verifies its bytes."""
    try:
        size = location(file).stat().st_size
    except OSError:
        return False
    return file.size_bytes in (None, size)


def known_digest(file: WeightFile) -> str | None:
    """The sha256 that `file` must have: the catalogue's, else that written beside it, else None (not yet asked for).

    Raises:
        WeightsError: the digest beside the file is unreadable.
    """
    if file.sha256 is not None:
        return file.sha256
    beside = digest_path(file)
    try:
        digest = beside.read_text(encoding="ascii").split()[0].lower()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, IndexError) as error:
        raise WeightsError(f"Can't read a digest from {beside} ({error}). Delete that file and run again.") from error
    if not SHA256.fullmatch(digest):
        raise WeightsError(f"{beside} holds {digest[:80]!r}, which is no sha256. Delete that file and run again.")
    return digest


def digest_path(file: WeightFile) -> Path:
    """Where the verified digest of a file pinned by revision is written, in the format of `sha256sum`."""
    path = location(file)
    return path.with_name(path.name + ".sha256")


def resolved_url(file: WeightFile) -> str:
    """The file's URL, at the mirror that `HF_ENDPOINT` names where it is on the Hub."""
    mirror = os.environ.get("HF_ENDPOINT", "").rstrip("/")
    if mirror and file.url.startswith(HUB + "/"):
        return mirror + file.url[len(HUB) :]
    return file.url


def fetch(file: WeightFile, *, progress: bool = True) -> Path:
    """The path of the verified file, downloaded first where it is not in the cache.

    A download resumes where an earlier one stopped, is checked before it takes its name, and takes it in one step.
    Two processes at once: the second waits, and finds the file. One that was fetched before and is damaged is fetched
    again; a file put there by hand is checked too, and never deleted.

    Args:
        file: what to fetch.
        progress: show a bar on stderr.

    Raises:
        WeightsError: in one line with the URL, the expected digest and the path at which to put the file by hand: no
            connection, an answer other than the file, a wrong digest, no room on the disk; or `SOUNDPROBE_OFFLINE`
            or `HF_HUB_OFFLINE` is set and the file is missing.
    """
    path = location(file)
    there = _present(file, path)
    if there is not None and not _left_over(path):
        return there
    if there is None and offline():
        _refuse(file, f"not in the cache, and {offline()} forbids to fetch it")
    try:
        make_folder(path.parent)
        with held_lock(path.with_name(path.name + ".lock"), f"fetching {file.filename}", wait=True):
            if (there := _present(file, path)) is not None:
                from soundprobe.backbones.weights.download import remove_partial

                part = path.with_name(path.name + ".part")  # of a download that was stopped at its last steps
                if part.with_name(part.name + ".from").exists() and not part.exists():
                    _mark_fetched(file, path)
                remove_partial(part)
                return there
            if path.exists():
                note(f"{path} is damaged. It is fetched again.")
                digest_path(file).unlink(missing_ok=True)
            _download(file, path, progress)
    except OSError as error:
        if there is not None:  # a cache that can't be written is as good
            return there
        _refuse(file, f"can't write to the cache ({error.strerror or error})")
    return path


def sha256_of(path: Path) -> str:
    """The sha256 of the file's bytes, 64 lower-case hexadecimal digits. Raises WeightsError if it can't be read."""
    fetch_copy(path)
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"Can't read {path}: {error.strerror or error}.") from error


def _left_over(path: Path) -> bool:
    """Whether a download was stopped between its last steps, or is at them."""
    return any(path.with_name(path.name + ending).exists() for ending in (".part", ".part.from", ".lock" + HOLDER))


def fetched_mark(file: WeightFile) -> Path:
    """What stands beside a file that was fetched, with its time of change. One put there later has another."""
    path = location(file)
    return path.with_name(path.name + ".fetched")


def was_fetched(file: WeightFile) -> bool:
    """Whether the file in the cache is as it was fetched, but for damage, and not one that the user put there."""
    try:
        return fetched_mark(file).stat().st_mtime_ns == location(file).stat().st_mtime_ns
    except OSError:
        return False


def _present(file: WeightFile, path: Path) -> Path | None:
    """`path`, after its bytes were checked; None where it is to be fetched: it isn't there, or was and is damaged.

    Raises:
        WeightsError: it is not the right file, and is the user's or can't be fetched now.
    """
    if not path.exists():
        return None
    ours = was_fetched(file) and not offline()
    found = sha256_of(path)
    try:
        expected = known_digest(file)
    except WeightsError:
        if ours:
            return None
        raise
    if ours and expected not in (None, found):
        return None
    if expected is None:
        if offline():
            _refuse(file, f"{path} can't be verified, because {offline()} forbids to ask for its digest", found)
        expected = _ask_digest(file, found)
        if expected == found:
            _write_digest(file, found)
    if expected != found:
        _refuse(
            file, f"{path} ({path.stat().st_size} bytes) is not the right file; delete or replace it", found, expected
        )
    return path


def _ask_digest(file: WeightFile, found: str) -> str:
    from soundprobe.backbones.weights.download import DownloadError, ask_digest

    try:
        expected = ask_digest(resolved_url(file))
    except DownloadError as error:
        _refuse(file, f"{location(file)} can't be verified: {error}", found)
    if expected is None:
        _refuse(file, f"{location(file)} can't be verified: the server states no sha256", found)
    return expected


def _download(file: WeightFile, path: Path, progress: bool) -> None:
    """Fetch into `<name>.part`, verify, and rename. The digest of a file pinned by revision is written before that."""
    from soundprobe.backbones.weights.download import DownloadError, download, remove_partial

    part = path.with_name(path.name + ".part")
    expected, resumed = known_digest(file), part.exists()
    try:
        stated = download(
            resolved_url(file),
            part,
            label=file.filename,
            size_bytes=file.size_bytes,
            digest_known=expected is not None,
            progress=progress,
            **({"most_bytes": 2_000_000 * file.size_mb} if file.size_mb else {}),
        )
    except DownloadError as error:
        _refuse(file, str(error))
    expected = expected or stated
    found = sha256_of(part)
    if found != expected:
        size = part.stat().st_size
        remove_partial(part)
        if resumed:  # a power cut leaves a file of the right length with other bytes in it
            _download(file, path, progress)
            return
        if expected is None:
            _refuse(file, "the server states no sha256, so what it sent can't be verified and was removed", found)
        _refuse(file, f"the download ({size} bytes) has the wrong digest and was removed", found, expected)
    if file.sha256 is None:
        _write_digest(file, found)
    sync_file(part)
    sync_folder(path.parent)  # what is noted of it is there as long as its mark isn't
    os.replace(part, path)
    sync_folder(path.parent)
    _mark_fetched(file, path)
    remove_partial(part)


def _mark_fetched(file: WeightFile, path: Path) -> None:
    mark, changed_ns = fetched_mark(file), path.stat().st_mtime_ns
    _write_beside(mark, resolved_url(file))
    os.utime(mark, ns=(changed_ns, changed_ns))
    sync_file(mark)


def _write_digest(file: WeightFile, digest: str) -> None:
    _write_beside(digest_path(file), f"{digest}  {location(file).name}")


def _write_beside(path: Path, line: str) -> None:
    try:
        write_text(path, f"{line}\n")
    except StoreError as error:
        raise WeightsError(str(error)) from error


def _refuse(file: WeightFile, reason: str, found: str | None = None, expected: str | None = None) -> NoReturn:
    """The one line that every failure to get a file ends with: why, the URL, the digest, the path."""
    wanted = expected or file.sha256
    digest = f"sha256 {wanted}" if wanted else f"the sha256 that the Hub shows for revision {file.revision}"
    by_hand = f"put the file at {location(file)}" + ("" if wanted else f" and its sha256 in {digest_path(file)}")
    raise WeightsError(
        f"{file.filename}: {reason}. URL: {resolved_url(file)} ; expected: {digest}"
        + (f" ; found: sha256 {found}" if found else "")
        + f" ; to provide it by hand, {by_hand}, or name it with --weights FILE"
    )

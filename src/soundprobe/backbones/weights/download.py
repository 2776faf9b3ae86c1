"""Fetch one URL into a file over HTTP, going on from what an earlier try left.

A partial file `part` has `part.from` beside it: the URL and the server's validator (strong ETag, else Last-Modified)
of the bytes already there. The next try sends them as `Range` and `If-Range` (RFC 9110, sections 13.1.5 and 14.2),
so that a file that changed on the server is fetched from its beginning and never spliced.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import httpx
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from soundprobe.base.clean_terminal import Terminal
from soundprobe.base.errors import SoundprobeError, one_line
from soundprobe.base.files import parse_json
from soundprobe.base.progress import Bars, Lines

TIMEOUT = httpx.Timeout(60.0, connect=10.0)
RETRY_WAITS_S = (0.5, 2.0, 5.0)
"""Pauses before another try. They start again whenever a try brought new bytes."""
LONGEST_WAIT_S = 60.0
"""The most that a server's Retry-After is obeyed for."""
MOST_BYTES = 16 * 1024**3
"""Of a file whose size is not known beforehand."""
LEAST_BYTES_PER_S = 1_000
SLOW_S = 60.0
"""A download that stays slower than that for so long is given up; the next run goes on from what is there."""
TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
WHOLE_NUMBER = re.compile(r"[0-9]{1,18}")
LOOPBACK = ("localhost", "127.0.0.1", "::1")
MOST_REDIRECTS = 10

Show = Callable[[int, int | None], None]
"""Called with the bytes there are and, where the server says so, the bytes there will be."""


class DownloadError(SoundprobeError):
    """The file could not be fetched. The message is a short reason, without the URL."""


class _TooMuchError(DownloadError):
    """The server sends more than there may be; the partial file was removed."""


class _SplicedError(Exception):
    """The server's bytes don't continue those in the partial file, which was removed."""


def open_client(url: str) -> httpx.Client:
    """A client for `url`. A server on this machine is not asked through the proxy that the environment names."""
    try:
        local = httpx.URL(url).host in LOOPBACK
        # identity: a Range counts bytes of what is sent, which must be the file itself
        headers = {"Accept-Encoding": "identity", "User-Agent": "soundprobe"}
        return httpx.Client(timeout=TIMEOUT, headers=headers, trust_env=not local, max_redirects=MOST_REDIRECTS)
    except (httpx.InvalidURL, ValueError, ImportError) as error:  # the last two: a proxy of an unknown kind
        raise DownloadError(f"the URL or the proxy setting is not valid ({one_line(error)[:200]})") from error


def stated_digest(response: httpx.Response) -> str | None:
    """The sha256 that the Hugging Face Hub states for a large file, or None.

    It stands in `X-Linked-Etag`, or in `ETag`, of the answer to the URL that was asked for. Where that redirects to a
    store, the store's own ETag is another digest (an MD5, or Xet's Merkle hash) and is not looked at.
    """
    first = response.history[0] if response.history else response
    for header in ("x-linked-etag", "etag"):
        digest = first.headers.get(header, "").removeprefix("W/").strip('"').lower()
        if re.fullmatch(r"[0-9a-f]{64}", digest):
            return str(digest)
    return None


def ask_digest(url: str) -> str | None:
    """The sha256 that the server states for `url`, without fetching it; None where it states none.

    Raises:
        DownloadError: the server can't be reached, or refuses.
    """
    try:
        with open_client(url) as client:
            response = client.head(url)
            for _ in range(MOST_REDIRECTS):  # a renamed repository redirects within the Hub before it states anything
                digest = stated_digest(response)
                if digest is not None:
                    return digest
                if response.next_request is None:
                    break
                response = client.send(response.next_request)
            response.raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise DownloadError(_reason(error)) from error
    return None


def download(
    url: str,
    part: Path,
    *,
    label: str,
    size_bytes: int | None,
    digest_known: bool,
    progress: bool,
    most_bytes: int = MOST_BYTES,
) -> str | None:
    """Fetch the whole of `url` into `part`, going on from the bytes that are there.

    Args:
        url: http or https; redirects are followed.
        part: the partial file; its folder exists. After an error it stays, so that the next call resumes.
        label: what the progress bar calls it.
        size_bytes: the whole file's size, where it is known; a server with a file of another size is refused.
        most_bytes: else no more than that is fetched, whatever the server says.
        digest_known: the caller will check the bytes against a digest that it had beforehand, so that a resume which
            no validator guards is safe.
        progress: show a bar on stderr.

    Returns:
        The sha256 that the server states (`stated_digest`), or None.

    Raises:
        DownloadError: no connection, an answer other than the file, more bytes than there may be, too many
            interruptions, less than `LEAST_BYTES_PER_S` for `SLOW_S`, no room on the disk.
    """
    waits = iter(RETRY_WAITS_S)
    begun = False
    with open_client(url) as client, _progress_bar(progress) as bar:
        task = bar.add_task(label, total=size_bytes)
        lines = Lines(f"fetch {label}", 0, "MB") if progress and bar.disable else None

        def show(done: int, total: int | None) -> None:
            bar.update(task, completed=done, total=total)
            if lines is not None:
                lines.total = (total or done) / 1e6
                lines.reach(done / 1e6)

        while True:
            before = _size(part)
            try:
                return _try_once(client, url, part, size_bytes, most_bytes, digest_known, show)
            except (httpx.HTTPError, httpx.InvalidURL, _SplicedError, OSError) as error:
                if _size(part) > before:
                    begun, waits = True, iter(RETRY_WAITS_S)
                wait_s = next(waits, None)
                if wait_s is None or not _may_pass(error, begun):
                    raise DownloadError(_reason(error)) from error
                time.sleep(max(wait_s, _retry_after_s(error)))


def remove_partial(part: Path) -> None:
    """Remove a partial file and what is noted of it, in the order that leaves no wrong note after a crash."""
    _note_path(part).unlink(missing_ok=True)
    part.unlink(missing_ok=True)


def _try_once(
    client: httpx.Client,
    url: str,
    part: Path,
    size_bytes: int | None,
    most_bytes: int,
    digest_known: bool,
    show: Show,
) -> str | None:
    """One request. Returns the stated digest when `part` is whole; raises httpx's errors, OSError or _SplicedError."""
    offset, validator = _left_over(part, url, digest_known)
    headers = {"Range": f"bytes={offset}-"} if offset else {}
    if offset and validator:
        headers["If-Range"] = validator
    with client.stream("GET", url, headers=headers, follow_redirects=True) as response:
        if offset and response.status_code in (206, 416):
            if not _continues(response, offset, validator):
                remove_partial(part)
                raise _SplicedError
            if response.status_code == 416:  # all of it was there already
                return stated_digest(response)
        else:
            offset = 0
            response.raise_for_status()
            if response.status_code != 200:
                raise DownloadError(f"the server answered {response.status_code} instead of the file")
        length = response.headers.get("content-length", "")
        total = offset + int(length) if WHOLE_NUMBER.fullmatch(length) else None
        if size_bytes is not None and total not in (None, size_bytes):
            raise DownloadError(f"the server's file has {total} bytes where {size_bytes} are expected")
        most = most_bytes if size_bytes is None else size_bytes
        if (total or 0) > most:
            raise DownloadError(f"the server's file has {total} bytes, and no more than {most} are fetched")
        if not offset:
            remove_partial(part)
            _note_path(part).write_text(json.dumps({"url": url, "validator": _validator(response)}))
        try:
            _append(response, part, offset, total, most, show)
        except _TooMuchError:
            remove_partial(part)
            raise
        if size_bytes is not None and _size(part) < size_bytes:  # an answer that states no length may end anywhere
            raise httpx.RemoteProtocolError(f"the answer ended after {_size(part)} of {size_bytes} bytes")
        return stated_digest(response)


def _append(response: httpx.Response, part: Path, offset: int, total: int | None, most: int, show: Show) -> None:
    show(offset, total)
    began, had = time.monotonic(), offset
    with part.open("ab") as stream:
        for chunk in response.iter_raw():  # as they come: a chunk size would hold bytes back, and lose them in a break
            offset += len(chunk)
            if offset > most:
                raise _TooMuchError(f"the server sends more than the {most} bytes that there may be")
            stream.write(chunk)
            show(offset, total)
            if (passed_s := time.monotonic() - began) >= SLOW_S:
                if offset - had < LEAST_BYTES_PER_S * passed_s:
                    raise DownloadError(f"slower than {LEAST_BYTES_PER_S} bytes a second for {passed_s:.0f} s")
                began, had = time.monotonic(), offset


def _left_over(part: Path, url: str, digest_known: bool) -> tuple[int, str | None]:
    """How many bytes of `part` the next try may go on from, and the validator that they came with."""
    try:
        note = parse_json(_note_path(part).read_text())
        noted_url, validator = note["url"], note["validator"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):  # no note, or a crash cut it short
        return 0, None
    if noted_url != url or not (validator or digest_known):
        return 0, None
    return _size(part), validator


def _continues(response: httpx.Response, offset: int, validator: str | None) -> bool:
    """Whether a 206 or 416 answers with what follows the first `offset` bytes of the same version of the file."""
    where = response.headers.get("content-range", "")
    if response.status_code == 416:
        return where.replace(" ", "") == f"bytes*/{offset}"
    now = _validator(response)
    return where.startswith(f"bytes {offset}-") and (validator is None or now is None or now == validator)


def _validator(response: httpx.Response) -> str | None:
    """The strong ETag, else Last-Modified, else None. A weak ETag doesn't promise the same bytes.

    One that can't be sent back says nothing either.
    """
    etag = response.headers.get("etag", "")
    told = ("" if etag.startswith("W/") else etag) or response.headers.get("last-modified", "")
    return str(told) if told and told.isascii() and told.isprintable() else None


def _note_path(part: Path) -> Path:
    return part.with_name(part.name + ".from")


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _may_pass(error: Exception, begun: bool) -> bool:
    """Whether another try may succeed. Where no connection was ever made, the user should hear of it at once."""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code in TRANSIENT
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return begun
    if isinstance(error, httpx.UnsupportedProtocol | httpx.ProxyError):
        return False
    return isinstance(error, httpx.TransportError | _SplicedError)


def _retry_after_s(error: Exception) -> float:
    """The seconds that a busy server asks to wait, at most `LONGEST_WAIT_S`; 0 where it asks nothing."""
    asked = error.response.headers.get("retry-after", "") if isinstance(error, httpx.HTTPStatusError) else ""
    return min(float(asked), LONGEST_WAIT_S) if WHOLE_NUMBER.fullmatch(asked) else 0.0


def _reason(error: Exception) -> str:
    if isinstance(error, httpx.HTTPStatusError):
        return f"the server answered {error.response.status_code} {error.response.reason_phrase}".rstrip()
    if isinstance(error, _SplicedError):
        return "the file on the server changes while it is fetched"
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return f"can't connect ({one_line(error)[:200]})"
    if isinstance(error, OSError):
        return f"can't write to the disk ({one_line(error)[:200]})"
    return f"the download broke off ({one_line(error)[:200]})"


def _progress_bar(progress: bool) -> Bars:
    console = Terminal(stderr=True)
    return Bars(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not progress or not console.is_terminal,
    )

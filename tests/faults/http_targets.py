"""What a server sends, byte by byte: a download ends with the right file, or with one line and none."""

from __future__ import annotations

import gzip
import hashlib
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer

import httpx
import pytest
from mutate import Target, mutate_bytes

from soundprobe.backbones.weights import download as downloading
from soundprobe.backbones.weights.download import download

BODY = bytes(range(256)) * 8
MOST_BYTES = 100_000
HALF = len(BODY) // 2
DIGEST = hashlib.sha256(BODY).hexdigest().encode()
CHUNKED = b"400\r\n%s\r\n400\r\n%s\r\n0\r\n\r\n" % (BODY[:HALF], BODY[HALF:])
ANSWERS = (
    b'HTTP/1.1 200 OK\r\nContent-Length: 2048\r\nETag: "v1"\r\nContent-Type: text/plain\r\n\r\n' + BODY,
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKED,
    b"HTTP/1.0 200 OK\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\n" + BODY,
    # Closed, as every connection is here: else the client may ask on one of which it hasn't heard yet that it ended.
    b'HTTP/1.1 302 Found\r\nLocation: /again\r\nConnection: close\r\nContent-Length: 0\r\nX-Linked-Etag: "%s"\r\n\r\n'
    % DIGEST,
)
REFUSED = (
    b"HTTP/1.1 206 Partial\r\nContent-Range: bytes 1024-2047/2048\r\nContent-Length: 1024\r\n\r\n" + BODY[HALF:],
    b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 2\r\n\r\nno",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(bytes(200_000_000)),
)
"""Which a client that asked for the whole of an unpacked file doesn't expect."""


class _Server(ThreadingTCPServer):
    daemon_threads = True
    content = b""

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is no error here."""


class _Handler(StreamRequestHandler):
    """The same bytes to every request, and then the end; "/again" is answered with the first of the samples."""

    timeout = 5

    def handle(self) -> None:
        asked = self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        assert isinstance(self.server, _Server)
        self.wfile.write(ANSWERS[0] if b"/again" in asked else self.server.content)


def targets(folder: Path) -> list[Target]:
    server = _Server(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
    return [
        Target("http-known", ANSWERS, partial(fetch, server, folder / "known", len(BODY))),
        Target("http-unknown", ANSWERS, partial(fetch, server, folder / "unknown", None), mutate=_any_answer),
    ]


def _any_answer(content: bytes, draw: random.Random) -> bytes:
    return mutate_bytes(draw.choice((content, *REFUSED)), draw)


def fetch(server: _Server, part: Path, size_bytes: int | None, content: bytes) -> None:
    """Fetches it over what an earlier try left.

    Raises:
        DownloadError: the answer is no such file.
    """
    server.content = content
    downloading.remove_partial(part)
    url = f"http://127.0.0.1:{server.server_address[1]}/file"
    try:
        with _at_once():
            download(
                url, part, label="a", size_bytes=size_bytes, digest_known=True, progress=False, most_bytes=MOST_BYTES
            )
    finally:
        there = part.stat().st_size if part.exists() else 0
        assert there <= (size_bytes or MOST_BYTES), there
    if size_bytes is not None:
        assert there == size_bytes


@contextmanager
def _at_once() -> Iterator[None]:
    """No waits between tries, and no certificates read for each: nothing here is encrypted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(downloading, "RETRY_WAITS_S", (0.0, 0.0))
        patch.setattr(downloading, "LONGEST_WAIT_S", 0.0)
        patch.setattr(downloading.httpx, "Client", partial(httpx.Client, verify=False))
        yield

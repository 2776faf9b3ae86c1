"""Weights: downloads against a real HTTP server on this machine, verification, and restricted loading."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import pickle
import re
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from soundprobe.backbones.weights import download
from soundprobe.backbones.weights.state_dicts import load_state_dict
from soundprobe.backbones.weights.verify import (
    WeightFile,
    digest_path,
    fetch,
    fetched_mark,
    is_cached,
    location,
    offline,
    resolved_url,
    sha256_of,
)
from soundprobe.base.errors import SoundprobeWarning, WeightsError

CONTENT = np.random.default_rng(0).bytes(600_000)
OTHER = np.random.default_rng(1).bytes(600_000)
REVISION = "f826b80d28226b62986cc218e5cec390b1096902"


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass
class Site:
    """What the server holds and how it misbehaves. `requests` records the method, path and Range of each request."""

    content: bytes = CONTENT
    etag: str | None = '"v1"'
    linked_etag: str | None = None
    ranges: bool = True
    drop_after: int | None = None
    """Close the connection after this many bytes of a body."""
    drops: int = 0
    """How many answers are cut so; the etag becomes `etag_after_drop` with the first."""
    etag_after_drop: str | None = None
    content_after_drop: bytes | None = None
    statuses: list[int] = field(default_factory=list)
    """Answers to give before any other."""
    state_length: bool = True
    honour_if_range: bool = True
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    port: int = 0
    hold: threading.Event | None = None
    trickle: tuple[int, float] | None = None
    """Answers never end: so many bytes at a time, with so many seconds between."""

    def url(self, path: str = "/file.bin") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    @property
    def bodies(self) -> list[str | None]:
        """The Range of every GET of the file itself."""
        return [span for method, path, span in self.requests if method == "GET" and not path.startswith("/resolve")]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Site

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        site = self.site
        site.requests.append((self.command, self.path, self.headers.get("Range")))
        if site.statuses:
            return self.answer(site.statuses.pop(0), b"no")
        if self.path.startswith("/resolve"):
            return self.answer(302, b"", {"Location": "/file.bin", "X-Linked-Etag": f'"{site.linked_etag}"'})
        if self.path != "/file.bin":
            return self.answer(404, b"nothing here")
        return self.answer_file(site)

    def answer_file(self, site: Site) -> None:
        if site.hold is not None:
            site.hold.wait(20)
        if site.trickle is not None:
            return self.trickle(*site.trickle)
        content, size = site.content, len(site.content)
        headers = {"ETag": site.etag} if site.etag else {}
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        unchanged = not site.honour_if_range or self.headers.get("If-Range") in (None, site.etag)
        if not (asked and site.ranges and unchanged):
            return self.answer(200, content, headers)
        start = int(asked.group(1))
        if start >= size:
            return self.answer(416, b"", {**headers, "Content-Range": f"bytes */{size}"})
        return self.answer(206, content[start:], {**headers, "Content-Range": f"bytes {start}-{size - 1}/{size}"})

    def trickle(self, chunk: int, pause_s: float) -> None:
        self.send_response(200)
        self.send_header("ETag", '"v1"')
        self.end_headers()
        self.close_connection = True
        while True:
            try:
                self.wfile.write(bytes(chunk))
            except OSError:
                return
            time.sleep(pause_s)

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        site = self.site
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if site.state_length or status != 200:
            self.send_header("Content-Length", str(len(body)))
        else:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command == "HEAD":
            return
        if site.drops and status in (200, 206):
            site.drops -= 1
            self.wfile.write(body[: site.drop_after])
            self.close_connection = True
            site.etag = site.etag_after_drop or site.etag
            site.content = site.content_after_drop or site.content
            return
        self.wfile.write(body)
        self.close_connection = self.close_connection or not site.state_length


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed is no error here."""


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A server on this machine; waits between tries are cut short, and the network is allowed."""
    for name in ("HF_HUB_OFFLINE", "SOUNDPROBE_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(download, "RETRY_WAITS_S", (0.0, 0.0, 0.0))
    site = Site()
    server = Server(("127.0.0.1", 0), type("SiteHandler", (Handler,), {"site": site}))
    site.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield site
    server.shutdown()
    server.server_close()
    thread.join()


def pinned(site: Site, content: bytes = CONTENT, *, size: bool = False, path: str = "/file.bin") -> WeightFile:
    return WeightFile("file.bin", site.url(path), sha256=digest(content), size_bytes=len(content) if size else None)


def on_hub(site: Site) -> WeightFile:
    return WeightFile("file.bin", site.url(f"/resolve/{REVISION}/file.bin"), revision=REVISION)


def failure(file: WeightFile) -> str:
    """The message of the error that `fetch` must raise: one line that always names URL and path."""
    with pytest.raises(WeightsError) as caught:
        fetch(file, progress=False)
    message = str(caught.value)
    assert "\n" not in message
    assert resolved_url(file) in message
    assert f"put the file at {location(file)}" in message
    assert message.endswith(", or name it with --weights FILE")
    if file.sha256:
        assert file.sha256 in message
    return message


def leftovers(file: WeightFile) -> set[str]:
    """What lies in the cache beside the lock and the mark, without the common prefix of the names."""
    path = location(file)
    return {p.name.removeprefix(path.name) for p in path.parent.iterdir()} - {".lock", ".lock.holder", ".fetched"}


# Fetching


def test_fetch_from_a_plain_server_gives_the_verified_file_and_asks_once(site: Site) -> None:
    file = pinned(site, size=True)
    assert not is_cached(file)
    path = fetch(file, progress=False)
    assert path == location(file)
    assert path.read_bytes() == CONTENT
    assert is_cached(file)
    assert fetch(file, progress=False) == path
    assert len(site.requests) == 1
    assert leftovers(file) == {""}


def test_fetch_with_progress_writes_nothing_to_stdout(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    fetch(pinned(site), progress=True)
    assert capsys.readouterr().out == ""


def test_fetch_when_the_connection_drops_resumes_with_a_range(site: Site) -> None:
    site.drops, site.drop_after = 2, 150_000
    assert fetch(pinned(site), progress=False).read_bytes() == CONTENT
    starts = [int(re.findall(r"\d+", span)[0]) if span else 0 for span in site.bodies]
    assert len(starts) == 3
    assert starts == sorted(set(starts))  # each goes on from further along


def test_fetch_after_a_killed_run_resumes_from_its_part(site: Site) -> None:
    site.drops, site.drop_after = 10, 100
    file = pinned(site, size=True)
    script = (
        "import soundprobe.backbones.weights.download as d, soundprobe.backbones.weights.verify as w, sys\n"
        "import os\n"
        "d.time.sleep = lambda s: os.kill(os.getpid(), 9)\n"  # between the first try and the second
        "w.fetch(w.WeightFile(*sys.argv[1:3], sha256=sys.argv[3]), progress=False)"
    )
    killed = subprocess.run([sys.executable, "-c", script, file.filename, file.url, file.sha256], check=False)
    assert killed.returncode == -9
    assert leftovers(file) == {".part", ".part.from"}
    assert not is_cached(file)
    site.drops = 0
    assert fetch(file, progress=False).read_bytes() == CONTENT
    assert site.bodies[-1] == "bytes=100-"
    assert leftovers(file) == {""}


def test_fetch_when_the_server_ignores_ranges_starts_over(site: Site) -> None:
    site.ranges, site.drops, site.drop_after = False, 1, 150_000
    assert fetch(pinned(site), progress=False).read_bytes() == CONTENT


@pytest.mark.parametrize("honour", [True, False])
def test_fetch_when_the_file_changes_between_tries_never_splices_two_versions(site: Site, honour: bool) -> None:
    site.drops, site.drop_after, site.honour_if_range = 1, 150_000, honour
    site.etag_after_drop, site.content_after_drop = '"v2"', OTHER
    assert fetch(pinned(site, OTHER), progress=False).read_bytes() == OTHER


def test_fetch_that_resumes_from_a_part_with_other_bytes_starts_over(site: Site) -> None:
    file = pinned(site)
    part = location(file).with_name(location(file).name + ".part")
    part.parent.mkdir(parents=True)
    part.write_bytes(b"0" * 1000)
    part.with_name(part.name + ".from").write_text(json.dumps({"url": file.url, "validator": site.etag}))
    assert fetch(file, progress=False).read_bytes() == site.content


def test_fetch_takes_away_the_note_of_a_download_that_was_killed_after_its_last_byte(site: Site) -> None:
    file = pinned(site)
    path = fetch(file, progress=False)
    path.with_name(path.name + ".part.from").write_text("{}")
    fetch(file, progress=False)
    assert leftovers(file) == {""}


def test_fetch_with_no_validator_resumes_only_where_a_digest_was_given(site: Site) -> None:
    site.etag, site.drops, site.drop_after = None, 1, 150_000
    fetch(pinned(site), progress=False)
    assert site.bodies[-1] == "bytes=150000-"
    site.drops, site.linked_etag = 1, digest(CONTENT)
    fetch(on_hub(site), progress=False)
    assert site.bodies[-1] is None


def test_fetch_when_the_part_is_already_whole_handles_416(site: Site) -> None:
    site.state_length = False  # so that the cut answer looks like its end
    site.drops, site.drop_after = 1, len(CONTENT)
    file = pinned(site)
    part = location(file).with_name(location(file).name + ".part")
    part.parent.mkdir(parents=True)
    download.download(file.url, part, label="", size_bytes=None, digest_known=True, progress=False)
    assert fetch(file, progress=False).read_bytes() == CONTENT
    assert site.bodies == [None, f"bytes={len(CONTENT)}-"]


def test_fetch_when_the_part_is_longer_than_the_file_starts_over(site: Site) -> None:
    file = pinned(site)
    part = location(file).with_name(location(file).name + ".part")
    part.parent.mkdir(parents=True)
    download.download(file.url, part, label="", size_bytes=None, digest_known=True, progress=False)
    part.write_bytes(CONTENT + b"more")
    assert fetch(file, progress=False).read_bytes() == CONTENT


@pytest.mark.parametrize(
    "note", ["", "{", "[]", "[" * 100_000, '{"url": "http://other/"}', '{"url": "http://x/", "validator": "v"}']
)
def test_fetch_with_a_damaged_or_foreign_note_starts_over(site: Site, note: str) -> None:
    file = pinned(site)
    part = location(file).with_name(location(file).name + ".part")
    part.parent.mkdir(parents=True)
    part.write_bytes(b"junk")
    part.with_name(part.name + ".from").write_text(note)
    assert fetch(file, progress=False).read_bytes() == CONTENT


@pytest.mark.parametrize("etag", ['"\u00f0"', '"a\tb"', ""])
def test_fetch_with_a_validator_that_cannot_be_sent_back_starts_over_or_trusts_the_digest(
    site: Site, etag: str
) -> None:
    """Found by `tests/faults/mutate.py`: the second request could not be made."""
    site.etag, site.drops, site.drop_after = etag, 1, 1000
    assert fetch(pinned(site), progress=False).read_bytes() == CONTENT


def test_fetch_when_the_server_is_busy_tries_again(site: Site) -> None:
    site.statuses = [503, 429]
    assert fetch(pinned(site), progress=False).read_bytes() == CONTENT
    assert len(site.requests) == 3


def test_fetch_when_the_server_stays_busy_gives_up_in_one_line(site: Site) -> None:
    site.statuses = [503] * 50
    assert "503 Service Unavailable" in failure(pinned(site))
    assert len(site.requests) == 4


def test_fetch_when_the_server_has_no_such_file_says_404_at_once(site: Site) -> None:
    assert "404 Not Found" in failure(pinned(site, path="/elsewhere"))
    assert len(site.requests) == 1


def test_fetch_answered_by_another_status_than_a_files_says_which(site: Site) -> None:
    site.statuses = [203]
    assert "the server answered 203 instead of the file" in failure(pinned(site))
    assert len(site.requests) == 1


def test_fetch_of_wrong_content_names_both_digests_and_leaves_nothing(site: Site) -> None:
    site.content = OTHER
    file = pinned(site)
    message = failure(file)
    assert "wrong digest" in message
    assert digest(OTHER) in message
    assert leftovers(file) == set()


def test_fetch_when_the_stated_size_differs_fetches_no_body(site: Site) -> None:
    site.content = OTHER + b"more"
    assert "600004 bytes where 600000 are expected" in failure(pinned(site, size=True))


@pytest.mark.parametrize(("known", "most"), [(True, len(CONTENT)), (False, 300_000)])
def test_fetch_of_an_answer_without_end_stops_at_the_size_or_the_cap(
    site: Site, known: bool, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download.download, "__kwdefaults__", {"most_bytes": 300_000})
    site.trickle = (65_536, 0.0)
    file = pinned(site, size=known)
    assert f"sends more than the {most} bytes" in failure(file)
    assert leftovers(file) == set()
    assert len(site.bodies) == 1


def test_fetch_of_more_than_the_cap_by_its_header_fetches_no_body(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download.download, "__kwdefaults__", {"most_bytes": 300_000})
    file = pinned(site)
    assert "has 600000 bytes, and no more than 300000 are fetched" in failure(file)
    assert leftovers(file) == set()


def test_fetch_below_the_least_rate_is_given_up_and_goes_on_later(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "SLOW_S", 0.3)
    site.trickle = (10, 0.05)
    file = pinned(site)
    assert "slower than 1000 bytes a second for 0 s" in failure(file)
    assert leftovers(file) == {".part", ".part.from"}
    site.trickle = None
    site.content = bytes(len(location(file).with_name(location(file).name + ".part").read_bytes())) + CONTENT[500:]
    file = pinned(site, site.content)
    assert fetch(file, progress=False).read_bytes() == site.content


def test_fetch_cut_short_without_a_stated_length_is_refused(site: Site) -> None:
    site.state_length, site.drops, site.drop_after = False, 1, 1000
    message = failure(pinned(site))
    assert "(1000 bytes) has the wrong digest" in message


def test_fetch_of_a_known_size_cut_short_without_a_stated_length_goes_on(site: Site) -> None:
    site.state_length, site.drops, site.drop_after = False, 1, 1000
    assert fetch(pinned(site, size=True), progress=False).read_bytes() == CONTENT
    assert site.bodies == [None, "bytes=1000-"]


def test_fetch_that_keeps_breaking_off_gives_up_and_keeps_the_part(site: Site) -> None:
    site.ranges, site.drops, site.drop_after = False, 50, 1000
    file = pinned(site)
    assert "broke off" in failure(file)
    assert leftovers(file) == {".part", ".part.from"}


def test_fetch_from_a_closed_port_says_so_in_one_line(site: Site) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    message = failure(WeightFile("w.pt", f"http://127.0.0.1:{port}/w.pt", sha256="0" * 64))
    assert "can't connect" in message


@pytest.mark.parametrize(
    "url", ["http://no-such-host.invalid/w.pt", "ftp://127.0.0.1/w.pt", "http://[bad/w.pt", "w.pt"]
)
def test_fetch_from_an_unusable_url_says_so_in_one_line(site: Site, url: str) -> None:
    failure(WeightFile("w.pt", url, sha256="0" * 64))


def test_fetch_from_this_machine_ignores_the_environments_proxy(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert fetch(pinned(site), progress=False).read_bytes() == CONTENT


def test_fetch_with_a_proxy_of_an_unknown_kind_says_so_in_one_line(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "gopher://proxy:1")
    assert "proxy setting" in failure(WeightFile("w.pt", "http://no-such-host.invalid/w.pt", sha256="0" * 64))


def test_fetch_on_a_full_disk_says_so_and_keeps_what_it_has(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(download, "_append", no_room)
    assert "No space left on device" in failure(pinned(site))


def test_fetch_into_a_cache_that_is_a_file_says_so_in_one_line(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").write_text("not a folder")
    monkeypatch.setenv("SOUNDPROBE_CACHE", str(tmp_path / "cache"))
    assert "can't write to the cache" in failure(pinned(site))


def test_fetch_by_two_processes_at_once_downloads_once(site: Site) -> None:
    site.hold = threading.Event()
    file = pinned(site)
    script = (
        "import soundprobe.backbones.weights.verify as w, sys\n"
        "print(w.fetch(w.WeightFile(*sys.argv[1:3], sha256=sys.argv[3]), progress=False))"
    )
    command = [sys.executable, "-c", script, file.filename, file.url, str(file.sha256)]
    reader, writer = os.pipe()
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=writer, text=True) for _ in range(2)]
    os.close(writer)
    with open(reader) as messages:
        assert "Another process is fetching file.bin" in messages.readline()
        site.hold.set()
        assert messages.read() == ""
    for process in processes:
        assert process.communicate()[0].strip() == str(location(file))
        assert process.returncode == 0
    assert location(file).read_bytes() == CONTENT
    assert len(site.requests) == 1


# Files pinned by revision


def test_fetch_by_revision_verifies_the_redirects_digest_and_notes_it(site: Site) -> None:
    site.linked_etag = digest(CONTENT)
    file = on_hub(site)
    assert fetch(file, progress=False).read_bytes() == CONTENT
    assert digest_path(file).read_text() == f"{digest(CONTENT)}  {location(file).name}\n"
    asked = len(site.requests)
    fetch(file, progress=False)
    assert len(site.requests) == asked


def test_fetch_by_revision_of_other_bytes_than_stated_is_refused(site: Site) -> None:
    site.linked_etag = digest(OTHER)
    file = on_hub(site)
    assert digest(OTHER) in failure(file)
    assert leftovers(file) == set()


def test_fetch_by_revision_when_no_digest_is_stated_is_refused(site: Site) -> None:
    site.linked_etag = "abc"
    site.etag = f'"{digest(CONTENT)}"'  # the store's own tag proves nothing
    file = on_hub(site)
    assert "states no sha256" in failure(file)
    assert leftovers(file) == set()


def rot(path: Path) -> None:
    """The file with other bytes, and the time of its last change as it was."""
    before = path.stat()
    path.write_bytes(OTHER)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("how", ["file", "digest", "both"])
@pytest.mark.parametrize("by", ["revision", "digest"])
def test_fetch_of_a_file_that_was_fetched_and_is_damaged_fetches_it_again(
    site: Site, by: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.linked_etag = digest(CONTENT)
    file = on_hub(site) if by == "revision" else pinned(site)
    path = fetch(file, progress=False)
    if how != "digest":
        rot(path)
    if how != "file":
        digest_path(file).write_text(f"{digest(OTHER)[:-1]}x")
    if by == "digest" and how == "digest":  # nobody asks for it
        fetch(file, progress=False)
        return
    monkeypatch.setenv("SOUNDPROBE_OFFLINE", "1")
    with pytest.raises(WeightsError):
        fetch(file, progress=False)
    monkeypatch.delenv("SOUNDPROBE_OFFLINE")
    with pytest.warns(SoundprobeWarning, match=r"is damaged. It is fetched again"):
        assert fetch(file, progress=False).read_bytes() == CONTENT
    fetch(file, progress=False)


def test_fetch_killed_before_it_noted_that_it_fetched_notes_it_next_time(site: Site) -> None:
    file = pinned(site)
    path = fetch(file, progress=False)
    fetched_mark(file).unlink()
    path.with_name(path.name + ".part.from").write_text("{}")
    fetch(file, progress=False)
    assert sorted(one.name for one in path.parent.iterdir()) == [path.name, f"{path.name}.fetched", f"{path.name}.lock"]
    rot(path)
    with pytest.warns(SoundprobeWarning, match=r"is damaged. It is fetched again"):
        assert fetch(file, progress=False).read_bytes() == CONTENT


def test_fetch_of_a_whole_file_in_a_cache_that_can_not_be_written_takes_it(site: Site) -> None:
    file = pinned(site)
    path = location(file)
    path.with_name(path.name + ".lock").mkdir(parents=True)  # so no lock can be had
    assert "can't write to the cache" in failure(file)
    path.write_bytes(CONTENT)
    path.with_name(path.name + ".part").write_bytes(CONTENT[:10])
    assert fetch(file, progress=False) == path


def test_fetch_that_can_not_note_that_it_fetched_is_one_line(site: Site) -> None:
    fetched_mark(pinned(site)).mkdir(parents=True)
    with pytest.raises(WeightsError, match=r"^Can't write .*\.fetched: Is a directory"):
        fetch(pinned(site), progress=False)


def test_fetch_of_a_damaged_file_that_the_user_put_there_keeps_it(site: Site) -> None:
    file = pinned(site)
    path = fetch(file, progress=False)
    path.unlink()
    path.write_bytes(OTHER)
    message = failure(file)
    assert digest(CONTENT) in message
    assert digest(OTHER) in message
    assert location(file).read_bytes() == OTHER


def test_fetch_by_revision_of_a_file_put_there_by_hand_asks_the_server(site: Site) -> None:
    site.linked_etag = digest(CONTENT)
    file = on_hub(site)
    location(file).parent.mkdir(parents=True)
    location(file).write_bytes(CONTENT)
    assert fetch(file, progress=False) == location(file)
    assert site.bodies == []
    assert digest_path(file).exists()
    digest_path(file).unlink()
    location(file).write_bytes(OTHER)
    assert "is not the right file" in failure(file)
    assert location(file).read_bytes() == OTHER


def test_fetch_by_revision_of_a_file_put_there_by_hand_without_an_answer_says_why_and_keeps_it(site: Site) -> None:
    file = on_hub(site)
    location(file).parent.mkdir(parents=True)
    location(file).write_bytes(CONTENT)
    assert "can't be verified: the server states no sha256" in failure(file)  # nor does what it redirects to
    assert [path for _, path, _ in site.requests][1:] == ["/file.bin"]
    site.statuses = [403]
    assert "can't be verified: the server answered 403" in failure(file)
    assert location(file).read_bytes() == CONTENT


def test_fetch_by_revision_by_hand_offline_needs_the_digest_beside_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOUNDPROBE_OFFLINE", "1")
    file = on_hub(site)
    location(file).parent.mkdir(parents=True)
    location(file).write_bytes(CONTENT)
    message = failure(file)
    assert "SOUNDPROBE_OFFLINE" in message
    assert str(digest_path(file)) in message
    digest_path(file).write_text(digest(CONTENT).upper() + "\n")
    assert fetch(file, progress=False) == location(file)


@pytest.mark.parametrize("note", [b"", b"abc", b"\xff\xfe", b"0" * 63])
def test_fetch_with_an_unreadable_digest_note_names_the_note(site: Site, note: bytes) -> None:
    file = on_hub(site)
    digest_path(file).parent.mkdir(parents=True)
    digest_path(file).write_bytes(note)
    with pytest.raises(WeightsError, match=re.escape(str(digest_path(file)))):
        fetch(file, progress=False)


# The cache


def test_fetch_of_a_wrong_file_put_there_by_hand_keeps_it_and_names_both_digests(site: Site) -> None:
    file = pinned(site)
    location(file).parent.mkdir(parents=True)
    location(file).write_bytes(b"mine")
    message = failure(file)
    assert digest(b"mine") in message
    assert location(file).read_bytes() == b"mine"
    assert site.requests == []


@pytest.mark.parametrize("name", ["SOUNDPROBE_OFFLINE", "HF_HUB_OFFLINE"])
def test_fetch_offline_asks_nobody_and_says_why(site: Site, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "1")
    assert name in failure(pinned(site))
    assert site.requests == []


@pytest.mark.parametrize(
    ("value", "expected"), [("", None), ("0", None), ("False", None), ("yes", "SOUNDPROBE_OFFLINE")]
)
def test_offline_reads_the_usual_words(monkeypatch: pytest.MonkeyPatch, value: str, expected: str | None) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("SOUNDPROBE_OFFLINE", value)
    assert offline() == expected


def test_location_of_two_versions_of_a_file_differs() -> None:
    one = WeightFile("w.pt", "http://x/w.pt", sha256="1" * 64)
    other = WeightFile("w.pt", "http://x/w.pt", sha256="2" * 64)
    by_revision = WeightFile("w.pt", f"http://x/{REVISION}/w.pt", revision=REVISION)
    assert len({location(one), location(other), location(by_revision)}) == 3


def test_is_cached_of_a_file_with_another_size_is_false() -> None:
    file = WeightFile("w.pt", "http://x/w.pt", sha256="1" * 64, size_bytes=5)
    location(file).parent.mkdir(parents=True)
    location(file).write_bytes(b"1234")
    assert not is_cached(file)
    location(file).write_bytes(b"12345")
    assert is_cached(file)


def test_hf_endpoint_replaces_only_the_hubs_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://mirror.example/")
    hub = WeightFile("w.bin", f"https://huggingface.co/a/b/resolve/{REVISION}/w.bin", revision=REVISION)
    other = WeightFile("w.bin", "https://huggingface.community/w.bin", sha256="1" * 64)
    assert resolved_url(hub) == f"http://mirror.example/a/b/resolve/{REVISION}/w.bin"
    assert resolved_url(other) == other.url


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filename": "w.pt"}, "pinned by nothing"),
        ({"filename": "w.pt", "sha256": "12"}, "64 hexadecimal"),
        ({"filename": "w.pt", "revision": "main"}, "does not stand in its URL"),
        ({"filename": "../w.pt", "sha256": "1" * 64}, "bare name"),
        ({"filename": "", "sha256": "1" * 64}, "bare name"),
    ],
)
def test_weight_file_without_a_pin_or_with_a_folder_is_refused(arguments: dict[str, str], message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        WeightFile(url="http://x/w.pt", **arguments)


def test_sha256_of_a_missing_file_names_it(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"nope\.bin: No such file"):
        sha256_of(tmp_path / "nope.bin")


def test_importing_weights_imports_neither_torch_nor_an_http_client() -> None:
    imported = "import soundprobe.backbones.weights.verify, sys"
    code = f"{imported}; print([m for m in ('torch', 'httpx', 'rich') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# Reading state dicts


def test_load_state_dict_of_both_formats_returns_the_tensors(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    tensors = {"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.tensor([1], dtype=torch.int64)}
    save_file(tensors, tmp_path / "w ü.safetensors")
    torch.save(tensors, tmp_path / "w.pt")
    for name in ("w ü.safetensors", "w.pt"):
        loaded = load_state_dict(tmp_path / name)
        assert type(loaded) is dict
        assert loaded.keys() == tensors.keys()
        assert all(torch.equal(loaded[key], tensors[key]) for key in tensors)


def test_load_state_dict_unwraps_nothing(tmp_path: Path) -> None:
    import torch

    torch.save({"model": {"w": torch.ones(2)}, "epoch": 3}, tmp_path / "w.pth")
    loaded = load_state_dict(tmp_path / "w.pth")
    assert loaded["epoch"] == 3
    assert torch.equal(loaded["model"]["w"], torch.ones(2))


def test_load_state_dict_of_the_real_mn04_file_reads_its_tensors(shared: Path) -> None:
    path = shared / "weights" / "mn04_as_mAP_432.pt"
    loaded = load_state_dict(path)
    floats = sum(t.numel() for name, t in loaded.items() if "running" not in name and "num_batches" not in name)
    assert floats > 900_000


class RunsCommand:
    """A pickle that would make a folder as soon as it is read without restriction."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("save", ["torch", "pickle"])
def test_load_state_dict_of_a_malicious_pickle_is_refused_and_runs_nothing(tmp_path: Path, save: str) -> None:
    import torch

    mark, path = tmp_path / "mark", tmp_path / "evil.pt"
    if save == "torch":
        torch.save({"w": RunsCommand(mark)}, path)
    else:
        path.write_bytes(pickle.dumps({"w": RunsCommand(mark)}, protocol=2))
    with pytest.raises(WeightsError, match=r"refused: it needs posix\.mkdir.*save_file") as caught:
        load_state_dict(path)
    assert "\n" not in str(caught.value)
    assert not mark.exists()


def test_load_state_dict_of_a_packed_file_is_refused_before_it_unpacks(tmp_path: Path) -> None:
    import torch

    torch.save({"w": torch.zeros(1_000_000)}, tmp_path / "plain.pt")
    with (
        zipfile.ZipFile(tmp_path / "plain.pt") as plain,
        zipfile.ZipFile(tmp_path / "packed.pt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for one in plain.infolist():
            packed.writestr(one.filename, plain.read(one))
    assert (tmp_path / "packed.pt").stat().st_size < 10_000
    with pytest.raises(WeightsError, match="is a packed zip file"):
        load_state_dict(tmp_path / "packed.pt")
    assert load_state_dict(tmp_path / "plain.pt")["w"].shape == (1_000_000,)


def test_load_state_dict_of_a_whole_module_is_refused_with_the_conversion(tmp_path: Path) -> None:
    import torch

    torch.save(torch.nn.Linear(2, 2), tmp_path / "model.pt")
    with pytest.raises(WeightsError, match=r"refused: it needs torch\.nn.*state_dict"):
        load_state_dict(tmp_path / "model.pt")


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("damage", ["empty", "half", "text", "flipped"])
def test_load_state_dict_of_a_damaged_file_is_one_clear_line(tmp_path: Path, suffix: str, damage: str) -> None:
    import torch
    from safetensors.torch import save_file

    path = tmp_path / f"w{suffix}"
    tensors = {"w": torch.arange(1000.0)}
    save_file(tensors, path) if suffix == ".safetensors" else torch.save(tensors, path)
    whole = path.read_bytes()
    flipped = bytes(255 - byte for byte in whole[:64]) + whole[64:]
    path.write_bytes(
        {"empty": b"", "half": whole[: len(whole) // 2], "text": b"<html>log in</html>", "flipped": flipped}[damage]
    )
    with pytest.raises(WeightsError, match="is not a whole") as caught:
        load_state_dict(path)
    assert "\n" not in str(caught.value)
    assert "weights_only" not in str(caught.value)  # PyTorch's advice, by which the file would run its code


@pytest.mark.parametrize("content", ["tensor", "list", "empty", "numbered"])
def test_load_state_dict_of_something_else_than_named_tensors_is_refused(tmp_path: Path, content: str) -> None:
    import torch

    saved = {"tensor": torch.ones(1), "list": [torch.ones(1)], "empty": {}, "numbered": {0: torch.ones(1)}}[content]
    torch.save(saved, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match="where named tensors are needed"):
        load_state_dict(tmp_path / "w.pt")


@pytest.mark.parametrize("name", ["missing.pt", "."])
def test_load_state_dict_of_a_missing_file_or_a_folder_says_so(tmp_path: Path, name: str) -> None:
    with pytest.raises(WeightsError, match="No weight file at"):
        load_state_dict(tmp_path / name)

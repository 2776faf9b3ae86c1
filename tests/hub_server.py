"""A Hugging Face Hub on this machine, as far as its client asks: repositories, commits, large files, revisions.

What it answers follows the Hub's own API: create, preupload, the LFS batch, commit as NDJSON, tree and resolve.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

LARGE = (".safetensors", ".parquet", ".onnx")
TOKEN = "hf_of_this_test"


@dataclass
class Repo:
    """One repository: its commits, oldest first, each the whole of its files."""

    private: bool
    commits: list[tuple[str, dict[str, bytes]]] = field(default_factory=list)

    def at(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        if revision == "main":
            return self.commits[-1]
        return next((commit for commit in self.commits if commit[0] == revision), None)


@dataclass
class Hub:
    """What the server holds: repositories by "models/owner/name", large files by their SHA-256, what was asked."""

    url: str = ""
    repos: dict[str, Repo] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    broken: str = ""  # a request whose path holds this is answered with 500

    def commit(self, key: str, files: dict[str, bytes]) -> str:
        content = json.dumps([key, len(self.repos[key].commits), sorted(files)]).encode()
        self.repos[key].commits.append((hashlib.sha1(content).hexdigest(), files))
        return self.repos[key].commits[-1][0]


@contextmanager
def serving() -> Iterator[Hub]:
    """A server on a free port of this machine, until the block ends."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        path, self.query = unquote(parts.path), parse_qs(parts.query)
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            self.body = b"".join(self._chunks())
        self.hub.requests.append(f"{self.command} {path}")
        if self.hub.broken and self.hub.broken in path:
            self._say(500, {"error": "out of order"})
            return
        for pattern, answer in ROUTES:
            if match := re.fullmatch(pattern, path):
                answer(self, *match.groups())
                return
        self._say(404, {"error": f"no route {path}"})

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    @property
    def _known(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _say(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _repo(self, key: str, *, write: bool = False) -> Repo | None:
        """The repository, where the asker may have it; else the answer is given."""
        repo = self.hub.repos.get(key)
        if repo is None or (repo.private and not self._known):
            self._say(401 if not self._known else 404, {"error": "not found"}, {"X-Error-Code": "RepoNotFound"})
            return None
        if write and not self._known:
            self._say(401, {"error": "Invalid username or password."})
            return None
        return repo

    def _commit_of(self, key: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        repo = self._repo(key)
        if repo is None:
            return None
        found = repo.at(revision)
        if found is None:
            self._say(404, {"error": "no such revision"}, {"X-Error-Code": "RevisionNotFound"})
        return found

    def create(self) -> None:
        if not self._known:
            self._say(401, {"error": "Invalid username or password."})
            return
        asked = json.loads(self.body)
        name = f"{asked['organization']}/{asked['name']}"
        key = f"{asked.get('type') or 'model'}s/{name}"
        if key in self.hub.repos:
            self._say(409, {"error": "You already created it", "url": f"{self.hub.url}/{name}"})
            return
        private = asked.get("visibility") == "private" or bool(asked.get("private"))
        self.hub.repos[key] = Repo(private)
        self.hub.commit(key, {".gitattributes": b""})
        prefix = "datasets/" if key.startswith("datasets") else ""
        self._say(200, {"url": f"{self.hub.url}/{prefix}{name}", "name": name})

    def validate(self) -> None:
        self._say(200, {"errors": [], "warnings": []})

    def info(self, key: str, revision: str | None) -> None:
        if found := self._commit_of(key, revision or "main"):
            files = [{"rfilename": name} for name in found[1]]
            name = key.partition("/")[2]
            private = self.hub.repos[key].private
            self._say(200, {"id": name, "sha": found[0], "siblings": files, "private": private, "tags": []})

    def tree(self, key: str, revision: str) -> None:
        if found := self._commit_of(key, revision):
            self._say(200, [self._entry(name, content) for name, content in found[1].items()])

    @staticmethod
    def _entry(name: str, content: bytes) -> dict[str, Any]:
        large = {"lfs": {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}}
        entry = {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
        return {**entry, **(large if name.endswith(LARGE) else {})}

    def preupload(self, key: str) -> None:
        if self._repo(key, write=True):
            modes = [
                {"path": one["path"], "uploadMode": "lfs" if one["path"].endswith(LARGE) else "regular"}
                for one in json.loads(self.body)["files"]
            ]
            self._say(200, {"files": [{**one, "shouldIgnore": False, "oid": None} for one in modes]})

    def batch(self, dataset: str | None, name: str) -> None:
        if self._repo(f"{'datasets' if dataset else 'models'}/{name}", write=True):
            objects = [
                {
                    **one,
                    "actions": {
                        "upload": {"href": f"{self.hub.url}/store/{one['oid']}"},
                        "verify": {"href": f"{self.hub.url}/verify"},
                    },
                }
                for one in json.loads(self.body)["objects"]
            ]
            self._say(200, {"transfer": "basic", "objects": objects})

    def store(self, oid: str) -> None:
        if hashlib.sha256(self.body).hexdigest() != oid:
            self._say(400, {"error": "another digest"})
            return
        self.hub.large[oid] = self.body
        self._say(200, {})

    def verify(self) -> None:
        asked = json.loads(self.body)
        self._say(200 if len(self.hub.large[asked["oid"]]) == asked["size"] else 400, {})

    def commit(self, key: str) -> None:
        repo = self._repo(key, write=True)
        if repo is None:
            return
        files = dict(repo.commits[-1][1])
        for line in self.body.splitlines():
            told = json.loads(line)
            what, value = told["key"], told["value"]
            if what == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif what == "lfsFile":
                files[value["path"]] = self.hub.large[value["oid"]]
            elif what == "deletedFile":
                del files[value["path"]]
        sha = self.hub.commit(key, files)
        self._say(200, {"commitUrl": f"{self.hub.url}/{key}/commit/{sha}", "commitOid": sha, "success": True})

    def resolve(self, dataset: str | None, name: str, revision: str, file: str) -> None:
        found = self._commit_of(f"{'datasets' if dataset else 'models'}/{name}", revision)
        if found is None:
            return
        if file not in found[1]:
            self._say(404, {"error": "no such file"}, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": found[0]})
            return
        content = found[1][file]
        entry = self._entry(file, content)
        headers = {"X-Repo-Commit": found[0], "ETag": f'"{entry["oid"]}"'}
        if "lfs" in entry:
            headers |= {"X-Linked-Etag": f'"{entry["lfs"]["oid"]}"', "X-Linked-Size": str(len(content))}
        self._say(200, content, headers)


NAME = r"([\w.-]+/[\w.-]+)"
KEY = rf"((?:models|datasets)/{NAME[1:-1]})"
ROUTES: tuple[tuple[str, Any], ...] = (
    (r"/api/repos/create", _Handler.create),
    (r"/api/validate-yaml", _Handler.validate),
    (rf"/api/{KEY}(?:/revision/([^/]+))?", _Handler.info),
    (rf"/api/{KEY}/tree/([^/]+)", _Handler.tree),
    (rf"/api/{KEY}/preupload/main", _Handler.preupload),
    (rf"/api/{KEY}/commit/main", _Handler.commit),
    (rf"/(datasets/)?{NAME}\.git/info/lfs/objects/batch", _Handler.batch),
    (r"/store/(\w+)", _Handler.store),
    (r"/verify", _Handler.verify),
    (rf"/(datasets/)?{NAME}/resolve/([^/]+)/(.+)", _Handler.resolve),
)

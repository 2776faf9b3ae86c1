"""moto's S3 on loopback, behind a proxy that can refuse, stall and count."""

from __future__ import annotations

import http.client
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


class ObjectStore:
    """An S3 of its own process' memory, for as long as the block lasts.

    Attributes:
        environ: what leads s3fs here.
        refusals: so many of the next requests are answered with 503; deny: methods that are with 403.
        stall_s: how long they wait; asked: "METHOD /path" of each; watch: called with that before it is answered.
    """

    def __init__(self) -> None:
        self.refusals, self.stall_s, self.deny = 0, 0.0, ""
        self.asked: list[str] = []
        self.watch: Callable[[str], object] = self.asked.append

    def __enter__(self) -> ObjectStore:
        from moto.server import ThreadedMotoServer

        logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line a request

        self._moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._moto.start()
        self._proxy = ThreadingHTTPServer(("127.0.0.1", 0), self._handler(*self._moto.get_host_and_port()))
        self._proxy.daemon_threads = True
        threading.Thread(target=self._proxy.serve_forever, daemon=True).start()
        self.environ = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._proxy.server_address[1]}",
            "AWS_ACCESS_KEY_ID": "someone",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        self.put("/bucket", b"")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._proxy.shutdown()
        self._proxy.server_close()
        self._moto.stop()

    def put(self, path: str, content: bytes) -> None:
        """Puts an object, or makes a bucket, under whatever path."""
        asking = http.client.HTTPConnection(*self._moto.get_host_and_port())
        asking.request("PUT", path, content)
        asking.getresponse().read()
        asking.close()

    def _handler(store, host: str, port: int) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                store.watch(f"{self.command} {self.path}")
                time.sleep(store.stall_s)
                if store.refusals > 0:
                    store.refusals -= 1
                    self.tell(503, "SlowDown")
                    return
                if self.command in store.deny:
                    self.tell(403, "AccessDenied")
                    return
                behind = http.client.HTTPConnection(host, port, timeout=60)
                behind.request(self.command, self.path, body, dict(self.headers))
                answer = behind.getresponse()
                content = answer.read()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("transfer-encoding", "connection", "server", "date"):
                        self.send_header(name, value)
                if answer.getheader("Content-Length") is None:
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                behind.close()
                if self.command != "HEAD":
                    with suppress(ConnectionError):  # who asked waits no longer
                        self.wfile.write(content)

            def tell(self, status: int, code: str) -> None:
                content = f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/xml")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer  # noqa: N815

        return Handler

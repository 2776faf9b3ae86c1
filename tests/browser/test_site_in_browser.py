"""The documentation site as `make docs` builds it: without a warning, and all of it from its own folder."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import soundprobe
import soundprobe.heads

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; a link or anchor that leads nowhere, or a page that is in no menu, fails it."""
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(folder)],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT / "src"), "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    return folder


@pytest.fixture
def address(site: Path) -> Iterator[str]:
    """Where it is served."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_site_renders_lists_and_tables_as_such(site: Path) -> None:
    for page in site.glob("*.html"):
        for paragraph in re.findall(r"<p>(.*?)</p>", page.read_text(encoding="utf-8"), re.DOTALL):
            lines = [line for line in paragraph.split("\n")[1:] if re.match(r" *([-*|]|\d+\.) ", line)]
            assert not lines, f"{page.name}: put an empty line before, or indent by four: {lines[0]}"


def test_site_documents_every_public_name(site: Path) -> None:
    page = (site / "api.html").read_text(encoding="utf-8")
    headings = re.findall(r"<h2 id=[^>]*>(.*?)</h2>", page, re.DOTALL)
    named = [re.sub(r"<[^>]*>", "", heading).strip() for heading in headings]
    public = {f"{module.__name__}.{name}" for module in (soundprobe, soundprobe.heads) for name in module.__all__}
    assert public - set(re.findall(r"(?m)^[\w.]+", "\n".join(named))) == set()


def test_site_is_searched_and_asks_nobody_else(address: str, browser: Any) -> None:
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{address}/api.html")
    page.goto(f"{address}/index.html")
    page.locator("input.md-search__input").press_sequentially("Audacity")
    found = page.locator(".md-search-result__link").first
    found.wait_for()
    assert "predict" in str(found.get_attribute("href"))
    page.close()
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []

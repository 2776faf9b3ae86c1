"""A real browser, and a report on clips whose sounds are known.

Without Chromium the tests are skipped with that reason; where CI is "true" that is a failure.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from browser_trial import HOSTILE, Trial, write_made_run

from soundprobe.reporting.write import write_report
from soundprobe.verbs.extract import extract
from sounds import write_urbansound_layout

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Headless Chromium, one for all tests."""
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        reason = f"no Chromium found (looked for {', '.join(NAMES)}); on Debian: apt-get install chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Without its sandbox, since tests often run as root in a container; the pages are our own.
        running = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--mute-audio"])
        yield running
        running.close()


@dataclass
class Seen:
    """A page and what the browser said of it: requests that are neither file: nor data:, errors, and dialogs."""

    page: Any
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)


OpenPage = Callable[..., Seen]


@pytest.fixture
def open_page(browser: Any) -> Iterator[OpenPage]:
    """Opens an HTML file by its file: URL. Keywords go to the browser's context: color_scheme, reduced_motion, ..."""
    contexts = []

    def open_(path: Path, *, width: int = 1280, **options: Any) -> Seen:
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        seen = Seen(page)

        def note_dialog(dialog: Any) -> None:
            seen.dialogs.append(dialog.message)
            dialog.dismiss()

        page.on("dialog", note_dialog)
        page.on("pageerror", lambda error: seen.errors.append(str(error)))
        page.on("console", lambda told: seen.errors.append(told.text) if told.type in ("error", "warning") else None)
        page.on(
            "request",
            lambda asked: None if asked.url.startswith(("file:", "data:")) else seen.requests.append(asked.url),
        )
        page.goto(path.as_uri())
        return seen

    yield open_
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    """36 clips of 2 s, embedded by a small network; the run's predictions are made up, so that they are known."""
    root = tmp_path_factory.mktemp("browser trial")
    data = write_urbansound_layout(root / "clips", seconds=2.0)
    table = data / "metadata" / "UrbanSound8K.csv"
    table.write_text(table.read_text(encoding="utf-8").replace(",high\n", f",{HOSTILE}\n"), encoding="utf-8")
    extract(
        data,
        backbone="simplecnn",
        weights="random",
        embeddings=root / "embeddings",
        jobs=1,
        progress=False,
        command="x",
    )
    confidence = write_made_run(root, seed=0)
    report = write_report(root / "heads", root / "reports", embeddings=root / "embeddings")
    return Trial(root, report, confidence)

"""Bars on a terminal: one at a time, or all in one display."""

from __future__ import annotations

import pytest

from soundprobe.base.progress import one_display, progress_bar


@pytest.fixture
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("FORCE_COLOR", "1"), ("TERM", "xterm"), ("COLUMNS", "100")):
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("_terminal")
def test_bars_of_one_display_come_and_go_with_their_work(capfd):
    with one_display(), progress_bar("compare", 2, "") as steps:
        for title in ("embed a", "embed b"):
            with progress_bar(title, 4, "clips") as bar:
                bar.advance(4)
            print(f"{title}: done")
            steps.advance(1)
    shown = capfd.readouterr()
    assert all(text in shown.err for text in ("compare", "0/2", "1/2", "embed a", "embed b", "clips/s"))
    assert shown.out == "embed a: done\nembed b: done\n"  # which is no terminal here
    frames = shown.err.split("\r")
    assert not any("embed a" in frame for frame in frames[frames.index(next(f for f in frames if "embed b" in f)) :])


@pytest.mark.usefixtures("_terminal")
@pytest.mark.parametrize("shown", [True, False])
def test_bar_is_drawn_only_where_it_is_shown(shown, capfd):
    with progress_bar("scan", 1, "clips", shown=shown) as bar:
        bar.advance(1)
    assert ("scan" in capfd.readouterr().err) == shown

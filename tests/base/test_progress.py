"""Bars on a terminal: one at a time, or all in one display; elsewhere long work says a line now and then."""

from __future__ import annotations

import time

import pytest

from soundprobe.base import progress
from soundprobe.base.progress import Lines, one_display, progress_bar, said_now_and_then


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A first line after a hundredth of a second, and no other for an hour."""
    monkeypatch.setattr(progress, "FIRST_LINE_S", 0.01)
    monkeypatch.setattr(progress, "NEXT_LINE_S", 3600.0)


def work(*, shown: bool = True) -> None:
    with progress_bar("embed mn04", 8, "clips", shown=shown) as bar:
        bar.advance(1)
        time.sleep(0.02)
        bar.advance(3)
        bar.advance(4)


@pytest.mark.usefixtures("impatient")
def test_long_work_without_a_terminal_says_one_line_with_count_rate_and_time_left(capfd):
    work()
    told = capfd.readouterr()
    assert told.out == ""
    (line,) = told.err.splitlines()
    assert line.startswith("embed mn04: 4 of 8 clips, ")
    assert " clips/s, " in line


@pytest.mark.usefixtures("impatient")
def test_steps_of_unequal_length_say_no_rate(capfd):
    with progress_bar("compare", 3, "") as steps:
        time.sleep(0.02)
        steps.advance(1)
    assert capfd.readouterr().err == "compare: 1 of 3 steps\n"


def test_slow_units_say_seconds_for_each(capfd, monkeypatch):
    monkeypatch.setattr(progress.time, "monotonic", iter([0.0, 61.0]).__next__)
    Lines("probe", 4, "folds").reach(2)
    assert capfd.readouterr().err == "probe: 2 of 4 folds, 30.5 s each, ETA 0:01:01\n"


@pytest.mark.usefixtures("impatient")
def test_quiet_work_says_nothing(capfd):
    work(shown=False)
    assert capfd.readouterr().err == ""


def test_short_work_without_a_terminal_says_nothing(capfd):
    work()
    assert capfd.readouterr().err == ""


@pytest.mark.usefixtures("impatient")
def test_work_of_others_is_told_now_and_then(capfd):
    with said_now_and_then(lambda: "fold 1 at epoch 3 of 10"):
        time.sleep(0.05)
    assert capfd.readouterr().err == "fold 1 at epoch 3 of 10\n"


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

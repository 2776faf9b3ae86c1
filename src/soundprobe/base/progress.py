"""How far long work has come, on standard error: a bar on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta

from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn
from rich.progress import Progress as RichProgress
from rich.text import Text

from soundprobe.base.clean_terminal import Terminal
from soundprobe.base.errors import one_line

_display: ContextVar[Bars | None] = ContextVar("display", default=None)


@dataclass(frozen=True)
class Progress:
    """`advance(n)` moves the bar by n."""

    advance: Callable[[float], None]


class PaceColumn(ProgressColumn):
    """Finished units a second and the time that is left; nothing for steps of unequal length, which have no unit."""

    def render(self, task: Task) -> Text:
        unit = task.fields["unit"]
        if not unit:
            return Text()
        rate, left_s = task.finished_speed or task.speed, task.time_remaining
        eta = "-:--:--" if left_s is None else str(timedelta(seconds=int(left_s)))
        return Text(f"{_pace(rate, unit)} ETA {eta}" if rate else f"- {unit}/s", style="progress.data.speed")


def _pace(rate: float, unit: str) -> str:
    """Units a second, or seconds for each of those that take longer."""
    return f"{rate:.1f} {unit}/s" if rate >= 1 else f"{1 / rate:.3g} s each"


class Bars(RichProgress):
    """Bars that say nothing where they are disabled: rich ends them with an empty line below 14.3."""

    def stop(self) -> None:
        if not self.disable:
            super().stop()


def _bars(shown: bool) -> Bars:
    console = Terminal(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), PaceColumn())
    return Bars(
        *columns,
        console=console,
        disable=not shown or not console.is_terminal,
        redirect_stdout=sys.stdout.isatty(),  # else what is printed would go to standard error, too
    )


@contextmanager
def one_display(*, shown: bool = True) -> Iterator[None]:
    """Within it all bars stand in one display, each as long as its work takes; what is printed goes above them."""
    with _bars(shown) as bars:
        token = _display.set(bars)
        try:
            yield
        finally:
            _display.reset(token)


FIRST_LINE_S, NEXT_LINE_S = 10.0, 60.0
"""Where there is no terminal: what takes less time says nothing, and a log of hours stays short."""


@contextmanager
def progress_bar(title: str, total: float, unit: str, *, shown: bool = True) -> Iterator[Progress]:
    """A bar for `total` units on a terminal, else a line now and then; nothing where `shown` is false."""
    outer = _display.get()
    with _bars(shown) if outer is None else nullcontext(outer) as bars:
        if shown and bars.disable:
            lines = Lines(title, total, unit)
            yield Progress(lambda units: lines.reach(lines.done + units))
            return
        task = bars.add_task(title, total=total, unit=unit, visible=shown)
        try:
            yield Progress(lambda units: bars.advance(task, units))
        finally:
            if outer is not None:
                bars.remove_task(task)


class Lines:
    """Says every `NEXT_LINE_S` seconds how much is done and, of units of one length, how quickly and what is left."""

    def __init__(self, title: str, total: float, unit: str) -> None:
        self.title, self.total, self.unit = title, total, unit
        self.done, self.began = 0.0, time.monotonic()
        self.next = self.began + FIRST_LINE_S

    def reach(self, done: float) -> None:
        """`done` units are finished by now."""
        self.done, now = done, time.monotonic()
        if now < self.next or not done:
            return
        self.next = now + NEXT_LINE_S
        if not self.unit:
            say(f"{self.title}: {done:.0f} of {self.total:.0f} steps")
            return
        rate = done / (now - self.began)
        left_s = round((self.total - done) / rate)
        ends = f"ETA {left_s // 3600}:{left_s // 60 % 60:02d}:{left_s % 60:02d}" if left_s > 0 else "done"
        say(f"{self.title}: {done:.0f} of {self.total:.0f} {self.unit}, {_pace(rate, self.unit)}, {ends}")


@contextmanager
def said_now_and_then(text: Callable[[], str]) -> Iterator[None]:
    """Says every `NEXT_LINE_S` seconds of the block what `text` gives, of work that others do."""
    over = threading.Event()

    def watch() -> None:
        wait_s = FIRST_LINE_S
        while not over.wait(wait_s):
            say(text())
            wait_s = NEXT_LINE_S

    watcher = threading.Thread(target=watch, name="progress", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def say(line: str) -> None:
    """At once, on standard error."""
    print(one_line(line), file=sys.stderr, flush=True)

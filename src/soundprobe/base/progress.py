"""One progress display for all long work: on the terminal's standard error, bars with a rate and an ETA."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn
from rich.progress import Progress as RichProgress
from rich.text import Text

_display: ContextVar[RichProgress | None] = ContextVar("display", default=None)


@dataclass(frozen=True)
class Progress:
    """`advance(n)` moves the bar by n."""

    advance: Callable[[int], None]


class PaceColumn(ProgressColumn):
    """Finished units a second and the time that is left; nothing for steps of unequal length, which have no unit."""

    def render(self, task: Task) -> Text:
        unit = task.fields["unit"]
        if not unit:
            return Text()
        rate, left_s = task.finished_speed or task.speed, task.time_remaining
        eta = "-:--:--" if left_s is None else str(timedelta(seconds=int(left_s)))
        return Text(f"{rate:.1f} {unit}/s ETA {eta}" if rate else f"- {unit}/s", style="progress.data.speed")


def _bars(shown: bool) -> RichProgress:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), PaceColumn())
    return RichProgress(
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


@contextmanager
def progress_bar(title: str, total: int, unit: str, *, shown: bool = True) -> Iterator[Progress]:
    """A bar for `total` units; nothing is drawn where `shown` is false or standard error is no terminal."""
    outer = _display.get()
    with _bars(shown) if outer is None else nullcontext(outer) as bars:
        task = bars.add_task(title, total=total, unit=unit, visible=shown)

        def advance(units: int) -> None:
            bars.advance(task, units)

        try:
            yield Progress(advance)
        finally:
            if outer is not None:
                bars.remove_task(task)

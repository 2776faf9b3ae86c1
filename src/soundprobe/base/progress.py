"""One progress bar for all long work: on the terminal's standard error, with a rate and an ETA."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.text import Text


@dataclass(frozen=True)
class Progress:
    """`advance(n)` moves the bar by n."""

    advance: Callable[[int], None]


class RateColumn(ProgressColumn):
    """Finished units a second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self.unit = unit

    def render(self, task: Task) -> Text:
        rate = task.finished_speed or task.speed
        return Text(f"{rate:.1f} {self.unit}/s" if rate else f"- {self.unit}/s", style="progress.data.speed")


@contextmanager
def progress_bar(title: str, total: int, unit: str, *, shown: bool = True) -> Iterator[Progress]:
    """A bar for `total` units; nothing is drawn where `shown` is false or standard error is no terminal."""
    console = Console(stderr=True)
    bar = RichProgress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(unit),
        TextColumn("ETA"),
        TimeRemainingColumn(),
        console=console,
        disable=not shown or not console.is_terminal,
    )
    with bar:
        task = bar.add_task(title, total=total)

        def advance(units: int) -> None:
            bar.advance(task, units)

        yield Progress(advance)

"""What can be watched while networks train: `fold-01-history.csv`, TensorBoard logs, and a live table of all folds.

The table is drawn from the CSV files, so it shows folds that train in other processes, too.
"""

from __future__ import annotations

import csv
import importlib.util
import io
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.live import Live
from rich.table import Table

from soundprobe.base.clean_terminal import Terminal
from soundprobe.base.files import atomic_file
from soundprobe.base.progress import said_now_and_then
from soundprobe.scoring.results import fold_path

COLUMNS = ("fold", "epoch", "loss", "clean loss", "val. loss", "val. accuracy", "rate", "clips/s", "ETA")

SCORES = ("train_loss", "train_loss_eval", "validation_loss", "validation_accuracy")
NEEDED = ("lr", "clips_per_s", "seconds")


def history_path(folder: Path, fold: int) -> Path:
    return folder / f"fold-{fold:02d}-history.csv"


def write_history(path: Path, history: Sequence[dict[str, Any]]) -> None:
    """One row an epoch, in full precision; what doesn't exist is an empty cell. Atomic."""
    with atomic_file(path) as raw, io.TextIOWrapper(raw, encoding="utf-8", newline="", write_through=True) as file:
        writer = csv.DictWriter(file, list(history[-1]))  # what an older version lacks is empty
        writer.writeheader()
        writer.writerows(history)


def read_history(path: Path) -> list[dict[str, str]]:
    """The rows of `write_history` as text; none where there is no whole file: the next epoch writes it."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            _ = int(row["epoch"]), [float(row[name] or 0) for name in SCORES]
            if not all(math.isfinite(float(row[name])) for name in NEEDED):
                return []
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        return []
    return rows


def tensorboard_writer(folder: Path, first_epoch: int) -> Callable[[dict[str, Any]], None]:
    """A function that logs an epoch's line below `folder`; it does nothing where TensorBoard isn't installed.

    Args:
        first_epoch: later steps that a killed run has logged before are dropped.
    """
    if importlib.util.find_spec("tensorboard") is None:
        return lambda line: None
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder), purge_step=first_epoch)

    def log(line: dict[str, Any]) -> None:
        for name, value in line.items():
            if name != "epoch" and isinstance(value, int | float):
                writer.add_scalar(name, value, line["epoch"])
        writer.flush()

    return log


@contextmanager
def live_table(title: str, folder: Path, folds: Sequence[int], epochs: int, *, shown: bool) -> Iterator[None]:
    """A table of the folds in training on a terminal, else a line now and then; nothing where `shown` is false."""
    console = Terminal(stderr=True)
    if not shown:
        yield
        return
    if not console.is_terminal:
        with said_now_and_then(lambda: f"{title}: {folds_line(folder, folds, epochs)}"):
            yield
        return

    def draw() -> Table:
        return folds_table(title, folder, folds, epochs)

    with Live(get_renderable=draw, console=console, refresh_per_second=1):
        yield


def folds_line(folder: Path, folds: Sequence[int], epochs: int) -> str:
    """How far the folds are that have begun, in a sentence."""
    done = [fold for fold in folds if fold_path(folder, fold).exists()]
    last = {fold: read_history(history_path(folder, fold))[-1:] for fold in folds if fold not in done}
    begun = [f"fold {fold} at epoch {line['epoch']} of {epochs}" for fold, lines in last.items() for line in lines]
    return ", ".join([f"{len(done)} of {len(folds)} folds done", *begun])


def folds_table(title: str, folder: Path, folds: Sequence[int], epochs: int) -> Table:
    """A line for each fold: its last epoch, losses, rate, and when it will be done; before that, the trials begun."""
    table = Table(title=title, box=None, pad_edge=False, title_justify="left")
    for column in COLUMNS:
        table.add_column(column, justify="right")
    for fold in folds:
        history = read_history(history_path(folder, fold))
        if not history:
            tried = len(list((folder / "checkpoints").glob(f"fold-{fold:02d}-choose-*.json")))
            come = f"choosing ({tried})" if tried else f"- / {epochs}"
            table.add_row(str(fold), come, *[""] * (len(COLUMNS) - 2))
            continue
        last = history[-1]
        per_epoch = sum(float(line["seconds"]) for line in history) / len(history)
        left = per_epoch * (epochs - int(last["epoch"]))
        table.add_row(
            str(fold),
            f"{last['epoch']} / {epochs}",
            *(_short(last[name]) for name in SCORES),
            f"{float(last['lr']):.1e}",
            f"{float(last['clips_per_s']):.0f}",
            "done" if fold_path(folder, fold).exists() else _clock(left),
        )
    return table


def _short(number: str) -> str:
    return f"{float(number):.3f}" if number else "-"


def _clock(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"

"""What a verb says: text for people, or with `--json` one object on standard output and all else on standard error."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer
from rich.console import ConsoleDimensions
from rich.measure import Measurement
from rich.table import Table

from soundprobe.base.allowance import Allowance, parse_allowance
from soundprobe.base.clean_terminal import Terminal
from soundprobe.base.files import json_text, plain_json
from soundprobe.cli.options import ExitCode, flag, option

if TYPE_CHECKING:
    from soundprobe.scoring.results import FinishedRun

PIPED_WIDTH = 10_000
"""A file or a pipe has no width: what reads it wants a row on a line."""


class Output(Terminal):
    """Text and tables; as wide as the terminal, and as wide as they are where there is none."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False, soft_wrap=True)

    @property  # type: ignore[misc]  # nobody sets it
    def size(self) -> ConsoleDimensions:
        return super().size if self.is_terminal else ConsoleDimensions(PIPED_WIDTH, 25)


out, err = Output(), Output(stderr=True)


def fits(table: Table) -> bool:
    """Whether the whole of it can be shown side by side."""
    return Measurement.get(out, out.options.update_width(PIPED_WIDTH), table).maximum <= out.width


def print_table(table: Table, *least: str) -> None:
    """The whole of it, or on a terminal too narrow for that without the columns `least`, one after the other."""
    left_out: list[str] = []
    for heading in least:
        if fits(table):
            break
        left_out.append(heading)
        kept = [replace(column) for column in table.columns if column.header != heading]
        rows, table = table.rows, Table(*kept, title=table.title, box=table.box, pad_edge=table.pad_edge)
        table.rows = rows
    out.print(table)
    if left_out:
        out.print(f"(A wider terminal also shows {', '.join(left_out)}.)", style="dim")


class _Asked:
    """Where the answer goes while `--json` is given."""

    stream: TextIO | None = None


@contextmanager
def _answering() -> Iterator[None]:
    """Keeps standard output for `answer`; whatever else is printed meanwhile, by C code too, goes to standard error."""
    shown, sys.stdout = sys.stdout, sys.stderr
    try:
        if shown is not sys.__stdout__ or shown is None:  # it is a test's own
            _Asked.stream = shown
            yield
            return
        shown.flush()
        number = shown.fileno()
        with open(os.dup(number), "w", encoding=shown.encoding) as stream:
            _Asked.stream = stream
            os.dup2(2, number)
            try:
                yield
            finally:
                os.dup2(stream.fileno(), number)
    finally:
        sys.stdout, _Asked.stream = shown, None


def _ask(context: typer.Context, asked: bool) -> bool:
    if asked:
        context.with_resource(_answering())
    return asked


Json = Annotated[
    bool, flag("One JSON object on standard output; see docs/json.md.", "--json", callback=_ask, is_eager=True)
]


def answer(asked: bool, **content: Any) -> None:
    """Writes `content` as a JSON object, where `--json` asks for it; null stands for what JSON has no number for."""
    if asked and _Asked.stream is not None:
        _Asked.stream.write(json_text(plain_json(content)))


def run_facts(done: FinishedRun) -> dict[str, Any]:
    """What an answer says of a run; all else is in the `result.json` of its folder."""
    record = done.record
    return {
        "folder": done.folder,
        "kind": record.kind,
        "dataset": record.dataset.name,
        "backbone": record.backbone.name,
        "weights_label": record.backbone.weights_label,
        "head": record.head.name,
        "settings": record.head.settings,
        "seed": record.head.seed,
        "accuracy": record.summary.accuracy.model_dump(),
        "macro_f1": record.summary.macro_f1.model_dump(),
        "folds": [one.model_dump(include={"fold", "accuracy", "macro_f1"}) for one in record.folds],
        "complete": record.complete,
        "failed": record.dataset.failed,
        "reused": done.reused,
        "verdict": done.verdict,
    }


def _allowance(name: str, help: str) -> Any:
    def parse(text: str) -> Allowance:  # Click asks a parser's name, which a partial lacks
        return parse_allowance(text, name)

    return option("N|P%", help, name, parser=parse)


AllowFailures = Annotated[
    Allowance | None, _allowance("--allow-failures", "Exit with 0, not 3, while no more clips fail.")
]
MaxFailures = Annotated[Allowance | None, _allowance("--max-failures", "Stop as soon as more clips fail.")]


def stop_if_failed(failed: int, of: int, allowed: Allowance | None) -> None:
    """Ends the command with exit code 3 where of so many clips more failed than are allowed, by default none."""
    if failed and not (allowed and allowed.covers(failed, of)):
        raise typer.Exit(ExitCode.SOME_FAILED)

"""Runs that could not be read, and why: stands once, below all data sets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from soundprobe.reporting.elements import Bullets, Element, Span, Text
from soundprobe.reporting.runs.collect import UnreadableRun
from soundprobe.reporting.wording import one_line, sentence

TITLE = "Runs that could not be read"


def show(runs: Sequence[UnreadableRun]) -> Iterator[Element]:
    entries, are, them = ("One entry", "is", "it") if len(runs) == 1 else (f"{len(runs)} entries", "are", "them")
    yield Text(
        f"{entries} below the heads folder {are} in none of the tables above. Run the command that made {them} again, "
        f"or delete {them}."
    )
    yield Bullets(
        [(Span("code", one_line(run.path), style="name"), " ", sentence(one_line(run.reason))) for run in runs]
    )

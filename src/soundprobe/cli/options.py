"""Options that several verbs share, so that they read the same everywhere."""

from __future__ import annotations

import shlex
import sys
from enum import IntEnum
from pathlib import Path
from typing import Annotated

import typer

from soundprobe.base.files import printable


class ExitCode(IntEnum):
    """How a command ended. 0 is good, and 2 is typer's own for a command line that it can't parse."""

    ERROR = 1
    SOME_FAILED = 3  # finished, but some clips could not be used
    INTERRUPTED = 130  # as shells have it for Ctrl-C


DATA_HELP = (
    "urbansound8k (Hugging Face Hub), synth (generated), or a path: a folder in UrbanSound8K's or ESC-50's layout, "
    "a folder per class, Parquet files, or a CSV/TSV manifest."
)

Data = Annotated[str, typer.Option("--data", help=DATA_HELP, show_default=True)]
DataOrRuns = Annotated[
    str | None, typer.Option("--data", help=f"{DATA_HELP} Default: urbansound8k, or what --finetuned was trained on.")
]
MadeFolds = Annotated[int, typer.Option("--folds", min=2, help="Folds to make where the data set has none of its own.")]
GroupPrefix = Annotated[
    str | None,
    typer.Option(
        "--group-prefix",
        help="What ends the recording's name in a file name, such as '-' (folder per class only): clips of one "
        "recording then stay in one fold.",
    ),
]
Limit = Annotated[
    int | None, typer.Option("--limit", min=1, help="Only N clips, spread over folds and classes, for a trial.")
]
Channels = Annotated[str, typer.Option("--channels", help="What becomes of a clip's channels: mean, first or loudest.")]
EmbeddingsFolder = Annotated[Path, typer.Option("--embeddings", help="The store of embeddings.")]
HeadsFolder = Annotated[Path, typer.Option("--heads", help="The folder of trained heads and results.")]
ReportsFolder = Annotated[Path, typer.Option("--reports", help="The folder that reports are written to.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars.")]


def examples(*commands: str) -> str:
    """The foot of a verb's help: each command on a line of its own."""
    return "\n\n".join(["[bold]Examples[/bold]", *(command.replace("[", "\\[") for command in commands)])


def given_command() -> str:
    """The command line as the user gave it, to be kept with results."""
    return printable("soundprobe " + shlex.join(sys.argv[1:]))

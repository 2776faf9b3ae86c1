"""Options that several verbs share, so that they read the same everywhere."""

from __future__ import annotations

import functools
import inspect
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from soundprobe.base.errors import ConfigError
from soundprobe.base.files import printable


class ExitCode(IntEnum):
    """How a command ended. 0 is good, and 2 is typer's own for a command line that it can't parse."""

    ERROR = 1
    SOME_FAILED = 3  # finished, but some clips could not be used
    INTERRUPTED = 130  # as shells have it for Ctrl-C


DATA_HELP = (
    "urbansound8k (Hugging Face Hub), synth (generated), hf:OWNER/NAME, or a path: a folder in UrbanSound8K's or "
    "ESC-50's layout, a folder per class, Parquet files, a manifest; see `data list`."
)

Data = Annotated[str, typer.Option("--data", help=DATA_HELP, show_default=True)]
DataOrRuns = Annotated[
    str | None, typer.Option("--data", help=f"{DATA_HELP} Default: urbansound8k, or what --finetuned was trained on.")
]
MadeFolds = Annotated[int, typer.Option("--folds", min=2, help="Folds to make where the data set has none of its own.")]
Limit = Annotated[
    int | None, typer.Option("--limit", min=1, help="Only N clips, spread over folds and classes, for a trial.")
]
SHARED: dict[str, Any] = {
    "group_prefix": Annotated[
        str | None,
        typer.Option(
            "--group-prefix",
            help="What ends the recording's name in a file name, such as '-': clips of one recording then stay in one "
            "fold.",
        ),
    ],
    "group_regex": Annotated[
        str | None,
        typer.Option(
            "--group-regex",
            help="What finds the recording's name in a file name, a regular expression: its first group, or all of it.",
        ),
    ],
    "label_regex": Annotated[
        str | None, typer.Option("--label-regex", help="What finds the class in a file name, likewise.")
    ],
    "splits": Annotated[
        str | None,
        typer.Option(
            "--splits",
            help="Which split is tested (test by default), or as-folds for each in turn, or ignore for made folds.",
        ),
    ],
    "columns": Annotated[
        str | None,
        typer.Option("--columns", help="Which column is which, such as path=filename,label=category,group=site."),
    ],
    "audio_root": Annotated[
        str | None, typer.Option("--audio-root", help="The folder that a manifest's paths are below, or end in.")
    ],
    "corrections": Annotated[
        str | None,
        typer.Option("--corrections", help="A table of labels to correct: a report's label-suspects.csv, filled in."),
    ],
}
"""Options by which data is opened; see `soundprobe.data.catalog.Opening`."""
DATA_COLUMNS: Any = Annotated[
    str | None,
    typer.Option("--data-columns", help="Which column of the data's table is which, such as label=category."),
]
"""What `columns` is called beside a command's own option of that name."""
Channels = Annotated[str, typer.Option("--channels", help="What becomes of a clip's channels: mean, first or loudest.")]
EmbeddingsFolder = Annotated[Path, typer.Option("--embeddings", help="The store of embeddings.")]
HeadsFolder = Annotated[Path, typer.Option("--heads", help="The folder of trained heads and results.")]
ReportsFolder = Annotated[Path, typer.Option("--reports", help="The folder that reports are written to.")]
BARS = ("TQDM_DISABLE", "HF_HUB_DISABLE_PROGRESS_BARS", "HF_DATASETS_DISABLE_PROGRESS_BARS")


def _silence(quiet: bool) -> bool:
    """Other libraries draw bars of their own; they are imported later and ask the environment."""
    if quiet:
        os.environ.update(dict.fromkeys(BARS, "1"))
    return quiet


Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars.", callback=_silence)]


def opens_data(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command the options `SHARED` that it lacks, which reach it together as `how`."""

    @functools.wraps(command)
    def with_options(**given: Any) -> None:
        command(**{name: given.pop(name) for name in own}, how=given)

    signature = inspect.signature(command, eval_str=True)
    own = [name for name in signature.parameters if name != "how"]
    shared = {name: option for name, option in SHARED.items() if name not in own}
    if "columns" in own:
        shared["data_columns"] = DATA_COLUMNS
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=option)
        for name, option in shared.items()
    ]
    kept = [signature.parameters[name].replace(kind=inspect.Parameter.KEYWORD_ONLY) for name in own]
    with_options.__signature__ = signature.replace(parameters=[*kept, *added])  # type: ignore[attr-defined]
    with_options.__annotations__ = {one.name: one.annotation for one in [*kept, *added]}
    del with_options.__wrapped__  # typer would read the options of the command itself
    return with_options


def whole_numbers(given: Sequence[str] | None, option: str) -> list[int]:
    """Those of an option that may be repeated and holds several, joined by commas.

    Raises:
        ConfigError: one is no whole number.
    """
    texts = [text.strip() for several in given or () for text in several.split(",")]
    wrong = next((text for text in texts if not text.isdecimal()), None)
    if wrong is not None:
        raise ConfigError(f"{option} {wrong!r} is not valid: give whole numbers, such as {option} 0,1,2.")
    return list(map(int, texts))


def examples(*commands: str) -> str:
    """The foot of a verb's help: each command on a line of its own."""
    return "\n\n".join(["[bold]Examples[/bold]", *(command.replace("[", "\\[") for command in commands)])


def given_command() -> str:
    """The command line as the user gave it, to be kept with results."""
    return printable("soundprobe " + shlex.join(sys.argv[1:]))

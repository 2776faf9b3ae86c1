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
from soundprobe.base.remote import placed


class ExitCode(IntEnum):
    """How a command ended. 0 is good, and 2 is typer's own for a command line that it can't parse.

    What Ctrl-C ended has `stopping.INTERRUPTED`.
    """

    ERROR = 1
    SOME_FAILED = 3  # finished, but some clips could not be used


DATA_HELP = "A name, hf:OWNER/NAME, path or URL; see `data list`."

Data = Annotated[str, typer.Option("--data", metavar="DATA", help=DATA_HELP, show_default=True)]
DataOrRuns = Annotated[
    str | None,
    typer.Option("--data", metavar="DATA", help=f"{DATA_HELP} Default: urbansound8k."),
]
MadeFolds = Annotated[int, typer.Option("--folds", metavar="N", min=2, help="To make, where there are none.")]
Limit = Annotated[
    int | None, typer.Option("--limit", metavar="N", min=1, help="Only N clips, for a trial.", show_default=False)
]
SHARED: dict[str, Any] = {
    "group_prefix": Annotated[
        str | None,
        typer.Option("--group-prefix", metavar="TEXT", help="What ends the recording's name in a file name: '-'."),
    ],
    "group_regex": Annotated[
        str | None,
        typer.Option("--group-regex", metavar="REGEX", help="What finds the recording's name in a file name."),
    ],
    "label_regex": Annotated[
        str | None, typer.Option("--label-regex", metavar="REGEX", help="What finds the class in a file name.")
    ],
    "splits": Annotated[
        str | None,
        typer.Option("--splits", metavar="NAME", help="The split to test, or as-folds, or ignore."),
    ],
    "columns": Annotated[
        str | None,
        typer.Option("--columns", metavar="MAP", help="Such as path=filename,label=category,group=site."),
    ],
    "audio_root": Annotated[
        str | None, typer.Option("--audio-root", metavar="FOLDER", help="What a manifest's paths are below, or end in.")
    ],
    "corrections": Annotated[
        str | None,
        typer.Option("--corrections", metavar="FILE", help="A report's label-suspects.csv, filled in."),
    ],
}
"""Options by which data is opened; see `soundprobe.data.catalog.Opening`."""
DATA_COLUMNS: Any = Annotated[
    str | None, typer.Option("--data-columns", metavar="MAP", help="Of the data's table, such as label=category.")
]
"""What `columns` is called beside a command's own option of that name."""
Channels = Annotated[str, typer.Option("--channels", metavar="HOW", help="mean, first or loudest.")]
DEVICE_HELP = "auto, cpu, cuda or mps."
Device = Annotated[str, typer.Option("--device", metavar="NAME", help=DEVICE_HELP)]
BatchSize = Annotated[
    int,
    typer.Option(
        "--batch-size", metavar="N", min=1, help="Clips of one forward pass. Another than 16 makes a set of its own."
    ),
]
DecodingJobs = Annotated[
    int | None, typer.Option("--jobs", metavar="N", min=1, help="Threads that decode. Default: the cores.")
]
Address = Annotated[
    str | None, typer.Option("--address", metavar="URL", help="Dask's: tcp://host:8786, or a scheduler file.")
]
NetworkEngine = Annotated[str, typer.Option("--engine", metavar="NAME", help="threads (here), or dask.")]
EmbeddingsFolder = Annotated[
    Path, typer.Option("--embeddings", parser=placed, metavar="PLACE", help="Embeddings: a folder, or s3://...")
]
HeadsFolder = Annotated[
    Path, typer.Option("--heads", parser=placed, metavar="PLACE", help="Trained heads and results.")
]
ReportsFolder = Annotated[
    Path, typer.Option("--reports", parser=placed, metavar="PLACE", help="Where reports are written.")
]
Dataset = Annotated[str | None, typer.Option("--dataset", metavar="NAME", help="Only this data set's. Default: all.")]
Recipe = Annotated[str | None, typer.Option("--config", metavar="NAME", help="A recipe: its name, or a TOML file.")]
Force = Annotated[bool, typer.Option("--force", help="Train again what is already there.")]
BARS = ("TQDM_DISABLE", "HF_HUB_DISABLE_PROGRESS_BARS", "HF_DATASETS_DISABLE_PROGRESS_BARS")


def _silence(quiet: bool) -> bool:
    """Other libraries draw bars of their own; they are imported later and ask the environment."""
    if quiet:
        os.environ.update(dict.fromkeys(BARS, "1"))
    return quiet


Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.", callback=_silence)]


def _allow(names: list[str] | None) -> list[str] | None:
    from soundprobe.base.registry import allow

    allow(names or ())
    return names


Allow = Annotated[
    list[str] | None,
    typer.Option(
        "--allow", metavar="NAME", help="Code of others that the run may name: package.module:Class.", callback=_allow
    ),
]


TrustRemoteCode = Annotated[bool, typer.Option("--trust-remote-code", help="Of hf: and mteb: models with own code.")]


def trust(backbone: str | None) -> None:
    """Allows the models of the Hub among the names joined by commas to run code of their own."""
    _allow([name.strip() for name in (backbone or "").split(",") if name.strip().startswith(("hf:", "mteb:"))])


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
        raise ConfigError(f"{option} {wrong!r} is not valid: give whole numbers, such as {option} 1,2,4.")
    return list(map(int, texts))


def examples(*commands: str) -> str:
    """The foot of a verb's help: each command on a line of its own, which `\\b` keeps."""
    return "\n  ".join(["\b\nExamples:", *commands])


def given_command() -> str:
    """The command line as the user gave it, to be kept with results."""
    return printable("soundprobe " + shlex.join(sys.argv[1:]))

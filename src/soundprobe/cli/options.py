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


def option(metavar: str, help: str, *names: str, **more: Any) -> Any:
    """An option called as its parameter, or as `names` say.

    They say it where the metavar is the parameter's name too: typer 0.27 calls such an option --DATA.
    """
    return typer.Option(*names, metavar=metavar, help=help, **more)


def flag(help: str, *names: str, **more: Any) -> Any:
    """An option without a value."""
    return typer.Option(*names, help=help, **more)


DATA_HELP = "A name, hf:OWNER/NAME, path or URL; see `data list`."

Data = Annotated[str, option("DATA", DATA_HELP, "--data", show_default=True)]
DataOrRuns = Annotated[str | None, option("DATA", f"{DATA_HELP} Default: urbansound8k.", "--data")]
MadeFolds = Annotated[int, option("N", "To make, where there are none.", min=2)]
Limit = Annotated[int | None, option("N", "Only N clips, for a trial.", min=1, show_default=False)]
SHARED: dict[str, Any] = {
    name: Annotated[str | None, told]
    for name, told in {
        "group_prefix": option("TEXT", "What ends the recording's name in a file name: '-'."),
        "group_regex": option("REGEX", "What finds the recording's name in a file name."),
        "label_regex": option("REGEX", "What finds the class in a file name."),
        "splits": option("NAME", "The split to test, or as-folds, or ignore."),
        "columns": option("MAP", "Such as path=filename,label=category,group=site."),
        "audio_root": option("FOLDER", "What a manifest's paths are below, or end in."),
        "corrections": option("FILE", "A report's label-suspects.csv, filled in."),
    }.items()
}
"""Options by which data is opened; see `soundprobe.data.catalog.Opening`."""
DATA_COLUMNS: Any = Annotated[str | None, option("MAP", "Of the data's table, such as label=category.")]
"""What `columns` is called beside a command's own option of that name."""
Channels = Annotated[str, option("HOW", "mean, first or loudest.")]
Device = Annotated[str, option("NAME", "auto, cpu, cuda or mps.")]
BatchSize = Annotated[int, option("N", "Clips of one forward pass. Another than 16 makes a set of its own.", min=1)]
DecodingJobs = Annotated[int | None, option("N", "Threads that decode. Default: the cores.", min=1)]
Address = Annotated[str | None, option("URL", "Dask's: tcp://host:8786, or a scheduler file.")]
NetworkEngine = Annotated[str, option("NAME", "threads (here), or dask.")]
EmbeddingsFolder = Annotated[
    Path, option("PLACE", "Embeddings: a folder, or a URL such as s3://bucket/embeddings", parser=placed)
]
HeadsFolder = Annotated[Path, option("PLACE", "Trained heads and results.", parser=placed)]
ReportsFolder = Annotated[Path, option("PLACE", "Where reports are written.", parser=placed)]
Dataset = Annotated[str | None, option("NAME", "Only this data set's. Default: all.")]
Memory = Annotated[float | None, option("GB", "Larger sets are read from disk. Default: half of what is free.")]
OldLayer = Annotated[str | None, typer.Option("--layers", hidden=True)]
"""What `--layer` was called before."""
Recipe = Annotated[str | None, option("NAME", "A recipe: its name, or a TOML file.")]
Force = Annotated[bool, flag("Train again what is already there.", "--force")]
BARS = ("TQDM_DISABLE", "HF_HUB_DISABLE_PROGRESS_BARS", "HF_DATASETS_DISABLE_PROGRESS_BARS")


def _silence(quiet: bool) -> bool:
    """Other libraries draw bars of their own; they are imported later and ask the environment."""
    if quiet:
        os.environ.update(dict.fromkeys(BARS, "1"))
    return quiet


Quiet = Annotated[bool, flag("No progress.", "--quiet", "-q", callback=_silence)]


def _allow(names: list[str] | None) -> list[str]:
    from soundprobe.base.registry import allow

    allow(names or ())
    return names or []  # typer below 0.19.1 asks for the length


Allow = Annotated[
    list[str] | None, option("NAME", "Code of others that the run may name: package.module:Class.", callback=_allow)
]
TrustRemoteCode = Annotated[bool, flag("Of hf: and mteb: models with own code.", "--trust-remote-code")]


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

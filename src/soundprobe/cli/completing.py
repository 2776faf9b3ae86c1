"""Names that a shell completes, see `soundprobe --install-completion`: no torch is imported, and no error told."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args, get_type_hints

import typer
from typer.models import ArgumentInfo, OptionInfo

from soundprobe.base.errors import SoundprobeError

Names = Callable[[Mapping[str, Any]], Iterable[str]]
"""What there is, by what the command line gave before."""
JOINING = re.compile(r"[,+]")
HARMLESS = re.compile(r"[\w.,:+@/~=-]+")
"""What a shell takes as it stands: others' runs and files have names of any kind, and a shell runs what is in some."""
VARIABLE = "_SOUNDPROBE_COMPLETE"


def prepare(app: typer.Typer) -> None:
    """Gives options and arguments the names of `COMPLETED`, where a shell asks for some."""
    if VARIABLE not in os.environ:
        return
    before = _mend_words() if os.environ[VARIABLE] == "complete_bash" else ""
    for group in app.registered_groups:
        _prepare(group.typer_instance, f"{group.name} ", before)
    _prepare(app, "", before)


def _prepare(app: typer.Typer | None, group: str, before: str) -> None:
    for command in app.registered_commands if app else ():
        assert command.callback is not None, "every command is a function"
        verb = group + (command.name or command.callback.__name__)
        hints = get_type_hints(command.callback, include_extras=True)
        command.callback.__annotations__.update(hints)  # as text they would be made anew when typer reads them
        for parameter, hint in hints.items():
            for told in get_args(hint)[1:]:
                if isinstance(told, OptionInfo | ArgumentInfo):
                    # typer.Option("--head") in Annotated: typer has its first name as the default
                    own = f"--{parameter.replace('_', '-')}"
                    called = (told.default, *(told.param_decls or ()), told.metavar, own)
                    asked = [key for name in called for key in (f"{verb} {name}", str(name)) if key in COMPLETED]
                    if asked:
                        told.autocompletion = completes(COMPLETED[asked[0]], before)


def _mend_words() -> str:
    """Puts the words together again that bash cuts at a colon, and parts an option from its value at an equals sign.

    Returns what stands before the last colon of the word to complete, as bash replaces only what is behind it.
    """
    words, at = os.environ["COMP_WORDS"].split("\n"), int(os.environ["COMP_CWORD"])
    mended, last = [""], ""
    for word in words[: at + 1]:
        if word == ":" or last == ":":
            mended[-1] += word
        elif word != "=":
            mended.append(word)
        last = word
    if last == "=":
        mended.append("")
    before, colon, mended[-1] = mended[-1].rpartition(":")
    os.environ["COMP_WORDS"], os.environ["COMP_CWORD"] = "\n".join(mended[1:]), str(len(mended) - 2)
    return before + colon


def completes(names: Names, before: str) -> Callable[..., list[str]]:
    """A completion of what takes one of `names`, or several joined by a comma or plus.

    Args:
        before: what stands before the incomplete text in its word.
    """

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        word = before + incomplete
        begun = word[: max((found.end() for found in JOINING.finditer(word)), default=0)]
        last = word[len(begun) :]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                there = [name for name in names(ctx.params) if name.startswith(last) and HARMLESS.fullmatch(name)]
            except (OSError, SoundprobeError):
                return []
        if ":" not in last:  # there are over a thousand of some prefixes
            there = [name for name in there if ":" not in name[:-1]]
        return [(begun + name).removeprefix(before) for name in there]

    return complete


def backbones(given: Mapping[str, Any]) -> Iterator[str]:
    from soundprobe.backbones.catalog import BACKBONES

    here = (f"./{file.parent}" for file in sorted(Path().glob("*/config.json")))
    known = {"timm": timm_names, "hf": lambda: (*_cached("models"), *here)}
    yield from BACKBONES
    for prefix in BACKBONES.prefixes:
        yield f"{prefix}:"
        yield from (f"{prefix}:{name}" for name in known.get(prefix, list)())


def embedded(given: Mapping[str, Any]) -> Iterator[str]:
    """The backbones of which there are embeddings."""
    from soundprobe.embeddings.sets import find_feature_sets

    found = find_feature_sets(Path(given.get("embeddings") or "embeddings"), dataset=given.get("dataset"))
    yield from dict.fromkeys(one.name for one in found)


def heads(given: Mapping[str, Any]) -> Iterable[str]:
    from soundprobe.heads.catalog import HEADS

    return HEADS


def layers(given: Mapping[str, Any]) -> Iterator[str]:
    """What the backbones that were named offer; of `hf:` what every model has, as asking it takes seconds."""
    from soundprobe.backbones.catalog import BACKBONES
    from soundprobe.backbones.spec import ALL, LAST, MEAN

    named = [name.strip() for name in (given.get("backbone") or "").split(",")]
    own = [layer for name in named if name in BACKBONES for layer in BACKBONES[name].layers]
    yield from dict.fromkeys([LAST, ALL, *([] if own else [MEAN]), *own])


def data(given: Mapping[str, Any]) -> Iterator[str]:
    from soundprobe.data.catalog import DATASETS, OF_HUB

    yield from (*DATASETS, OF_HUB)
    yield from (OF_HUB + name for name in _cached("datasets"))


def runs(*kinds: str, best: bool = True) -> Names:
    """The runs of these kinds below the folder `--heads`; of all kinds where none is given."""

    def names(given: Mapping[str, Any]) -> Iterator[str]:
        from soundprobe.scoring.run_names import BEST, named_runs

        there = named_runs(given.get("heads") or "heads")
        fitting = [run for run in there.of(given.get("dataset")) if not kinds or run.kind in kinds]
        yield from [BEST] if best and fitting else []
        yield from map(there.address, fitting)

    return names


def datasets(given: Mapping[str, Any]) -> Iterator[str]:
    """The data sets of which there are runs."""
    from soundprobe.scoring.run_names import named_runs

    yield from dict.fromkeys(run.data for run in named_runs(given.get("heads") or "heads").found)


def recipes(given: Mapping[str, Any]) -> Iterable[str]:
    from soundprobe.base.config import recipe_folder

    return sorted(path.stem for path in recipe_folder().glob("*.toml"))


def timm_names() -> Iterator[str]:
    """As `timm.list_models` has them, which would import torch."""
    spec = find_spec("timm")
    folder = Path(spec.origin or "").parent / "models" if spec else Path()
    for path in sorted(folder.glob("*.py")):
        yield from re.findall(r"^@register_model\ndef (\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE)


def _cached(kind: str) -> Iterator[str]:
    """The repositories of a kind, "models" or "datasets", in the Hugging Face Hub's cache."""
    from huggingface_hub import constants

    for path in sorted(Path(constants.HF_HUB_CACHE).glob(f"{kind}--*--*")):
        yield path.name.removeprefix(f"{kind}--").replace("--", "/", 1)


COMPLETED: Mapping[str, Names] = {
    "--backbone": backbones,
    "probe --backbone": embedded,
    "fit --backbone": embedded,
    "--head": heads,
    "extract --layer": layers,
    "probe --layer": lambda given: ("last", "all", "weighted"),
    "--run": runs(),
    "fit --run": runs("probe"),
    "--finetuned": runs("finetune"),
    "RUN": runs(),
    "runs rm RUN": runs(best=False),
    "--data": data,
    "DATA": data,
    "--dataset": datasets,
    "--config": recipes,
}
"""By an option, or an argument's metavar; of one verb where the key begins with it."""

"""Specs by name: soundprobe's own, those of installed packages, and what "package.module:Name" points at.

A spec is plain data with a `name` and a `target`, "package.module:Name", that is imported when it is used. Another
package adds one through an entry point; pyproject.toml of examples/plugin shows how. Of what another library has by the
hundred a spec is made for the one that is asked for, "timm:resnet18": see `Prefix`.
"""

from __future__ import annotations

import hashlib
import pkgutil
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, Protocol, TypeVar

from soundprobe.base.errors import ConfigError, SoundprobeError, note, one_line, ran_out_of_memory, unknown
from soundprobe.base.files import refusal_in


class Spec(Protocol):
    """What every registry holds: a frozen dataclass with these two and fields of its own."""

    @property
    def name(self) -> str: ...
    @property
    def target(self) -> str: ...


@dataclass(frozen=True)
class Prefix:
    """Names that begin alike, "timm:<name>", of which each gets a spec when it is asked for.

    Attributes:
        name: what stands before the colon; form: how messages write what stands after it, such as "<name>".
        target: "module:function", imported on use: it makes the spec of what stands after the colon, or raises
            ConfigError.
        told: what they are, after "is" in a sentence.
        example: one of them, whole.
        is_code: whether what stands after the colon is code of somebody's choice, which a record alone can't have run.
        has_revisions: whether "@REVISION" may follow a name.
    """

    name: str
    form: str
    target: str
    told: str
    example: str
    is_code: Callable[[str], bool] = lambda rest: False
    has_revisions: bool = False


SEPARATORS = set("+, ")
"""They join names on the command line and in records, so none has one."""

AnySpec = TypeVar("AnySpec", bound=Spec)


class Registry(Mapping[str, AnySpec], Generic[AnySpec]):
    """The specs of one kind. Iterates over its own in their order, then over those of other packages.

    Args:
        kind: what messages call one of them, such as "backbone".
        group: of the entry points that add to it, such as "soundprobe.backbones". Each is called as its spec is and
            points at the spec, or at a class or function with the attribute `spec`.
        own: soundprobe's own; a name of theirs can't be taken by another package.
        spec_of: makes a spec of a class or function that has none, or raises ConfigError.
        prefixes: whose names it takes besides.
    """

    def __init__(
        self,
        kind: str,
        group: str,
        own: Iterable[AnySpec],
        *,
        spec_of: Callable[[str, Any], AnySpec] | None = None,
        prefixes: Iterable[Prefix] = (),
    ) -> None:
        self.kind, self.group, self.own = kind, group, {spec.name: spec for spec in own}
        self._spec_of, self.prefixes = spec_of, {prefix.name: prefix for prefix in prefixes}
        self._read: dict[str, AnySpec] = {}

    @cached_property
    def _points(self) -> tuple[EntryPoint, ...]:
        """To find them, the metadata of every installed package are read."""
        return tuple(entry_points(group=self.group))

    @cached_property
    def _added(self) -> dict[str, EntryPoint]:
        found = {point.name: point for point in self._points}
        return {name: found[name] for name in sorted(found) if not self._refused(name)}

    def _refused(self, name: str) -> str:
        """Why a package can't add something of that name; "" where it can."""
        if name in self.own:
            return f"{self.kind} {name!r} is soundprobe's own"
        return f"{self.kind} {name!r} has a '+', ',' or space in its name" if set(name) & SEPARATORS else ""

    def __iter__(self) -> Iterator[str]:
        return iter([*self.own, *self._added])

    def __len__(self) -> int:
        return len(self.own) + len(self._added)

    def __contains__(self, name: object) -> bool:
        return name in self.own or name in self._added or name in self._read

    def __getitem__(self, name: str) -> AnySpec:
        """The spec called `name`, of its `Prefix`, or of what the address `name` ("package.module:Name") points at.

        Raises:
            ConfigError: there is none, or it can't be imported or is no spec.
        """
        if name in self.own:
            return self.own[name]
        if prefix := self.prefix_of(name):
            made: AnySpec = resolve(prefix.target, f"{self.kind} {name!r}")(name.partition(":")[2])
            return made
        if name not in self._read:
            if name in self._added:
                self._read[name] = self._spec(name, self._added[name].value)
            elif ":" in name:
                self._read[name] = self._spec(name, name)
            else:
                forms = (f"{prefix.name}:{prefix.form}" for prefix in self.prefixes.values())
                raise ConfigError(unknown(self.kind, name, [*self, *forms, "package.module:Class"]))
        return self._read[name]

    def prefix_of(self, name: str) -> Prefix | None:
        """The one that `name` begins with."""
        start, colon, _ = name.partition(":")
        return self.prefixes.get(start) if colon else None

    def of_record(self, name: str, where: str | Path) -> AnySpec:
        """The spec that a record on disk names. An address in it is followed only where the user gave it, too.

        Args:
            where: the record, for the message.

        Raises:
            ConfigError: as by subscripting, or it is code that the user didn't name.
        """
        prefix = self.prefix_of(name)
        is_code = ":" in name and (prefix is None or prefix.is_code(name.partition(":")[2]))
        if is_code and name not in self and not is_allowed(name):
            raise ConfigError(
                f"{where} names the {self.kind} {name}, which is neither soundprobe's nor an installed package's, and "
                f"to use it is to run its code. If you trust it, give --allow {name}"
            )
        return self[name]

    def usable(self) -> list[AnySpec]:
        """Its own, then those of other packages that can be read; what can't be is said once."""
        return [*self.own.values(), *self.usable_added()]

    def usable_added(self) -> list[AnySpec]:
        """Those of other packages that can be read, by name."""
        specs = []
        for point in self._points:
            if why := self._refused(point.name):
                note(f"Left out: {why}, so {point.value} can't be it.")
        for name in self._added:
            try:
                specs.append(self[name])
            except ConfigError as error:
                note(f"Left out: {error}")
        return specs

    def _spec(self, name: str, address: str) -> AnySpec:
        found = resolve(address, f"{self.kind} {name!r}")
        spec = getattr(found, "spec", found)
        kinds = {type(one) for one in self.own.values()}
        if type(spec) not in kinds:
            if self._spec_of is None:
                what = "a class" if isinstance(found, type) else f"a {type(found).__name__}"
                raise ConfigError(
                    f"{self.kind} {name!r}: {address} is {what}, no "
                    f"{' or '.join(sorted(kind.__name__ for kind in kinds))}, and has no attribute `spec` that is one. "
                    "See docs/extending.md."
                )
            spec = self._spec_of(name, found)
        # Known again by the name that it was asked by: results on disk name it so.
        if spec is found and not spec.target:
            raise ConfigError(f"{self.kind} {name!r}: the spec at {address} says no target. Give it one, or its class.")
        return replace(spec, name=name, target=spec.target or address)


_allowed: set[str] = set()


def allow(names: Iterable[str]) -> None:
    """Lets records name these addresses ("package.module:Name"), whose code is then run: see `Registry.of_record`."""
    _allowed.update(names)


def is_allowed(name: str) -> bool:
    """Whether `allow` was given it."""
    return name in _allowed


def resolve(address: str, what: str) -> Any:
    """What "package.module:Name" points at.

    Args:
        what: names it in messages.

    Raises:
        ConfigError: it is no such address, or importing it fails.
    """
    with strangers_code(
        f"{what}: {address} can't be imported",
        "Give package.module:Name of something that Python finds: PYTHONPATH=. adds the folder that you are in.",
    ):
        return pkgutil.resolve_name(address)


SHARED = ("default_dtype", "float32_matmul_precision", "num_threads")
"""What PyTorch has one of for everybody."""


@contextmanager
def strangers_code(what: str, remedy: str = "", kind: type[SoundprobeError] = ConfigError) -> Iterator[None]:
    """Code of others, which may fail in any way: then one line says what it said, and in which line of which file.

    What it sets for all of PyTorch is set back, since every other network's numbers hang on it.

    Args:
        what: fails, for the message; remedy: follows.

    Raises:
        SoundprobeError: of this `kind`, where it raised anything, or would have ended the program. What says that
            memory ran out, or that the system refused to read or write, is left to tell that.
    """
    torch = sys.modules.get("torch")
    before = {name: getattr(torch, f"get_{name}")() for name in SHARED} if torch else {}
    try:
        yield
    except SoundprobeError:
        raise
    except (Exception, SystemExit) as error:
        if ran_out_of_memory(error) or refusal_in(error):
            raise
        told = f"{type(error).__name__}: {one_line(error)[:200]}{strangers_line(error)}"
        raise kind(f"{what} ({told}). {remedy}".strip()) from error
    finally:
        if torch := sys.modules.get("torch"):
            usual = {} if before else {"default_dtype": torch.float32, "float32_matmul_precision": "highest"}
            for name, value in {**usual, **before}.items():
                if getattr(torch, f"get_{name}")() != value:
                    getattr(torch, f"set_{name}")(value)


OURS = {__name__.partition(".")[0], "click", "importlib", "rich", "torch", "typer"}
"""Packages whose lines don't say where code of others failed."""


def strangers_line(error: BaseException) -> str:
    """ ", at file.py:3": the last line of code of others that the error came through; "" where it came through none."""
    own = [
        f", at {Path(frame.f_code.co_filename).name}:{line}"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if str(frame.f_globals.get("__name__")).partition(".")[0] not in OURS
    ]
    return own[-1] if own else ""


def code_of(target: str) -> dict[str, str]:
    """The digest of the file that another package's class stands in, to be a part of keys: a change of it is another.

    A change counts once the class is imported anew: until then what runs is what was read before. Empty for
    soundprobe's own, whose specs have versions where a change of code changes results.

    Raises:
        ConfigError: as `resolve`.
    """
    if target.partition(".")[0] == __name__.partition(".")[0]:
        return {}
    found = resolve(target, target)
    if found.__module__.partition(".")[0] == __name__.partition(".")[0]:
        return {}
    digest = code_digest(found, found.__module__)
    return {} if digest is None else {"code_sha256": digest}


keyed: dict[str, str] = {}
"""The modules of others whose code is in the keys of what this process makes, and its digests."""


@cache
def code_digest(found: object, module: str) -> str | None:
    """The SHA-256 of the module's file as it was when it was first asked for this class or function of it.

    That is right after it was imported. Once it is imported anew, it is another object.
    """
    file = getattr(sys.modules[module], "__file__", None)
    if file is None:
        return None
    keyed[module] = hashlib.sha256(Path(file).read_bytes()).hexdigest()
    return keyed[module]


@cache
def _digest_there(module: ModuleType) -> str:
    """The same in a worker, which imports no module anew."""
    return hashlib.sha256(Path(str(module.__file__)).read_bytes()).hexdigest()


def other_code(there: Mapping[str, str]) -> str | None:
    """The first module of the `keyed` of another process that this one has imported from a file of other bytes."""
    imported = {name: sys.modules[name] for name in there if name in sys.modules and name != "__main__"}
    return next((name for name, module in imported.items() if _digest_there(module) != there[name]), None)


@cache
def own_code(room: str) -> str:
    """The SHA-256 of the source files of one of soundprobe's rooms, such as "heads", which is not imported."""
    digest = hashlib.sha256()
    for path in sorted((Path(__file__).parents[1] / room).rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()

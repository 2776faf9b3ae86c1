"""What can go wrong through the user's data or settings, each as one clear line.

The command line prints a `SoundprobeError` without a traceback and exits with 1; anything else is a bug.
"""

from __future__ import annotations

import difflib
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from soundprobe.base.places import told

TURNING = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
HARMFUL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff" + TURNING + "]")
"""Control characters, line breaks, half characters, and what could turn the text around it about."""
HARMFUL_IN_LINES = re.compile(rf"(?!\n){HARMFUL.pattern}")
"""The same but for line breaks, where these are one's own."""


LONGEST = 1600
"""Characters of a message: a name of a megabyte, of which its middle is left out, is no line."""


def one_line(text: object) -> str:
    """`text` on one line, without `HARMFUL` characters; an exception's kind where it says nothing.

    Copies of what is in a store are called by its URL.
    """
    shown = told(str(text))
    if not shown.isascii() or not shown.isprintable() or "  " in shown or shown != shown.strip():
        shown = " ".join(HARMFUL.sub(" ", re.sub(f"[{TURNING}]", "", shown)).split())
    return shown or (type(text).__name__ if isinstance(text, BaseException) else "")


def _bounded(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= LONGEST else f"{line[: LONGEST // 2]} ... {line[5 - LONGEST // 2 :]}"


class SoundprobeError(Exception):
    """A mistake that the user can mend. The message names the value, what is valid, and the remedy.

    It is one line, whatever characters stand in the names that it tells, and of `LONGEST` characters at most.
    `several` are those that it is made of, each on a line, where it tells of more than one.
    """

    several: tuple[SoundprobeError, ...] = ()

    def __str__(self) -> str:
        if self.several:
            return "\n".join(map(str, self.several))
        return _bounded(super().__str__())


class DataError(SoundprobeError):
    """A data set's layout, metadata or count is not what it should be."""


class AudioError(SoundprobeError):
    """One clip can't be decoded. `reason` is short and stands in failure lists: "empty file", "truncated", ..."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason

    def __reduce__(self) -> tuple[type[AudioError], tuple[str, str]]:  # survives a trip between processes
        return type(self), (self.name, self.reason)


class ClipReadError(AudioError):
    """The system failed while a clip was read, which says nothing about the clip."""


class WeightsError(SoundprobeError):
    """Pretrained weights are missing, can't be fetched, or are not the file that they should be."""


class StoreError(SoundprobeError):
    """An embedding set or a result on disk is missing, incomplete, busy or inconsistent."""


OTHER_BYTES = "its bytes are not those that were written"


class DamagedError(StoreError):
    """The file at `path` is not as it was written: bytes changed, or it can't be read as what it should be.

    `why` says it in a few words; the same command that made the file makes it again.
    """

    def __init__(self, path: Path, why: str = OTHER_BYTES, again: str = "") -> None:
        self.path, self.why, self.again = path, why, again
        remedy = f"Run again: {again}" if again else "Run the command that made it again"
        super().__init__(f"{path} is damaged: {why}. {remedy}; only what is damaged is made anew.")

    def by(self, command: str) -> DamagedError:
        """The same, which names the command that makes the file again, where it is known."""
        return DamagedError(self.path, self.why, command or self.again)

    def __reduce__(self) -> tuple[type[DamagedError], tuple[Path, str, str]]:
        return type(self), (self.path, self.why, self.again)


class ConfigError(SoundprobeError):
    """A setting or recipe field is unknown or has the wrong type or value."""


class TrainingError(SoundprobeError):
    """Training went astray: the loss is not a number."""


class QuantisationError(SoundprobeError):
    """A network in fewer bits differs too much from the same in float32 on the user's clips."""


class ExportError(SoundprobeError):
    """A run can't be written in a format, or what was written doesn't give its numbers."""


class Lacking:
    """Gathers what is missing, so that it is told at once rather than one thing a try."""

    def __init__(self) -> None:
        self.errors: list[SoundprobeError] = []

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Keeps an error of the block, once where several say the same, and lets the work go on."""
        try:
            yield
        except SoundprobeError as error:
            if str(error) not in map(str, self.errors):
                self.errors.append(error)

    def tell(self) -> None:
        """Raises what was noted: the one error, or one that holds several."""
        if len(self.errors) == 1:
            raise self.errors[0]
        if self.errors:
            weights = all(isinstance(error, WeightsError) for error in self.errors)
            together = (WeightsError if weights else SoundprobeError)(f"{len(self.errors)} things are missing")
            together.several = tuple(self.errors)
            raise together


class SoundprobeWarning(UserWarning):
    """Something that the user should know, though the run goes on. One line, as errors are."""

    def __str__(self) -> str:
        return _bounded(super().__str__())


def note(text: str) -> None:
    """Warns of something that the user should know, a `SoundprobeWarning`, in the name of the caller's caller."""
    warnings.warn(text, SoundprobeWarning, stacklevel=3)


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether `error` is how Python, numpy, or PyTorch on a CPU or a GPU says so."""
    told = ("DefaultCPUAllocator: can't allocate memory", "DefaultCPUAllocator: not enough memory")
    named = type(error).__name__ == "OutOfMemoryError"  # torch's, which need not be imported to be asked for
    return isinstance(error, MemoryError) or named or any(text in str(error) for text in told)


def unknown(kind: str, value: str, available: Iterable[str]) -> str:
    """The message for a name that is not in a table.

    >>> unknown("backbone", "pans", ["ast", "panns"])
    "Unknown backbone 'pans'. Did you mean 'panns'? Available: ast, panns."
    """
    names = sorted(available)
    near = difflib.get_close_matches(value, names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"Unknown {kind} {value!r}.{hint} Available: {', '.join(names) or 'none'}."

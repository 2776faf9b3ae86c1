"""Mutations of everything that soundprobe reads, seeded: each is read, or refused in one line; nothing else may happen.

    make test-mutations N=100000                                      all targets, N cases among them
    python tests/faults/mutate.py 5000 --only json --seed 3           one kind
    python tests/faults/mutate.py 1 --only json --seed 3 --first 1234   a finding again

A target is a sample that is whole and what reads it; `<kind>_targets.py` beside this file list them in `targets()`.
Case i of a target is a function of its name, the seed and i alone.
"""

from __future__ import annotations

import argparse
import copy
import importlib
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soundprobe.base.errors import SoundprobeError

ODD_NUMBERS = (0, 1, -1, 127, 128, 255, 256, 32767, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**64 - 1)
ODD_VALUES: tuple[Any, ...] = (
    None, True, False, "", "text", "\x1b[31m\n", "../../x", "a" * 5000, -1, 0, 1.5, 1e308, 10**400, -(2**70),
    float("nan"), float("inf"), [], {}, [[]], [None], {"": None}, ["a"], [0] * 300,
)  # fmt: skip
DROPPED = object()

Mutation = Callable[[bytes, random.Random], bytes]


class FoundError(AssertionError):
    """A mutation that did something other than being read or refused in one line."""


@dataclass(frozen=True)
class Target:
    """Something that is read.

    Attributes:
        name: "<kind>-<what>"; samples: whole contents, which `read` reads without an error.
        read: reads the content. It may raise a `SoundprobeError`; anything else is a finding.
        mutate: makes a content another one; by default on the level of bytes.
        limit_s: longer is a hang.
    """

    name: str
    samples: Sequence[bytes]
    read: Callable[[bytes], object]
    mutate: Mutation | None = None
    limit_s: float = 60.0  # even where the machine has much else to do

    def case(self, seed: int, number: int) -> bytes:
        """The content of a case."""
        draw = random.Random(f"{self.name}/{seed}/{number}")
        return (self.mutate or mutate_bytes)(draw.choice(self.samples), draw)

    def check(self, seed: int, number: int) -> bool:
        """Whether the case was read rather than refused.

        Raises:
            FoundError: neither happened.
        """
        content = self.case(seed, number)
        again = f"--only {self.name} --seed {seed} --first {number}"
        try:
            with _limited(self.limit_s), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.read(content)
        except SoundprobeError as error:
            told = str(error)
            if "\n" in told or not told.isprintable() or not told:
                raise FoundError(f"{again}: the message is no line: {told[:300]!r}") from error
            return False
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            raise FoundError(f"{again}: {type(error).__name__}: {str(error)[:300]}") from error
        return True


class _TooLongError(Exception):
    pass


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """An alarm in the main thread, where the system has one."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def stop(*_: object) -> None:
        raise _TooLongError(f"not done after {seconds:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def mutate_bytes(content: bytes, draw: random.Random) -> bytes:
    """`content` with one to four changes: bits, bytes, runs, odd integers, what is cut off, put in or doubled."""
    data = bytearray(content)
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        at = _place(len(data), draw)
        match draw.randrange(9):
            case 0 | 1 if data:
                data[at] ^= 1 << draw.randrange(8)
            case 2 if data:
                data[at] = draw.randrange(256)
            case 3:
                del data[at:]
            case 4:
                del data[at : at + draw.randrange(1, 64)]
            case 5:
                data[at:at] = draw.randbytes(draw.randrange(1, 64))
            case 6:
                run = draw.choice((1, 16, 512, 4096))
                data[at : at + run] = draw.choice((b"\x00", b"\xff")) * len(data[at : at + run])
            case 7:
                size = draw.choice((1, 2, 4, 8))
                number = draw.choice(ODD_NUMBERS) % 256**size
                data[at : at + size] = number.to_bytes(size, draw.choice(("little", "big")))
            case _:
                data[at:at] = data[at : at + draw.randrange(1, 1024)]
    return bytes(data)


def _place(length: int, draw: random.Random) -> int:
    """A position: often near the beginning or the end, where headers and footers are."""
    if length == 0:
        return 0
    near = draw.randrange(min(length, draw.choice((16, 128, 2048))))
    return draw.choice((near, length - 1 - near, draw.randrange(length)))


def mutate_json(content: bytes, draw: random.Random) -> bytes:
    """A JSON object with a field or an item dropped, of another value, doubled, or nested deep; or changed bytes."""
    if draw.random() < 0.3:
        return mutate_bytes(content, draw)
    whole = json.loads(content)
    for _ in range(draw.choice((1, 1, 2))):
        place, name = draw.choice(list(_fields(whole)))
        value = draw.choice((DROPPED, "deep", "other", *ODD_VALUES))
        if value is DROPPED:
            del place[name]
        elif value == "deep":
            for _ in range(draw.choice((3, 60, 70, 900))):
                place[name] = draw.choice(([place[name]], {"": place[name]}))
        elif value == "other":  # the value of another field
            other, at = draw.choice(list(_fields(whole)))
            place[name] = json.loads(json.dumps(other[at]))
        else:
            place[name] = copy.deepcopy(value)
        if not whole:
            break
    try:
        return json.dumps(whole).encode()
    except RecursionError:
        return b'{"a":' * 3000


def _fields(content: Any) -> Iterator[tuple[Any, Any]]:
    """Each container with the name or index of each thing in it."""
    level = [content]
    while level:
        deeper = []
        for one in level:
            inner = one.items() if isinstance(one, dict) else enumerate(one)
            for name, value in inner:
                yield one, name
                if isinstance(value, dict | list):
                    deeper.append(value)
        level = deeper


def all_targets(folder: Path, only: str = "") -> list[Target]:
    """Those of every `<kind>_targets.py` whose name begins with `only`; `folder` is theirs to write in."""
    here = Path(__file__).parent
    sys.path[:0] = [str(here), str(here.parent)]
    found = []
    for path in sorted(here.glob("*_targets.py")):
        own = folder / path.stem
        own.mkdir(parents=True, exist_ok=True)
        found += importlib.import_module(path.stem).targets(own)
    return [target for target in found if target.name.startswith(only)]


def peak_mb() -> float:
    """The most memory that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # in KiB, on Linux


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", type=int)
    parser.add_argument("--only", default="", help="targets whose name begins so")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--memory-gb", type=float, default=6.0, help="cap of the address space")
    parser.add_argument("--shown", type=int, default=5, help="findings of a target that are printed")
    given = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (int(given.memory_gb * 2**30),) * 2)
    warnings.simplefilter("ignore")
    os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"
    with tempfile.TemporaryDirectory() as scratch:
        targets = all_targets(Path(scratch), given.only)
        each, found = -(-given.cases // len(targets)), 0
        for target in targets:
            began, read, own, held = time.perf_counter(), 0, 0, peak_mb()
            for number in range(given.first, given.first + each):
                try:
                    read += target.check(given.seed, number)
                except FoundError as error:
                    own += 1
                    if own <= given.shown:
                        cause = error.__cause__ or error
                        last = traceback.extract_tb(cause.__traceback__)[-1]
                        print(f"FOUND {error} ({last.filename}:{last.lineno})", flush=True)
            found += own
            print(
                f"{target.name}: {each} cases, {read} read, {each - read - own} refused, {own} findings, "
                f"{time.perf_counter() - began:.0f} s, peak of memory raised by {peak_mb() - held:.0f} MB",
                flush=True,
            )
        print(f"{each * len(targets)} cases in all, seed {given.seed}: {found} findings")
    return 1 if found else 0


if __name__ == "__main__":
    import mutate  # this module by the name that the targets know it by

    sys.exit(mutate.main())

"""What a section of the report is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from soundprobe.reporting.compared.comparison import Comparison
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.elements import Element

Facts = Mapping[str, Any]


@dataclass(frozen=True)
class ClipSet:
    """Clips that can be chosen together on the page, by a name that is unique there."""

    name: str
    ids: Sequence[str]


@dataclass(frozen=True)
class Unmeasured:
    """What was not measured, in words that follow on "Not measured:", and the command that measures it."""

    what: str
    command: str


@dataclass(frozen=True)
class Section:
    """One part of the report on a data set; what it yields is shown in every format.

    Attributes:
        key: its anchor is `<key>-<number of the data set>`.
        title: its heading.
        show: what it shows of a comparison; yields nothing where it does not apply.
        facts, row_facts: what it adds to report.json, to the data set and to each of its rows, where or not it shows
            something. docs/json.md documents both; they may hold NaN and NumPy's arrays of numbers.
        unmeasured: what it could show if it were measured; all sections' stand in one list.
        folded: whether the page shows its heading alone until a reader opens it.
        clip_sets: clips that it names, to be chosen in map, list and player; `elements.pick(words, set=name)` does so.
    """

    key: str
    title: str
    show: Callable[[Comparison], Iterable[Element]]
    facts: Callable[[Comparison], Facts] = lambda comparison: {}
    row_facts: Callable[[Comparison, Row], Facts] = lambda comparison, row: {}
    unmeasured: Callable[[Comparison], Iterable[Unmeasured]] = lambda comparison: ()
    folded: bool = False
    clip_sets: Callable[[Comparison], Iterable[ClipSet]] = lambda comparison: ()

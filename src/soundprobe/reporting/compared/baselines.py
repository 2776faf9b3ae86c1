"""What needs no pretraining, on the same clips: the yardsticks that a pretrained run has to beat.

Another yardstick, such as a model of the user's whose predictions were imported, is another line of `KINDS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.runs import marks


@dataclass(frozen=True)
class BaselineKind:
    """One way to do without pretraining: its name in running text, and which rows are of it."""

    key: str
    name: str
    includes: Callable[[Row], bool]


USERS_NETWORK = BaselineKind("users_network", "the notes' network", lambda row: row.is_users_network)
KINDS = (
    BaselineKind("no_network", "no network", lambda row: row.is_baseline),
    BaselineKind("untrained", "an untrained network", lambda row: marks.is_untrained(row.first)),
    USERS_NETWORK,
    BaselineKind(
        "from_scratch",
        "another network trained from scratch",
        lambda row: marks.is_trained_from_scratch(row.first) and not row.is_users_network,
    ),
)


@dataclass(frozen=True, eq=False)
class Baseline:
    """The best row of a kind, whatever its head: the best of them is what a pretrained run has to beat."""

    kind: BaselineKind
    row: Row


def baselines_of(ranked: Sequence[Row]) -> tuple[Baseline, ...]:
    """The baseline of each kind among `ranked`, whose best row comes first; the best baseline first."""
    firsts = ((kind, next(filter(kind.includes, ranked), None)) for kind in KINDS)
    found = [Baseline(kind, row) for kind, row in firsts if row is not None]
    return tuple(sorted(found, key=lambda one: -one.row.accuracy.mean))

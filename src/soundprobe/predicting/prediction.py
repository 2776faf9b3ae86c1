"""What heads say of new audio.

Letters: W windows, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from soundprobe.audio.checks import Findings
from soundprobe.base.errors import one_line
from soundprobe.base.records import Segment as Segment
from soundprobe.base.records import Source
from soundprobe.base.records import Timeline as Timeline


@dataclass(frozen=True, eq=False, repr=False)
class Prediction:
    """What a head says of one clip.

    Attributes:
        name: the clip; class_names: C names; proba: (C,) float64, sums to 1, the mean over the folds' heads.
        heads: how many heads were asked.
        duration_s: of the clip; heard_s: how much of it from its beginning the backbone takes.
        findings: what is conspicuous about its sound; see `soundprobe.audio.checks`.
        timeline: its windows, where it is longer than one or was asked for in windows; else None.
        segments: the stretches of one class in it, ascending, none of which overlap.
        multilabel: whether each class is a yes or no of its own, so that `proba` needn't sum to 1.
        source: its sound, to be heard again.
    """

    name: str
    class_names: tuple[str, ...]
    proba: np.ndarray
    heads: int
    duration_s: float
    heard_s: float
    findings: Findings = field(default_factory=dict)
    timeline: Timeline | None = None
    segments: tuple[Segment, ...] = ()
    multilabel: bool = False
    source: Source | None = None

    def __repr__(self) -> str:
        shares = ", ".join(f"{one_line(name)} {100 * share:.1f} %" for name, share in self.most_probable())
        return f"Prediction({one_line(self.name)}: {shares})"

    def most_probable(self, most: int = 3, least: float = 0.0) -> list[tuple[str, float]]:
        """The `most` most probable classes with their probabilities, falling; those below `least` but the first not."""
        order = (-self.proba).argsort(kind="stable")[:most]
        return [
            (self.class_names[c], float(self.proba[c]))
            for rank, c in enumerate(order)
            if rank == 0 or self.proba[c] >= least
        ]

    @property
    def predicted(self) -> str:
        """The most probable class."""
        return self.class_names[int(self.proba.argmax())]

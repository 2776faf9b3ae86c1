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

NONE_OF_THESE = "none of these"
"""What is said of a recording that is too unlike all that the heads were trained on."""


@dataclass(frozen=True, eq=False, repr=False)
class Prediction:
    """What a head says of one clip.

    Attributes:
        name: the clip; class_names: C names; proba: (C,) float64, sums to 1, the mean over the folds' heads.
        heads: how many heads were asked.
        duration_s: of the clip; heard_s: how much of it was heard, which is all.
        findings: what is conspicuous about its sound; see `soundprobe.audio.checks`.
        timeline: its windows, where it is longer than one or was asked for in windows; else None.
        segments: the stretches of one class in it, ascending, none of which overlap.
        novelty: how unlike the training clips it is, about 1 for clips like them; of its windows, the least. None where
            the heads don't know.
        is_unknown: whether that is too far for any class.
        trained_on: whether its very bytes are among the clips that heads were trained on: what they say is no test.
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
    novelty: float | None = None
    is_unknown: bool = False
    trained_on: bool = False
    multilabel: bool = False
    source: Source | None = None

    def __repr__(self) -> str:
        shares = ", ".join(f"{one_line(name)} {100 * share:.1f} %" for name, share in self.most_probable())
        return f"Prediction({one_line(self.name)}: {shares})"

    def most_probable(self, most: int = 3) -> list[tuple[str, float]]:
        """The `most` most probable classes with their probabilities, falling."""
        order = (-self.proba).argsort(kind="stable")[:most]
        return [(self.class_names[c], float(self.proba[c])) for c in order]

    @property
    def predicted(self) -> str:
        """The most probable class, or `NONE_OF_THESE`."""
        return NONE_OF_THESE if self.is_unknown else self.class_names[int(self.proba.argmax())]

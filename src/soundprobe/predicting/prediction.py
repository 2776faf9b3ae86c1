"""What heads say of new audio.

Letters: W windows, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from soundprobe.audio.checks import Findings
from soundprobe.base.records import Segment as Segment
from soundprobe.base.records import Timeline as Timeline

NONE_OF_THESE = "none of these"
"""What is said of a recording that is too unlike all that the heads were trained on."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a head says of one clip.

    Attributes:
        name: the clip; class_names: C names; proba: (C,) float64, sums to 1, the mean over the folds' heads.
        heads: how many heads were asked.
        duration_s: of the clip; heard_s: how much of it from its beginning the backbone takes.
        findings: what is conspicuous about its sound; see `soundprobe.audio.checks`.
        timeline: its windows, where it is longer than one or was asked for in windows; else None.
        segments: the stretches of one class in it, ascending, none of which overlap.
        novelty: how unlike the training clips it is, about 1 for clips like them; of its windows, the least. None where
            the heads don't know.
        is_unknown: whether that is too far for any class.
        trained_on: whether its very bytes are among the clips that heads were trained on: what they say is no test.
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

    @property
    def predicted(self) -> str:
        """The most probable class, or `NONE_OF_THESE`."""
        return NONE_OF_THESE if self.is_unknown else self.class_names[int(self.proba.argmax())]

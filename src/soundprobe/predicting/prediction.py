"""What heads say of new audio.

Letters: W windows, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from soundprobe.audio.checks import Findings
from soundprobe.base.records import Segment as Segment
from soundprobe.base.records import Timeline as Timeline


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

    @property
    def predicted(self) -> str:
        """The most probable class."""
        return self.class_names[int(self.proba.argmax())]

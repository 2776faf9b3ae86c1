"""What heads say of new audio.

Letters: W windows, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from soundprobe.audio.checks import Findings


@dataclass(frozen=True, eq=False)
class Timeline:
    """Probabilities over time: starts_s and ends_s (W,) of the windows, proba (W, C)."""

    class_names: tuple[str, ...]
    starts_s: np.ndarray
    ends_s: np.ndarray
    proba: np.ndarray


@dataclass(frozen=True)
class Segment:
    """A stretch of one class: seconds from the clip's beginning, the class's name, its mean probability there."""

    start_s: float
    end_s: float
    label: str
    probability: float


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

"""A run against published scores, on the folds of these that are test results. No torch.

Who publishes a score says how many clips were right, not which. So the two can't be paired, and nothing can be drawn
again: what is left is binomial, and takes each clip for a draw of its own. Clips of one recording are not, which
`estimate_design_effect` measures on the run's own predictions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from soundprobe.base.errors import DataError
from soundprobe.scoring.intervals import Interval, newcombe, wilson
from soundprobe.scoring.published import Published


@dataclass(frozen=True)
class Against:
    """Accuracy over the clips: as published, the run's, and the run's less the published, each with its interval."""

    published: Interval
    run: Interval
    difference: Interval


@dataclass(frozen=True)
class PublishedComparison:
    """What the folds that both tested say, all their clips together.

    Attributes:
        clips, missing: those that the run tested, and those that it could not read.
        by_clip: binomial, as if every clip were drawn by itself. Too narrow.
        by_recording: the same with as many clips as they are worth, clips / `design_effect`.
        design_effect: 1 where it was not given; the two then agree.
    """

    clips: int
    missing: int
    by_clip: Against
    by_recording: Against
    design_effect: float

    @property
    def is_clear(self) -> bool:
        """Whether the more careful interval of the difference leaves 0 out."""
        return self.by_recording.difference.excludes_zero


def compare_with_published(
    published: Published, correct: float, clips: int, *, missing: int = 0, design_effect: float = 1.0
) -> PublishedComparison:
    """A run with `correct` of `clips` right on the folds that are `published` as test results, against these.

    Args:
        correct, clips: the run's, on those folds alone; `correct` may be a mean over seeds.
        missing: clips of the folds that the run could not read; they count for neither side.
        design_effect: of the run on those folds, from `estimate_design_effect`.

    Raises:
        DataError: `clips` and `missing` don't make the folds', or there are more right than clips.
    """
    n = published.tested_clips
    if clips + missing != n or missing < 0:
        raise DataError(
            f"{published.where.capitalize()} of {published.name} {'have' if len(published.tests) > 1 else 'has'} {n} "
            f"clips, this run's {clips} and {missing} that failed. Only the same whole folds can be compared."
        )
    if not 0 <= correct <= clips or clips == 0:
        raise DataError(f"{correct} correct of {clips} clips is not possible; give 0 to {clips}.")
    if not 1 <= design_effect < np.inf:
        raise DataError(f"A design effect of {design_effect} is not valid; it is 1 (independent clips) or more.")

    def against(worth: float) -> Against:
        run, theirs = wilson(correct / clips, clips / worth), wilson(published.correct / n, n / worth)
        return Against(theirs, run, newcombe(run, theirs))

    return PublishedComparison(clips, missing, against(1.0), against(design_effect), float(design_effect))


def estimate_design_effect(correct: np.ndarray, groups: np.ndarray) -> float:
    """How many clips count as one, because clips of a recording are right or wrong together: 1 or more.

    The variance of a fold's accuracy by recordings, over that by clips:
        G / (G - 1) sum over recordings of (right - accuracy x clips)^2 / (n accuracy (1 - accuracy))

    1 where it can't be told: every clip right, every clip wrong, or a single recording.

    Source: Kish, "Survey sampling", 1965 (ratio of two variances of a mean).

    Args:
        correct: (n,) bool, whether each clip of the fold was right; groups: (n,) its recording.
    """
    if len(correct) == 0 or len(correct) != len(groups):
        raise DataError(
            f"{len(groups)} recordings for {len(correct)} clips; one for each is needed, and a clip at least."
        )
    right = np.asarray(correct, dtype=np.float64)
    _, recording, clips = np.unique(groups, return_inverse=True, return_counts=True)
    n, G, accuracy = len(right), len(clips), float(right.mean())
    if G < 2 or accuracy in (0.0, 1.0):
        return 1.0
    residual = np.bincount(recording, weights=right) - accuracy * clips
    by_recording = G / (G - 1) * float((residual**2).sum()) / n**2
    return max(1.0, by_recording / (accuracy * (1 - accuracy) / n))

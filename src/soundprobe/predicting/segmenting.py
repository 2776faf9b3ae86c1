"""Windows to segments: stretches of one class.

A window speaks for the time that is nearer to its middle than to another's; the first and the last reach to the
recording's ends. So segments never overlap, and their borders are half a hop from a window's middle. What it says is
what all windows say together that hear its middle.

Letters: W windows, C classes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np

from soundprobe.base.errors import ConfigError, unknown
from soundprobe.predicting.prediction import Segment, Timeline
from soundprobe.scoring.thresholds import NEVER

NOTHING = -1
ROUNDING_S = 1e-6
LEAST_PROBA = 1e-6
LEAST_SURE = 0.2
"""AudioSet's networks are seldom surer: of the tags that are right, few reach 0.5."""


def edges_s(timeline: Timeline) -> np.ndarray:
    """(W + 1,) between which edges each window speaks, ascending."""
    middles = (timeline.starts_s + timeline.ends_s) / 2
    edges: np.ndarray = np.concatenate([timeline.starts_s[:1], (middles[1:] + middles[:-1]) / 2, timeline.ends_s[-1:]])
    return edges


def check_segmenting(threshold: float | Mapping[str, float], min_duration_s: float) -> None:
    """Raises ConfigError where a threshold is no probability, or `min_duration_s` no length."""
    for least in threshold.values() if isinstance(threshold, Mapping) else [threshold]:
        if not (0 <= least <= 1 or least == NEVER):
            raise ConfigError(f"A threshold of {least} is not valid: give 0 to 1, such as 0.5.")
    if not 0 <= min_duration_s < math.inf:
        raise ConfigError(f"A least duration of {min_duration_s} s is not valid: give 0 or more, such as 0.5.")


def thresholds_of(class_names: Sequence[str], threshold: float | Mapping[str, float]) -> np.ndarray:
    """(C,) the threshold of each class.

    Raises:
        ConfigError: one is named that isn't there.
    """
    if not isinstance(threshold, Mapping):
        return np.full(len(class_names), threshold)
    for name in threshold:
        if name not in class_names:
            raise ConfigError(unknown("class", name, class_names))
    return np.array([threshold.get(name, 0.0) for name in class_names])


def segments(
    timeline: Timeline, *, threshold: float | Mapping[str, float] = 0.0, min_duration_s: float = 0.0
) -> tuple[Segment, ...]:
    """The stretches in which one class is the most probable, ascending; none where windows are none of the classes.

    Args:
        threshold: a window whose most probable class is less probable belongs to no segment; one for all, or by class,
            where a class that is left out has none.
        min_duration_s: shorter stretches are left out, and those of one class on both sides of such a gap are one.

    Raises:
        ConfigError: see `check_segmenting`; or a class of `threshold` is none of the timeline's.
    """
    return _stretches(timeline, together(timeline), threshold, min_duration_s)


def together(timeline: Timeline) -> np.ndarray:
    """(W, C) what all windows say together that hear the middle of each, where windows overlap by more than half.

    The geometric mean of their probabilities, made to sum to 1: a class that one of them is sure not to hear is not
    there, while a mean would blur borders. On clips of ESC-10 that were joined, 2 to 5 points more of the time are
    labelled rightly than by single windows (docs/predict.md).
    """
    middles = (timeline.starts_s + timeline.ends_s) / 2
    halves = (timeline.ends_s - timeline.starts_s) / 2 - ROUNDING_S
    firsts = np.searchsorted(middles, middles - halves)
    ends = np.searchsorted(middles, middles + halves, side="right")
    sums = np.zeros((len(middles) + 1, timeline.proba.shape[1]))
    np.cumsum(np.log(np.maximum(timeline.proba, LEAST_PROBA)), axis=0, out=sums[1:])
    shares = np.exp((sums[ends] - sums[firsts]) / (ends - firsts)[:, None])
    proba: np.ndarray = shares / shares.sum(axis=1, keepdims=True)
    alone = ends - firsts == 1
    proba[alone] = timeline.proba[alone]
    return proba


def _stretches(
    timeline: Timeline, proba: np.ndarray, threshold: float | Mapping[str, float], min_duration_s: float
) -> tuple[Segment, ...]:
    """Those of the windows of `timeline`, where `proba` (W, C) is what they say."""
    check_segmenting(threshold, min_duration_s)
    names = timeline.class_names
    least = thresholds_of(names, threshold)
    edges, best = edges_s(timeline), proba.argmax(axis=1)
    sure = proba.max(axis=1) >= least[best]
    if timeline.is_unknown is not None:
        sure &= ~timeline.is_unknown
    shortest_s = min_duration_s - ROUNDING_S
    runs: list[tuple[int, int, int]] = []  # class, first window, one behind the last
    at = 0
    for label, run in itertools.groupby(np.where(sure, best, NOTHING).tolist()):
        first, at = at, at + len(list(run))
        if label == NOTHING or edges[at] - edges[first] < shortest_s:
            continue
        if runs and runs[-1][0] == label and edges[first] - edges[runs[-1][2]] < shortest_s:
            runs[-1] = (label, runs[-1][1], at)
        else:
            runs.append((label, first, at))
    return tuple(
        Segment(float(edges[first]), float(edges[end]), names[label], float(proba[first:end, label].mean()))
        for label, first, end in runs
    )


def segments_of_each(
    timeline: Timeline, *, threshold: float | Mapping[str, float] = LEAST_SURE, min_duration_s: float = 0.0
) -> tuple[Segment, ...]:
    """The stretches of every class by itself, where several may be heard at once: they may overlap.

    Args, Raises: as `segments`; a class that `threshold` leaves out has `LEAST_SURE`.
    """
    names = timeline.class_names
    if isinstance(threshold, Mapping):
        threshold = {**dict.fromkeys(names, LEAST_SURE), **threshold}
    least = thresholds_of(names, threshold)
    found: list[Segment] = []
    for c in np.flatnonzero(timeline.proba.max(axis=0) >= least):
        alone = Timeline(names[c : c + 1], timeline.starts_s, timeline.ends_s, timeline.proba[:, c : c + 1])
        found += _stretches(alone, alone.proba, float(least[c]), min_duration_s)
    return tuple(sorted(found, key=lambda one: (one.start_s, -one.probability)))

"""Controls of the protocol itself: labels that mean nothing, and folds as they must not be drawn.

N is the number of clips.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from soundprobe.base.errors import ConfigError, unknown

SHUFFLED_LABELS = "shuffled-labels"
"""Heads are trained and judged on labels that were dealt out anew: what they score above chance has leaked."""
RESHUFFLED_FOLDS = "reshuffled-folds"
"""Clips are dealt into folds without regard to recordings: how much a score owes to knowing the recording."""
CONTROLS = (SHUFFLED_LABELS, RESHUFFLED_FOLDS)
BY_RECORDING = {"shuffled_by": "recording"}
"""What tells runs that are judged by their shuffled labels from older ones, which were judged by the true labels."""


def check_control(name: str | None) -> None:
    """Raises ConfigError where `name` is no control."""
    if name is not None and name not in CONTROLS:
        raise ConfigError(unknown("control", name, CONTROLS))


def settings_of(control: str | None) -> dict[str, Any]:
    """What the key and the record of a run say of its control."""
    if control is None:
        return {}
    return {"control": control, **(BY_RECORDING if control == SHUFFLED_LABELS else {})}


def could_fail(settings: Mapping[str, Any]) -> bool:
    """Whether a run on shuffled labels was judged by them: by the true ones it stays at chance, whatever leaks."""
    return settings.get("shuffled_by") == BY_RECORDING["shuffled_by"]


def shuffle_labels(labels: np.ndarray, folds: np.ndarray, groups: np.ndarray, seed: int) -> np.ndarray:
    """(N,) the labels, dealt out anew among recordings: a recording's clips of one class stay of one class.

    So a clip's label can't be learnt from its sound, but it can from another clip of its recording, or from itself:
    a head that reaches more than chance on these labels was trained on recordings or rows that it is tested on. A
    recording with clips of several classes counts as one for each of them. It is dealt with the fold in which most of
    its clips lie, and every fold keeps its counts of classes as nearly as recordings of unequal sizes let it; where a
    fold is of one class, all folds are dealt together.

    Args:
        labels, folds, groups: (N,) as in `cross_validate`.
    """
    unit, dealt = _deals(labels, folds, groups, seed, times=1)
    return dealt[0, unit]


def accuracies_by_luck(
    labels: np.ndarray,
    predicted: np.ndarray,
    folds: np.ndarray,
    groups: np.ndarray,
    *,
    seed: int = 0,
    times: int = 2000,
) -> np.ndarray:
    """(times,) mean accuracies over folds of `predicted` on `labels` dealt out anew, as by `shuffle_labels`: guessing.

    Args:
        labels, predicted, folds, groups: (N,) of clips that were tested on shuffled labels.
    """
    unit, dealt = _deals(labels, folds, groups, seed, times)
    _, fold, clips = np.unique(folds, return_inverse=True, return_counts=True)
    said = np.zeros((dealt.shape[1], 1 + max(labels.max(), predicted.max())))
    np.add.at(said, (unit, predicted), 1 / (len(clips) * clips[fold]))
    return said[np.arange(len(said)), dealt].sum(axis=1)


def _deals(
    labels: np.ndarray, folds: np.ndarray, groups: np.ndarray, seed: int, times: int
) -> tuple[np.ndarray, np.ndarray]:
    """(N,) the unit of each clip, a recording's clips of one class, and (times, units) the labels that these get."""
    _, recording = np.unique(groups, return_inverse=True)
    _, unit = np.unique(recording * (labels.max() + 1) + labels, return_inverse=True)
    names, place = np.unique(folds, return_inverse=True)
    clips = np.zeros((unit.max() + 1, len(names)), dtype=np.int64)
    np.add.at(clips, (unit, place), 1)
    home, sizes = clips.argmax(axis=1), clips.sum(axis=1)
    if any(np.ptp(labels[home[unit] == fold]) == 0 for fold in np.unique(home)):
        home[:] = 0  # within a fold of one class, as of one recording, nothing could be dealt: all are one
    dealt = np.empty((times, len(clips)), dtype=labels.dtype)
    for fold in np.unique(home):
        rng = np.random.default_rng([seed, int(names[fold]) % 2**32])
        own = np.flatnonzero(home == fold)
        there = np.sort(labels[home[unit] == fold])
        # Side by side in a random order on the ring of their sorted labels, from a random place on, each takes the
        # label at its middle: whatever its size, it meets classes in proportion, and classes keep their counts.
        order = rng.permuted(np.tile(own, (times, 1)), axis=1)
        ends = np.cumsum(sizes[order], axis=1)
        middles = ends - (sizes[order] + 1) // 2 + rng.integers(len(there), size=(times, 1))
        np.put_along_axis(dealt, order, there[middles % len(there)], axis=1)
    return unit, dealt


def reshuffle_folds(ids: np.ndarray, folds: np.ndarray, seed: int) -> np.ndarray:
    """(N,) the fold of each clip, the given folds dealt out anew clip by clip, whatever recording a clip is from.

    Each fold keeps its number of clips: heads then train on as many as on the given folds, and a higher score owes
    nothing to more of them.

    Args:
        ids: (N,) unique; the result does not depend on the rows' order. folds: (N,) the given ones.
    """
    drawn, order = np.empty_like(folds), np.argsort(ids)
    drawn[order] = np.random.default_rng(seed).permutation(folds[order])
    return drawn


def in_training_too(folds: np.ndarray, groups: np.ndarray) -> float:
    """The share of clips whose recording also has clips in another fold, so that heads are trained on it."""
    _, recording = np.unique(groups, return_inverse=True)
    pairs = np.unique(np.stack([recording, folds]), axis=1)
    return float((np.bincount(pairs[0])[recording] > 1).mean())

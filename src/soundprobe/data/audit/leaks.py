"""What two folds share: recordings, clips with the same bytes, and clips that sound nearly the same.

Letters: N clips, G recordings.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from soundprobe.base.records import Clips, Embeddings
from soundprobe.data.audit.near_copies import NearCopies
from soundprobe.scoring.copies import copy_numbers


@dataclass(frozen=True)
class SharedRecording:
    """A recording whose clips sit in more than one fold."""

    group: str
    folds: tuple[int, ...]
    clips: int


@dataclass(frozen=True)
class Identical:
    """Clips with the same bytes; the columns are in one order. Their class names differ where labels disagree."""

    sha256: str
    ids: tuple[str, ...]
    folds: tuple[int, ...]
    groups: tuple[str, ...]
    class_names: tuple[str, ...]
    across_folds: bool


@dataclass(frozen=True)
class NearPair:
    """Two clips of different folds and the centred cosine of their embeddings.

    `same_recording` and `same_bytes` mark pairs that are known without listening.
    """

    ids: tuple[str, str]
    folds: tuple[int, int]
    groups: tuple[str, str]
    class_names: tuple[str, str]
    cosine: float
    same_recording: bool
    same_bytes: bool


def find_identical(data: Clips | Embeddings, sha256: np.ndarray) -> tuple[Identical, ...]:
    """Every set of clips with the same bytes, those across folds first."""
    numbers = copy_numbers(sha256)
    order = np.argsort(numbers, kind="stable")
    _, starts, counts = np.unique(numbers[order], return_index=True, return_counts=True)
    found = []
    for start, count in zip(starts[counts > 1], counts[counts > 1], strict=True):
        rows = order[start : start + count]
        folds = tuple(data.folds[rows].tolist())
        found.append(
            Identical(
                sha256=str(sha256[rows[0]]),
                ids=tuple(data.ids[rows].tolist()),
                folds=folds,
                groups=tuple(data.groups[rows].tolist()),
                class_names=tuple(data.class_names[label] for label in data.labels[rows]),
                across_folds=len(set(folds)) > 1,
            )
        )
    return tuple(sorted(found, key=lambda one: (not one.across_folds, one.ids)))


def spread_over(near: NearCopies, rows: np.ndarray, clips: int) -> NearCopies:
    """`near`, found on the clips at `rows`, in terms of all N `clips`."""
    flags, component = np.zeros(clips, dtype=bool), np.arange(clips)
    flags[rows] = near.near
    _, first = np.unique(near.component, return_index=True)
    component[rows] = rows[first[np.searchsorted(near.component[first], near.component)]]
    return dataclasses.replace(near, first=rows[near.first], second=rows[near.second], near=flags, component=component)


def name_pairs(data: Clips | Embeddings, near: NearCopies, numbers: np.ndarray | None) -> tuple[NearPair, ...]:
    """The listed pairs with their names; `numbers` are `copy_numbers`, None where digests are not known."""
    found = []
    for a, b, cosine in zip(near.first.tolist(), near.second.tolist(), near.cosine.tolist(), strict=True):
        found.append(
            NearPair(
                ids=(str(data.ids[a]), str(data.ids[b])),
                folds=(int(data.folds[a]), int(data.folds[b])),
                groups=(str(data.groups[a]), str(data.groups[b])),
                class_names=(data.class_names[data.labels[a]], data.class_names[data.labels[b]]),
                cosine=round(cosine, 4),
                same_recording=bool(data.groups[a] == data.groups[b]),
                same_bytes=numbers is not None and bool(numbers[a] == numbers[b]),
            )
        )
    return tuple(found)


def leaking_clips(
    data: Clips | Embeddings, shared: Iterable[SharedRecording], identical: Iterable[Identical], near: NearCopies | None
) -> tuple[str, ...]:
    """The ids of clips that have a sibling, a copy or a near copy in another fold."""
    leaks = np.isin(data.groups, [one.group for one in shared])
    leaks |= np.isin(data.ids, [name for one in identical if one.across_folds for name in one.ids])
    if near is not None:
        leaks |= near.near
    return tuple(data.ids[leaks].tolist())

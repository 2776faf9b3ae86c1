"""Whether a data set's folds can be trusted: what they share, how evenly they are filled, and clips to listen to.

Works from metadata alone; digests, lengths, levels and embeddings each add what only they can show. A stored embedding
set brings all of these but levels. N is the number of clips.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from soundprobe.base.errors import DataError
from soundprobe.base.records import Clips, Embeddings
from soundprobe.data.audit.balance import (
    ClipsPerRecording,
    FoldBalance,
    ThinClass,
    balance_folds,
    count_clips_per_recording,
    find_thin_classes,
)
from soundprobe.data.audit.leaks import (
    Identical,
    NearPair,
    SharedRecording,
    find_identical,
    leaking_clips,
    name_pairs,
    spread_over,
)
from soundprobe.data.audit.near_copies import NEAR_COSINE, NearCopies, find_near_copies
from soundprobe.data.scan import recordings_across_folds
from soundprobe.scoring.copies import copy_numbers, linked_recordings

SHORT_S = 0.5
"""Shorter clips are listed: 166 of UrbanSound8K's 8,732. A backbone sees mostly padding."""
SILENT_PEAK = 0.001
"""Clips whose loudest sample is below -60 dB of full scale are listed: 16 bits leave them 33 steps either way."""


@dataclass(frozen=True)
class ListedClip:
    """A clip with the figure that it is listed for: its length in seconds, or its peak in [0, 1]."""

    id: str
    value: float


@dataclass(frozen=True)
class Audit:
    """What was found. A part that could not be looked at is None, and `not_checked` says why.

    Attributes:
        name, clips, recordings, class_names: the data set's.
        recordings_known: whether its recordings are; else each clip counts as its own.
        folds: each fold's balance; thin: classes of which a fold holds fewer than 3 recordings.
        shared_recordings: recordings in more than one fold.
        identical: sets of clips with the same bytes, those across folds first.
        near_pair_count: how many pairs across folds reach `near_cosine`; near_pairs: the most similar of them.
        closest_pairs: the most similar pairs below `near_cosine`, by which to judge where it lies.
        clips_per_recording: how unequal recordings are.
        short: clips under `short_s`, the shortest first; silent: clips with a peak under `silent_peak`, likewise.
        leaking: ids of the clips with a sibling, a copy or a near copy in another fold.
        linked: sets of recordings that hold copies of each other's clips, or near copies in other folds.
        not_checked: what was not looked at, and why or what it needs.
        reading_notes, sound_notes: what was noted when the clips were read, and what is conspicuous about their sound.
    """

    name: str
    clips: int
    recordings: int
    recordings_known: bool
    class_names: tuple[str, ...]
    folds: tuple[FoldBalance, ...]
    thin: tuple[ThinClass, ...]
    shared_recordings: tuple[SharedRecording, ...]
    identical: tuple[Identical, ...] | None
    near_cosine: float
    near_pair_count: int | None
    near_pairs: tuple[NearPair, ...] | None
    closest_pairs: tuple[NearPair, ...] | None
    clips_per_recording: ClipsPerRecording
    short_s: float
    short: tuple[ListedClip, ...] | None
    silent_peak: float
    silent: tuple[ListedClip, ...] | None
    leaking: tuple[str, ...]
    linked: tuple[tuple[str, ...], ...]
    not_checked: Mapping[str, str]
    reading_notes: tuple[str, ...] = ()
    sound_notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json`: no NaN, and only texts as keys."""
        return dataclasses.asdict(self)


def audit(
    data: Clips | Embeddings,
    *,
    sha256: np.ndarray | None = None,
    duration_s: np.ndarray | None = None,
    peak: np.ndarray | None = None,
    embeddings: Embeddings | None = None,
    short_s: float = SHORT_S,
    silent_peak: float = SILENT_PEAK,
    near_cosine: float = NEAR_COSINE,
    max_pairs: int = 1000,
    closest: int = 20,
) -> Audit:
    """Looks for what makes a cross-validation on `data` too hopeful, or a fold's score a matter of luck.

    Args:
        data: clips, or an embedding set, whose own digests, lengths and embeddings are used where none are given.
        sha256: (N,) digests of the encoded audio, '' where unread; duration_s: (N,), 0 where unread. See `Scan`.
        peak: (N,) each clip's largest |sample| in [0, 1], NaN where unread. Needs decoded audio.
        embeddings: of all clips or some of them, matched by id.
        near_cosine: the centred cosine from which clips are near copies, see `near_copies.NEAR_COSINE`.
        max_pairs, closest: how many pairs are listed above and below it.

    Raises:
        DataError: a column does not have N values, or `embeddings` holds a clip that `data` does not.
        ConfigError: `near_cosine` or `max_pairs` is out of range.
    """
    if isinstance(data, Embeddings):
        embeddings = data if embeddings is None else embeddings
        sha256 = data.columns.get("audio_sha256") if sha256 is None else sha256
        duration_s = data.columns.get("duration_s") if duration_s is None else duration_s
    for name, column in (("sha256", sha256), ("duration_s", duration_s), ("peak", peak)):
        if column is not None and len(column) != len(data):
            raise DataError(f"{len(column)} values of {name} for {len(data)} clips; one for each clip is needed.")
    near, reason = _find_near(data, embeddings, near_cosine, max_pairs, closest)
    numbers = None if sha256 is None else copy_numbers(sha256)
    pairs = None if near is None else name_pairs(data, near, numbers)
    folds = balance_folds(data)
    shared = tuple(
        SharedRecording(one["group"], tuple(one["folds"]), one["clips"]) for one in recordings_across_folds(data)
    )
    identical = None if sha256 is None else find_identical(data, sha256)
    return Audit(
        name=_name(data),
        clips=len(data),
        recordings=len(np.unique(data.groups)),
        recordings_known=bool(data.recordings_known),
        class_names=tuple(data.class_names),
        folds=folds,
        thin=find_thin_classes(folds, tuple(data.class_names)),
        shared_recordings=shared,
        identical=identical,
        near_cosine=near_cosine,
        near_pair_count=None if near is None else near.pairs,
        near_pairs=None if pairs is None or near is None else pairs[: min(near.pairs, max_pairs)],
        closest_pairs=None if pairs is None or near is None else pairs[near.pairs :][:closest],
        clips_per_recording=count_clips_per_recording(data.groups),
        short_s=short_s,
        short=None if duration_s is None else _below(data.ids, duration_s, short_s, unread=0.0),
        silent_peak=silent_peak,
        silent=None if peak is None else _below(data.ids, peak, silent_peak, unread=np.nan),
        leaking=leaking_clips(data, shared, identical or (), near),
        linked=linked_recordings(data.groups, numbers, None if near is None else near.component),
        not_checked={
            **({} if sha256 is not None else {"identical": "needs the audio's digests: check or extract the clips."}),
            **({} if reason is None else {"near copies": reason}),
            **({} if duration_s is not None else {"short": "needs the clips' lengths: check or extract the clips."}),
            **({} if peak is not None else {"silent": "needs each clip's peak level: check the clips with decoding."}),
        },
    )


def _find_near(
    data: Clips | Embeddings, embeddings: Embeddings | None, near_cosine: float, max_pairs: int, closest: int
) -> tuple[NearCopies | None, str | None]:
    """Near copies among the clips of `data`, and what kept some or all clips from being compared."""
    if embeddings is None:
        return None, "needs embeddings with pretrained weights: extract the clips."
    if embeddings.meta.get("backbone", {}).get("weights") == "random":
        return None, "needs pretrained weights: to a random network, clips that have nothing in common are alike."
    row_of = {name: row for row, name in enumerate(data.ids.tolist())}
    unknown = [name for name in embeddings.ids.tolist() if name not in row_of]
    if unknown:
        raise DataError(
            f"The embeddings hold clip {unknown[0]!r} ({len(unknown)} such clips), which {_name(data)!r} does not. "
            "Give embeddings that were made from this data set."
        )
    found = np.asarray(embeddings.features)
    finite = np.isfinite(found).all(axis=1)
    rows = np.array([row_of[name] for name in embeddings.ids[finite].tolist()], dtype=np.int64)
    features = found if finite.all() else found[finite]
    if len(rows) < 2 or not np.ptp(features, axis=0).any():
        return None, "needs at least two clips whose embeddings differ."
    near = find_near_copies(features, data.folds[rows], near_cosine=near_cosine, keep=max_pairs + closest)
    left_out = len(data) - len(rows)
    reason = f"{left_out} of {len(data)} clips have no finite embedding." if left_out else None
    return spread_over(near, rows, len(data)), reason


def _below(ids: np.ndarray, values: np.ndarray, limit: float, *, unread: float) -> tuple[ListedClip, ...]:
    """The clips whose value is under `limit`, smallest first; those that hold the mark `unread` are not known."""
    numbers = np.asarray(values, dtype=np.float64)
    rows = np.flatnonzero((numbers < limit) & (numbers != unread))  # NaN is below nothing
    return tuple(
        ListedClip(str(ids[row]), float(numbers[row])) for row in rows[np.argsort(numbers[rows], kind="stable")]
    )


def _name(data: Clips | Embeddings) -> str:
    return data.name if isinstance(data, Clips) else str(data.meta.get("dataset", {}).get("name", "embeddings"))

"""Clips of different folds that sound nearly the same, found by their embeddings. numpy and scipy only.

Letters: N clips, D the embedding's dimension, K pairs kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from soundprobe.base.errors import ConfigError
from soundprobe.scoring.copies import connected

NEAR_COSINE = 0.95
"""Two clips are near copies from this centred cosine on.

Measured with mn04 on UrbanSound8K clips: a copy that was re-encoded as Ogg Vorbis or made 6 dB quieter keeps .96 or
more, one resampled to half its rate or shifted by 50 ms .86 to .98, while a cut of the same scene half a second later
falls to .6. Of 59,100 pairs of clips in different folds and of different recordings none reaches .95 (the highest,
.9455, are two recordings with nearly the same Freesound number); of 64,000 in ESC-10 one does, and they are neighbours
on Freesound as well. So a pair from here on is worth a listen; below, chance pairs begin to outnumber copies.
"""
ROWS_AT_ONCE = 512
Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]
"""(K,) rows, and rows of other folds, int64; and their cosines, float32."""


@dataclass(frozen=True, eq=False)
class NearCopies:
    """Pairs of clips in different folds, the most similar first.

    Attributes:
        first, second: (K,) rows, first < second; cosine: (K,) float32, their centred cosine, also below the threshold.
        pairs: how many pairs reach the threshold, listed or not.
        near: (N,) bool, the clips that are in such a pair.
        component: (N,) int, equal for clips that such pairs connect, directly or through others.
    """

    first: np.ndarray
    second: np.ndarray
    cosine: np.ndarray
    pairs: int
    near: np.ndarray
    component: np.ndarray


def find_near_copies(
    features: np.ndarray, folds: np.ndarray, *, near_cosine: float = NEAR_COSINE, keep: int = 1000
) -> NearCopies:
    """Compares every clip with every clip of another fold, in blocks: N^2 D / 2 products, memory for 512 N numbers.

    The mean embedding is taken off first: embeddings share a large common part (behind a ReLU none of their numbers is
    negative), which lifts the plain cosine of unrelated clips, in mn04 to .31, in other networks to .8.

    Args:
        features: (N, D) finite float32; folds: (N,).
        near_cosine: above 0, at most 1.
        keep: K, how many pairs to list.

    Raises:
        ConfigError: `near_cosine` or `keep` is out of range.
    """
    if not 0 < near_cosine <= 1:
        raise ConfigError(f"A cosine threshold of {near_cosine} is not valid; give one above 0, up to 1.")
    if keep < 1:
        raise ConfigError(f"{keep} pairs can't be listed; give 1 or more.")
    unit = _centred_units(features)
    best = (np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32))
    pairs, near, component = 0, np.zeros(len(unit), dtype=bool), np.arange(len(unit))
    for start in range(0, len(unit), ROWS_AT_ONCE):
        stop = min(start + ROWS_AT_ONCE, len(unit))
        cosine = unit[start:stop] @ unit[start:].T  # (rows, N - start): pairs with earlier clips are done
        cosine[folds[start:stop, None] == folds[None, start:]] = -2.0
        cosine[:, : stop - start][np.tril_indices(stop - start)] = -2.0
        best = _best(best, cosine, start, keep)
        rows, others = np.nonzero(cosine >= near_cosine - 1e-6)  # float32: an exact copy may come out just below 1
        pairs += len(rows)
        if len(rows):
            near[rows + start] = near[others + start] = True
            component = connected(component[rows + start], component[others + start], len(unit))[component]
    order = np.lexsort((best[1], best[0], -best[2]))  # the largest first, equals by row
    first, second, found = (column[order] for column in best)
    return NearCopies(first, second, found.clip(-1.0, 1.0), pairs, near, component)


def _centred_units(features: np.ndarray) -> np.ndarray:
    """(N, D) float32 of length 1; a clip that is no different from the mean becomes 0, which is like nothing."""
    mean = features.mean(axis=0, dtype=np.float64)
    centred = (features - mean).astype(np.float32)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    scale = float(np.abs(features).max(initial=0.0))
    return np.divide(centred, length, out=np.zeros_like(centred), where=length > 1e-5 * scale)


def _best(best: Pairs, cosine: np.ndarray, start: int, keep: int) -> Pairs:
    """The `keep` largest cosines of `best` and of a block whose row and column 0 are clip `start`; -2 is no pair."""
    flat = cosine.ravel()
    places = np.flatnonzero(flat > (best[2].min() if len(best[2]) == keep else -2.0))
    if len(places) > keep:
        places = places[np.argpartition(flat[places], -keep)[-keep:]]
    rows, others = np.divmod(places, cosine.shape[1])
    first, second, found = map(np.concatenate, zip(best, (rows + start, others + start, flat[places]), strict=True))
    largest = np.argpartition(found, -keep)[-keep:] if len(found) > keep else slice(None)
    return first[largest], second[largest], found[largest]

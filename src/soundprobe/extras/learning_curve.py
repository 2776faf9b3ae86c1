"""Accuracy against the amount of training clips: would more of them help? Test folds are the run's own.

By recordings: a fold's training recordings are put in a random order, class by class, and heads are trained on the
first share of them. By clips a class ("shots"): each class's clips are put in a random order, one clip of each
recording before a second one of any, and heads are trained on the first 1, 2, 4, ... of every class; in several such
orders. In either, each amount holds those before it, and settings are chosen inside it, as in a run.

N is the number of clips, n of a fold's training clips.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from soundprobe.base.records import Embeddings
from soundprobe.scoring import metrics
from soundprobe.scoring.folds import SplitError
from soundprobe.scoring.run_records import FoldScoresRecord

SHARES = (0.05, 0.1, 0.2, 0.4, 0.7)
"""Of the training recordings; all of them are the run itself."""
FEWEST = 2
"""Recordings of each class at least, so that one can be held out to choose settings on."""
DRAWS = 5
"""Orders of the clips; which few a class gets makes more of a difference than anything else."""


def measure_shares(
    data: Embeddings,
    make: Callable[[], Any],
    told: FoldScoresRecord,
    train: np.ndarray,
    test: np.ndarray,
    seed: int,
    *,
    shares: Sequence[float] = SHARES,
) -> dict[str, Any]:
    """A fold's scores on growing shares of its training recordings; a `CurveFold`'s content, without the fold.

    Args:
        make: an unfitted head; told: the fold's scores in the run, which are the last point.
        train, test: the fold's rows of `data`.
        shares: above 0 and below 1, ascending.
    """
    labels, groups = data.labels[train], data.groups[train]
    order = deal_recordings(labels, groups, np.random.default_rng([seed, told.fold]))
    parts = (({"share": share}, train[first_share(order, labels, groups, share)]) for share in shares)
    whole = {"share": 1.0, "recordings": len(np.unique(groups)), "clips": len(train)}
    scores = {name: getattr(told, name) for name in ("accuracy", "macro_f1")}
    return {"points": [*_points(data, make, parts, test), {**whole, **scores}]}


def measure_shots(
    data: Embeddings,
    make: Callable[[], Any],
    told: FoldScoresRecord,
    train: np.ndarray,
    test: np.ndarray,
    seed: int,
    *,
    shots: Sequence[int],
) -> dict[str, Any]:
    """A fold's scores on so many training clips of each class, or all that there are; a `ShotsFold`'s content."""
    labels, groups = data.labels[train], data.groups[train]
    orders = [deal_clips(labels, groups, np.random.default_rng([seed, told.fold, draw])) for draw in range(DRAWS)]
    parts = (
        ({"shots": count, "draw": draw}, train[places < count]) for draw, places in enumerate(orders) for count in shots
    )
    return {"points": list(_points(data, make, parts, test))}


def deal_recordings(labels: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> dict[int, np.ndarray]:
    """Each class's recordings in a random order. A recording of several classes belongs to the first that it shows."""
    names, first = np.unique(groups, return_index=True)
    own = labels[first]
    return {int(label): names[own == label][rng.permutation(int((own == label).sum()))] for label in np.unique(own)}


def first_share(order: Mapping[int, np.ndarray], labels: np.ndarray, groups: np.ndarray, share: float) -> np.ndarray:
    """(n,) bool: the clips of the first `share` of each class's recordings, at least 2 of them where there are."""
    kept = [names[: max(FEWEST, round(share * len(names)))] for names in order.values()]
    return np.isin(groups, np.concatenate(kept))


def deal_clips(labels: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(n,) int64: each clip's place in its class's random order, in which its recordings take turns."""
    places = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        own = rng.permutation(np.flatnonzero(labels == label))
        names, recording, clips = np.unique(groups[own], return_inverse=True, return_counts=True)
        turns = np.empty(len(own), dtype=np.int64)
        turns[np.argsort(recording, kind="stable")] = np.concatenate([np.arange(count) for count in clips])
        places[own[np.lexsort((rng.permutation(len(names))[recording], turns))]] = np.arange(len(own))
    return places


def _points(
    data: Embeddings,
    make: Callable[[], Any],
    parts: Iterable[tuple[dict[str, Any], np.ndarray]],
    test: np.ndarray,
) -> Iterator[dict[str, Any]]:
    """The scores on each part of the training rows; none of one whose settings can't be chosen, or be done without."""
    features, truth = np.asarray(data.features), data.labels[test]
    for what, kept in parts:
        head, rows = make(), (features[kept], data.labels[kept], data.groups[kept])
        try:
            head.fit(*rows)
        except SplitError:  # one recording a class
            head = head.without_choice() if hasattr(head, "without_choice") else None
            if head is None:
                continue
            head.fit(*rows)
        predicted = np.asarray(head.predict(features[test]))
        yield {
            **what,
            "recordings": len(np.unique(data.groups[kept])),
            "clips": len(kept),
            "accuracy": float(metrics.accuracy(truth, predicted)),
            "macro_f1": float(metrics.macro_f1(truth, predicted)),
        }

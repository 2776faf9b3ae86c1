"""Accuracy against the number of training recordings: would more of them help? Test folds are the run's own.

A fold's training recordings are put in a random order, class by class, and heads are trained on the first share of
them; each share holds the ones before it. Settings are chosen inside each share, as in a run.

N is the number of clips.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from soundprobe.base.records import Embeddings
from soundprobe.heads.catalog import make_head
from soundprobe.scoring import metrics
from soundprobe.scoring.folds import SplitError, outer_splits
from soundprobe.scoring.measured import LearningCurveRecord
from soundprobe.scoring.run_records import FoldScoresRecord

SHARES = (0.05, 0.1, 0.2, 0.4, 0.7)
"""Of the training recordings; all of them are the run itself."""
FEWEST = 2
"""Recordings of each class at least, so that one can be held out to choose settings on."""


def measure_learning_curve(
    embeddings: Embeddings,
    head: str,
    *,
    seed: int,
    settings: Mapping[str, Any],
    tested: Sequence[FoldScoresRecord],
    exclude_leaks: bool = False,
    shares: Sequence[float] = SHARES,
    on_fold: Callable[[int], object] = lambda fold: None,
) -> dict[str, Any]:
    """For each tested fold the scores of heads trained on growing shares of its training recordings.

    Args:
        head, seed, settings, exclude_leaks: as in the run; tested: its folds, which give the last points.
        shares: of the recordings, above 0 and below 1, ascending.
        on_fold: called with each fold when it is done.

    Returns:
        The content of a `LearningCurveRecord`. A share whose settings can't be chosen (a class from one recording) has
        no point.
    """
    told = {entry.fold: entry for entry in tested}
    folds = []
    for fold, train, test in outer_splits(embeddings.folds):
        if fold not in told:
            continue
        if exclude_leaks:
            train = train[~np.isin(embeddings.groups[train], embeddings.groups[test])]
        order = deal_recordings(embeddings.labels[train], embeddings.groups[train], np.random.default_rng([seed, fold]))
        points = []
        for share in shares:
            kept = train[first_share(order, embeddings.labels[train], embeddings.groups[train], share)]
            try:
                fitted = make_head(head, seed=seed, **settings)
                fitted.fit(embeddings.features[kept], embeddings.labels[kept], groups=embeddings.groups[kept])
            except SplitError:
                continue
            predicted = np.asarray(fitted.predict(embeddings.features[test]))
            points.append(_point(share, embeddings, kept, embeddings.labels[test], predicted))
        whole = {name: getattr(told[fold], name) for name in ("accuracy", "macro_f1")}
        recordings = len(np.unique(embeddings.groups[train]))
        points.append({"share": 1.0, "recordings": recordings, "clips": len(train), **whole})
        folds.append({"fold": fold, "points": points})
        on_fold(fold)
    return {"format": LearningCurveRecord.FORMAT, "shares": [*shares, 1.0], "folds": folds}


def deal_recordings(labels: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> dict[int, np.ndarray]:
    """Each class's recordings in a random order. A recording of several classes belongs to the first that it shows."""
    names, first = np.unique(groups, return_index=True)
    own = labels[first]
    return {int(label): names[own == label][rng.permutation(int((own == label).sum()))] for label in np.unique(own)}


def first_share(order: Mapping[int, np.ndarray], labels: np.ndarray, groups: np.ndarray, share: float) -> np.ndarray:
    """(N,) bool: the clips of the first `share` of each class's recordings, at least 2 of them where there are."""
    kept = [names[: max(FEWEST, round(share * len(names)))] for names in order.values()]
    return np.isin(groups, np.concatenate(kept))


def _point(
    share: float, data: Embeddings, kept: np.ndarray, truth: np.ndarray, predicted: np.ndarray
) -> dict[str, Any]:
    return {
        "share": share,
        "recordings": len(np.unique(data.groups[kept])),
        "clips": len(kept),
        "accuracy": float(metrics.accuracy(truth, predicted)),
        "macro_f1": float(metrics.macro_f1(truth, predicted)),
    }

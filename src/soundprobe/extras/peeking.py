"""What peeking at the test fold would have added: every candidate setting, scored on the test fold. Never used.

The honest run is finished before this begins and is not touched by it. Here each candidate is fitted on a fold's
training rows as a fixed setting, without any selection, and scored on its test rows; the best of them is what somebody
would have reported who chose on the test fold. The gap between the two is the size of that mistake.

Letters: n training rows, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from soundprobe.base.errors import ConfigError
from soundprobe.base.records import Embeddings
from soundprobe.scoring.run_records import FoldScoresRecord


def measure_peeking(
    data: Embeddings, make: Callable[[], Any], told: FoldScoresRecord, train: np.ndarray, test: np.ndarray, seed: int
) -> dict[str, Any]:
    """A fold's honest accuracy, and that of every candidate; a `PeekedFold`'s content, without the fold.

    Args:
        make: an unfitted head; told: what the fold chose in the run, and what it scored.
        train, test: the fold's rows of `data`.
    """
    features, truth = data.features_of(told.fold), data.labels[test]
    tried = make().candidates(features[train], data.labels[train], features[test], data.groups[train])
    candidates = [{"setting": setting, "accuracy": float((predicted == truth).mean())} for setting, predicted in tried]
    if not candidates:
        raise ConfigError(
            f"What peeking would add can't be measured for {type(make()).__name__}: it has no candidates."
        )
    return {"honest": {"setting": dict(told.chosen), "accuracy": told.accuracy}, "candidates": candidates}


def summary(folds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means over folds: of the honest choice, of the best candidate of each fold, and of the one that is best overall.

    Somebody who peeks also sees the honest choice, so neither can come out below it.
    """
    honest = float(np.mean([fold["honest"]["accuracy"] for fold in folds]))
    best = [max([fold["honest"]["accuracy"], *(one["accuracy"] for one in fold["candidates"])]) for fold in folds]
    of_setting: dict[str, list[float]] = {}
    for fold in folds:
        for one in fold["candidates"]:
            of_setting.setdefault(str(sorted(one["setting"].items())), []).append(one["accuracy"])
    overall = [float(np.mean(values)) for values in of_setting.values() if len(values) == len(folds)]
    peeked = {"peeked_by_fold": float(np.mean(best)), "peeked_overall": max([honest, *overall])}
    return {"honest": honest, **peeked}

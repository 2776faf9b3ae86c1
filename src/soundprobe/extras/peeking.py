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
from soundprobe.heads.catalog import make_head
from soundprobe.scoring.folds import outer_splits
from soundprobe.scoring.measured import PeekingRecord
from soundprobe.scoring.run_records import FoldScoresRecord


def measure_peeking(
    embeddings: Embeddings,
    head: str,
    *,
    seed: int,
    settings: Mapping[str, Any],
    tested: Sequence[FoldScoresRecord],
    exclude_leaks: bool = False,
    on_fold: Callable[[int], object] = lambda fold: None,
) -> dict[str, Any]:
    """For each tested fold the honest accuracy and that of every candidate.

    Args:
        head: a name of the catalogue; settings: as the run was given them; seed: the run's.
        tested: the run's folds, what each chose, and what each scored.
        exclude_leaks: as in the run.
        on_fold: called with each fold when it is done.

    Returns:
        The content of a `PeekingRecord`: with the means over folds of the honest choice, of the best candidate of each
        fold, and of the one candidate that is best on average.
    """
    told = {entry.fold: entry for entry in tested}
    folds = []
    for fold, train, test in outer_splits(embeddings.folds):
        if fold not in told:
            continue
        if exclude_leaks:
            train = train[~np.isin(embeddings.groups[train], embeddings.groups[test])]
        features, labels, truth = embeddings.features_of(fold), embeddings.labels[train], embeddings.labels[test]
        tried = make_head(head, seed=seed, **settings).candidates(
            features[train], labels, features[test], embeddings.groups[train]
        )
        candidates = [
            {"setting": setting, "accuracy": float((predicted == truth).mean())} for setting, predicted in tried
        ]
        if not candidates:
            raise ConfigError(f"What peeking would add can't be measured for head {head!r}: it has no candidates.")
        honest = {"setting": dict(told[fold].chosen), "accuracy": told[fold].accuracy}
        folds.append({"fold": fold, "honest": honest, "candidates": candidates})
        on_fold(fold)
    note = "measured after the run and never used by it"
    return {"format": PeekingRecord.FORMAT, "note": note, "folds": folds, **_summary(folds)}


def _summary(folds: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Means over folds. Somebody who peeks also sees the honest choice, so neither can come out below it."""
    honest = float(np.mean([fold["honest"]["accuracy"] for fold in folds]))
    best = [max([fold["honest"]["accuracy"], *(one["accuracy"] for one in fold["candidates"])]) for fold in folds]
    of_setting: dict[str, list[float]] = {}
    for fold in folds:
        for one in fold["candidates"]:
            of_setting.setdefault(str(sorted(one["setting"].items())), []).append(one["accuracy"])
    overall = [float(np.mean(values)) for values in of_setting.values() if len(values) == len(folds)]
    return {"honest": honest, "peeked_by_fold": float(np.mean(best)), "peeked_overall": max([honest, *overall])}

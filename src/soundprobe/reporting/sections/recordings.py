"""The hardest recordings: those whose clips the contenders get wrong most.

Letters: N clips, R rows.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from soundprobe.reporting.compared.comparison import Comparison

SHOWN = 15


@dataclass(frozen=True)
class HardRecording:
    """One recording: its clips, how many of them a contender gets wrong on average, and what they are taken for.

    Attributes:
        best_wrong: how many of its clips the best run gets wrong (all seeds averaged).
        taken_for: the most frequent wrong class over all contenders, and its share of their mistakes here.
    """

    group: str
    folds: tuple[int, ...]
    class_names: tuple[str, ...]
    clips: int
    wrong: float
    best_wrong: float
    taken_for: str
    taken_share: float

    @property
    def wrong_share(self) -> float:
        return self.wrong / self.clips


def prepare_recordings(comparison: Comparison) -> dict[str, Any] | None:
    """The page's part; None where recordings are not known or nothing was wrong."""
    found = hardest_recordings(comparison)
    rows = comparison.contenders or comparison.ranked
    return {"recordings": found, "runs": len(rows), "best": rows[0]} if found else None


def hardest_recordings(comparison: Comparison, limit: int = SHOWN) -> tuple[HardRecording, ...]:
    """The recordings that cost most clips, over the contenders (the ranked controls where there is nothing else)."""
    rows = comparison.contenders or comparison.ranked
    if not rows or any(run.groups is None for row in rows for run in row.runs):
        return ()
    ids = rows[0].predictions[0].ids
    for row in rows[1:]:
        ids = np.intersect1d(ids, row.predictions[0].ids)
    first = rows[0].predictions[0].take(np.isin(rows[0].predictions[0].ids, ids))
    said = [np.stack([one.take(np.isin(one.ids, ids)).predicted for one in row.predictions]) for row in rows]
    wrong = np.mean([(seeds != first.labels).mean(axis=0) for seeds in said], axis=0)  # (N,)
    best_wrong = (said[0] != first.labels).mean(axis=0)
    names, recording = np.unique(first.groups, return_inverse=True)
    cost = np.bincount(recording, weights=wrong)
    class_names = comparison.class_names
    found = []
    for place in np.argsort(-cost, kind="stable")[:limit]:
        if cost[place] <= 0:
            break
        here = recording == place
        mistakes = Counter(
            int(one) for seeds in said for seed in seeds for one in seed[here][seed[here] != first.labels[here]]
        )
        label, times = mistakes.most_common(1)[0]
        found.append(
            HardRecording(
                group=str(names[place]),
                folds=tuple(np.unique(first.folds[here]).tolist()),
                class_names=tuple(class_names[one] for one in np.unique(first.labels[here])),
                clips=int(here.sum()),
                wrong=float(cost[place]),
                best_wrong=float(best_wrong[here].sum()),
                taken_for=class_names[label],
                taken_share=times / mistakes.total(),
            )
        )
    return tuple(found)

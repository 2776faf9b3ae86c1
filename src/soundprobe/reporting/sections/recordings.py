"""The hardest recordings: those whose clips the contenders get wrong most.

Letters: N clips, R rows.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from soundprobe.reporting.compared.comparison import Comparison
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.elements import Cell, Column, Element, Span, Table, Text, Words, name, pick
from soundprobe.reporting.sections.section import Section
from soundprobe.reporting.wording import one_line, percent, plural
from soundprobe.scoring.bootstrap import Predictions

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


def _show(comparison: Comparison) -> Iterator[Element]:
    found = hardest_recordings(comparison)
    if not found:
        return
    yield Text(
        f"The recordings that cost most clips, over {plural(len(_rows(comparison)), 'run')}: clips cut from one "
        "recording tend to be right or wrong together, so a few recordings can decide a fold.",
        role="how",
    )
    columns = [
        Column("Recording", _recording, text=True, sort="text", by=lambda one: one_line(one.group)),
        Column("Class", lambda one: one_line(", ".join(one.class_names)), name, text=True, sort="text"),
        Column("Fold", lambda one: Cell(", ".join(map(str, one.folds)), one.folds[0]), sort="least"),
        Column("Clips", lambda one: one.clips, sort="number"),
        Column("Wrong, on average", lambda one: one.wrong, "{:.1f}".format, sort="number", lead=True),
        Column("of its clips, %", lambda one: one.wrong / one.clips, lambda share: percent(share, 0), sort="number"),
        Column("Wrong, best run", lambda one: one.best_wrong, "{:.3g}".format, sort="number"),
        Column("Mostly taken for", _taken_for, text=True, sort="text", by=lambda one: one_line(one.taken_for)),
    ]
    yield Table(columns, found, style="roomy")


def _recording(one: HardRecording) -> Words:
    return pick(name(one.group), recording=one.group)


def _taken_for(one: HardRecording) -> Words:
    return (name(one.taken_for), " ", Span("small", f"({percent(one.taken_share, 0)} %)", "of the mistakes"))


def _rows(comparison: Comparison) -> tuple[Row, ...]:
    """The rows that are asked: the contenders, or the ranked controls where there is nothing else."""
    return comparison.contenders or comparison.ranked


@lru_cache(maxsize=8)  # for the page and for report.json
def hardest_recordings(comparison: Comparison) -> tuple[HardRecording, ...]:
    """The recordings that cost most clips, over the rows that are asked."""
    rows = _rows(comparison)
    if not rows or any(not run.recordings_known for row in rows for run in row.runs):
        return ()
    ids = rows[0].predictions[0].ids
    for row in rows[1:]:
        if not np.array_equal(ids, row.predictions[0].ids):
            ids = np.intersect1d(ids, row.predictions[0].ids)

    def shared(one: Predictions) -> Predictions:
        return one if len(one.ids) == len(ids) else one.take(np.isin(one.ids, ids))

    first = shared(rows[0].predictions[0])
    said = [np.stack([shared(one).predicted for one in row.predictions]) for row in rows]
    wrong = np.mean([(seeds != first.labels).mean(axis=0) for seeds in said], axis=0)  # (N,)
    best_wrong = (said[0] != first.labels).mean(axis=0)
    names, recording = np.unique(first.groups, return_inverse=True)
    cost = np.bincount(recording, weights=wrong)
    class_names = comparison.class_names
    found = []
    for place in np.argsort(-cost, kind="stable")[:SHOWN]:
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


SECTION = Section(
    "recordings",
    "The hardest recordings",
    _show,
    facts=lambda one: {"hardest_recordings": [dataclasses.asdict(found) for found in hardest_recordings(one)]},
)

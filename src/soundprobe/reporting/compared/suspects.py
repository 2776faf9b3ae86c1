"""Which clips may be labelled wrongly: confident learning on what an honest run says of clips that it never heard.

The clips of a recording that bear one label are judged as one, by the mean of their probabilities: a recording is
labelled once, and counts once. Where its clips bear several labels, each is held against the others too.

Letters: N clips, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from soundprobe.reporting.compared.judgements import Judgements, judgements_of
from soundprobe.reporting.compared.rows import Row
from soundprobe.scoring.label_errors import find_label_errors, with_labels_beside

AS_GOOD = 1.25
"""Up to which multiple of the least log loss a linear head's probabilities are preferred: see docs/label-errors.md."""
LEAST = 1e-6
"""What counts as a probability of 0, of which there is no logarithm."""


@dataclass(frozen=True)
class Suspect:
    """A recording's clips of one label that their probabilities contradict.

    Attributes:
        rows: of the judgements, the most contradicted clip first.
        given, suggested: labels.
    """

    rows: tuple[int, ...]
    given: int
    suggested: int


@dataclass(frozen=True, eq=False)
class Suspects:
    """What one row's runs contradict, the most contradicted recording first.

    Attributes:
        row: whose runs; judged: what they say of each clip.
        recordings: (N,) str in the order of `judged`; None where they are not known, and each clip is its own.
    """

    row: Row
    judged: Judgements
    found: tuple[Suspect, ...]
    recordings: np.ndarray | None

    @property
    def ids(self) -> list[str]:
        """The clips, in the order of `found`."""
        return [str(self.judged.ids[row]) for one in self.found for row in one.rows]

    def recording_of(self, row: int) -> str:
        """The recording of a clip; "" where it isn't known."""
        return "" if self.recordings is None else str(self.recordings[row])


def suspects_of(contenders: Sequence[Row]) -> Suspects | None:
    """What the most believable of `contenders` contradicts; None where none gives probabilities of several classes."""
    judged = [(row, judgements_of(row)) for row in contenders if row.has_probabilities]
    if not judged or len(judged[0][0].first.class_names) < 2:
        return None
    losses = [log_loss(one) for _, one in judged]
    good = [place for place, loss in enumerate(losses) if loss <= AS_GOOD * min(losses)]
    chosen = min(good, key=lambda place: (judged[place][0].first.head["name"] != "linear", losses[place]))
    row, said = judged[chosen]
    run = row.first
    recordings = None
    if run.groups is not None and run.recordings_known:
        order = np.argsort(run.ids)
        recordings = run.groups[order[np.searchsorted(run.ids, said.ids, sorter=order)]]
    return Suspects(row, said, tuple(find_suspects(said, said.ids if recordings is None else recordings)), recordings)


def log_loss(judged: Judgements) -> float:
    """The mean of -log p over the clips, in nats, p the probability of the given label."""
    given = judged.proba[np.arange(len(judged.label)), judged.label]
    return float(-np.log(np.maximum(given, LEAST)).mean())


def find_suspects(judged: Judgements, recordings: np.ndarray) -> Iterator[Suspect]:
    """A suspect for each recording and label that confident learning finds, of the clips that contradict it."""
    _, recording = np.unique(recordings, return_inverse=True)
    (labels, of), unit = np.unique(np.stack([judged.label, recording]), axis=1, return_inverse=True)
    unit = unit.reshape(-1)
    clips = np.bincount(unit)
    mean = np.stack([np.bincount(unit, weights=column) for column in judged.proba.T], axis=1) / clips[:, None]
    contradict = judged.proba.argmax(axis=1) != judged.label
    for found in find_label_errors(labels, with_labels_beside(labels, mean, of, clips)):
        given, heard = int(labels[found]), int(mean[found].argmax())
        if given == heard:
            continue  # doubted for its recording's other labels alone
        rows = np.flatnonzero((unit == found) & contradict)
        order = np.lexsort([judged.ids[rows], judged.proba[rows, given]])
        yield Suspect(tuple(rows[order].tolist()), given, heard)

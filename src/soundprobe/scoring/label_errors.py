"""Label errors by confident learning: items whose given label their out-of-fold probabilities contradict.

Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 70 (2021), arXiv
1911.00068. The probabilities must come from heads that never saw the item, or they would repeat its label.

Letters: N labelled items, C classes.
"""

from __future__ import annotations

import numpy as np

from soundprobe.base.errors import SoundprobeError

ROUNDING = 1e-6
"""By how much a probability may lie below a threshold that it is the mean of."""


def class_thresholds(labels: np.ndarray, proba: np.ndarray) -> np.ndarray:
    """(C,) float64: how probable a class is on average where it is the given label; infinity for one without items.

    An item is confidently of a class whose threshold it reaches: that makes up for classes that heads are less sure of.
    """
    sums = np.bincount(labels, weights=proba[np.arange(len(labels)), labels], minlength=proba.shape[1])
    counts = np.bincount(labels, minlength=proba.shape[1])
    return np.divide(sums, counts, out=np.full(len(counts), np.inf), where=counts > 0)


def confident_joint(labels: np.ndarray, proba: np.ndarray) -> np.ndarray:
    """(C, C) int64: how many items labelled `row` are confidently of class `column`.

    An item that reaches several thresholds counts for its most probable class, one that reaches none counts nowhere. A
    label without confident items of its own gets one, so that others' are not all that it seems to have.
    """
    classes = proba.shape[1]
    reached = proba >= class_thresholds(labels, proba) - ROUNDING
    # Of one reached class that class, of several the most probable of all (Northcutt et al., section 3.1).
    guess = np.where(reached.sum(axis=1) > 1, proba.argmax(axis=1), reached.argmax(axis=1))
    sure = reached.any(axis=1)
    counts = np.bincount(labels[sure] * classes + guess[sure], minlength=classes**2).reshape(classes, classes)
    np.fill_diagonal(counts, counts.diagonal().clip(min=1))
    return np.asarray(counts)


def joint_counts(labels: np.ndarray, proba: np.ndarray) -> np.ndarray:
    """(C, C) int64: how many items labelled `row` are of class `column`, by the confident joint; rows sum to the items.

    Whole numbers: in each row those that were rounded furthest give way to the sum.
    """
    counts = confident_joint(labels, proba)
    items = np.bincount(labels, minlength=len(counts))
    exact = counts / counts.sum(axis=1, keepdims=True) * items[:, None]
    whole = np.round(exact)
    for told, row in zip(exact, whole, strict=True):
        short = round(told.sum() - row.sum())
        order = np.argsort(told - row, kind="stable")
        if short > 0:
            row[order[-short:]] += 1
        elif short < 0:
            row[order[:-short]] -= 1
    return whole.astype(np.int64)


def normalised_margin(labels: np.ndarray, proba: np.ndarray) -> np.ndarray:
    """(N,) float64: 0 where another class is certain, 1 where the given label is, 0.5 where they are level."""
    rows = np.arange(len(labels))
    others = np.array(proba, dtype=np.float64)
    others[rows, labels] = -np.inf
    return np.asarray((proba[rows, labels] - others.max(axis=1) + 1) / 2)


def with_labels_beside(labels: np.ndarray, proba: np.ndarray, recordings: np.ndarray, clips: np.ndarray) -> np.ndarray:
    """(N, C) float64: probabilities that know what else of the same recording is labelled.

    An item is a recording's clips of one label. Another item of that recording with as many clips or more is one vote
    for its own label, as an annotator's is (Raykar et al., "Learning from crowds", JMLR 11, 2010, eq. 7): right as
    often as any two clips of a recording bear one label, else any other class. Where recordings have a class each,
    two labels in one say that one is wrong; where they have many, the vote is worth nothing. The given label has no
    vote: a recording that is labelled wrongly as a whole stays as doubtful as it is.

    Args:
        labels: (N,) int64; proba: (N, C); recordings: (N,) int64; clips: (N,) how many an item holds.
    """
    classes = proba.shape[1]
    pairs = np.sum(np.bincount(recordings, weights=clips) ** 2) - clips.sum()
    alike = np.sum(clips * (clips - 1))
    agreement = max(alike / pairs, 1 / classes) if pairs else 1.0
    told = np.array(proba, dtype=np.float64)
    for recording in np.flatnonzero(np.bincount(recordings) > 1):
        items = np.flatnonzero(recordings == recording)
        for item in items:
            others = items[(items != item) & (clips[items] >= clips[item])]
            if len(others):
                vote = np.full(classes, (1 - agreement) / (classes - 1))
                vote[labels[others[clips[others].argmax()]]] = agreement
                told[item] *= vote
    return np.asarray(told / told.sum(axis=1, keepdims=True))


def find_label_errors(labels: np.ndarray, proba: np.ndarray) -> np.ndarray:
    """(n,) int64: the rows of the items whose label is probably wrong, the most contradicted first.

    How many items labelled i are truly of class j, `joint_counts` says; so many of them are taken whose margin of
    j over i is largest ("prune by noise rate"), as far as they are also among as many of i's items whose label is least
    probable as aren't of i ("prune by class"). Both together are the paper's C+NR. An item whose given label is its
    most probable class is never taken. Ranked by `normalised_margin`.

    Args:
        labels: (N,) int64, 0 .. C-1; proba: (N, C), rows that sum to 1.

    Raises:
        SoundprobeError: the shapes don't fit, there are fewer than two classes, or a label is no class.
    """
    labels, proba = np.asarray(labels, dtype=np.int64), np.asarray(proba, dtype=np.float64)
    if proba.ndim != 2 or proba.shape[1] < 2 or labels.shape != (len(proba),) or not len(labels):
        raise SoundprobeError(
            f"Labels of shape {labels.shape} and probabilities of shape {proba.shape} can't be held against each "
            "other; (N,) labels and (N, C) probabilities of at least two classes are needed."
        )
    if labels.min() < 0 or labels.max() >= proba.shape[1]:
        raise SoundprobeError(f"Labels from {labels.min()} to {labels.max()} don't fit {proba.shape[1]} classes.")
    joint = joint_counts(labels, proba)
    wrong = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        if len(rows) < 2:
            continue  # heads that never saw it knew no such class
        own = proba[rows, label]
        by_class = np.zeros(len(rows), dtype=bool)
        by_class[np.argsort(own, kind="stable")[: len(rows) - joint[label, label]]] = True
        by_rate = np.zeros(len(rows), dtype=bool)
        for other in np.flatnonzero(joint[label]):
            if other != label:
                by_rate[np.argsort(own - proba[rows, other], kind="stable")[: joint[label, other]]] = True
        wrong[rows] = by_class & by_rate
    margin = normalised_margin(labels, proba)
    found = np.flatnonzero(wrong & (margin < 0.5))
    return found[np.argsort(margin[found], kind="stable")]

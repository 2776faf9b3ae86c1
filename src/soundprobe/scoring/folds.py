"""Outer folds, inner splits, and the loop that keeps test rows away from every choice. Imports no torch.

Letters: N clips, D the embedding's dimension, C classes, n clips of one test fold, S inner splits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from soundprobe.base.errors import DataError, SoundprobeError
from soundprobe.base.records import FoldFeatures, FoldResult, features_for

PROTOCOL_VERSION = 2
"""Raise it with any change of how folds, inner splits or selection work: results of another version are made anew."""


class SplitError(SoundprobeError, ValueError):
    """Rows can't be split without breaking up a recording. A ValueError too, as scikit-learn's callers expect."""


class ProbabilisticHead(Protocol):
    """What `cross_validate` asks of a head: scikit-learn's conventions, with groups for the inner selection."""

    classes_: np.ndarray
    chosen_: dict[str, Any]
    history_: list[dict[str, Any]]

    def fit(self, X: np.ndarray, y: np.ndarray, groups: np.ndarray | None = None) -> Any: ...
    def predict_proba(self, X: np.ndarray) -> np.ndarray: ...


def outer_splits(folds: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """(fold, training rows, test rows) for each fold of `folds` (N,), in ascending order of the fold.

    Raises:
        DataError: there are fewer than two folds.
    """
    names = np.unique(folds)
    if len(names) < 2:
        raise DataError(
            f"Cross-validation needs at least 2 folds, and every clip is in fold {', '.join(map(str, names)) or '-'}. "
            "Use a data set with folds, or make them with --folds 5."
        )
    for fold in names:
        yield int(fold), np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)


def inner_split(
    y: np.ndarray, groups: np.ndarray | None, n_splits: int, seed: int = 0
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Splits of training rows into (training rows, validation rows), stratified by class and grouped by recording.

    Every training part holds every class: a recording that is the only one of some class is never held out, because no
    setting could be judged on a class that was not learnt. Such rows are in every training part and no validation part;
    every other row is validated exactly once. The result depends on the groups' names and rows, not on the rows' order.

    Args:
        y: (N,) labels.
        groups: (N,) the recordings; None makes each row its own.
        n_splits: S, at least 2; fewer are returned where there are fewer recordings to hold out.
        seed: breaks ties between recordings of one size.

    Raises:
        SplitError: no recording can be held out.
    """
    if n_splits < 2:
        raise SplitError(f"{n_splits} inner splits can't be made; give 2 or more.")
    classes, labels = np.unique(y, return_inverse=True)
    names, group_of = np.unique(np.arange(len(labels)) if groups is None else groups, return_inverse=True)
    counts = np.zeros((len(names), len(classes)), dtype=np.int64)
    np.add.at(counts, (group_of, labels), 1)
    part_of_group = _deal(counts, n_splits, np.random.default_rng(seed))
    parts = part_of_group[group_of]
    splits = [(np.flatnonzero(parts != p), np.flatnonzero(parts == p)) for p in range(n_splits)]
    splits = [(train, val) for train, val in splits if len(val)]
    if not splits:
        raise SplitError(
            f"Settings can't be chosen on {len(labels)} training clips: each class comes from one recording "
            f"({len(names)} recordings, {len(classes)} classes), so none can be held out. "
            "Add recordings, or give one setting instead of several."
        )
    return splits


def _deal(counts: np.ndarray, n_splits: int, rng: np.random.Generator) -> np.ndarray:
    """The part (0 .. S-1, or -1: never held out) of each group; `counts` (G, C) are the groups' rows of each class.

    Largest first, each group goes to the part where it adds least to the sum over parts and classes of
    (share of the class's rows)^2, which is least when each part has each class in proportion.
    """
    has = counts > 0  # (G, C)
    groups_of_class = has.sum(axis=0)
    movable = ~(has & (groups_of_class == 1)).any(axis=1)
    n_parts = min(n_splits, int(movable.sum()))
    part_of_group = np.full(len(counts), -1)
    weight = 1.0 / counts.sum(axis=0).clip(min=1) ** 2.0
    rows = np.zeros((n_parts, counts.shape[1]))  # of each class, dealt to each part
    dealt = np.zeros((n_parts, counts.shape[1]), dtype=np.int64)  # groups holding each class
    left = (has & movable[:, None]).sum(axis=0)
    order = rng.permutation(len(counts))
    for group in order[np.argsort(-counts[order].sum(axis=1), kind="stable")]:
        if not movable[group]:
            continue
        mine = has[group]
        # The last group of a class must not join all the others of it, or that part's training rows would lack it.
        strips = (dealt[:, mine] == groups_of_class[mine] - 1) & (left[mine] == 1)
        cost = rows @ (weight * counts[group]) + np.where(strips.any(axis=1), np.inf, 0.0)
        left[mine] -= 1
        ties = np.flatnonzero(cost == cost.min())
        part = int(ties[np.argmin(rows[ties].sum(axis=1))])
        if np.isfinite(cost[part]):
            part_of_group[group] = part
            rows[part] += counts[group]
            dealt[part] += mine
    return part_of_group


@dataclass(frozen=True, eq=False)
class LabelledRows:
    """The columns that every fold of a run shares; see `cross_validate` for shapes."""

    features: np.ndarray | FoldFeatures
    labels: np.ndarray
    folds: np.ndarray
    groups: np.ndarray
    ids: np.ndarray
    n_classes: int


@dataclass(frozen=True, eq=False)
class FoldTask:
    """One fold's work, as it is handed to a worker. Rows are shared, so that workers map them and copy none."""

    fold: int
    head_factory: Callable[[], Any]
    rows: LabelledRows
    train: np.ndarray
    test: np.ndarray
    excluded_clips: int | None


class Runner(Protocol):
    """Yields `function(*args)` for each of `arguments`, in their order; `soundprobe.base.parallel.run_tasks` is one."""

    def __call__(
        self, function: Callable[..., Any], arguments: Iterable[tuple[Any, ...]], *, jobs: int = 1
    ) -> Iterable[Any]: ...


def run_in_turn(function: Callable[..., Any], arguments: Iterable[tuple[Any, ...]], *, jobs: int = 1) -> Iterator[Any]:
    """The runner without workers: one call after the other, whatever `jobs` says."""
    for args in arguments:
        yield function(*args)


def cross_validate(
    head_factory: Callable[[], Any],
    features: np.ndarray | FoldFeatures,
    labels: np.ndarray,
    folds: np.ndarray,
    groups: np.ndarray,
    ids: np.ndarray,
    n_classes: int,
    *,
    only_folds: Sequence[int] | None = None,
    exclude_shared_recordings: bool = False,
    jobs: int = 1,
    on_fold: Callable[[FoldResult, Any], None] | None = None,
    run: Runner = run_in_turn,
) -> list[tuple[FoldResult, Any]]:
    """A fresh head for each fold, fitted on the other folds' rows and asked once about the fold's own.

    Args:
        head_factory: makes an unfitted head (`ProbabilisticHead`); picklable where `run` uses processes.
        features: (N, D) finite numbers, one row a clip; or those of each fold, whose own are then used for its training
            rows and test rows alike.
        labels: (N,) 0 .. C-1.
        folds: (N,) the fold that tests each clip.
        groups: (N,) the recording of each clip.
        ids: (N,) the clips' names.
        n_classes: C.
        only_folds: the folds to test; all of them where None. The training rows stay the same.
        exclude_shared_recordings: drop from the training rows every clip of a recording that also occurs in the test
            fold, and count them as `chosen["excluded_clips"]`. Off by default: the official protocol keeps them.
        on_fold: called with each fold's result and fitted head, in fold order, as soon as they are there.
        run: who runs the folds, `jobs` at once: `soundprobe.base.parallel.run_tasks`, or one after the other.

    Returns:
        (result, fitted head) for each tested fold, in ascending order of the fold. `result.proba` has all C columns:
        a class without training clips gets probability 0.

    Raises:
        DataError: columns of different lengths, fewer than two folds, an unknown fold in `only_folds`, a label out
            of range, training rows of a single class, or a fold that the features may not be scored on.
        SoundprobeError: a feature is not a finite number.
    """
    given = features if isinstance(features, FoldFeatures) else np.asarray(features)
    rows = LabelledRows(given, np.asarray(labels), np.asarray(folds), np.asarray(groups), np.asarray(ids), n_classes)
    _check_rows(rows)
    for one in given.by_fold.values() if isinstance(given, FoldFeatures) else [given]:
        _check_features(one, rows.ids)
    tasks = _tasks(head_factory, rows, _wanted(rows.folds, only_folds), exclude_shared_recordings)
    results = []
    for result, head in run(_run_fold, tasks, jobs=jobs):
        results.append((result, head))
        if on_fold is not None:
            on_fold(result, head)
    return results


def _tasks(
    head_factory: Callable[[], Any], rows: LabelledRows, wanted: set[int], exclude_shared: bool
) -> list[tuple[FoldTask]]:
    """Each wanted fold's task; all of them are checked before the first is run."""
    tasks = []
    for fold, train, test in outer_splits(rows.folds):
        if fold not in wanted:
            continue
        features_for(rows.features, fold)  # a fold that these features may not be scored on is refused here
        excluded = None
        if exclude_shared:
            shared = np.isin(rows.groups[train], rows.groups[test])
            train, excluded = train[~shared], int(shared.sum())
        if len(np.unique(rows.labels[train])) < 2:
            raise DataError(
                f"The {len(train)} clips left to train on for fold {fold} have fewer than 2 classes, so nothing can "
                "be learnt. Give more folds, or clips that share fewer recordings."
            )
        tasks.append((FoldTask(fold, head_factory, rows, train, test, excluded),))
    return tasks


def _run_fold(task: FoldTask) -> tuple[FoldResult, Any]:
    rows, train, test = task.rows, task.train, task.test
    features = features_for(rows.features, task.fold)
    start = time.perf_counter()
    head: ProbabilisticHead = task.head_factory()
    head.fit(features[train], rows.labels[train], groups=rows.groups[train])
    seconds = time.perf_counter() - start
    proba = np.zeros((len(test), rows.n_classes))
    proba[:, head.classes_] = head.predict_proba(features[test])
    chosen: Mapping[str, Any] = dict(head.chosen_)
    if task.excluded_clips is not None:
        chosen = {**chosen, "excluded_clips": task.excluded_clips}
    result = FoldResult(
        fold=task.fold,
        ids=rows.ids[test],
        y_true=rows.labels[test].astype(np.int64),
        proba=(proba / proba.sum(axis=1, keepdims=True)).astype(np.float32),
        chosen=chosen,
        history=list(head.history_),
        train_clips=len(train),
        seconds=seconds,
    )
    return result, head


def _wanted(folds: np.ndarray, only_folds: Sequence[int] | None) -> set[int]:
    available = {int(fold) for fold in np.unique(folds)}
    if only_folds is None:
        return available
    absent = sorted(set(only_folds) - available)
    if absent or not only_folds:
        raise DataError(
            f"Fold {', '.join(map(str, absent)) or '(none)'} is not among the data's folds: "
            f"{', '.join(map(str, sorted(available)))}."
        )
    return set(only_folds)


def _check_rows(rows: LabelledRows) -> None:
    n_clips, labels = len(rows.ids), rows.labels
    for name in ("labels", "folds", "groups"):
        length = len(getattr(rows, name))
        if length != n_clips:
            raise DataError(f"{length} {name} for {n_clips} clips; one for each clip is needed.")
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0 or labels.max() >= rows.n_classes:
        raise DataError(
            f"Labels from {labels.min()} to {labels.max()} ({labels.dtype}) don't fit {rows.n_classes} classes; "
            f"whole numbers from 0 to {rows.n_classes - 1} are needed."
        )


def _check_features(features: np.ndarray, ids: np.ndarray) -> None:
    if features.ndim != 2 or features.size == 0:
        raise DataError(f"Features have shape {features.shape}; (clips, dimension) is needed, neither of them 0.")
    if len(features) != len(ids):
        raise DataError(f"{len(features)} features for {len(ids)} clips; one for each clip is needed.")
    broken = np.flatnonzero(~np.isfinite(features).all(axis=1))
    if len(broken):
        named = ", ".join(repr(str(ids[row])) for row in broken[:5]) + (", ..." if len(broken) > 5 else "")
        raise SoundprobeError(
            f"The embeddings of {len(broken)} of {len(ids)} clips hold NaN or infinity: {named}. "
            "Extract them again, or leave these clips out."
        )

"""What flows between the rooms of soundprobe: clips, embeddings, and results. numpy only.

Letters: N clips, C classes, D the embedding's dimension, n clips of one test fold, W windows of a recording.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import import_module
from typing import Any, NoReturn

import numpy as np

from soundprobe.base.errors import DataError
from soundprobe.base.files import printable
from soundprobe.base.labelled import Labelled
from soundprobe.base.texts import CompactTexts, first_of_each


@dataclass(frozen=True)
class EncodedAudio:
    """Audio that is not a file of its own, such as a row of a Parquet table.

    `read()` returns the encoded bytes, of any format that is read, when they are wanted, so that a 7 GB table is never
    held in memory. `name` stands in messages.
    """

    name: str
    read: Callable[[], bytes]


Source = str | os.PathLike[str] | EncodedAudio
"""Where a clip's encoded audio comes from: a file's path, or bytes on demand."""


@dataclass(frozen=True, eq=False, repr=False)
class Clips(Labelled):
    """N labelled clips of one data set, in C classes, with their official or made folds.

    Attributes:
        name: the data set's name, as it stands in paths and tables: "urbansound8k", "esc10", ...
        ids: (N,) str, unique.
        sources: N sources, in the order of `ids`.
        labels: (N,) int64, indices into `class_names`.
        folds: (N,) int64, the cross-validation fold in which the clip is tested.
        groups: (N,) str, the recording that the clip was cut from; clips of one group never help to choose
            settings that are judged on another clip of it.
        class_names: (C,) names in the order of the labels.
        columns: further columns (salience, start, ...), each (N,).
        (ids, groups and columns of large manifests are `base.texts.CompactTexts`, which stand for arrays of str.)
        recordings_known: whether `groups` says it; else every clip is a group of its own, and by default it is told
            by that.
        tested_folds: the folds that are scored, ascending; the others are only trained on. All of them by default.
        folds_seed: what made folds were drawn with; None where they are the data set's own.
        notes: what was noted when they were read.

    Raises:
        DataError: where the columns' lengths differ, an id stands twice, or a label has no name.
    """

    name: str
    ids: np.ndarray
    sources: Sequence[Source]
    labels: np.ndarray
    folds: np.ndarray
    groups: np.ndarray
    class_names: tuple[str, ...]
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    recordings_known: bool | None = None
    tested_folds: tuple[int, ...] = ()
    folds_seed: int | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "ids", _as_texts(self.ids))
        set_(self, "groups", _as_texts(self.groups))
        set_(self, "labels", np.asarray(self.labels, dtype=np.int64))
        set_(self, "folds", np.asarray(self.folds, dtype=np.int64))
        set_(self, "class_names", tuple(self.class_names))
        set_(self, "columns", {name: _as_column(column) for name, column in self.columns.items()})
        n = len(self.ids)
        if n == 0:
            raise DataError(f"Data set {self.name!r} has no clips. Check the path and the layout that it names.")
        given: dict[str, Any] = {
            "sources": self.sources,
            "labels": self.labels,
            "folds": self.folds,
            "groups": self.groups,
        }
        for name, column in {**given, **self.columns}.items():
            if len(column) != n:
                raise DataError(
                    f"Data set {self.name!r}: {len(column)} {name} for {n} clips; one for each clip is needed."
                )
        if (first_of_each(self.ids) != np.arange(n)).any():
            names, counts = np.unique(self.ids, return_counts=True)
            raise DataError(
                f"Data set {self.name!r}: clip id {str(names[counts.argmax()])!r} stands {counts.max()} times; "
                "ids must be unique. Rename or drop the copies."
            )
        bad = (self.labels < 0) | (self.labels >= len(self.class_names))
        if bad.any():
            row = int(bad.argmax())
            raise DataError(
                f"Data set {self.name!r}: clip {str(self.ids[row])!r} has label {self.labels[row]}, but there are only "
                f"{len(self.class_names)} class names (labels 0 to {len(self.class_names) - 1})."
            )
        if self.recordings_known is None:
            set_(self, "recordings_known", bool((self.groups != self.ids).any()))
        set_(self, "tested_folds", self.tested_folds or tuple(np.unique(self.folds).tolist()))

    def __len__(self) -> int:
        return len(self.ids)

    def shown_lines(self) -> Sequence[str]:
        made = " (made)" if self.folds_seed is not None else ""
        return f"{self.name}: {self.counted(made)}", f"folds {_listed(self.tested_folds)}", self.classes_line()

    def as_columns(self) -> dict[str, Any]:
        """The columns of `Labelled`, and `path`, absolute, of clips that are files."""
        root = self.audio_root
        below = self.paths_below(range(len(self))) if root else []
        return {**super().as_columns(), **({"path": _joined(root, below)} if root else {})}

    @cached_property
    def audio_root(self) -> str:
        """The absolute folder that all clips' files are below; "" where no clip is a file, where files lie on several
        drives, and where the data have a column `path` of their own."""
        folders = {os.path.dirname(file) for file in map(_file, self.sources) if file}
        try:
            return "" if "path" in self.columns else os.path.commonpath(folders)
        except ValueError:  # no file, or several drives
            return ""

    def paths_below(self, rows: Iterable[int]) -> list[str | None]:
        """The path of the file of each of `rows` below `audio_root`, "/" between its parts; None for a clip that is no
        file, or whose path no text can hold."""
        files = (_file(self.sources[row]) for row in rows)
        return [os.path.relpath(file, self.audio_root).replace(os.sep, "/") if file else None for file in files]

    def take(self, rows: np.ndarray) -> Clips:
        """The clips at `rows`, an index array or a boolean mask of (N,), in that order."""
        index = np.asarray(rows)
        if index.dtype == bool:
            index = np.flatnonzero(index)
        left = np.unique(self.folds[index])
        return replace(
            self,
            ids=self.ids[index],
            sources=[self.sources[i] for i in index],
            labels=self.labels[index],
            folds=self.folds[index],
            groups=self.groups[index],
            columns={name: column[index] for name, column in self.columns.items()},
            tested_folds=tuple(fold for fold in self.tested_folds if fold in left),
            folds_seed=None,
        )

    def describe(self, fingerprint: str, opened_as: dict[str, Any] | None) -> dict[str, Any]:
        """The `dataset` field of records: see `soundprobe.base.stored.DatasetRecord`."""
        rest = int((~np.isin(self.folds, self.tested_folds)).sum())
        told = bool((self.groups != self.ids).any())
        return {
            "name": self.name,
            "fingerprint": fingerprint,
            "opened_as": opened_as,
            "clips": len(self),
            "class_names": list(self.class_names),
            "folds": list(self.tested_folds),
            **({"only_trained_on": rest} if rest else {}),
            **({} if self.recordings_known == told else {"recordings_known": self.recordings_known}),
            **({"notes": list(self.notes)} if self.notes else {}),
        }


@dataclass(frozen=True, eq=False)
class FoldFeatures:
    """Features of N clips by networks that were fine-tuned in folds, each to be scored on its own fold only.

    No array on purpose: what takes one set of features for all folds gets an error here, not a score that a network
    reached on clips that it was trained on. Ask `features_for` for a fold's.

    Attributes:
        by_fold: fold -> (N, D) float32, by the network that never saw the clips of that fold.
    """

    by_fold: Mapping[int, np.ndarray]

    def __array__(self, *_: object, **__: object) -> NoReturn:
        self._refuse()

    def __getitem__(self, _: object) -> NoReturn:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise DataError(
            f"These embeddings are of networks that were fine-tuned in folds ({_listed(self.by_fold)}): each belongs "
            "to its fold, and no one of them can stand for all. Take a fold's with features_of(FOLD)."
        )


def features_for(features: np.ndarray | FoldFeatures, fold: int) -> np.ndarray:
    """(N, D) the features on which heads may be trained that are then scored on `fold`.

    Raises:
        DataError: the features are of networks that were trained on that fold.
    """
    if not isinstance(features, FoldFeatures):
        return features
    if fold not in features.by_fold:
        raise DataError(
            f"Fold {fold} can't be scored on these embeddings: they are of networks fine-tuned to be tested on fold "
            f"{_listed(features.by_fold)}, which were trained on fold {fold}. Extract that fold's with --finetuned."
        )
    return features.by_fold[fold]


def _listed(folds: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(folds)))


@dataclass(frozen=True, eq=False, repr=False)
class Embeddings(Labelled):
    """A backbone's embeddings of N clips, with the clips' columns in the same order.

    Attributes:
        features: (N, D) float32; or those of each fold, where the backbone was fine-tuned in folds.
        ids, labels, folds, groups, class_names, columns: as in `Clips`.
        meta: what `meta.json` says of the set: data set, backbone, weights, settings, failures.
        paths: (N,) each clip's file below `meta["audio_root"]`, None for what is no file; None for all where the set
            doesn't tell.
    """

    features: np.ndarray | FoldFeatures
    ids: np.ndarray
    labels: np.ndarray
    folds: np.ndarray
    groups: np.ndarray
    class_names: tuple[str, ...]
    columns: Mapping[str, np.ndarray]
    meta: Mapping[str, Any]
    paths: Sequence[str | None] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def recordings_known(self) -> bool:
        """As in `Clips`; a set that doesn't say it is told by its groups."""
        told = self.meta.get("dataset", {}).get("recordings_known")
        return bool((self.groups != self.ids).any()) if told is None else bool(told)

    def features_of(self, fold: int) -> np.ndarray:
        """(N, D) the features on which heads may be trained that are then scored on `fold`; see `features_for`."""
        return features_for(self.features, fold)

    def shown_lines(self) -> Sequence[str]:
        backbone, name = self.meta.get("backbone", {}), self.meta.get("dataset", {}).get("name", "clips")
        what = f"{backbone.get('name', 'embeddings')} ({backbone.get('weights_label', 'of unknown weights')})"
        if isinstance(self.features, FoldFeatures):
            size = f"of the networks of fold {_listed(self.features.by_fold)}"
        else:
            size = f"N = {len(self):,}, D = {self.features.shape[1]:,}"
        return f"{what}, {size}", f"{name}: {self.counted()}", self.classes_line()

    def as_columns(
        self, *, fold: int | None = None, audio_root: str | os.PathLike[str] | None = None
    ) -> dict[str, Any]:
        """As in the set's Parquet files: the columns of `Labelled`, `path`, absolute, and `embedding` (N, D).

        Args:
            fold: the only one that may be scored on the embeddings, where networks were fine-tuned in folds.
            audio_root: the folder that the clips' files are below now, where they were moved since.

        Raises:
            DataError: of networks that were fine-tuned in folds, `fold` is missing.
        """
        root, features = audio_root or self.meta.get("audio_root", ""), self.features
        return {
            **super().as_columns(),
            **({} if self.paths is None else {"path": _joined(root, self.paths)}),
            "embedding": np.asarray(features) if fold is None else self.features_of(fold),
        }

    def to_torch(self, fold: int | None = None) -> Any:
        """A `torch.utils.data.TensorDataset` of N pairs: embedding (D,) float32, label int64.

        Its `folds` (N,) int64, `groups` and `ids` (N,) str tell which to train on, as by `torch.utils.data.Subset`.

        Args:
            fold: as in `as_columns`.
        """
        torch = import_module("torch")  # by its name: what imports records may not come to import torch
        features = np.asarray(self.features) if fold is None else self.features_of(fold)
        found = torch.utils.data.TensorDataset(torch.from_numpy(features), torch.from_numpy(self.labels))
        found.folds, found.groups, found.ids = torch.from_numpy(self.folds), self.groups, self.ids
        return found


def _as_texts(column: Any) -> Any:
    """Text as it is held: an array of str, or `base.texts`."""
    return column if isinstance(column, CompactTexts) else np.asarray(column, dtype=np.str_)


def _as_column(column: Any) -> Any:
    return column if isinstance(column, CompactTexts) else np.asarray(column)


def _file(source: Source) -> str | None:
    """The absolute path of a clip's file; None where it is none, or no text can hold its path."""
    file = None if isinstance(source, EncodedAudio) else os.path.abspath(source)
    return file if file is not None and file == printable(file) else None


def _joined(root: str | os.PathLike[str], below: Iterable[str | None]) -> list[str | None]:
    return [None if one is None else os.path.join(root, *one.split("/")) for one in below]


@dataclass(frozen=True, eq=False)
class FoldResult:
    """What one fold's head said of the clips that it had never seen.

    Attributes:
        fold: the fold that was tested.
        ids: (n,) the tested clips.
        y_true: (n,) int64.
        proba: (n, C) float32, rows that sum to 1; (n, 0) where no probabilities are known, as of an import.
        chosen: the settings that were chosen inside the training folds.
        history: what selection and training saw, one mapping a step (a strength, an epoch); training folds only.
        tuning: of fine-tuning that chose settings, the content of a `scoring.tuning.TuningRecord`.
        train_clips: how many clips it was trained on; seconds: time to choose and train. None where it isn't known.
        said: (n,) int64, the predicted classes, where they were told; else those of the largest probability.
    """

    fold: int
    ids: np.ndarray
    y_true: np.ndarray
    proba: np.ndarray
    chosen: Mapping[str, Any] = field(default_factory=dict)
    history: Sequence[Mapping[str, Any]] = ()
    tuning: Mapping[str, Any] | None = None
    train_clips: int | None = 0
    seconds: float | None = 0.0
    said: np.ndarray | None = None

    @property
    def predicted(self) -> np.ndarray:
        """(n,) int64, the most probable class."""
        return self.proba.argmax(axis=1) if self.said is None else self.said


@dataclass(frozen=True, eq=False)
class RunResult:
    """One backbone and head over every fold. `info` is result.json without its `folds` and `summary`."""

    folds: Sequence[FoldResult]
    class_names: tuple[str, ...]
    info: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Timeline:
    """Probabilities over time: starts_s and ends_s (W,) of the windows, proba (W, C).

    Where the heads know: novelty (W,), how unlike their training clips each window is, and is_unknown (W,), whether it
    is too unlike for any class.
    """

    class_names: tuple[str, ...]
    starts_s: np.ndarray
    ends_s: np.ndarray
    proba: np.ndarray
    novelty: np.ndarray | None = None
    is_unknown: np.ndarray | None = None


@dataclass(frozen=True)
class Segment:
    """A stretch of one class: seconds from the clip's beginning, the class's name, its mean probability there."""

    start_s: float
    end_s: float
    label: str
    probability: float

"""What clips and their embeddings share: their columns as other tools' tables, and how they show themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from soundprobe.base.display import UNKNOWN_RECORDINGS, Shown, plural
from soundprobe.base.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl


class Labelled(Shown):
    """N clips with a label, a fold and a recording each; attributes as in `base.records.Clips`."""

    ids: np.ndarray
    labels: np.ndarray
    folds: np.ndarray
    groups: np.ndarray
    class_names: tuple[str, ...]
    columns: Mapping[str, np.ndarray]

    @property
    def recordings_known(self) -> bool | None:
        """Whether `groups` says the recordings."""
        raise NotImplementedError

    def as_columns(self) -> dict[str, Any]:
        """The columns of an embedding set that tell of the clips, by name, each of N values; own ones go first."""
        own = {
            "clip_id": self.ids,
            "label": self.labels,
            "class": np.asarray(self.class_names, dtype=np.str_)[self.labels],
            "fold": self.folds,
            "group": self.groups,
        }
        told = {**own, **{name: column for name, column in self.columns.items() if name not in own}}
        return {name: np.asarray(column) for name, column in told.items()}

    def to_pandas(self, **how: Any) -> pd.DataFrame:
        """A row a clip; columns and arguments are those of `as_columns`.

        Raises:
            ConfigError: pandas is not installed.
        """
        return data_frame("pandas", self.as_columns(**how))

    def to_polars(self, **how: Any) -> pl.DataFrame:
        """As `to_pandas`, of polars."""
        return data_frame("polars", self.as_columns(**how))

    def counted(self, of_folds: str = "") -> str:
        """How many clips, classes, folds (and what is to be said of them) and recordings there are."""
        folds, recordings = len(np.unique(self.folds)), len(np.unique(self.groups))
        counts = f"{plural(len(self.ids), 'clip')}, {len(self.class_names)} classes, {plural(folds, 'fold')}{of_folds}"
        return counts + (f", {plural(recordings, 'recording')}" if self.recordings_known else f"; {UNKNOWN_RECORDINGS}")

    def classes_line(self) -> str:
        """The most frequent classes, with how many clips each has."""
        most = Counter(self.labels.tolist()).most_common(5)
        return ", ".join(f"{self.class_names[label]} {number:,}" for label, number in most)

    def shown_table(self) -> Sequence[Sequence[object]]:
        """How many clips and recordings each class has, and how many clips in each fold."""
        folds, fold = np.unique(self.folds, return_inverse=True)
        counts = np.zeros((len(self.class_names), len(folds)), dtype=np.int64)
        np.add.at(counts, (self.labels, fold), 1)
        known = ["recordings"] if self.recordings_known else []
        rows: list[list[object]] = [["class", "clips", *known, *(f"fold {one}" for one in folds)]]
        for label, name in enumerate(self.class_names):
            recordings = [len(np.unique(self.groups[self.labels == label]))] if known else []
            rows.append([name, counts[label].sum(), *recordings, *counts[label]])
        return rows


def data_frame(name: str, columns: Mapping[str, Any]) -> Any:
    """The columns as a data frame of the library `name`, "pandas" or "polars".

    Raises:
        ConfigError: it is not installed.
    """
    try:
        library = import_module(name)
    except ImportError:
        raise ConfigError(f"to_{name} needs {name}, which is not installed: pip install {name}") from None
    if name == "pandas":  # which has no columns of two dimensions: an array in each row
        columns = {column: list(values) if np.ndim(values) > 1 else values for column, values in columns.items()}
    return library.DataFrame(columns)

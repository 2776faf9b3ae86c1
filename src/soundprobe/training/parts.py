"""A fold's training clips, parted into those that train and those that choose. No function here is given a test clip.

Letters: n clips of the training folds.
"""

from __future__ import annotations

import numpy as np

from soundprobe.base.errors import ConfigError, DataError
from soundprobe.base.records import Clips
from soundprobe.scoring.folds import inner_split
from soundprobe.training.recipes import DataTable, ValidationTable

FOREGROUND, BACKGROUND = 1, 2


def part_training(
    labels: np.ndarray, folds: np.ndarray, groups: np.ndarray, *, test_fold: int, table: ValidationTable, seed: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """Rows that train and rows that validate, of the n clips of the training folds; None without validation.

    No recording is on both sides.

    Args:
        labels, folds, groups: (n,) columns of the training folds' clips.

    Raises:
        DataError: nothing is left on one side. SplitError: no recording can be held out.
    """
    rows = np.arange(len(labels))
    if table.kind == "none":
        return rows, None
    if table.kind == "share":
        return inner_split(labels, groups, max(2, round(1 / table.share)), seed)[0]
    names = np.unique(folds)
    if len(names) < 2:
        raise DataError(
            "Validation on the next fold needs at least 3 folds, and only one is left to train on. "
            'Use --set validation.kind="share", or --epochs-fixed.'
        )
    later = names[names > test_fold]
    validates = folds == (later[0] if len(later) else names[0])
    training = rows[~validates]
    # A recording that sits in both (UrbanSound8K has some) would be recognised, not judged.
    return training, rows[validates & ~np.isin(groups, groups[training])]


def keep_salience(salience: np.ndarray | None, table: DataTable) -> np.ndarray | None:
    """(n,) bool: which clips the recipe trains on; None for all.

    Raises:
        ConfigError: the data set doesn't say which clips are in the foreground.
    """
    if table.salience == "all":
        return None
    if salience is None:
        raise ConfigError(_no_column(f"--salience {table.salience}"))
    return np.asarray(salience).astype(np.int64) == (FOREGROUND if table.salience == "foreground" else BACKGROUND)


def loss_weights(clips: Clips, table: DataTable) -> np.ndarray:
    """(N,) float32: `salience_weight` for background clips, 1 for the others.

    Raises:
        ConfigError: a weight is given, but the data set doesn't say which clips are in the background.
    """
    if table.salience_weight == 1.0:
        return np.ones(len(clips), dtype=np.float32)
    if "salience" not in clips.columns:
        raise ConfigError(_no_column(f"--salience-weight {table.salience_weight:g}"))
    background = np.asarray(clips.columns["salience"]).astype(np.int64) == BACKGROUND
    return np.where(background, table.salience_weight, 1.0).astype(np.float32)


def _no_column(option: str) -> str:
    return (
        f"{option} needs a column 'salience' (1 foreground, 2 background), and this data set has none. "
        "Leave the option out."
    )

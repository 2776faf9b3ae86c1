"""Clips' frames as rows of one length, for heads that pool them: (N, 1 + M * D). numpy only.

A row's first number says how many frames are the clip's own; they follow one after the other, and after them zeros.

Letters: N clips, M the most frames that one has, D numbers of a frame.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def frame_rows(clips: Sequence[np.ndarray]) -> np.ndarray:
    """(N, 1 + M * D) float32, from each clip's frames (m, D)."""
    columns = clips[0].shape[1]
    rows = np.zeros((len(clips), 1 + max(map(len, clips)) * columns), dtype=np.float32)
    for row, frames in zip(rows, clips, strict=True):
        row[0] = len(frames)
        row[1 : 1 + frames.size] = frames.reshape(-1)
    return rows


def split_rows(rows: np.ndarray, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames (N, M, D) and which are each clip's own, (N, M) bool, from rows; D is `columns`.

    Where `columns` is 0, a row is one frame and nothing else.

    Raises:
        ValueError: the rows don't hold frames of so many numbers.
    """
    if not columns:
        return rows[:, None], np.ones((len(rows), 1), dtype=bool)
    most, rest = divmod(rows.shape[1] - 1, columns)
    counts = rows[:, 0]
    if rest or most < 1 or not np.isin(counts, np.arange(1, most + 1)).all():
        raise ValueError(
            f"Rows of {rows.shape[1]} numbers don't hold frames of {columns} after their number. Make them with "
            "soundprobe.base.frame_rows."
        )
    return rows[:, 1:].reshape(len(rows), most, columns), np.arange(most) < counts[:, None]


def mean_frames(rows: np.ndarray, columns: int) -> np.ndarray:
    """(N, D) float32, the mean of each clip's own frames; rows as they are where `columns` is 0."""
    if not columns:
        return rows
    frames, own = split_rows(rows, columns)
    mean: np.ndarray = (frames * own[:, :, None]).sum(axis=1, dtype=np.float64) / own.sum(axis=1)[:, None]
    return mean.astype(np.float32)

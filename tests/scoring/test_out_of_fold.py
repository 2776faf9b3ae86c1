"""A run's predictions as they are scored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from soundprobe.scoring.out_of_fold import UnreadableRunError, predictions_of, read_predictions


@pytest.mark.parametrize(
    ("digests", "joined"),
    [
        (["x", "y", "y", "z", "w"], ["a", "a", "a", "c", "d"]),  # b's clip is a copy of one of a's
        (["x", "y", "z", "w", "v"], ["a", "a", "b", "c", "d"]),
        (["x", "", "", "", ""], ["a", "a", "b", "c", "d"]),  # unread files aren't copies of each other
        (None, ["a", "a", "b", "c", "d"]),
    ],
)
def test_recordings_with_clips_of_the_same_bytes_are_drawn_as_one(digests: list[str] | None, joined: list[str]) -> None:
    numbers = np.arange(5)
    table = {"clip_id": numbers.astype(str), "label": numbers % 2, "predicted": numbers % 2, "fold": 1 + numbers % 2}
    table["group"] = np.array(list("aabcd"))
    if digests is not None:
        table["clip.audio_sha256"] = np.array(digests)
    assert predictions_of(table, "run", 2).groups.tolist() == joined


@pytest.mark.parametrize(("rows", "values"), [(100_000, 1), (1, 1_000_000)])
def test_predictions_that_would_inflate_are_not_read(tmp_path: Path, rows: int, values: int) -> None:
    table = {name: np.zeros(rows, np.int64) for name in ("fold", "label", "predicted")}
    proba = pa.FixedSizeListArray.from_arrays(pa.array(np.ones(rows * values, np.float32)), values)
    pq.write_table(pa.table({"clip_id": ["a"] * rows, **table, "proba": proba}), tmp_path / "predictions.parquet")
    assert (tmp_path / "predictions.parquet").stat().st_size < 10_000
    with pytest.raises(UnreadableRunError, match=r"predictions.parquet is damaged or not a table of predictions"):
        read_predictions(tmp_path, 1)

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


def test_predictions_whose_metadata_are_damaged_anywhere_are_read_or_refused(tmp_path: Path) -> None:
    table = {name: np.zeros(2, np.int64) for name in ("fold", "label", "predicted")}
    proba = pa.array([[1.0], [1.0]], pa.list_(pa.float32()))
    path, refused = tmp_path / "predictions.parquet", 0
    pq.write_table(pa.table({"clip_id": ["a", "b"], **table, "proba": proba}), path)
    content = bytearray(path.read_bytes())
    metadata = range(len(content) - 8 - int.from_bytes(content[-8:-4], "little"), len(content) - 8)
    for at in metadata:
        content[at] ^= 2
        path.write_bytes(content)
        content[at] ^= 2
        try:
            read_predictions(tmp_path, 1)
        except UnreadableRunError:
            refused += 1
    assert 0 < refused < len(metadata)

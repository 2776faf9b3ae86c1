"""A run's predictions as they are scored."""

from __future__ import annotations

import numpy as np
import pytest

from soundprobe.scoring.out_of_fold import predictions_of


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

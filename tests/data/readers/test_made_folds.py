"""Made folds: dealt over the clips that can be read, and honest about the classes that they lack."""

from __future__ import annotations

import numpy as np
import pytest

from soundprobe.base.errors import SoundprobeWarning
from soundprobe.base.records import Clips
from soundprobe.data.readers.assemble import FoldOptions, Found, assemble
from soundprobe.data.readers.made_folds import deal_readable, make_folds


def made(groups: np.ndarray | None = None, folds: np.ndarray | None = None) -> Clips:
    """40 clips of 2 classes, dealt into 4 folds where they have none."""
    ids = [f"{n:02d}.wav" for n in range(40)]
    found = Found("d", "d", ids, ids, np.arange(40) % 2, ("a", "b"), groups=groups, folds=folds)
    return assemble(found, FoldOptions(folds=4, seed=3))


@pytest.mark.parametrize("groups", [None, np.array([f"r{n // 2}" for n in range(40)])])
def test_deal_readable_unreadable_clips_take_no_place_in_a_fold(groups: np.ndarray | None) -> None:
    clips = made(groups)
    readable = np.arange(40) >= 8
    dealt = deal_readable(clips, readable)
    expected = make_folds(
        clips.ids[readable].tolist(), clips.labels[readable], None if groups is None else groups[readable], "ab", 4, 3
    )
    assert dealt.folds[readable].tolist() == expected.tolist()
    assert np.bincount(dealt.folds[readable]).tolist() == [0, 8, 8, 8, 8]
    assert deal_readable(clips, np.ones(40, dtype=bool)).folds.tolist() == clips.folds.tolist()


def test_deal_readable_folds_of_the_data_set_stay() -> None:
    clips = made(folds=np.arange(40) % 5)
    assert deal_readable(clips, np.arange(40) > 9) is clips


def test_deal_readable_class_that_a_fold_lacks_is_said() -> None:
    clips = made()
    readable = (clips.labels == 0) | (np.arange(40) < 6)
    with pytest.warns(
        SoundprobeWarning, match=r"^Class 'b' has no readable clip in fold [\d, ]+, so it is not tested there"
    ):
        deal_readable(clips, readable)


def test_assemble_unknown_recordings_are_no_recordings() -> None:
    assert made().recordings_known is False
    assert made(np.array([f"{n:02d}.wav" for n in range(40)])).recordings_known is True  # said so, each its own
    found = Found("d", "d", ["r1_a.wav", "r1_b.wav"], ["", ""], np.array([0, 1]), ("a", "b"), folds=np.array([1, 2]))
    grouped = assemble(found, FoldOptions(group_regex=r"^(r\d)_"))
    assert (grouped.recordings_known, grouped.groups.tolist()) == (True, ["r1", "r1"])

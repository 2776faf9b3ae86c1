"""Recordings that file names show."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from soundprobe.data.audit.file_names import suggest_groups
from soundprobe.data.readers.assemble import match_names
from soundprobe.data.readers.esc50 import read_esc50
from soundprobe.data.readers.urbansound8k import read_urbansound8k


@pytest.mark.parametrize(
    ("names", "groups"),
    [
        (["1-100032-A-0.wav", "1-100032-B-0.wav", "2-77-A-0.wav", "2-78-A-0.wav"], ["100032", "100032", "77", "78"]),
        (["dog_07_3.wav", "dog_07_4.wav", "dog_08_1.wav", "dog_09_1.wav"], ["dog_07", "dog_07", "dog_08", "dog_09"]),
        (["a1_nohash_0.wav", "a1_nohash_1.wav", "b2_nohash_0.wav", "c_nohash_0.wav"], ["a1", "a1", "b2", "c"]),
        (["12-3-0-0.wav", "12-3-0-1.wav", "13-3-0-0.wav", "14-3-0-0.wav"], ["12", "12", "13", "14"]),
    ],
)
def test_suggest_groups_pattern_is_found_and_counted(names: list[str], groups: list[str]) -> None:
    found = suggest_groups([f"x/{name}" for name in names], np.zeros(4, dtype=np.int64))
    assert found is not None
    assert match_names(names, found.regex, "--group-regex", "recording") == groups
    assert f"would give {len(set(groups))} recordings of 4 clips" in found.describe()


@pytest.mark.parametrize(
    "names", [["a.wav", "b.wav", "c.wav"], ["1.wav", "2.wav", "3.wav"], ["dog_1.wav", "dog_2.wav", "dog_3.wav"]]
)
def test_suggest_groups_no_pattern_or_one_for_a_whole_class_is_none(names: list[str]) -> None:
    assert suggest_groups(names, np.zeros(len(names), dtype=np.int64)) is None


def test_suggest_groups_real_data_gives_its_recordings(shared: Path) -> None:
    for clips in (read_esc50(shared / "data" / "ESC-10"), read_urbansound8k(shared / "data" / "UrbanSound8K")):
        found = suggest_groups(clips.ids, clips.labels)
        assert found is not None
        assert [re.search(found.regex, name)[1] for name in clips.ids] == clips.groups.tolist()

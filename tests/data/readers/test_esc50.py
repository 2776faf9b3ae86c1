"""ESC-50's layout: the real ESC-10, sparse targets, and malformed rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from soundprobe.base.errors import DataError
from soundprobe.data.readers.esc50 import read_esc50

HEADER = "filename,fold,target,category,esc10,src_file,take"


def layout(folder: Path, rows: list[str]) -> Path:
    (folder / "meta").mkdir(parents=True)
    (folder / "audio").mkdir()
    (folder / "meta" / "esc50.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    return folder


def test_read_esc50_real_esc10_reindexes_sparse_targets(shared: Path) -> None:
    clips = read_esc50(shared / "data" / "ESC-10")
    assert clips.name == "esc10"
    assert len(clips) == 400
    assert np.bincount(clips.folds).tolist() == [0, 80, 80, 80, 80, 80]
    assert np.bincount(clips.labels).tolist() == [40] * 10
    assert clips.class_names[:2] == ("dog", "rooster")
    assert clips.groups[0] == "100032"
    assert clips.columns["take"][0] == "A"
    assert all(Path(str(source)).is_file() for source in clips.sources)


def test_read_esc50_part_of_the_classes_is_esc50(tmp_path: Path) -> None:
    rows = ["1-5-A.wav,1,49,hand_saw,False,5,A", "2-6-B.wav,2,0,dog,True,6,B"]
    clips = read_esc50(layout(tmp_path / "d", rows))
    assert clips.name == "esc50"
    assert clips.class_names == ("dog", "hand_saw")
    assert clips.labels.tolist() == [1, 0]
    assert clips.columns["esc10"].tolist() == [False, True]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("b.wav,x,0,dog,True,5,A", "fold 'x' is not a whole number"),
        ("b.wav,1,0,cat,True,5,A", "category 'cat' has target 0, which stands for 'dog' above"),
        ("b.wav,1,0,dog,yes,5,A", "esc10 'yes' is neither True nor False"),
        ("a.wav,1,0,dog,True,5,A", "filename 'a.wav' stands at line 2 already"),
    ],
)
def test_read_esc50_malformed_row_names_file_and_line(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(DataError, match=rf"esc50\.csv, line 3: {message}"):
        read_esc50(layout(tmp_path / "d", ["a.wav,1,0,dog,True,5,A", row]))


def test_read_esc50_complete_with_changed_folds_is_refused(tmp_path: Path) -> None:
    rows = [f"{n}.wav,{n % 5 + 1 if n else 2},{n % 50},class {n % 50},False,{n},A" for n in range(2000)]
    with pytest.raises(DataError, match=r"fold 1 has 399 clips; the official fold 1 has 400"):
        read_esc50(layout(tmp_path / "d", rows))


def test_read_esc50_without_metadata_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"esc50\.csv is missing"):
        read_esc50(tmp_path)

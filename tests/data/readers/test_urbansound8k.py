"""UrbanSound8K's layout: the real sample, the complete metadata, and what can be wrong with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from soundprobe.base.errors import DataError
from soundprobe.data.readers.urbansound8k import (
    OFFICIAL_FOLDS,
    find_metadata,
    read_urbansound8k,
    read_urbansound8k_metadata,
)
from soundprobe.data.scan import recordings_across_folds

HEADER = "slice_file_name,fsID,start,end,salience,fold,classID,class"
ROWS = [
    "9-3-0-0.wav,9,0.0,0.3,1,5,3,dog_bark",
    "8-1-0-0.wav,8,1.5,5.5,2,2,1,car_horn",
    "9-3-0-1.wav,9,1.0,2.0,1,5,3,dog_bark",
]


def layout(folder: Path, rows: list[str], header: str = HEADER) -> Path:
    (folder / "metadata").mkdir(parents=True)
    (folder / "audio").mkdir()
    (folder / "metadata" / "UrbanSound8K.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return folder


def test_read_urbansound8k_small_layout_fills_every_column(tmp_path: Path) -> None:
    folder = layout(tmp_path / "My Clips", ROWS)
    clips = read_urbansound8k(folder)
    assert clips.name == "my-clips"
    assert clips.ids.tolist() == ["9-3-0-0.wav", "8-1-0-0.wav", "9-3-0-1.wav"]
    assert clips.class_names == ("car_horn", "dog_bark")
    assert clips.labels.tolist() == [1, 0, 1]
    assert clips.folds.tolist() == [5, 2, 5]
    assert clips.groups.tolist() == ["9", "8", "9"]
    assert {name: column.tolist() for name, column in clips.columns.items()} == {
        "salience": [1, 2, 1],
        "start": [0.0, 1.5, 1.0],
        "end": [0.3, 5.5, 2.0],
    }
    assert clips.sources[1] == str(folder / "audio" / "fold2" / "8-1-0-0.wav")


def test_read_urbansound8k_real_sample_has_its_clips(shared: Path) -> None:
    clips = read_urbansound8k(shared / "data" / "UrbanSound8K")
    assert clips.name == "urbansound8k"
    assert len(clips) == 397
    assert sorted(set(clips.folds.tolist())) == [1, 2, 3, 10]
    assert clips.class_names[0] == "air_conditioner"
    assert len(clips.class_names) == 10
    assert all(Path(str(source)).is_file() for source in clips.sources)


def test_read_urbansound8k_metadata_complete_finds_the_split_recordings(shared: Path) -> None:
    clips = read_urbansound8k_metadata(shared / "data" / "UrbanSound8K-full-metadata.csv")
    assert clips.name == "urbansound8k"
    assert len(clips) == 8732
    folds, counts = np.unique(clips.folds, return_counts=True)
    assert dict(zip(folds.tolist(), counts.tolist(), strict=True)) == OFFICIAL_FOLDS
    split = recordings_across_folds(clips)
    assert sorted(one["group"] for one in split) == ["106905", "132016", "176638", "180937", "77751"]
    assert sum(one["clips"] for one in split) == 152
    assert all(len(one["folds"]) == 2 for one in split)


def test_read_urbansound8k_metadata_reshuffled_folds_are_refused(shared: Path, tmp_path: Path) -> None:
    lines = (shared / "data" / "UrbanSound8K-full-metadata.csv").read_text().splitlines()
    assert ",5,3," in lines[1]
    lines[1] = lines[1].replace(",5,3,", ",4,3,")
    (tmp_path / "m.csv").write_text("\n".join(lines))
    with pytest.raises(DataError, match=r"m\.csv: fold 4 has 991 clips; the official fold 4 has 990"):
        read_urbansound8k_metadata(tmp_path / "m.csv")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("7.wav,7,0,1,1,five,3,dog_bark", "line 3: fold 'five' is not a whole number from 1 on"),
        ("7.wav,7,0,1,1,0,3,dog_bark", "line 3: fold '0' is not a whole number from 1 on"),
        ("7.wav,7,0,1,1,5,3,car_horn", "line 3: class 'car_horn' has classID 3, which stands for 'dog_bark' above"),
        ("7.wav,7,0,1,1,5,4,dog_bark", "line 3: class 'dog_bark' has classID 4, but 3 above"),
        ("7.wav,7,0,1,1,5,x,dog_bark", "line 3: classID 'x' is not a whole number"),
        ("7.wav,7,0,nan,1,5,3,dog_bark", "line 3: end 'nan' is not a number"),
        ("7.wav,,0,1,1,5,3,dog_bark", "line 3: fsID is empty"),
        ("9-3-0-0.wav,7,0,1,1,5,3,dog_bark", "line 3: slice_file_name '9-3-0-0.wav' stands at line 2 already"),
        ("7.wav,7,0,1,1,5,3", "line 3: 7 fields, but the header names 8 columns"),
    ],
)
def test_read_urbansound8k_malformed_row_names_file_and_line(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(DataError, match=rf"UrbanSound8K\.csv, {message}"):
        read_urbansound8k(layout(tmp_path / "d", [ROWS[0], row]))


def test_read_urbansound8k_missing_column_is_named(tmp_path: Path) -> None:
    folder = layout(tmp_path / "d", ["a.wav,1"], header="slice_file_name,fold")
    with pytest.raises(
        DataError, match=r"UrbanSound8K\.csv has no column 'fsID', 'start', .* It has slice_file_name, fold"
    ):
        read_urbansound8k(folder)


def test_read_urbansound8k_without_metadata_or_audio_says_which(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"UrbanSound8K\.csv is missing"):
        read_urbansound8k(tmp_path)
    folder = layout(tmp_path / "d", ROWS)
    (folder / "audio").rmdir()
    with pytest.raises(DataError, match=r"audio is missing"):
        read_urbansound8k(folder)


def test_find_metadata_of_two_data_sets_below_names_both(tmp_path: Path) -> None:
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "UrbanSound8K.csv").touch()
    with pytest.raises(DataError, match=r"holds two data sets, .*[xy]/UrbanSound8K.csv and .*[xy]/UrbanSound8K.csv"):
        find_metadata(tmp_path)

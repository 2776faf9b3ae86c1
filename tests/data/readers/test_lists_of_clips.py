"""Files that list clips: what they name and isn't there, and what is there and they don't name, is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from soundprobe.base.errors import DataError, SoundprobeWarning
from soundprobe.data.catalog import open_data


def words(root: Path) -> None:
    for name in ("cat", "dog"):
        (root / name).mkdir()
        for n in range(6):
            (root / name / f"s{n}_nohash_0.wav").touch()


def test_speech_commands_list_with_other_slashes_means_the_same_clips(tmp_path: Path) -> None:
    words(tmp_path)
    (tmp_path / "testing_list.txt").write_text("./dog/s0_nohash_0.wav\r\ncat\\s1_nohash_0.wav\ndog/s2_nohash_0.wav\n")
    with pytest.warns(SoundprobeWarning, match="splits train"):
        clips = open_data(tmp_path)
    tested = clips.ids[clips.folds == clips.tested_folds[0]].tolist()
    assert sorted(tested) == ["cat/s1_nohash_0.wav", "dog/s0_nohash_0.wav", "dog/s2_nohash_0.wav"]


def test_speech_commands_list_of_clips_that_are_not_there_says_how_many(tmp_path: Path) -> None:
    words(tmp_path)
    (tmp_path / "testing_list.txt").write_text("dog/s0_nohash_0.wav\ncat/s0_nohash_0.wav\ndog/s9_nohash_0.wav\n")
    with pytest.warns(SoundprobeWarning) as said:
        open_data(tmp_path)
    assert f"1 of 3 clips in the lists of {tmp_path} aren't there, such as dog/s9_nohash_0.wav." in map(
        str, [one.message for one in said]
    )


def test_audiofolder_counts_audio_that_its_tables_do_not_name(tmp_path: Path) -> None:
    words(tmp_path)
    rows = "".join(f"{name}/s{n}_nohash_0,{name}\n" for name in ("cat", "dog") for n in range(5))
    (tmp_path / "metadata.csv").write_text(f"file_name,label\n{rows}")
    with pytest.warns(SoundprobeWarning, match="2 audio files below .* are in no metadata.csv"):
        assert len(open_data(tmp_path, folds=2)) == 10


def test_folder_without_audio_is_no_class_and_the_table_beside_it_is_named(tmp_path: Path) -> None:
    words(tmp_path)
    (tmp_path / "evaluation_setup").mkdir()
    (tmp_path / "meta.csv").write_text("filename\tscene_label\n")
    with pytest.raises(DataError, match=r"evaluation_setup has no audio file .* --data .*meta\.csv reads the table"):
        open_data(tmp_path, folds=2)

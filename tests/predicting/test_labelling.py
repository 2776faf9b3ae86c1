from __future__ import annotations

from pathlib import Path

import pytest

from soundprobe.base.errors import StoreError
from soundprobe.predicting.labelling import LOG, LabelFolder, Recording, asked_key


@pytest.fixture
def recordings(tmp_path: Path) -> list[Recording]:
    found = []
    for name in ("a.wav", "a.flac", "deep/b.wav"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"sound")
        found.append(Recording.at(path, Path(name)))
    return found


def test_files_are_named_as_recordings_and_none_is_written_twice(tmp_path, recordings):
    labels = LabelFolder(tmp_path / "out", recordings, "key", ".csv")
    names = [labels.file_of(one).relative_to(tmp_path / "out").as_posix() for one in recordings]
    assert names == ["a.wav.csv", "a.flac.csv", "deep/b.csv"]


def test_what_is_done_is_passed_over_until_the_recording_the_question_or_the_file_changes(tmp_path, recordings):
    folder = tmp_path / "out"
    labels = LabelFolder(folder, recordings, "key", ".csv")
    for one in recordings[:2]:
        labels.write(one, "text", {"clip": one.path.name})
    again = LabelFolder(folder, recordings, "key", ".csv")
    assert again.finished(recordings) == {one.path: {"clip": one.path.name} for one in recordings[:2]}
    assert LabelFolder(folder, recordings, "other", ".csv").finished(recordings) == {}
    recordings[0].path.write_bytes(b"another sound")
    changed = [Recording.at(one.path, one.below) for one in recordings]
    assert list(again.finished(changed)) == [recordings[1].path]
    again.file_of(recordings[1]).unlink()
    assert again.finished(changed) == {}


def test_log_that_a_crash_cut_costs_one_recording_and_spoils_no_later_line(tmp_path, recordings):
    folder = tmp_path / "out"
    labels = LabelFolder(folder, recordings, "key", ".csv")
    for one in recordings[:2]:
        labels.write(one, "text", {"clip": one.path.name})
    log = folder / LOG
    log.write_bytes(log.read_bytes()[:-20])
    again = LabelFolder(folder, recordings, "key", ".csv")
    assert list(again.finished(recordings)) == [recordings[0].path]
    again.write(recordings[2], "text", {})
    assert list(again.finished(recordings)) == [recordings[0].path, recordings[2].path]


def test_key_of_a_question_changes_with_the_heads_and_with_what_is_asked(tmp_path):
    (tmp_path / "fold-01.safetensors").write_bytes(b"head")
    key = asked_key(tmp_path, {"window": None})
    assert asked_key(tmp_path, {"window": None}) == key
    assert asked_key(tmp_path, {"window": 2.0}) != key
    (tmp_path / "fold-01.safetensors").write_bytes(b"other head")
    assert asked_key(tmp_path, {"window": None}) != key


def test_log_that_cannot_be_written_is_one_clear_line(tmp_path, recordings):
    (tmp_path / "out" / LOG).mkdir(parents=True)
    with pytest.raises(StoreError, match="Can't write .*predict.jsonl: Is a directory"):
        LabelFolder(tmp_path / "out", recordings, "key", ".csv").write(recordings[0], "text", {})

from __future__ import annotations

from pathlib import Path

import pytest

from soundprobe.base.errors import ConfigError, StoreError
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


@pytest.mark.parametrize(
    ("names", "ending", "files"),
    [
        (["p/x.wav", "q/x.wav"], ".csv", ["p/x.wav.csv", "q/x.wav.csv"]),
        (["p/x.wav", "p/x.ogg", "p/x.ogg.wav"], ".csv", ["x.wav.csv", "x.ogg.csv", "x.ogg.wav.csv"]),
        (["p/predict.wav"], ".jsonl", ["predict.wav.jsonl"]),
    ],
)
def test_recordings_of_several_folders_and_of_the_logs_name_have_a_file_each(tmp_path, names, ending, files):
    recordings = [Recording.at(tmp_path / name, Path(name).relative_to(Path(name).parent)) for name in names]
    labels = LabelFolder(tmp_path / "out", recordings, "key", ending)
    assert [labels.file_of(one).relative_to(tmp_path / "out").as_posix() for one in recordings] == files


def test_recording_that_is_given_twice_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    twice = [Recording(path, Path("x.wav")) for path in (Path("x.wav"), tmp_path / "x.wav")]
    with pytest.raises(ConfigError, match="Name each once"):
        LabelFolder(tmp_path / "out", twice, "key", ".csv")


def test_nothing_stale_is_taken_of_a_stream_or_of_another_place(tmp_path, recordings):
    stream = Recording(Path("-"), Path("stdin"))
    moved = Recording(tmp_path / "moved.wav", recordings[2].below, *recordings[2].state)
    labels = LabelFolder(tmp_path / "out", [stream, recordings[2]], "key", ".csv")
    labels.write(stream, "text", {"clip": "-"})
    labels.write(recordings[2], "text", {"clip": str(recordings[2].path)})
    assert LabelFolder(tmp_path / "out", [stream, moved], "key", ".csv").finished([stream, moved]) == {}


@pytest.mark.parametrize("name", ["u\u2028x.wav", "no-utf8-\udcff.wav", "tab\there\n.wav"])
def test_recording_of_an_odd_name_is_known_again(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"sound")
    one = Recording.at(path, Path(path.name))
    labels = LabelFolder(tmp_path / "out", [one], "key", ".csv")
    labels.write(one, "text", {"clip": str(path)})
    assert list(labels.finished([one])) == [path]


def test_what_is_done_is_passed_over_until_the_recording_the_question_or_the_file_changes(tmp_path, recordings):
    folder = tmp_path / "out"
    labels = LabelFolder(folder, recordings, "key", ".csv")
    for one in recordings[:2]:
        labels.write(one, "text", {"clip": str(one.path)})
    again = LabelFolder(folder, recordings, "key", ".csv")
    assert again.finished(recordings) == {one.path: {"clip": str(one.path)} for one in recordings[:2]}
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
        labels.write(one, "text", {"clip": str(one.path)})
    log = folder / LOG
    log.write_bytes(b"[" * 100_000 + b"\n" + log.read_bytes()[:-20])
    again = LabelFolder(folder, recordings, "key", ".csv")
    assert list(again.finished(recordings)) == [recordings[0].path]
    again.write(recordings[2], "text", {"clip": str(recordings[2].path)})
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

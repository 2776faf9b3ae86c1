"""One answer to what is audio: data sets, `predict`, `view` and background noise ask the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from soundprobe.base.errors import DataError, SoundprobeWarning
from soundprobe.data.listing import audio_files, files_below


def test_audio_files_hidden_ones_are_passed_over_and_others_counted(tmp_path: Path) -> None:
    names = [
        "a.wav",
        "sub/B.FLAC",
        "._a.wav",
        ".hidden/c.wav",
        "__MACOSX/._a.wav",
        "Thumbs.db",
        "b.mid",
        "sub/notes.txt",
    ]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.warns(SoundprobeWarning, match=r"^2 files below .* are left out, .* \(\.mid: 1, \.txt: 1\)\.$"):
        found = audio_files(tmp_path)
    assert [file.relative_to(tmp_path).as_posix() for file in found] == ["a.wav", "sub/B.FLAC"]
    assert audio_files(tmp_path / "b.mid") == [tmp_path / "b.mid"]
    with pytest.raises(DataError, match="holds no audio files"):
        audio_files(tmp_path / "__MACOSX")


def test_files_below_follows_links_but_those_that_lead_to_what_is_listed_anyway(tmp_path: Path) -> None:
    for name in ("elsewhere/dog/a.wav", "root/cat/b.wav", "root/cat/more/c.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    links = {
        "dog": "../elsewhere/dog",
        "hund": "../elsewhere",
        "cat/all": "..",
        "cat/self": "self",
        "kitten": "cat/more",
    }
    for link, target in links.items():
        (tmp_path / "root" / link).symlink_to(target)
    with pytest.warns(SoundprobeWarning, match="is left out: it leads to") as noted:
        found = [file.relative_to(tmp_path / "root").as_posix() for file in files_below(tmp_path / "root")]
    assert [file for file in found if file.endswith(".wav")] == ["cat/b.wav", "cat/more/c.wav", "dog/a.wav"]
    left_out = sorted(str(note.message).split()[2].removeprefix(f"{tmp_path}/root/") for note in noted)
    assert left_out == ["cat/all", "hund", "kitten"]

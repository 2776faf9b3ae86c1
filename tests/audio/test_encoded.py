from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import soundprobe.audio.encoded as encoded
from encoded import RATE_HZ, SAMPLES, WHOLE_FILES, encode
from soundprobe.audio.decode import decode, inspect
from soundprobe.audio.encoded import FileBytes, Reader, after_zeros, digest, open_encoded, read_bytes, search
from soundprobe.base.errors import AudioError

CONTENT = bytes(range(256)) * 64 + bytes(5_000) + b"the end"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file is a large one, and everything about it is read in small pieces."""
    for name, size in {"IN_MEMORY_BYTES": 0, "SHORT_BYTES": 65_536, "CHUNK_BYTES": 997, "WINDOW_BYTES": 101}.items():
        monkeypatch.setattr(encoded, name, size)


@pytest.fixture
def large(tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch) -> FileBytes:
    monkeypatch.setattr(encoded, "SHORT_BYTES", 512)
    (tmp_path / "a").write_bytes(CONTENT)
    found = open_encoded(tmp_path / "a")
    assert isinstance(found, FileBytes)
    return found


def whole(content: bytes | FileBytes) -> bytes:
    return content if isinstance(content, bytes) else content.read(0, len(content))


@pytest.mark.parametrize(
    "made",
    [
        lambda content: content[3:9_000],
        lambda content: content[17_000:17_300],
        lambda content: content[-7:],
        lambda content: content[9:3],
        lambda content: b"head" + content[5:20_000] + b"middle" + content[100:],
        lambda content: (b"head" + content)[2:10_000][:9_000],
    ],
)
def test_file_bytes_slices_and_sums_are_those_of_bytes(made: Callable, large: FileBytes) -> None:
    assert whole(made(large)) == made(CONTENT)


@pytest.mark.parametrize("wanted", [b"\xfe\xff\x00", b"the end", b"\xff" + bytes(20), b"not in it"])
@pytest.mark.parametrize("start", [0, 1_000, 16_000])
def test_file_bytes_find_is_that_of_bytes(wanted: bytes, start: int, large: FileBytes) -> None:
    assert large.find(wanted, start) == CONTENT.find(wanted, start)


def test_search_over_the_borders_of_pieces_finds_all(large: FileBytes) -> None:
    pattern = re.compile(rb"\xfe(?=\xff)")
    expected = [match.start() for match in pattern.finditer(CONTENT, 300)]
    assert len(expected) > 50
    assert list(search(pattern, large, 300, 2)) == expected
    assert after_zeros(large, 256 * 64) == after_zeros(CONTENT, 256 * 64) == len(CONTENT) - 7


def test_digest_of_a_large_file_is_that_of_its_bytes(large: FileBytes) -> None:
    assert digest(large) == hashlib.sha256(CONTENT).hexdigest() == digest(CONTENT)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("format", WHOLE_FILES)
def test_decode_from_the_disk_gives_what_memory_does(format: str, tmp_path: Path) -> None:
    audio = encode(format)
    for name, content in {"plain": audio, "tagged": b"ID3\x04\0\0\0\0\0\x05" + bytes(5) + audio}.items():
        (tmp_path / name).write_bytes(content)
        from_disk = open_encoded(tmp_path / name)
        assert isinstance(from_disk, FileBytes)
        assert inspect(from_disk, "a") == inspect(content, "a")
        np.testing.assert_array_equal(
            decode(from_disk, sample_rate_hz=RATE_HZ, name="a"), decode(content, sample_rate_hz=RATE_HZ, name="a")
        )


@pytest.mark.usefixtures("small")
def test_decode_wav_of_unknown_size_from_the_disk_is_mended_without_a_copy(tmp_path: Path) -> None:
    audio = encode()
    (tmp_path / "a.wav").write_bytes(audio[:40] + bytes(4) + audio[44:])
    assert inspect(open_encoded(tmp_path / "a.wav"), "a").frames == SAMPLES


@pytest.mark.usefixtures("small")
def test_decode_file_that_shrinks_while_it_is_read_says_so(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(encode())
    audio = open_encoded(path)
    inspect(audio, "a")
    os.truncate(path, 5_000)
    with pytest.raises(AudioError, match="became shorter while it was read"):
        decode(audio, sample_rate_hz=RATE_HZ, name="a")
    assert isinstance(audio, FileBytes)
    assert audio.changed()
    assert capfd.readouterr().err == ""


def test_reader_before_the_beginning_stays(large: FileBytes) -> None:
    reader = Reader(large)
    reader.seek(10)
    assert reader.seek(-5) == 10
    assert reader.read(3) == CONTENT[10:13]


def test_open_encoded_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "link.wav").symlink_to(tmp_path / "pipe.wav")
    (tmp_path / "loop.wav").symlink_to(tmp_path / "loop.wav")
    for name in ("pipe.wav", "folder.wav", "link.wav"):
        with pytest.raises(AudioError, match="not a file"):
            open_encoded(tmp_path / name)
    with pytest.raises(AudioError, match="not a file"):
        open_encoded("/dev/zero")
    with pytest.raises(AudioError, match="unreadable"):
        open_encoded(tmp_path / "loop.wav")


def test_open_encoded_pipe_that_takes_a_files_place_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr(encoded.os, "stat", lambda path, known=os.stat(tmp_path / "a.wav"): known)
    with pytest.raises(AudioError, match="not a file"):
        open_encoded(tmp_path / "pipe")


def test_read_bytes_above_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoded, "MAX_BYTES", 3)
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    with pytest.raises(AudioError, match="larger than"):
        read_bytes(tmp_path / "a.wav")

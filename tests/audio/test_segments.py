"""Segments of long recordings."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ffmpeg_sounds import written_by_ffmpeg
from soundprobe.audio.decode import decode, decode_frames, inspect
from soundprobe.audio.encoded import read_bytes
from soundprobe.audio.segments import duration_s, segment
from soundprobe.base.errors import AudioError

RATE_HZ = 16_000


def write(path: Path, **how: str) -> np.ndarray:
    """3 s in stereo; returns what the file holds, (T, 2)."""
    wave = np.random.default_rng(0).uniform(-0.5, 0.5, (3 * RATE_HZ, 2)).astype(np.float32)
    soundfile.write(path, wave, RATE_HZ, **how)
    return soundfile.read(path, dtype="float32")[0]


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("a.wav", {"subtype": "PCM_16"}),
        ("a.wav", {"subtype": "PCM_24"}),
        ("a.wav", {"subtype": "FLOAT"}),
        ("a.flac", {"subtype": "PCM_16"}),
        ("a.ogg", {}),
        ("a.aiff", {"subtype": "PCM_16"}),
    ],
)
def test_segment_is_the_files_samples_from_start_to_end(name: str, how: dict[str, str], tmp_path: Path) -> None:
    whole = write(tmp_path / name, **how)
    audio = read_bytes(segment(str(tmp_path / name), 0.5, 1.25))
    assert inspect(audio, "x").channels == 2
    heard = decode(audio, sample_rate_hz=RATE_HZ, name="x")
    expected = whole[RATE_HZ // 2 : RATE_HZ * 5 // 4].mean(axis=1)
    np.testing.assert_allclose(heard, expected, atol=0 if "ogg" not in name else 1e-6)


def test_segment_to_the_end_may_be_rounded_and_no_further(tmp_path: Path) -> None:
    write(tmp_path / "a.wav")
    assert inspect(read_bytes(segment(str(tmp_path / "a.wav"), 2, 3.04)), "x").frames == RATE_HZ
    for start, end in ((2, 3.2), (3, 4), (5, 6)):
        with pytest.raises(AudioError, match=r"a\.wav \[.* s\]: the file ends at 3\.00 s, before the segment does"):
            read_bytes(segment(str(tmp_path / "a.wav"), start, end))


def test_segment_of_what_is_no_audio_says_why(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF no more")
    for name, reason in (("gone.wav", "missing file"), ("a.wav", "truncated|damaged"), ("", "not a file")):
        with pytest.raises(AudioError, match=reason):
            read_bytes(segment(str(tmp_path / name), 0, 1))


@pytest.mark.parametrize("kind", ["joined WAV", "chained Ogg", "WAV of size 0", "MP3 without its length", "M4A"])
def test_segment_of_what_must_be_mended_or_needs_ffmpeg_is_cut_from_what_decoding_reads(
    kind: str, tmp_path: Path
) -> None:
    seconds = np.arange(6 * RATE_HZ) / RATE_HZ
    tone = 0.3 * np.sin(2 * np.pi * (300 + 400 * seconds) * seconds)
    wave = np.stack([tone, 0.5 * tone[::-1]], axis=1)
    encoded = {format: _encoded(wave, format) for format in ("WAV", "OGG", "MP3")}
    audio = {
        "joined WAV": 2 * encoded["WAV"],
        "chained Ogg": 2 * encoded["OGG"],
        "WAV of size 0": encoded["WAV"][:40] + bytes(4) + encoded["WAV"][44:],
        # The frame with the Xing header is left out.
        "MP3 without its length": encoded["MP3"][encoded["MP3"].index(encoded["MP3"][:2], 4) :],
        "M4A": b"" if kind != "M4A" else written_by_ffmpeg(wave.astype(np.float32), RATE_HZ, "ipod", "aac"),
    }[kind]
    path = tmp_path / "a"
    path.write_bytes(audio)
    frames, rate_hz = decode_frames(audio, "a")
    assert rate_hz == RATE_HZ
    end_s = len(frames) / RATE_HZ
    assert duration_s(str(path)) == end_s
    part, _ = decode_frames(read_bytes(segment(str(path), end_s - 2, end_s - 0.5)), "a")
    np.testing.assert_allclose(part, frames[-2 * RATE_HZ : -RATE_HZ // 2], atol=1e-6)


def test_segment_of_a_truncated_file_is_refused_as_the_file_is(tmp_path: Path) -> None:
    write(tmp_path / "a.wav")
    audio = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "a.wav").write_bytes(audio[: len(audio) * 2 // 3])
    with pytest.raises(AudioError, match="truncated"):
        read_bytes(segment(str(tmp_path / "a.wav"), 0, 1))
    assert duration_s(str(tmp_path / "a.wav")) is None


def _encoded(wave: np.ndarray, format: str) -> bytes:
    content = io.BytesIO()
    soundfile.write(content, wave, RATE_HZ, format=format)
    return content.getvalue()

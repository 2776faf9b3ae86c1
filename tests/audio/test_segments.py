"""Segments of long recordings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundprobe.audio.decode import decode, inspect, read_bytes
from soundprobe.audio.segments import segment
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

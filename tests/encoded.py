"""A tone in files of every format that libsndfile writes, and what decoding makes of them."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import soundfile

from soundprobe.audio.decode import decode, inspect
from soundprobe.base.errors import AudioError

RATE_HZ = 16_000
SAMPLES = 32_000
WAVE = (0.4 * np.sin(2 * np.pi * 440 * np.arange(SAMPLES) / RATE_HZ)).astype(np.float32)


def encode(format: str = "WAV", subtype: str | None = None, rate_hz: int = RATE_HZ, channels: int = 1) -> bytes:
    content = io.BytesIO()
    soundfile.write(content, np.repeat(WAVE[:, None], channels, axis=1), rate_hz, format=format, subtype=subtype)
    return content.getvalue()


def frames(audio: bytes) -> int:
    info = inspect(audio, "a")
    assert len(decode(audio, sample_rate_hz=info.sample_rate_hz, name="a")) == info.frames
    return info.frames


def reason(audio: bytes) -> str:
    with pytest.raises(AudioError) as caught:
        frames(audio)
    return caught.value.reason


def with_field(audio: bytes, at: int, code: str, value: int) -> bytes:
    return audio[:at] + struct.pack(code, value) + audio[at + struct.calcsize(code) :]


def id3(size: int) -> bytes:
    return b"ID3\x04\x00\x00" + bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0)) + bytes(size)


WHOLE_FILES = {"WAV": "PCM_16", "AIFF": "PCM_16", "FLAC": "PCM_16", "OGG": "VORBIS", "MP3": "MPEG_LAYER_III"}

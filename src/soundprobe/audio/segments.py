"""Segments of long recordings: decoded by seeking, and handed on as encoded audio of their own."""

from __future__ import annotations

import io
import os
from functools import partial

import numpy as np
import soundfile

from soundprobe.audio.decode import decode, inspect, read_bytes
from soundprobe.base.errors import AudioError
from soundprobe.base.records import EncodedAudio

SLACK_S = 0.05
"""An end that lies no further behind a file's is rounding, and is taken for the file's."""
INTEGERS = ("PCM_16", "PCM_24", "PCM_32")


def segment(path: str, start_s: float, end_s: float) -> EncodedAudio:
    """The part of the file at `path` from `start_s` to `end_s`, read when it is wanted."""
    name = f"{path} [{start_s:g} to {end_s:g} s]"
    return EncodedAudio(name, partial(read_segment, path, start_s, end_s, name))


def read_segment(path: str, start_s: float, end_s: float, name: str) -> bytes:
    """The segment as WAV at the file's own rate, with its channels and, where it has integer samples, its width.

    Raises:
        AudioError: the file can't be decoded, or ends before the segment does.
    """
    if not os.path.isfile(path):
        read_bytes(path)  # says why
        raise AudioError(name, "not a file")
    try:
        with soundfile.SoundFile(path) as file:
            rate_hz, subtype = file.samplerate, file.subtype if file.subtype in INTEGERS else "FLOAT"
            first, last = _frames(start_s, end_s, rate_hz, file.frames, name)
            file.seek(first)
            frames = file.read(last - first, dtype="int32" if subtype in INTEGERS else "float32")
    except soundfile.LibsndfileError:  # not libsndfile's, or damaged: the one decode path says which
        audio = read_bytes(path)
        rate_hz, subtype = inspect(audio, path).sample_rate_hz, "FLOAT"
        whole = decode(audio, sample_rate_hz=rate_hz, name=path)
        first, last = _frames(start_s, end_s, rate_hz, len(whole), name)
        frames = whole[first:last]
    if len(frames) < last - first:
        raise AudioError(name, "truncated")
    file_bytes = io.BytesIO()
    soundfile.write(file_bytes, np.ascontiguousarray(frames), rate_hz, format="WAV", subtype=subtype)
    return file_bytes.getvalue()


def duration_s(path: str) -> float | None:
    """The file's length as `inspect` finds it; None where it can't be read."""
    try:
        return inspect(read_bytes(path), path).duration_s
    except AudioError:
        return None


def _frames(start_s: float, end_s: float, rate_hz: int, frames: int, name: str) -> tuple[int, int]:
    first, last = round(start_s * rate_hz), round(end_s * rate_hz)
    if last > frames + SLACK_S * rate_hz or first >= frames:
        raise AudioError(name, f"the file ends at {frames / rate_hz:.2f} s, before the segment does")
    return first, min(last, frames)

"""Segments of long recordings: decoded by seeking, and handed on as encoded audio of their own."""

from __future__ import annotations

import io
import os
from functools import lru_cache, partial

import numpy as np
import soundfile

from soundprobe.audio.containers import streams
from soundprobe.audio.decode import UNKNOWN_FRAMES, AudioInfo, decode_frames, inspect
from soundprobe.audio.encoded import open_encoded
from soundprobe.audio.hushed import hushed
from soundprobe.base.errors import AudioError
from soundprobe.base.records import EncodedAudio

SLACK_S = 0.05
"""An end that lies no further behind a file's is rounding, and is taken for the file's."""
INTEGERS = ("PCM_16", "PCM_24", "PCM_32")


def segment(path: str, start_s: float, end_s: float) -> EncodedAudio:
    """The part of the file at `path` from `start_s` to `end_s`, read when it is wanted."""
    name = f"{path} [{start_s:g} to {end_s:g} s]"
    return EncodedAudio(name, partial(read_segment, os.path.abspath(path), start_s, end_s, name))


def read_segment(path: str, start_s: float, end_s: float, name: str) -> bytes:
    """The segment as WAV at the file's own rate, with its channels and, where it has integer samples, its width.

    Raises:
        AudioError: the file can't be decoded, or ends before the segment does.
    """
    told, is_plain = _told(path)
    rate_hz, subtype = told.sample_rate_hz, "FLOAT"
    first, last = _frames(start_s, end_s, rate_hz, told.frames, name)
    if is_plain:
        with hushed(), soundfile.SoundFile(path) as file:
            subtype = file.subtype if file.subtype in INTEGERS else "FLOAT"
            file.seek(first)
            frames = file.read(last - first, dtype="int32" if subtype in INTEGERS else "float32")
    else:
        frames, _ = decode_frames(open_encoded(path), path, first, last)
    if len(frames) < last - first:
        raise AudioError(name, "truncated")
    file_bytes = io.BytesIO()
    soundfile.write(file_bytes, np.ascontiguousarray(frames), rate_hz, format="WAV", subtype=subtype)
    return file_bytes.getvalue()


def duration_s(path: str) -> float | None:
    """The length of the file, as `inspect` finds it; None where it can't be read."""
    try:
        return _told(path)[0].duration_s
    except AudioError:
        return None


def _told(path: str) -> tuple[AudioInfo, bool]:
    """What the file is, and whether libsndfile finds just that in it, so that it can seek there."""
    if not os.path.isfile(path):
        open_encoded(path)  # says why
        raise AudioError(path, "not a file")
    status = os.stat(path)
    return _told_of(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=10_000)
def _told_of(path: str, size: int, changed_ns: int) -> tuple[AudioInfo, bool]:
    audio = open_encoded(path)
    told = inspect(audio, path)
    if told.decoder or streams(audio, path).parts[0] is not audio:
        return told, False
    with hushed(), soundfile.SoundFile(path) as file:
        return told, file.frames in (told.frames, UNKNOWN_FRAMES)


def _frames(start_s: float, end_s: float, rate_hz: int, frames: int, name: str) -> tuple[int, int]:
    first, last = round(start_s * rate_hz), round(end_s * rate_hz)
    if last > frames + SLACK_S * rate_hz or first >= frames:
        raise AudioError(name, f"the file ends at {frames / rate_hz:.2f} s, before the segment does")
    return first, min(last, frames)

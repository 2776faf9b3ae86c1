"""Encoded audio of every format, whole in memory and as a large file on the disk: what both say must be the same."""

from __future__ import annotations

import importlib.util
import io
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
from mutate import Target

from soundprobe.audio import encoded, hushed
from soundprobe.audio.decode import decode, decode_blocks, inspect, survey
from soundprobe.base.errors import AudioError

RATE_HZ, OTHER_RATE_HZ = 16_000, 8_000
WAVE = (0.3 * np.random.default_rng(0).normal(size=RATE_HZ // 3)).clip(-1, 1).astype(np.float32)
KINDS = {
    "wav": (
        ("WAV", "PCM_16", 1),
        ("WAV", "FLOAT", 2),
        ("WAV", "PCM_24", 2),
        ("WAVEX", "PCM_32", 1),
    ),
    "flac": (("FLAC", "PCM_16", 1), ("FLAC", "PCM_24", 2)),
    "ogg": (("OGG", "VORBIS", 1), ("OGG", "OPUS", 2)),
    "mp3": (("MP3", "MPEG_LAYER_III", 1), ("MP3", "MPEG_LAYER_III", 2)),
    "aiff": (("AIFF", "PCM_16", 1), ("AIFF", "FLOAT", 2)),
    "other": tuple((format, "PCM_16", 1) for format in ("CAF", "AU", "W64", "RF64", "NIST")),
}


def targets(folder: Path) -> list[Target]:
    """One for each format; M4A and WebM where FFmpeg is there."""
    hushed.keep_own_stderr()  # libmpg123 speaks of every damaged frame
    samples = {name: [_written(*kind) for kind in kinds] for name, kinds in KINDS.items()}
    samples["joined"] = [2 * samples[name][0] for name in ("wav", "flac", "ogg", "mp3")]
    if importlib.util.find_spec("av") is not None:
        from ffmpeg_sounds import written_by_ffmpeg

        samples["ffmpeg"] = [
            written_by_ffmpeg(WAVE, RATE_HZ, "mp4", "aac"),
            written_by_ffmpeg(WAVE, RATE_HZ, "mp4", "alac"),
            written_by_ffmpeg(np.repeat(WAVE, 3), 48_000, "webm", "libopus"),
        ]
    return [Target(f"audio-{name}", some, partial(read, folder / "a")) for name, some in samples.items()]


def _written(format: str, subtype: str, channels: int) -> bytes:
    content = io.BytesIO()
    soundfile.write(content, np.repeat(WAVE[:, None], channels, axis=1), RATE_HZ, format=format, subtype=subtype)
    return content.getvalue()


def read(path: Path, content: bytes) -> None:
    """Decodes it whole, by blocks, and from the disk.

    Raises:
        AudioError: in every way the same.
    """
    said, wave = "", np.empty(0, np.float32)
    try:
        told = inspect(content, "a")
        wave = decode(content, sample_rate_hz=OTHER_RATE_HZ, name="a")
    except AudioError as error:
        said = error.reason
    else:
        assert (wave.ndim, wave.dtype) == (1, np.float32)
        assert np.isfinite(wave).all()
        assert abs(len(wave) - told.frames * OTHER_RATE_HZ / told.sample_rate_hz) <= 1
        blocks = list(decode_blocks(content, sample_rate_hz=OTHER_RATE_HZ, name="a"))
        assert np.array_equal(np.concatenate(blocks), wave)
        assert survey(content, "a")[0] >= 0
    path.write_bytes(content)
    limit, encoded.IN_MEMORY_BYTES = encoded.IN_MEMORY_BYTES, 0
    again, said_again = np.empty(0, np.float32), ""
    try:
        again = decode(encoded.open_encoded(path), sample_rate_hz=OTHER_RATE_HZ, name="a")
    except AudioError as error:
        said_again = error.reason
    finally:
        encoded.IN_MEMORY_BYTES = limit
    assert said_again == said
    assert np.array_equal(again, wave)
    if said:
        raise AudioError("a", said)

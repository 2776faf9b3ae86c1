"""The one decode path: a file or bytes -> mono float32 at a rate, cut or padded to a length.

T is the number of samples. Decoding is libsndfile's (WAV, FLAC, Ogg Vorbis and Opus, MP3, AIFF), resampling soxr's.
"""

from __future__ import annotations

import io
import os
import stat
from dataclasses import dataclass

import numpy as np
import soundfile
import soxr

from soundprobe.audio.containers import complete
from soundprobe.base.errors import AudioError
from soundprobe.base.records import EncodedAudio, Source

DECODE_VERSION = 1
"""Enters the key of every embedding: raise it when `decode` returns other samples than before."""

MAX_BYTES = 2 * 1024**3
RATES_HZ = (1_000, 1_000_000)
"""Lower and higher rates in a header are damage; resampling from 1 Hz would fill the memory."""

ONE_READ_SAMPLES = 64 * 1024**2
BLOCK_FRAMES = 1024**2
UNKNOWN_FRAMES = 2**63 - 1  # libsndfile's SF_COUNT_MAX
UNSUPPORTED_ENCODING = 4  # libsndfile's SF_ERR_UNSUPPORTED_ENCODING
MAGIC = (b"RIFF", b"RIFX", b"RF64", b"FORM", b"fLaC", b"OggS")


@dataclass(frozen=True)
class AudioInfo:
    """What a clip's header says: seconds, Hz, channels, and frames (samples of one channel)."""

    duration_s: float
    sample_rate_hz: int
    channels: int
    frames: int


class _Bytes(io.BytesIO):
    """Bytes to read from; a damaged header that sends libsndfile before their beginning moves nothing."""

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self.tell() if offset < 0 and whence == io.SEEK_SET else super().seek(offset, whence)


class _ForwardFile(soundfile.SoundFile):
    """A SoundFile that is only read onwards.

    SoundFile seeks to where it is after every read, which fails at the end of a FLAC stream of unknown length.
    """

    def seekable(self) -> bool:
        return False


def source_name(source: Source) -> str:
    """How messages name a clip's source: its path, or the name that it brings."""
    return source.name if isinstance(source, EncodedAudio) else os.fspath(source)


def read_bytes(source: Source) -> bytes:
    """The encoded bytes of a clip.

    Raises:
        AudioError: "missing file", "not a file", "larger than 2 GiB" or "unreadable: ..." (no permission, disk error).
    """
    name = source_name(source)
    try:
        if isinstance(source, EncodedAudio):
            return source.read()
        status = os.stat(source)
        if not stat.S_ISREG(status.st_mode):  # reading a pipe would wait for ever
            raise AudioError(name, "not a file")
        if status.st_size > MAX_BYTES:
            raise AudioError(name, "larger than 2 GiB")
        with open(source, "rb") as file:
            return file.read()
    except FileNotFoundError:
        raise AudioError(name, "missing file") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise AudioError(name, f"unreadable: {reason}") from error


def inspect(audio: bytes, name: str) -> AudioInfo:
    """Length, rate and channels of encoded audio, from its headers; no sample is decoded.

    A FLAC stream of unknown length, as encoders write it into a pipe, is decoded to count its frames.

    Raises:
        AudioError: as `decode`, but for what only the samples show: a FLAC file cut short, NaN.
    """
    with _open(audio, name) as file:
        frames = file.frames
        if frames == UNKNOWN_FRAMES:
            frames = sum(len(block) for block in _blocks(file, name))
        if frames == 0:
            raise AudioError(name, "no samples")
        return AudioInfo(frames / file.samplerate, file.samplerate, file.channels, frames)


def decode(audio: bytes, *, sample_rate_hz: int, name: str) -> np.ndarray:
    """Encoded audio -> wave (T,) float32, the mean of its channels, resampled to `sample_rate_hz` (soxr, HQ).

    Integer samples come to lie in [-1, 1). Floating-point files, lossy codecs and resampling may go beyond;
    such samples are kept as they are, since clipping would distort what the file holds.

    A file is called truncated where a WAV or AIFF header promises over 64 bytes more than there are (some writers count
    their own header), FLAC frames are missing or broken, an Ogg stream's last page is incomplete or isn't marked as
    the last, or an MP3's last frame is incomplete or its Xing header promises frames that aren't there. What can't be
    told: a cut WAV that was streamed with an unknown size; a FLAC without its total, or an MP3 without a Xing header,
    that was cut between two frames; a single missing MP3 frame; a cut in RF64, W64, CAF or AU files.

    Args:
        audio: the bytes of a whole WAV, FLAC, Ogg, MP3 or AIFF file, with any number of channels, at 1 kHz to 1 MHz.
        name: stands in messages.

    Raises:
        AudioError: "empty file", "not audio", "unsupported encoding", "no samples", "truncated",
            "truncated or damaged", "NaN or infinite samples", or "sample rate of ... Hz".
    """
    with _open(audio, name) as file:
        rate_hz = file.samplerate
        wave = _mono(_read(file, name))
    if len(wave) == 0:
        raise AudioError(name, "no samples")
    if not np.isfinite(wave).all():
        raise AudioError(name, "NaN or infinite samples")
    if rate_hz == sample_rate_hz:
        return wave
    return soxr.resample(wave, rate_hz, sample_rate_hz, quality="HQ")


def fit_length(wave: np.ndarray, samples: int) -> np.ndarray:
    """wave (T,) -> (samples,) float32: cut at the end, or padded with zeros there. May be a view of `wave`."""
    if len(wave) >= samples:
        return wave[:samples].astype(np.float32, copy=False)
    fitted = np.zeros(samples, dtype=np.float32)
    fitted[: len(wave)] = wave
    return fitted


def _open(audio: bytes, name: str) -> _ForwardFile:
    if not audio:
        raise AudioError(name, "empty file")
    whole = complete(audio)
    if whole is None:
        raise AudioError(name, "truncated")
    try:
        file = _ForwardFile(_Bytes(whole))
    except soundfile.LibsndfileError as error:
        if error.code == UNSUPPORTED_ENCODING:
            raise AudioError(name, "unsupported encoding") from error
        raise AudioError(name, "truncated or damaged" if audio.startswith(MAGIC) else "not audio") from error
    if not RATES_HZ[0] <= file.samplerate <= RATES_HZ[1]:
        file.close()
        raise AudioError(name, f"sample rate of {file.samplerate} Hz")
    return file


def _read(file: _ForwardFile, name: str) -> np.ndarray:
    """All frames (T,) or (T, channels) float32."""
    if file.frames * file.channels > ONE_READ_SAMPLES:  # unknown, or a header that lies: take only what is there
        frames = np.concatenate(_blocks(file, name))
    else:
        frames = _read_block(file, file.frames, name)
    if len(frames) < file.frames != UNKNOWN_FRAMES:
        raise AudioError(name, "truncated")
    return frames


def _blocks(file: _ForwardFile, name: str) -> list[np.ndarray]:
    """The rest of the frames in blocks of at most `BLOCK_FRAMES`; an empty one ends the list."""
    blocks = [_read_block(file, BLOCK_FRAMES, name)]
    while len(blocks[-1]):
        blocks.append(_read_block(file, BLOCK_FRAMES, name))
    return blocks


def _read_block(file: _ForwardFile, frames: int, name: str) -> np.ndarray:
    try:
        return file.read(frames, dtype="float32")
    except soundfile.LibsndfileError as error:
        raise AudioError(name, "truncated or damaged") from error


def _mono(frames: np.ndarray) -> np.ndarray:
    """(T,) or (T, channels) -> (T,): the mean of the channels, a column at a time, since rows are short."""
    if frames.ndim == 1:
        return frames
    mono = frames[:, 0].copy()
    for channel in range(1, frames.shape[1]):
        mono += frames[:, channel]
    mono /= frames.shape[1]
    return mono

"""The one decode path: a file or bytes -> mono float32 at a rate, cut or padded to a length.

T is the number of samples. Decoding is libsndfile's (WAV, FLAC, Ogg Vorbis and Opus, MP3, AIFF), or FFmpeg's where
libsndfile can't and PyAV is installed; resampling is soxr's.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import soundfile
import soxr

from soundprobe.audio import checks, ffmpeg
from soundprobe.audio.containers import streams
from soundprobe.audio.formats import not_audio, other_format
from soundprobe.base.errors import AudioError, ConfigError, unknown
from soundprobe.base.records import EncodedAudio, Source

DECODE_VERSION = 1
"""Enters the key of every embedding: raise it when `decode` returns other samples than before.

What some clips alone are read by since then, `AudioInfo.decoder` says, and that enters the keys of their sets.
"""

CHANNELS = ("mean", "first", "loudest")
"""What becomes of a clip with several channels; the loudest is the one with the most energy."""

MAX_BYTES = 2 * 1024**3
RATES_HZ = (1_000, 1_000_000)
"""Lower and higher rates in a header are damage; resampling from 1 Hz would fill the memory."""

SLACK_FRAMES = 64
"""Some writers of AIFF count a few samples more or less than there are."""
ONE_READ_SAMPLES = 64 * 1024**2
BLOCK_FRAMES = 1024**2
UNKNOWN_FRAMES = 2**63 - 1  # libsndfile's SF_COUNT_MAX
UNSUPPORTED_ENCODING = 4  # libsndfile's SF_ERR_UNSUPPORTED_ENCODING
MAGIC = (b"RIFF", b"RIFX", b"RF64", b"FORM", b"fLaC", b"OggS")


@dataclass(frozen=True)
class AudioInfo:
    """What a clip's header says: seconds, Hz, channels, and frames (samples of one channel).

    `decoder` is empty where libsndfile reads the file as it is, or as it always was; else "FFmpeg", or what had to be
    mended for libsndfile: "joined", "size", "padding", "bits", "tag", "tail", "zeros", "BW64", "MP3 in WAV".
    """

    duration_s: float
    sample_rate_hz: int
    channels: int
    frames: int
    decoder: str = ""


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

    A FLAC stream of unknown length, as encoders write it into a pipe, is decoded to count its frames; so are joined
    files and what FFmpeg reads.

    Raises:
        AudioError: as `decode`, but for what only the samples show: a FLAC file cut short, NaN.
    """
    file, decoder = _open(audio, name)
    with file:
        frames = file.frames
        if frames == UNKNOWN_FRAMES:
            frames = sum(len(block) for block in _blocks(file, name))
        if frames == 0:
            raise AudioError(name, "no samples")
        return AudioInfo(frames / file.samplerate, file.samplerate, file.channels, frames, decoder)


def decode(audio: bytes, *, sample_rate_hz: int, name: str, channels: str = "mean") -> np.ndarray:
    """Encoded audio -> wave (T,) float32, its channels made one, resampled to `sample_rate_hz` (soxr, HQ).

    Integer samples come to lie in [-1, 1). Floating-point files, lossy codecs and resampling may go beyond;
    such samples are kept as they are, since clipping would distort what the file holds.

    A file is called truncated where its header promises over 64 bytes more than there are (some writers count their
    own header), unless the size is one that is made up before the length is known; where FLAC frames are missing or
    broken, a page of an Ogg stream is missing, damaged or incomplete, or the last isn't marked so, or an MP3's last
    frame is incomplete or its Xing header promises frames that aren't there. What follows the samples of a WAV, RF64,
    W64, CAF, AU, AIFF or Ogg file must be chunks, tags or zeros. What can't be told: a cut file that was streamed with
    an unknown size; a FLAC without its total, or an MP3 without a Xing header, that was cut between two frames; a
    single missing MP3 frame; a cut in what libsndfile reads beside WAV, RF64, W64, CAF, AU, AIFF and NIST SPHERE.

    Args:
        audio: the bytes of a whole file (docs/data.md lists the formats), with any number of channels, at 1 kHz to
            1 MHz. Files of one format that were joined are read to the last one's end.
        name: stands in messages.
        channels: one of `CHANNELS`.

    Raises:
        AudioError: "empty file", "not audio", "not audio but ...", "... is not supported", "unsupported encoding",
            "no samples", "truncated", "truncated or damaged", "... bytes follow the samples ...", "joined of ...",
            "several ...", "NaN or infinite samples", or "sample rate of ... Hz".
    """
    return decode_checked(audio, sample_rate_hz=sample_rate_hz, name=name, channels=channels)[0]


def decode_checked(
    audio: bytes, *, sample_rate_hz: int, name: str, channels: str = "mean"
) -> tuple[np.ndarray, checks.Findings]:
    """As `decode`, and what `soundprobe.audio.checks` has to say of the samples, before they are resampled."""
    frames, rate_hz = decode_frames(audio, name)
    wave = _one_channel(frames, channels)
    lowest, highest = float(wave.min()), float(wave.max())
    if not np.isfinite([lowest, highest]).all():
        raise AudioError(name, "NaN or infinite samples")
    found = checks.findings(frames if channels == "mean" else wave, wave, lowest, highest)
    if rate_hz == sample_rate_hz:
        return wave, found
    return soxr.resample(wave, rate_hz, sample_rate_hz, quality="HQ"), found


def decode_frames(audio: bytes, name: str) -> tuple[np.ndarray, int]:
    """All samples as they are, (T,) or (T, channels) float32, and their rate in Hz.

    Raises:
        AudioError: as `decode`, but for NaN.
    """
    file, _ = _open(audio, name)
    with file:
        rate_hz = file.samplerate
        frames = _read(file, name)
    if len(frames) == 0:
        raise AudioError(name, "no samples")
    return frames, rate_hz


def check_channels(channels: str) -> None:
    """Raises ConfigError where `channels` is none of `CHANNELS`."""
    if channels not in CHANNELS:
        raise ConfigError(unknown("choice of --channels", channels, CHANNELS))


def fit_length(wave: np.ndarray, samples: int) -> np.ndarray:
    """wave (T,) -> (samples,) float32: cut at the end, or padded with zeros there. May be a view of `wave`."""
    if len(wave) >= samples:
        return wave[:samples].astype(np.float32, copy=False)
    fitted = np.zeros(samples, dtype=np.float32)
    fitted[: len(wave)] = wave
    return fitted


def _open(audio: bytes, name: str) -> tuple[_ForwardFile, str]:
    """The file, and `AudioInfo.decoder`."""
    if not audio:
        raise AudioError(name, "empty file")
    found = streams(audio, name)
    if len(found.parts) > 1:
        file, decoder = _decoded(*_joined(found.parts, name)), found.mended
    else:
        file, by_ffmpeg = _open_whole(found.parts[0], name)
        decoder = "FFmpeg" if by_ffmpeg else found.mended
    if found.frames is not None and abs(found.frames - file.frames) > SLACK_FRAMES * audio.startswith(b"FORM"):
        file.close()
        if audio.startswith(b"NIST"):
            raise AudioError(name, "truncated")
        if audio.startswith(b"FORM"):
            raise AudioError(
                name, f"its header counts {found.frames:,} samples, and {file.frames:,} are there: write it anew"
            )
        file, decoder = _decoded(*ffmpeg.decode(audio, "MPEG layer II", name)), "FFmpeg"
    if not RATES_HZ[0] <= file.samplerate <= RATES_HZ[1]:
        file.close()
        raise AudioError(name, f"sample rate of {file.samplerate} Hz")
    return file, decoder


def _open_whole(audio: bytes, name: str) -> tuple[_ForwardFile, bool]:
    """A file that is one stream, and whether FFmpeg read it."""
    try:
        return _ForwardFile(_Bytes(audio)), False
    except soundfile.LibsndfileError as error:
        kind = other_format(audio)
        if kind is not None:
            return _decoded(*ffmpeg.decode(audio, kind, name)), True
        if error.code == UNSUPPORTED_ENCODING:
            raise AudioError(name, "unsupported encoding") from error
        raise AudioError(name, "truncated or damaged" if audio.startswith(MAGIC) else not_audio(audio)) from error


def _joined(parts: Sequence[bytes], name: str) -> tuple[np.ndarray, int]:
    """The samples of encoded files that follow each other (T,) or (T, channels) float32, and their rate."""
    kinds, waves = set(), []
    for part in parts:
        file, _ = _open_whole(part, name)
        with file:
            kinds.add((file.samplerate, file.channels))
            waves.append(_read(file, name))
    if len(kinds) > 1:
        raise AudioError(name, "joined of parts with different rates or channels: split it")
    return np.concatenate(waves), next(iter(kinds))[0]


def _decoded(frames: np.ndarray, rate_hz: int) -> _ForwardFile:
    """Samples (T,) or (T, channels) float32 as a file, for what is done with every file."""
    content = _Bytes()
    soundfile.write(content, frames, rate_hz, format="W64", subtype="FLOAT")
    content.seek(0)
    return _ForwardFile(content)


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


def _one_channel(frames: np.ndarray, channels: str) -> np.ndarray:
    """(T,) or (T, channels) -> (T,): the mean a column at a time, since rows are short."""
    if frames.ndim == 1:
        return frames
    if channels == "first":
        return frames[:, 0].copy()
    if channels == "loudest":
        return frames[:, np.square(frames, dtype=np.float64).sum(axis=0).argmax()].copy()
    mono = frames[:, 0].copy()
    for channel in range(1, frames.shape[1]):
        mono += frames[:, channel]
    mono /= frames.shape[1]
    return mono

"""Decoding held against FFmpeg's own: container x encoding x rate x channels x header, in hundreds of files."""

from __future__ import annotations

import io
import itertools
import struct
from dataclasses import dataclass

import numpy as np
import pytest
import soundfile

from ffmpeg_sounds import read_by_ffmpeg, written_by_ffmpeg
from soundprobe.audio.decode import decode, inspect

SECONDS = 0.2
PCM = ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW")
SIGNED = ("PCM_S8", *PCM[1:])
BY_LIBSNDFILE = {
    "WAV": PCM,
    "WAVEX": PCM,
    "RF64": PCM,
    "W64": PCM,
    "AIFF": SIGNED,
    "CAF": SIGNED,
    "AU": SIGNED,
    "FLAC": ("PCM_16", "PCM_24"),
    "OGG": ("VORBIS", "OPUS"),
    "MP3": ("MPEG_LAYER_III",),
}
BY_FFMPEG = [
    ("wav", "pcm_s16le"),
    ("wav", "pcm_s64le"),
    ("wav", "adpcm_ms"),
    ("wav", "adpcm_ima_wav"),
    ("wav", "adpcm_yamaha"),
    ("mov", "pcm_s24le"),
    ("ipod", "alac"),
    ("ipod", "aac"),
    ("adts", "aac"),
    ("mp4", "flac"),
    ("matroska", "flac"),
    ("matroska", "pcm_f32le"),
    ("asf", "wmav2"),
    ("ogg", "flac"),
    ("caf", "pcm_s16be"),
    ("wv", "wavpack"),
    ("tta", "tta"),
]
RATES_HZ = (8_000, 22_050, 48_000)
CHANNELS = (1, 2, 6)
LOSSY = {"VORBIS": 0.02, "OPUS": 0.1, "MPEG_LAYER_III": 0.02}
"""How far two decoders of one lossy file may be apart: Opus is resampled by FFmpeg's own, and not dithered by both."""
EXACT = 2**-23
"""One step of float32 at full scale."""


@dataclass(frozen=True)
class Case:
    container: str
    encoding: str
    rate_hz: int
    channels: int


def waves(case: Case) -> np.ndarray:
    """(T, C) float32: a pitch of its own in each channel, the last the loudest."""
    time_s = np.arange(round(SECONDS * case.rate_hz)) / case.rate_hz
    number = np.arange(1, case.channels + 1)
    return (0.6 * number / case.channels * np.sin(2 * np.pi * time_s[:, None] * (200 + 130 * number))).astype(
        np.float32
    )


def by_libsndfile(case: Case) -> bytes:
    content = io.BytesIO()
    soundfile.write(content, waves(case), case.rate_hz, format=case.container, subtype=case.encoding)
    return content.getvalue()


def cases() -> list[Case]:
    found = []
    for container, encodings in BY_LIBSNDFILE.items():
        for encoding, rate_hz, channels in itertools.product(encodings, RATES_HZ, CHANNELS):
            if (container == "MP3" and channels > 2) or (encoding == "OPUS" and rate_hz != 48_000):
                continue
            found.append(Case(container, encoding, rate_hz, channels))
    return found


def assert_same(audio: bytes, expected: np.ndarray, rate_hz: int, within: float, frames: int) -> None:
    """That the mean, the first and the loudest channel of `audio`, of so many frames, are `expected`'s."""
    info = inspect(audio, "a")
    assert (info.frames, info.channels, info.sample_rate_hz) == (frames, expected.shape[1], rate_hz)
    if within > EXACT:
        frames = min(frames, len(expected))  # FFmpeg cuts a short Vorbis stream elsewhere than its last page says
        expected = expected[:frames]
    assert len(expected) == frames
    loudest = np.square(expected).sum(axis=0).argmax()
    for channels, wave in (
        ("mean", expected.mean(axis=1)),
        ("first", expected[:, 0]),
        ("loudest", expected[:, loudest]),
    ):
        decoded = decode(audio, sample_rate_hz=rate_hz, name="a", channels=channels)
        assert len(decoded) == info.frames
        assert np.abs(decoded[:frames] - wave).max() <= within, channels


def test_matrix_is_of_at_least_300_files() -> None:
    assert len(cases()) + len(ODD_CASES) + len(BY_FFMPEG) * 4 >= 300


@pytest.mark.parametrize("container", BY_LIBSNDFILE)
def test_decode_each_encoding_rate_and_channels_is_what_ffmpeg_reads(container: str) -> None:
    for case in cases():
        if case.container == container:
            audio = by_libsndfile(case)
            expected, rate_hz = read_by_ffmpeg(audio)
            if case.channels == 6 and container == "OGG":  # has an order of its own: the centre second
                expected = expected[:, [0, 2, 1, 4, 5, 3]]
            assert_same(audio, expected, rate_hz, LOSSY.get(case.encoding, EXACT), len(waves(case)))


def chunk(name: bytes, content: bytes, *, padded: bool = True) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2 * padded)


def with_sizes(wav: bytes, riff: int, data: int) -> bytes:
    at = wav.index(b"data") + 4
    return wav[:4] + struct.pack("<I", riff) + wav[8:at] + struct.pack("<I", data) + wav[at + 4 :]


def with_chunk(wav: bytes, added: bytes, before: bytes) -> bytes:
    at = wav.index(before)
    whole = wav[:at] + added + wav[at:]
    return whole[:4] + struct.pack("<I", len(whole) - 8) + whole[8:]


ODD_HEADERS = {
    "a list before the format": lambda wav: with_chunk(wav, chunk(b"LIST", b"INFOISFT\4\0\0\0abc\0"), b"fmt "),
    "a broadcast chunk before the data": lambda wav: with_chunk(wav, chunk(b"bext", bytes(602)), b"data"),
    "an odd chunk with its pad byte": lambda wav: with_chunk(wav, chunk(b"junk", b"abc"), b"data"),
    "an odd chunk without its pad byte": lambda wav: with_chunk(wav, chunk(b"junk", b"abc", padded=False), b"data"),
    "two odd chunks without pad bytes": lambda wav: with_chunk(
        wav, chunk(b"LIST", b"INFOx", padded=False) + chunk(b"bext", bytes(603), padded=False), b"data"
    ),
    "an unknown chunk before the data": lambda wav: with_chunk(wav, chunk(b"xyz ", bytes(10)), b"data"),
    "a list behind the data": lambda wav: wav + b"\0" * (len(wav) % 2) + chunk(b"LIST", b"INFOISFT\4\0\0\0abc\0"),
    "sizes of 0": lambda wav: with_sizes(wav, 0, 0),
    "sizes of 0xFFFFFFFF": lambda wav: with_sizes(wav, 0xFFFFFFFF, 0xFFFFFFFF),
    "sizes of 0x7FFFFFFF": lambda wav: with_sizes(wav, 0x7FFFFFFF, 0x7FFFFFFF),
    "sizes of 2,000,000,000": lambda wav: with_sizes(wav, 2_000_000_036, 2_000_000_000),
    "sizes of 1e9 frames": lambda wav: with_sizes(
        wav, 0xFFFFFFFF, 10**9 * struct.unpack_from("<H", wav, wav.index(b"fmt ") + 20)[0] & 0xFFFFFFFF
    ),
}
BYTES = {"PCM_U8": 1, "PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4}
ODD_CASES = [
    (odd, Case("WAV", encoding, 16_000, channels))
    for odd, encoding, channels in itertools.product(ODD_HEADERS, BYTES, (1, 2))
    if odd != "sizes of 1e9 frames" or channels * BYTES[encoding] <= 4  # more has no room in 32 bits
]


@pytest.mark.parametrize("odd", ODD_HEADERS)
def test_decode_wav_with_an_odd_header_is_what_ffmpeg_reads_of_a_plain_one(odd: str) -> None:
    for name, case in ODD_CASES:
        if name == odd:
            plain = by_libsndfile(case)
            assert_same(ODD_HEADERS[odd](plain), *read_by_ffmpeg(plain), EXACT, len(waves(case)))


@pytest.mark.parametrize("quiet", [0, 1e-3, 0.05])
def test_decode_quiet_8_bits_without_a_size_look_like_no_chunk(quiet: float) -> None:
    content = io.BytesIO()
    soundfile.write(content, quiet * waves(Case("WAV", "PCM_U8", 16_000, 1)), 16_000, format="WAV", subtype="PCM_U8")
    plain = content.getvalue()
    assert_same(with_sizes(plain, 0, 0), *read_by_ffmpeg(plain), EXACT, 3_200)


@pytest.mark.parametrize(("container", "codec"), BY_FFMPEG)
def test_decode_what_ffmpeg_wrote_is_the_wave_that_it_was_given(container: str, codec: str) -> None:
    for rate_hz, channels in itertools.product((16_000, 44_100), (1, 2)):
        case = Case(container, codec, rate_hz, channels)
        wave = waves(case)
        audio = written_by_ffmpeg(wave, rate_hz, container, codec)
        info = inspect(audio, "a")
        assert (info.channels, info.sample_rate_hz) == (channels, rate_hz)
        padding = info.frames - len(wave)
        if codec in PADDED:
            assert -LOST.get(codec, 0) <= padding <= PADDED[codec]
        else:
            assert padding == 0
        for name, expected in (("first", wave[:, 0]), ("mean", wave.mean(axis=1))):
            decoded = decode(audio, sample_rate_hz=rate_hz, name="a", channels=name)
            delay = padding and int(np.correlate(decoded, expected, "full").argmax()) - len(wave) + 1
            middle = np.arange(len(wave) // 4, 3 * len(wave) // 4)
            error = decoded[middle + delay] - expected[middle]
            assert np.sqrt(np.square(error).mean() / np.square(expected).mean()) < LOSS.get(codec, 1e-3), name


PADDED = {"aac": 4096, "wmav2": 6144, "adpcm_ms": 4096, "adpcm_ima_wav": 4096, "adpcm_yamaha": 4096}
"""Encoders that fill their last block, in samples; M4A says how many are padding, and they are left out."""
LOST = {"wmav2": 2048}
"""The encoder's last block, which FFmpeg doesn't write."""
LOSS = dict.fromkeys(PADDED, 0.15)
"""Of the wave's root mean square."""

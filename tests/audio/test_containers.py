"""Headers that lie, files that were cut and files that were joined: all samples, or a reason."""

from __future__ import annotations

import io
import struct
from contextlib import suppress

import numpy as np
import pytest
import soundfile

from encoded import RATE_HZ, SAMPLES, WAVE, WHOLE_FILES, encode, frames, id3, reason, with_field
from soundprobe.audio.decode import decode, inspect
from soundprobe.base.errors import AudioError

SIZED = ("WAV", "WAVEX", "RF64", "W64", "AIFF", "CAF", "AU", "NIST")


@pytest.mark.parametrize("parts", [2, 3])
@pytest.mark.parametrize("format", WHOLE_FILES)
def test_decode_joined_files_is_all_of_them(format: str, parts: int) -> None:
    audio = encode(format, WHOLE_FILES[format])
    one = decode(audio, sample_rate_hz=RATE_HZ, name="a")
    joined = decode(audio * parts, sample_rate_hz=RATE_HZ, name="a")
    np.testing.assert_array_equal(joined, np.tile(one, parts))
    assert inspect(audio * parts, "a").decoder == "joined"
    assert inspect(audio, "a").decoder == ""


def test_decode_joined_opus_is_all_of_it() -> None:
    content = io.BytesIO()
    soundfile.write(content, WAVE, 48_000, format="OGG", subtype="OPUS")
    assert frames(2 * content.getvalue()) == 2 * SAMPLES


@pytest.mark.parametrize("format", ["RF64", "W64", "CAF", "AU"])
def test_decode_joined_files_that_cannot_be_told_apart_is_refused(format: str) -> None:
    assert reason(2 * encode(format, "PCM_16")) == "joined of several files: split it"


@pytest.mark.parametrize("format", ["WAV", "AIFF"])
def test_decode_joined_files_whose_own_size_is_missing_is_refused(format: str) -> None:
    audio = encode(format, "PCM_16")
    assert reason(with_field(audio, 4, ">I", 0) + audio) == "joined of several files: split it"


@pytest.mark.parametrize("format", WHOLE_FILES)
@pytest.mark.parametrize(("rate_hz", "channels"), [(22_050, 1), (16_000, 2)])
def test_decode_joined_files_of_other_rates_or_channels_is_refused(format: str, rate_hz: int, channels: int) -> None:
    audio = encode(format, WHOLE_FILES[format]) + encode(format, WHOLE_FILES[format], rate_hz, channels)
    assert reason(audio) == "joined of parts with different rates or channels: split it"


@pytest.mark.parametrize("format", WHOLE_FILES)
def test_decode_joined_files_of_which_the_second_is_cut_is_refused(format: str) -> None:
    audio = encode(format, WHOLE_FILES[format])
    assert reason(audio + audio[: len(audio) // 2]) in ("truncated", "truncated or damaged")


def test_decode_chained_ogg_whose_first_link_is_cut_is_truncated() -> None:
    audio = encode("OGG", "VORBIS")
    assert reason(audio[: audio.rindex(b"OggS")] + audio) == "truncated"


@pytest.mark.parametrize("format", SIZED)
@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_decode_cut_file_that_says_its_size_is_truncated(format: str, share: float) -> None:
    audio = encode(format, "PCM_16")
    assert frames(audio) == SAMPLES
    assert reason(audio[: int(share * len(audio))]) == "truncated"


@pytest.mark.parametrize("size", [0, 0x7FFFFFFF, 0x7FFFF000, 0xFFFFFFFF, 2_000_000_000])
def test_decode_au_streamed_without_its_size_is_whole(size: int) -> None:
    assert frames(with_field(encode("AU", "PCM_16"), 8, ">I", size)) == SAMPLES


@pytest.mark.parametrize("size", [0, -1, 2**63 - 1, 2_000_000_000])
def test_decode_wide_files_streamed_without_their_size_are_whole(size: int) -> None:
    caf, w64, rf64 = (encode(format, "PCM_16") for format in ("CAF", "W64", "RF64"))
    assert frames(with_field(caf, caf.index(b"data") + 4, ">q", size)) == SAMPLES
    assert frames(with_field(w64, w64.index(b"data") + 16, "<q", size)) == SAMPLES
    if rf64[:4] == b"RF64":  # libsndfile writes RIFF where that is enough
        assert frames(with_field(rf64, rf64.index(b"ds64") + 16, "<q", size)) == SAMPLES


@pytest.mark.parametrize("size", [0, 1_000_000_000, 2_000_000_000, 0xFFFFFFFF])
@pytest.mark.parametrize("subtype", ["PCM_S8", "PCM_16"])
def test_decode_aiff_streamed_without_its_size_is_whole(subtype: str, size: int) -> None:
    audio = encode("AIFF", subtype)
    assert frames(with_field(audio, audio.index(b"SSND") + 4, ">I", size)) == SAMPLES


def test_decode_wav_whose_size_is_too_small_is_refused() -> None:
    audio = encode("WAV", "PCM_16")
    said = reason(with_field(audio, audio.index(b"data") + 4, "<I", SAMPLES))
    assert said == "its header counts 32,000 bytes of samples, but 32,000 more follow"


def test_decode_wav_with_zeros_or_chunks_behind_its_samples_is_what_its_size_says() -> None:
    audio = encode("WAV", "PCM_16")
    for tail in (bytes(5_000), b"LIST\4\0\0\0INFO" * 10, b"id3 \x10\0\0\0" + bytes(16)):
        whole = with_field(audio + tail, 4, "<I", len(audio) + len(tail) - 8)
        assert frames(whole) == SAMPLES
        assert inspect(whole, "a").decoder == ""


def test_decode_wav_without_samples_is_said_to_have_none() -> None:
    empty = with_field(encode("WAV", "PCM_16")[:44], 40, "<I", 0)
    assert reason(empty) == "no samples"
    assert reason(empty + b"LIST\4\0\0\0INFO") == "no samples"


MP3 = encode("MP3", "MPEG_LAYER_III")


def mp3_in_wav(mp3: bytes, data_size: int | None = None) -> bytes:
    format = struct.pack("<HHIIHHHHIHHH", 0x55, 1, RATE_HZ, 8_000, 1, 0, 12, 1, 2, 576, 1, 1393)
    chunks = b"fmt " + struct.pack("<I", len(format)) + format
    chunks += b"data" + struct.pack("<I", len(mp3) if data_size is None else data_size) + mp3
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def test_decode_mp3_in_wav_is_the_mp3() -> None:
    for audio in (mp3_in_wav(MP3), mp3_in_wav(MP3, 0), mp3_in_wav(MP3, 0xFFFFFFFF)):
        np.testing.assert_array_equal(
            decode(audio, sample_rate_hz=RATE_HZ, name="a"), decode(MP3, sample_rate_hz=RATE_HZ, name="a")
        )
    assert reason(mp3_in_wav(MP3)[:-500]) == "truncated"


@pytest.mark.parametrize("format", WHOLE_FILES)
def test_decode_any_file_behind_an_id3_tag_is_whole(format: str) -> None:
    audio = encode(format, WHOLE_FILES[format])
    plain = decode(audio, sample_rate_hz=RATE_HZ, name="a")
    for tag in (id3(200), id3(100) + id3(333)):
        np.testing.assert_array_equal(decode(tag + audio, sample_rate_hz=RATE_HZ, name="a"), plain)
        assert frames(tag + 2 * audio) == 2 * SAMPLES


def test_decode_ogg_with_a_page_missing_is_truncated() -> None:
    content = io.BytesIO()
    soundfile.write(content, np.tile(WAVE, 20), RATE_HZ, format="OGG", subtype="VORBIS")
    audio = content.getvalue()
    pages = [at for at in range(len(audio)) if audio[at : at + 4] == b"OggS"]
    assert len(pages) > 6
    assert reason(audio[: pages[4]] + audio[pages[5] :]) == "truncated"


@pytest.mark.parametrize("format", [*WHOLE_FILES, "RF64", "W64", "CAF", "AU", "NIST"])
def test_decode_damaged_headers_end_in_samples_or_a_reason(format: str) -> None:
    rng = np.random.default_rng(0)
    audio = encode(format, WHOLE_FILES.get(format, "PCM_16"))
    for _ in range(40):
        damaged = bytearray(audio)
        for at in rng.integers(min(len(audio), 400), size=rng.integers(1, 6)):
            damaged[at : at + rng.integers(0, 3)] = rng.bytes(rng.integers(0, 4))
        with suppress(AudioError):
            assert frames(bytes(damaged)) > 0


@pytest.mark.parametrize("total", [1, 4_096, SAMPLES // 2, SAMPLES - 2 * 4_096])
def test_decode_flac_whose_header_counts_too_few_samples_is_refused(total: int) -> None:
    audio = encode("FLAC", "PCM_16")
    counted = with_field(audio, 22, ">I", total)
    assert reason(counted) == "its header counts fewer samples than follow"
    assert frames(with_field(audio, 22, ">I", SAMPLES)) == SAMPLES

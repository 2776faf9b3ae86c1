"""Headers that lie, files that were cut and files that were joined: all samples, or a reason."""

from __future__ import annotations

import io
import itertools
import struct
from contextlib import suppress

import numpy as np
import pytest
import soundfile

from encoded import RATE_HZ, SAMPLES, WAVE, WHOLE_FILES, encode, frames, id3, reason, with_field
from soundprobe.audio.containers import JOINED
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


@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT", "ULAW"])
@pytest.mark.parametrize("channels", [1, 2])
def test_decode_aiff_whose_header_counts_other_samples_is_refused(subtype: str, channels: int) -> None:
    audio = encode("AIFF", subtype, channels=channels)
    count = audio.index(b"COMM") + 10
    for told in (SAMPLES // 2, 2 * SAMPLES):
        said = f"its header counts {told:,} samples, and {SAMPLES:,} are there: write it anew"
        assert reason(with_field(audio, count, ">I", told)) == said
    for told in (0, SAMPLES - 1, 0x7FFFFFFF):
        assert frames(with_field(audio, count, ">I", told)) == SAMPLES
    twice = audio + with_field(audio, count, ">I", SAMPLES // 2)
    assert reason(twice).startswith(f"its header counts {3 * SAMPLES // 2:,} samples")


def test_decode_wav_whose_size_is_too_small_is_refused() -> None:
    audio = encode("WAV", "PCM_16")
    cut = with_field(audio, audio.index(b"data") + 4, "<I", SAMPLES)
    for counted in (cut, with_field(cut, 4, "<I", 36 + SAMPLES)):
        assert reason(counted) == "32,000 bytes follow the samples that its headers count"


@pytest.mark.parametrize("format", ["AIFF", "RF64", "W64", "CAF", "AU"])
def test_decode_samples_behind_those_that_the_header_counts_are_refused(format: str) -> None:
    noise = np.random.default_rng(0).integers(256, size=SAMPLES, dtype=np.uint8).tobytes()
    assert reason(encode(format, "PCM_16") + noise) == "32,000 bytes follow the samples that its headers count"


@pytest.mark.parametrize("format", ["WAV", "AIFF", "RF64", "W64", "CAF", "AU"])
def test_decode_zeros_and_tags_behind_the_samples_are_no_samples(format: str) -> None:
    audio = encode(format, "PCM_16")
    for tail in (bytes(5_000), b"TAG" + bytes(125), id3(300), b"\0" + id3(300)):
        assert frames(audio + tail) == SAMPLES


@pytest.mark.parametrize(("first", "second"), list(itertools.permutations(WHOLE_FILES, 2)))
def test_decode_joined_files_of_two_formats_are_refused(first: str, second: str) -> None:
    one, two = (encode(format, WHOLE_FILES[format]) for format in (first, second))
    for gap in (b"", bytes(16)):
        assert reason(one + gap + two).startswith((JOINED, f"{len(gap + two):,} bytes follow the samples"))


EXTENSIBLE = struct.pack("<HHI", 22, 24, 4) + bytes.fromhex("0100000000001000800000aa00389b71")


@pytest.mark.parametrize("header", [struct.pack("<HHIIHH", 1, 1, RATE_HZ, 4 * RATE_HZ, 4, 24), b""])
def test_decode_24_bits_in_32_are_heard_at_the_upper_end_and_refused_at_the_lower(header: bytes) -> None:
    header = header or struct.pack("<HHIIHH", 0xFFFE, 1, RATE_HZ, 4 * RATE_HZ, 4, 32) + EXTENSIBLE

    def wav(samples: np.ndarray) -> bytes:
        data = samples.astype("<i4").tobytes()
        chunks = b"WAVEfmt " + struct.pack("<I", len(header)) + header + b"data" + struct.pack("<I", len(data)) + data
        return b"RIFF" + struct.pack("<I", len(chunks)) + chunks

    values = (WAVE * 2.0**23).astype(np.int32)
    np.testing.assert_allclose(decode(wav(values << 8), sample_rate_hz=RATE_HZ, name="a"), WAVE, atol=2.0**-22)
    assert reason(wav(values)) == "its 24 bits are at the lower end of 32: write it anew"
    assert frames(wav(values << 8 | 3)) == SAMPLES  # 32 bits with a wrong header


def test_decode_two_chunks_of_samples_are_refused() -> None:
    audio = encode("WAV", "PCM_16")
    again = audio[audio.index(b"data") :]
    assert reason(with_field(audio + again, 4, "<I", len(audio + again) - 8)) == "several chunks of samples"


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


def ogg_pages(subtype: str) -> list[bytes]:
    content = io.BytesIO()
    soundfile.write(content, np.tile(WAVE, 20), 48_000, format="OGG", subtype=subtype)
    audio = content.getvalue()
    starts = [at for at in range(len(audio)) if audio[at : at + 4] == b"OggS"]
    assert len(starts) > 6
    return [audio[start:end] for start, end in itertools.pairwise([*starts, len(audio)])]


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_decode_ogg_with_a_page_missing_or_a_byte_changed_is_refused(subtype: str) -> None:
    pages = ogg_pages(subtype)
    assert frames(b"".join(pages)) == 20 * SAMPLES
    for at in range(1, len(pages)):
        assert reason(b"".join(pages[:at] + pages[at + 1 :])) in ("truncated", "truncated or damaged")
        changed = pages[at][:-1] + bytes([pages[at][-1] ^ 1])
        assert reason(b"".join([*pages[:at], changed, *pages[at + 1 :]])) == "truncated or damaged"


def test_decode_ogg_with_two_tracks_side_by_side_is_refused() -> None:
    one, two = ogg_pages("VORBIS"), ogg_pages("OPUS")
    audio = b"".join([one[0], two[0], *one[1:], *two[1:]])
    assert reason(audio) == "several tracks that sound at the same time: keep one"


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

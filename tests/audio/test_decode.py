"""The decode path on real files: generated in each format, cut, damaged, streamed, and the real clips."""

from __future__ import annotations

import io
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from soundprobe.audio.decode import decode, fit_length, inspect
from soundprobe.audio.encoded import read_bytes, source_name
from soundprobe.base.errors import AudioError
from soundprobe.base.records import EncodedAudio

RATE = 22_050
FORMATS = ["WAV", "FLAC", "OGG", "MP3", "AIFF"]


def tone(seconds: float = 2.0, rate: int = RATE, channels: int = 1) -> np.ndarray:
    """(T,) or (T, channels) float32: a tone with a little noise, each channel at its own pitch."""
    time = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(0).standard_normal((len(time), channels))
    waves = 0.4 * np.sin(2 * np.pi * time[:, None] * (300 + 100 * np.arange(channels))) + 0.02 * noise
    return waves.astype(np.float32).squeeze()


def encode(wave: np.ndarray, rate: int = RATE, format: str = "WAV", subtype: str | None = None) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, wave, rate, format=format, subtype=subtype)
    return file.getvalue()


def reason(audio: bytes, rate: int = RATE) -> str:
    with pytest.raises(AudioError) as caught:
        decode(audio, sample_rate_hz=rate, name="a.wav")
    assert str(caught.value) == f"a.wav: {caught.value.reason}"
    return caught.value.reason


def with_data_size(wav: bytes, size: int, riff_size: int) -> bytes:
    at = wav.index(b"data") + 4
    return wav[:4] + struct.pack("<I", riff_size) + wav[8:at] + struct.pack("<I", size) + wav[at + 4 :]


def without_xing(mp3: bytes) -> bytes:
    """The stream from its second frame on: the first one is LAME's Xing header."""
    return mp3[mp3.index(mp3[:2], 4) :]


@pytest.mark.parametrize(
    ("format", "tolerance"), [("WAV", 1e-4), ("FLAC", 1e-4), ("OGG", 0.1), ("MP3", 0.1), ("AIFF", 1e-4)]
)
def test_decode_each_format_gives_the_samples_back(format: str, tolerance: float) -> None:
    wave = tone()
    decoded = decode(encode(wave, format=format), sample_rate_hz=RATE, name="a")
    assert decoded.dtype == np.float32
    assert decoded.shape == wave.shape
    assert np.abs(decoded - wave).max() < tolerance


@pytest.mark.parametrize(
    "subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "IMA_ADPCM", "MS_ADPCM"]
)
def test_decode_each_wav_encoding_gives_the_samples_back(subtype: str) -> None:
    wave = tone()
    decoded = decode(encode(wave, subtype=subtype), sample_rate_hz=RATE, name="a")[: len(wave)]  # ADPCM fills a block
    assert np.abs(decoded - wave)[500:].max() < 0.1  # ADPCM takes a while to find its step


def test_decode_wave_extensible_gives_the_samples_back() -> None:
    wave = tone()
    audio = encode(wave, format="WAVEX")
    assert struct.unpack_from("<H", audio, 20) == (0xFFFE,)
    np.testing.assert_allclose(decode(audio, sample_rate_hz=RATE, name="a"), wave, atol=1e-4)


@pytest.mark.parametrize("channels", [2, 3, 6])
def test_decode_several_channels_takes_their_mean(channels: int) -> None:
    wave = tone(channels=channels)
    decoded = decode(encode(wave, subtype="FLOAT"), sample_rate_hz=RATE, name="a")
    np.testing.assert_allclose(decoded, wave.mean(axis=1), atol=1e-7)


@pytest.mark.parametrize("rate", [8_000, 11_025, 44_100, 48_000, 96_000, 192_000])
def test_decode_other_rate_is_soxr_hq(rate: int) -> None:
    wave = tone(rate=rate)
    decoded = decode(encode(wave, rate, subtype="FLOAT"), sample_rate_hz=32_000, name="a")
    assert abs(len(decoded) - 64_000) <= 1
    np.testing.assert_array_equal(decoded, soxr.resample(wave, rate, 32_000, quality="HQ"))


def test_decode_float_beyond_one_keeps_the_samples() -> None:
    wave = 3 * tone()
    np.testing.assert_array_equal(decode(encode(wave, subtype="FLOAT"), sample_rate_hz=RATE, name="a"), wave)


@pytest.mark.parametrize("audio", [b"", encode(tone()[:0]), encode(tone()[:0], format="OGG")])
def test_decode_nothing_inside_is_named(audio: bytes) -> None:
    assert reason(audio) == ("no samples" if audio else "empty file")


@pytest.mark.parametrize(
    "audio",
    [
        "a text with a byte order mark".encode("utf-16") * 40,
        np.random.default_rng(1).bytes(5_000),
        bytes(5_000),
        b"R",
        b"\xff\xfb",
        b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f",
    ],
)
def test_decode_other_content_is_not_audio(audio: bytes) -> None:
    assert reason(audio) == "not audio"


@pytest.mark.parametrize(
    ("audio", "named"),
    [
        (b"\n<!DOCTYPE html><html><script>404</script></html>" * 20, "a web page: fetch the file again"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "a Git LFS pointer: git lfs pull fetches it"),
        (b"PK\x03\x04" + bytes(100), "a zip archive: unpack it"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "a picture"),
    ],
)
def test_decode_what_often_lies_in_the_place_of_audio_is_named(audio: bytes, named: str) -> None:
    assert reason(audio) == f"not audio but {named}"


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.9, 0.99])
def test_decode_file_cut_short_is_truncated(format: str, share: float) -> None:
    audio = encode(tone(), format=format)
    assert reason(audio[: int(share * len(audio))]) in ("truncated", "truncated or damaged")


def test_decode_opus_cut_short_is_truncated() -> None:
    audio = encode(tone(rate=48_000), 48_000, "OGG", "OPUS")
    assert abs(len(decode(audio, sample_rate_hz=48_000, name="a")) - 96_000) <= 1
    assert reason(audio[: len(audio) // 2]) == "truncated"


def test_decode_ogg_cut_between_pages_is_truncated() -> None:
    audio = encode(tone(20.0), format="OGG")
    last_page = audio.rindex(b"OggS")
    assert reason(audio[:last_page]) == "truncated"


def test_decode_flac_cut_between_frames_is_truncated() -> None:
    audio = encode(tone(), format="FLAC")
    frames = [at for at in range(len(audio)) if audio[at : at + 2] == b"\xff\xf8"]
    assert len(frames) > 5
    assert reason(audio[: frames[5]]) in ("truncated", "truncated or damaged")


def test_decode_flac_with_a_damaged_frame_is_refused() -> None:
    audio = bytearray(encode(tone(), format="FLAC"))
    audio[len(audio) // 2 : len(audio) // 2 + 2_000] = bytes(2_000)
    assert reason(bytes(audio)) == "truncated or damaged"


@pytest.mark.parametrize("cut", [1, 400, 4_000])
def test_decode_mp3_without_xing_cut_inside_a_frame_is_truncated(cut: int) -> None:
    audio = without_xing(encode(tone(), format="MP3"))
    assert reason(audio[:-cut]) == "truncated"


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [11_025, 22_050, 44_100])
def test_decode_mp3_without_xing_reads_every_frame(rate: int, channels: int) -> None:
    audio = without_xing(encode(tone(4.0, rate, channels), rate, "MP3"))
    info = inspect(audio, "a.mp3")
    assert 4.0 <= info.duration_s < 4.3  # whole frames, and the encoder's delay
    assert len(decode(audio, sample_rate_hz=rate, name="a.mp3")) == info.frames


def test_decode_mp3_with_xing_and_without_hears_the_same() -> None:
    audio = encode(tone(), format="MP3")
    whole, bare = (decode(bytes_, sample_rate_hz=RATE, name="a") for bytes_ in (audio, without_xing(audio)))
    delay = int(np.correlate(bare[:6_000], whole[:4_000]).argmax())
    aligned = bare[delay : delay + len(whole)]
    assert np.abs(aligned[3_000:-3_000] - whole[3_000:-3_000]).max() < 1e-3


@pytest.mark.parametrize("tag", [b"TAG".ljust(128, b"\0"), b"APETAGEX".ljust(64, b"\0"), bytes(100)])
def test_decode_mp3_with_tags_around_is_whole(tag: bytes) -> None:
    audio = encode(tone(), format="MP3")
    id3 = b"ID3\x04\x00\x00\x00\x00\x02\x00" + bytes(256)
    np.testing.assert_array_equal(
        decode(id3 + audio + tag, sample_rate_hz=RATE, name="a"), decode(audio, sample_rate_hz=RATE, name="a")
    )


@pytest.mark.parametrize(
    "sizes",
    [(0xFFFFFFFF, 0xFFFFFFFF), (0, 0), (0, 36), (0, 0xFFFFFFFF), (0x7FFFF000, 0x7FFFF024), (0x7FFFFFFF, 0x7FFFFFFF)],
)
def test_decode_wav_streamed_without_its_size_is_whole(sizes: tuple[int, int]) -> None:
    wave = tone()
    audio = with_data_size(encode(wave), *sizes)
    np.testing.assert_allclose(decode(audio, sample_rate_hz=RATE, name="a"), wave, atol=1e-4)
    assert inspect(audio, "a").frames == len(wave)


def test_decode_flac_streamed_without_its_length_is_whole() -> None:
    wave = tone()
    audio = bytearray(encode(wave, format="FLAC"))
    audio[21] &= 0xF0
    audio[22:26] = bytes(4)  # STREAMINFO's total, 36 bits
    np.testing.assert_allclose(decode(bytes(audio), sample_rate_hz=RATE, name="a"), wave, atol=1e-4)
    assert inspect(bytes(audio), "a").frames == len(wave)


@pytest.mark.parametrize(("high", "expected"), [(0x0, "truncated"), (0xF, "more than 8,589,934,592 samples: split it")])
def test_decode_flac_that_claims_two_weeks_fills_no_memory(high: int, expected: str) -> None:
    audio = bytearray(encode(tone(), format="FLAC"))
    audio[21] |= high
    audio[22:26] = b"\xff" * 4
    assert reason(bytes(audio)) == expected


@pytest.mark.parametrize("chunk", [b"LIST\x04\x00\x00\x00INFO", b"junk\x03\x00\x00\x00abc\x00"])
def test_decode_wav_with_chunks_after_the_data_is_whole(chunk: bytes) -> None:
    wave = tone()
    np.testing.assert_allclose(decode(encode(wave) + chunk, sample_rate_hz=RATE, name="a"), wave, atol=1e-4)
    assert reason(encode(wave[:0]) + chunk) == "no samples"


def test_decode_wav_whose_size_counts_its_header_is_whole() -> None:
    wave = tone()
    audio = encode(wave)
    counted = with_data_size(audio, len(audio), len(audio))
    np.testing.assert_allclose(decode(counted, sample_rate_hz=RATE, name="a"), wave, atol=1e-4)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("channels", [1, 2])
def test_decode_one_sample_not_finite_is_refused(bad: float, channels: int) -> None:
    wave = tone(channels=channels)
    wave.reshape(-1)[1_000] = bad
    assert reason(encode(wave, subtype="FLOAT"), rate=32_000) == "NaN or infinite samples"


def test_decode_rate_of_one_hertz_is_refused() -> None:
    audio = bytearray(encode(tone()))
    audio[24:28] = struct.pack("<I", 1)
    assert reason(bytes(audio)) == "sample rate of 1 Hz"


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_decode_every_prefix_of_a_file_ends_in_a_reason() -> None:
    for format in FORMATS:
        audio = encode(tone(0.2), format=format)
        for end in range(0, 600, 7):
            assert reason(audio[:end])


def test_decode_reference_clips_match_the_original_waves(shared: Path) -> None:
    reference = np.load(shared / "reference" / "mn04_reference.npz")
    for clip, expected in zip(reference["clip"], reference["wave"], strict=True):
        path = shared / "data" / str(clip)
        wave = fit_length(decode(read_bytes(path), sample_rate_hz=32_000, name=str(path)), 128_000)
        assert np.abs(wave - expected).max() < 1e-6


def test_decode_all_real_clips_are_whole(shared: Path) -> None:
    paths = sorted((shared / "data").rglob("*.wav")) + sorted((shared / "data").rglob("*.ogg"))
    assert len(paths) == 797
    for path in paths:
        audio = read_bytes(path)
        info = inspect(audio, str(path))
        assert len(decode(audio, sample_rate_hz=info.sample_rate_hz, name=str(path))) == info.frames


def test_inspect_stereo_reads_the_header() -> None:
    info = inspect(encode(tone(1.5, 44_100, 2), 44_100, "OGG"), "a")
    assert (info.duration_s, info.sample_rate_hz, info.channels, info.frames) == (1.5, 44_100, 2, 66_150)


@pytest.mark.parametrize(
    ("audio", "expected"), [(b"", "empty file"), (b"text", "not audio"), (encode(tone())[:-9_999], "truncated")]
)
def test_inspect_bad_bytes_are_named(audio: bytes, expected: str) -> None:
    with pytest.raises(AudioError, match=f"^clip.wav: {expected}$"):
        inspect(audio, "clip.wav")


@pytest.mark.parametrize("samples", [0, 3, 5, 8])
def test_fit_length_any_length_cuts_or_pads_the_end(samples: int) -> None:
    wave = np.arange(1, 6, dtype=np.float32)
    fitted = fit_length(wave, samples)
    assert fitted.dtype == np.float32
    np.testing.assert_array_equal(fitted, np.concatenate([wave, np.zeros(9, np.float32)])[:samples])


def test_fit_length_exact_length_copies_nothing() -> None:
    wave = tone()
    assert np.shares_memory(fit_length(wave, len(wave)), wave)


def test_read_bytes_file_and_encoded_audio_give_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "ein Ton <script> ü.wav"
    path.write_bytes(b"abc")
    assert read_bytes(path) == read_bytes(str(path)) == b"abc"
    assert read_bytes(EncodedAudio("row 3", lambda: b"xyz")) == b"xyz"
    assert source_name(path) == str(path)
    assert source_name(EncodedAudio("row 3", lambda: b"")) == "row 3"


def test_read_bytes_without_a_file_says_why(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for source, expected in {"gone.wav": "missing file", ".": "not a file", "pipe": "not a file"}.items():
        with pytest.raises(AudioError) as caught:
            read_bytes(tmp_path / source)
        assert caught.value.reason == expected
    with pytest.raises(AudioError, match="unreadable: "):
        read_bytes("a\0b.wav")


def test_read_bytes_failing_reader_is_unreadable() -> None:
    def fail() -> bytes:
        raise OSError(5, "Input/output error")

    with pytest.raises(AudioError) as caught:
        read_bytes(EncodedAudio("row 3", fail))
    assert str(caught.value) == "row 3: unreadable: Input/output error"
    assert pickle.loads(pickle.dumps(caught.value)).reason == caught.value.reason

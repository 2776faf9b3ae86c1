"""What is read, refused and named: every row of the table in docs/data.md, with FFmpeg and without."""

from __future__ import annotations

import io
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ffmpeg_sounds import written_by_ffmpeg
from soundprobe.audio.decode import decode, inspect
from soundprobe.audio.ffmpeg import LAST_RESORT, ONE_TRACK
from soundprobe.audio.formats import AUDIO_ENDINGS, CONVERT, CONVERT_SAMPLES
from soundprobe.base.errors import AudioError

RATE_HZ = 48_000
WAVE = (0.4 * np.sin(2 * np.pi * 440 * np.arange(RATE_HZ) / RATE_HZ)).astype(np.float32)
DOCS = Path(__file__).resolve().parents[2] / "docs" / "data.md"
INSTALL = "pip install 'soundprobe[ffmpeg]'"


def by_libsndfile(format: str, subtype: str, rate_hz: int = RATE_HZ, endian: str = "FILE") -> bytes:
    content = io.BytesIO()
    soundfile.write(content, WAVE, rate_hz, format=format, subtype=subtype, endian=endian)
    return content.getvalue()


def by_ffmpeg(container: str, codec: str, rate_hz: int = RATE_HZ) -> bytes:
    return written_by_ffmpeg(WAVE[::6] if rate_hz == 8_000 else WAVE, rate_hz, container, codec)


def wav_of(tag: int, bits: int, samples: np.ndarray) -> bytes:
    content = samples.tobytes()
    block = bits // 8
    format = struct.pack("<HHIIHH", tag, 1, RATE_HZ, RATE_HZ * block, block, bits)
    chunks = b"WAVEfmt " + struct.pack("<I", 16) + format + b"data" + struct.pack("<I", len(content)) + content
    return b"RIFF" + struct.pack("<I", len(chunks)) + chunks


def ogg_page(content: bytes) -> bytes:
    """A stream of one page, the first and the last."""
    page = b"OggS\0\6" + bytes(20) + bytes([1, len(content)]) + content
    checksum = 0
    for byte in page:
        checksum ^= byte << 24
        for _ in range(8):
            checksum = (checksum << 1 ^ (0x04C11DB7 if checksum >> 31 else 0)) & 0xFFFFFFFF
    return page[:22] + checksum.to_bytes(4, "little") + page[26:]


PCM = ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ALAW", "ULAW")
FLOAT16 = wav_of(3, 16, WAVE.astype("<f2"))


def bw64() -> bytes:
    data = (WAVE * 2**15).astype("<i2").tobytes()
    header = b"ds64" + struct.pack("<IQQQI", 28, len(data) + 72, len(data), len(WAVE), 0)
    header += b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, RATE_HZ, 2 * RATE_HZ, 2, 16)
    return b"BW64\xff\xff\xff\xffWAVE" + header + b"data\xff\xff\xff\xff" + data


SAMPLES: dict[str, list[Callable[[], bytes]]] = {
    "WAV: 8 to 32-bit integers, 32 and 64-bit floats, A-law, mu-law": [
        *(lambda subtype=subtype: by_libsndfile("WAV", subtype) for subtype in PCM),
        *(lambda subtype=subtype: by_libsndfile("WAVEX", subtype) for subtype in PCM),
        lambda: by_libsndfile("WAV", "PCM_16", endian="BIG"),
    ],
    "WAV: IMA and MS ADPCM": [
        lambda: by_libsndfile("WAV", "IMA_ADPCM"),
        lambda: by_libsndfile("WAV", "MS_ADPCM"),
        lambda: by_ffmpeg("wav", "adpcm_ms"),
    ],
    "WAV: MP3": [lambda: by_ffmpeg("wav", "libmp3lame")],
    "WAV: 64-bit integers": [lambda: wav_of(1, 64, (WAVE * 2.0**63).astype("<i8"))],
    "WAV: Yamaha ADPCM, G.722, MPEG layer II, ...": [
        lambda: by_ffmpeg("wav", "adpcm_yamaha"),
        lambda: by_ffmpeg("wav", "g722"),
        lambda: by_ffmpeg("wav", "mp2"),
    ],
    "WAV: 16-bit floats": [lambda: FLOAT16],
    "RF64, BW64, W64, CAF, AU, NIST SPHERE": [
        bw64,
        *(lambda format=format: by_libsndfile(format, "PCM_16") for format in ("RF64", "W64", "CAF", "AU", "NIST")),
        lambda: by_libsndfile("CAF", "PCM_16", endian="LITTLE"),
    ],
    "AIFF, AIFF-C": [
        lambda: by_libsndfile("AIFF", "PCM_16"),
        lambda: by_libsndfile("AIFF", "FLOAT"),
        lambda: by_ffmpeg("aiff", "adpcm_ima_qt"),
    ],
    "FLAC": [lambda: by_libsndfile("FLAC", "PCM_16"), lambda: by_libsndfile("FLAC", "PCM_24")],
    "Ogg: Vorbis, Opus": [lambda: by_libsndfile("OGG", "VORBIS"), lambda: by_libsndfile("OGG", "OPUS")],
    "Ogg: FLAC": [lambda: by_ffmpeg("ogg", "flac")],
    "MP3": [lambda: by_libsndfile("MP3", "MPEG_LAYER_III"), lambda: by_ffmpeg("mp3", "libmp3lame")],
    "M4A, MP4, MOV: AAC, ALAC, FLAC, PCM": [
        *(lambda codec=codec: by_ffmpeg("ipod", codec) for codec in ("aac", "alac")),
        *(lambda codec=codec: by_ffmpeg("mp4", codec) for codec in ("aac", "flac")),
        lambda: by_ffmpeg("mov", "pcm_s16le"),
    ],
    "AAC in ADTS": [lambda: by_ffmpeg("adts", "aac")],
    "WebM, Matroska": [lambda: by_ffmpeg("webm", "libopus"), lambda: by_ffmpeg("matroska", "flac")],
    "WMA": [lambda: by_ffmpeg("asf", "wmav2")],
    "AC-3, AMR, WavPack, TTA": [
        lambda: by_ffmpeg("ac3", "ac3"),
        lambda: by_ffmpeg("amr", "libopencore_amrnb", 8_000),
        lambda: by_ffmpeg("wv", "wavpack"),
        lambda: by_ffmpeg("tta", "tta"),
    ],
    "VOC, SVX, AVR, MAT, PAF, PVF, IRCAM, WVE and what else libsndfile reads": [
        *(
            lambda format=format: by_libsndfile(format, "PCM_16")
            for format in ("VOC", "SVX", "AVR", "MAT4", "MAT5", "PAF", "PVF", "IRCAM")
        ),
        lambda: by_libsndfile("WVE", "ALAW", 8_000),
    ],
    "AVI, Flash video, MPEG transport stream, VOC that libsndfile can't read": [
        lambda: by_ffmpeg("avi", "libmp3lame"),
        lambda: written_by_ffmpeg(WAVE, 44_100, "flv", "libmp3lame"),
        lambda: by_ffmpeg("mpegts", "aac"),
        lambda: by_ffmpeg("voc", "pcm_u8"),
    ],
    "several files joined: WAV, AIFF, FLAC, Ogg, MP3": [
        lambda: 2 * by_libsndfile("WAV", "PCM_16"),
        lambda: 2 * by_libsndfile("AIFF", "PCM_16"),
        lambda: 2 * by_libsndfile("FLAC", "PCM_16"),
        lambda: 2 * by_libsndfile("OGG", "VORBIS"),
        lambda: 2 * by_libsndfile("OGG", "OPUS"),
        lambda: 2 * by_libsndfile("MP3", "MPEG_LAYER_III"),
    ],
    "several files joined: RF64, W64, CAF, AU, M4A, TTA; two rates; two formats": [
        *(lambda format=format: 2 * by_libsndfile(format, "PCM_16") for format in ("RF64", "W64", "CAF", "AU")),
        lambda: 2 * by_ffmpeg("ipod", "aac"),
        lambda: 2 * by_ffmpeg("tta", "tta"),
        lambda: by_libsndfile("WAV", "PCM_16") + by_libsndfile("WAV", "PCM_16", 16_000),
        lambda: by_libsndfile("WAV", "PCM_16") + by_libsndfile("FLAC", "PCM_16"),
    ],
}


def rows() -> list[list[str]]:
    """The cells of each row of the table of formats."""
    section = DOCS.read_text(encoding="utf-8").split("## Formats")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.fixture
def without_ffmpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)


def outcome(audio: bytes) -> str:
    """ "read", when every sample was, or the reason why not."""
    try:
        info = inspect(audio, "a")
        wave = decode(audio, sample_rate_hz=info.sample_rate_hz, name="a")
    except AudioError as error:
        return error.reason
    assert len(wave) == info.frames
    assert np.sqrt(np.square(wave).mean()) > 0.2, "the tone is heard"
    return "read"


def assert_row(name: str, promised: str) -> None:
    for sample in SAMPLES[name]:
        found = outcome(sample())
        assert (found == "read") == promised.startswith("read"), (name, found)
        if found != "read":
            assert any(word in found for word in ("is not supported: ", "split it")), found


def test_docs_list_the_formats_that_are_tested() -> None:
    assert [row[0] for row in rows()] == list(SAMPLES)


def test_docs_list_the_endings_of_clips_in_folders() -> None:
    text = DOCS.read_text(encoding="utf-8")
    first, second = (text.split(before)[1].split("`")[0] for before in ("clips that end in `", "or in\n`"))
    assert (*first.split(), *second.split()) == AUDIO_ENDINGS


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_decode_each_format_with_ffmpeg_does_what_the_docs_say(row: list[str]) -> None:
    assert_row(row[0], row[3])


@pytest.mark.usefixtures("without_ffmpeg")
@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_decode_each_format_without_ffmpeg_does_what_the_docs_say(row: list[str]) -> None:
    assert_row(row[0], row[2])


@pytest.mark.usefixtures("without_ffmpeg")
@pytest.mark.parametrize(
    ("audio", "named"),
    [
        (b"\0\0\0\x1cftypM4A \0\0\0\0" + bytes(4_000), "M4A (AAC or ALAC)"),
        (b"\0\0\0\x1cftypisom\0\0\0\0" + bytes(4_000), "MP4"),
        (b"\x1aE\xdf\xa3" + bytes(4_000), "WebM or Matroska"),
        (bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + bytes(4_000), "WMA (ASF)"),
        (b"\xff\xf1\x50\x80\x1f\xfc" * 700, "AAC (ADTS)"),
        (ogg_page(b"\x7fFLAC\1\0\0\1fLaC"), "FLAC in Ogg"),
        (wav_of(0x17, 8, np.zeros(100, np.uint8)), "WAV with Dialogic OKI ADPCM"),
        (wav_of(0xABC, 8, np.zeros(100, np.uint8)), "WAV with encoding 0x0ABC"),
        (wav_of(1, 64, np.zeros(100, np.int64)), "WAV with 64-bit integers"),
    ],
)
def test_decode_unsupported_format_is_named_with_what_to_do(audio: bytes, named: str) -> None:
    assert outcome(audio) == f"{named} is not supported: {INSTALL} reads it; or {CONVERT}"


def test_decode_16_bit_floats_says_how_to_write_them() -> None:
    assert outcome(FLOAT16) == f"WAV with 16-bit floats is not supported: {CONVERT_SAMPLES}"


def test_decode_what_ffmpeg_cannot_read_either_says_both() -> None:
    said = outcome(b"\0\0\0\x1cftypM4A \0\0\0\0" + bytes(4_000))
    assert said.startswith("M4A (AAC or ALAC) is not supported by libsndfile, and FFmpeg can't decode it (")
    assert said.endswith(LAST_RESORT)


def test_decode_damaged_file_of_a_supported_format_stays_damaged() -> None:
    audio = by_libsndfile("FLAC", "PCM_16")
    assert outcome(audio[:20]) == "truncated or damaged"


def test_decode_m4a_leaves_the_encoder_s_padding_out() -> None:
    assert inspect(by_ffmpeg("ipod", "aac"), "a").frames == len(WAVE)
    assert inspect(by_ffmpeg("ipod", "aac"), "a").decoder == "FFmpeg"


@pytest.mark.parametrize(
    ("container", "codec"),
    [("ipod", "aac"), ("ipod", "alac"), ("adts", "aac"), ("webm", "libopus"), ("matroska", "flac"), ("asf", "wmav2")],
)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.97])
def test_decode_cut_file_of_ffmpeg_s_is_truncated(container: str, codec: str, share: float) -> None:
    audio = by_ffmpeg(container, codec)
    assert outcome(audio[: int(share * len(audio))]) == "truncated"


def test_decode_video_without_sound_says_so() -> None:
    import av

    content = io.BytesIO()
    with av.open(content, "w", format="mp4") as out:
        stream = out.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 16
        out.mux(stream.encode(av.VideoFrame(16, 16, "yuv420p")))
        out.mux(stream.encode(None))
    assert outcome(content.getvalue()) == "MP4 without sound in it"


def test_decode_several_sound_tracks_asks_for_one() -> None:
    import av

    content = io.BytesIO()
    with av.open(content, "w", format="matroska") as out:
        tracks = [out.add_stream("pcm_s16le", rate=8_000, layout="mono") for _ in range(2)]
        for track in tracks:
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 8_000), np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.pts = 8_000, 0
            out.mux(track.encode(frame))
    assert outcome(content.getvalue()) == f"WebM or Matroska with 2 sound tracks: {ONE_TRACK}"


def test_decode_m4a_that_counts_its_encoder_s_delay_is_read() -> None:
    audio = by_ffmpeg("ipod", "aac")
    assert audio.count(b"edts") == 1
    without_edit_list = audio.replace(b"edts", b"free")
    assert outcome(without_edit_list) == "read"
    assert len(WAVE) <= inspect(without_edit_list, "a").frames <= len(WAVE) + 3 * 1_024


def test_decode_streamed_mp4_in_fragments_is_whole() -> None:
    content = io.BytesIO()
    import av

    source = by_ffmpeg("ipod", "alac")
    with (
        av.open(io.BytesIO(source)) as whole,
        av.open(content, "w", format="mp4", options={"movflags": "frag_keyframe+empty_moov+default_base_moof"}) as out,
    ):
        track = out.add_stream_from_template(whole.streams.audio[0])
        for packet in whole.demux(audio=0):
            if packet.dts is not None:
                packet.stream = track
                out.mux(packet)
    assert inspect(content.getvalue(), "a").frames == len(WAVE)

"""Is an encoded clip whole? Checks on the containers, by their headers alone, that libsndfile doesn't make.

libsndfile reads what is there of a WAV or Ogg file that was cut short and says nothing; it stops after half of an MP3
file with a variable bitrate and no Xing header, because it estimates the length; and it takes a WAV file whose data
size is still 0 (the writer could not go back to fill it in) for an empty one.

Sources: RIFF/WAVE and AIFF as in libsndfile, Ogg as in RFC 3533, MPEG audio layer III as in ISO 11172-3 and 13818-3.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

STREAMED_BYTES = 0x7FFF0000
"""From here on a data size means "unknown": ffmpeg writes 0xFFFFFFFF, sox 0x7FFFF000 less a header."""

SLACK_BYTES = 64
"""Some writers count their own header into the data size: so little missing (1 ms) is not called truncated."""

OGG_HEADER_BYTES = 27
OGG_END_OF_STREAM = 4

XING_OFFSETS = {(3, False): 36, (3, True): 21, (2, False): 21, (2, True): 13, (0, False): 21, (0, True): 13}
"""Where the Xing header begins in its frame, by MPEG version bits (3: 1, 2: 2, 0: 2.5) and whether mono."""

KBITS_MPEG1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0)
KBITS_MPEG2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0)
RATES_HZ = {3: (44100, 48000, 32000, 0), 2: (22050, 24000, 16000, 0), 0: (11025, 12000, 8000, 0)}

TAIL_TAGS = (b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"ID3")


def complete(audio: bytes) -> bytes | None:
    """`audio` such that libsndfile reads all of it, or None where its end is missing.

    The very same object comes back, except where a header has to be filled in first: a WAV or AIFF file with a data
    size of 0, an MP3 file that doesn't tell its length. Other kinds of audio, and what is none, come back as they are.
    """
    if audio[:4] in (b"RIFF", b"RIFX") and audio[8:12] == b"WAVE":
        return _chunks(audio, data_id=b"data", order="<" if audio[:4] == b"RIFF" else ">")
    if audio[:4] == b"FORM" and audio[8:12] in (b"AIFF", b"AIFC"):
        return _chunks(audio, data_id=b"SSND", order=">")
    if audio[:4] == b"OggS":
        return audio if _ogg_ends(audio) else None
    start = _after_id3(audio)
    if _frame(audio, start) is not None:
        return _mpeg(audio, start)
    return audio


def _chunks(audio: bytes, data_id: bytes, order: str) -> bytes | None:
    """`complete` for files of chunks, each an id, a size and so many bytes, padded to an even number."""
    at = 12
    while at + 8 <= len(audio) and _is_chunk_id(audio[at : at + 4]):
        (size,) = struct.unpack_from(f"{order}I", audio, at + 4)
        left = len(audio) - at - 8
        if audio[at : at + 4] != data_id:
            at += 8 + size + size % 2
            continue
        if size == 0 and left and not _is_chunk_id(audio[at + 8 : at + 12]):
            sizes = struct.pack(f"{order}I", len(audio) - 8), struct.pack(f"{order}I", left)
            return audio[:4] + sizes[0] + audio[8 : at + 4] + sizes[1] + audio[at + 8 :]
        return None if left + SLACK_BYTES < size < STREAMED_BYTES else audio
    return audio  # no data chunk: libsndfile says what is wrong


def _is_chunk_id(four: bytes) -> bool:
    return len(four) == 4 and all(32 <= byte < 127 for byte in four)


def _ogg_ends(audio: bytes) -> bool:
    """Whether the last page is all there and says that the stream ends with it."""
    at, flags = 0, 0
    while at != -1:
        table = at + OGG_HEADER_BYTES
        if table > len(audio):
            return False
        flags, segments = audio[at + 5], audio[at + 26]
        if table + segments > len(audio):
            return False
        at = table + segments + sum(audio[table : table + segments])
        if at > len(audio):
            return False
        at = audio.find(b"OggS", at)
    return bool(flags & OGG_END_OF_STREAM)


@dataclass(frozen=True)
class _Frame:
    """The header of one MPEG layer III frame. `version` as in `XING_OFFSETS`."""

    version: int
    mono: bool
    size: int


def _frame(audio: bytes, at: int) -> _Frame | None:
    """The frame that begins at byte `at`; None where there is none, or one of free format or another layer."""
    if len(audio) < at + 4 or audio[at] != 0xFF or audio[at + 1] & 0xE0 != 0xE0:
        return None
    version, layer = audio[at + 1] >> 3 & 3, audio[at + 1] >> 1 & 3
    if version == 1 or layer != 1:
        return None
    kbits = (KBITS_MPEG1 if version == 3 else KBITS_MPEG2)[audio[at + 2] >> 4]
    rate_hz = RATES_HZ[version][audio[at + 2] >> 2 & 3]
    if not kbits or not rate_hz:
        return None
    padding = audio[at + 2] >> 1 & 1
    size = (144 if version == 3 else 72) * kbits * 1000 // rate_hz + padding
    return _Frame(version, audio[at + 3] >> 6 == 3, size)


def _after_id3(audio: bytes) -> int:
    """Where an ID3v2 tag at the beginning ends; 0 without one."""
    if audio[:3] != b"ID3" or len(audio) < 10:
        return 0
    size = 0
    for byte in audio[6:10]:
        size = size << 7 | byte & 0x7F
    return 10 + size + (10 if audio[5] & 0x10 else 0)  # 0x10: a footer follows


def _mpeg(audio: bytes, start: int) -> bytes | None:
    """`complete` for MP3 whose first frame begins at byte `start`."""
    first = _frame(audio, start)
    assert first is not None
    frame: _Frame | None = first
    at, count = start, 0
    while frame is not None:
        at += frame.size
        count += 1
        frame = _frame(audio, at)
    if at > len(audio):
        return None if count > 1 else audio  # a lone frame may be two bytes of anything that look like one
    rest = audio[at:]
    if not (len(rest) < 4 or rest.startswith(TAIL_TAGS) or not rest.strip(b"\0")):
        return audio  # something between the frames: libmpg123 finds its way, this count can't
    offset = start + XING_OFFSETS[first.version, first.mono]
    for xing in (offset, offset + 2):  # 2: a checksum stands between
        if audio[xing : xing + 4] in (b"Xing", b"Info") and len(audio) >= xing + 12:
            flags, frames = struct.unpack_from(">II", audio, xing + 4)
            # Some encoders count the header's own frame and some don't: one frame less is no proof.
            return None if flags & 1 and frames > count else audio
    return _xing_frame(audio[start : start + 4], first, count) + audio[start:]


def _xing_frame(header: bytes, first: _Frame, count: int) -> bytes:
    """A frame without sound that tells the decoder that `count` frames follow."""
    # No checksum, and bitrate index 9 (128 or 80 kbit/s), where the frame has room for the Xing header.
    header = bytes((header[0], header[1] | 1, 0x90 | header[2] & 0x0C, header[3]))
    frame = _frame(header, 0)
    assert frame is not None
    body = header + bytes(XING_OFFSETS[first.version, first.mono] - 4) + b"Xing" + struct.pack(">II", 1, count)
    return body.ljust(frame.size, b"\0")

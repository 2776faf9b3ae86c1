"""Is an encoded clip whole, and does libsndfile read all of it? Checks on the containers, by their headers alone.

libsndfile reads what is there of a file that was cut short and says nothing, and it stops where a header says so that
was never filled in, or after the first of several files that were joined.

Sources: RIFF/WAVE, RF64, W64, AIFF, CAF, AU and NIST SPHERE as in libsndfile.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, replace

import numpy as np

from soundprobe.audio import flac, mpeg, ogg
from soundprobe.audio.encoded import Encoded, chunks, unpack
from soundprobe.base.errors import AudioError

STREAMED_BYTES = 0x7FFF0000
"""From here on a data size means "unknown": ffmpeg writes 0xFFFFFFFF, sox 0x7FFFF000 less a header."""
ROUND_BYTES = 10**8
"""A size of whole hundreds of millions is made up, too: 1e9 frames, 2,000,000,000 bytes."""

MOST_CHUNKS = 1000
"""Files have a dozen. To mend one copies the file."""

SLACK_BYTES = 64
"""Some writers count their own header into the data size: so little missing (1 ms) is not called truncated."""

MP3_TAG = 0x55
AIFF_PACKETS = (b"ima4", b"GSM ", b"agsm")
W64_HEAD = 24
NIST_SAMPLES = re.compile(rb"sample_count -i (\d+)")
TAGGED = (b"RIFF", b"RIFX", b"FORM", b"OggS", b"fLaC")
JOINABLE = (b"WAVE", b"AIFF", b"AIFC")
CHUNK_IDS = tuple(
    b"fmt |fact|data|LIST|INFO|JUNK|junk|bext|iXML|cue |smpl|inst|PEAK|id3 |ID3 |FVER|COMM|SSND|NAME|ANNO".split(b"|")
)
"""What stands beside the samples; other names are chunks, too, where nothing speaks against it."""

BEGINNINGS = re.compile(
    rb"(?:RIFF|RIFX|RF64|BW64)....WAVE|riff\x2e\x91\xcf\x11|FORM....AIF[FC]|caff\x00\x01\x00\x00|\.snd\x00\x00|NIST_1A|"
    rb"OggS\x00\x02|fLaC\x00\x00\x00\x22",
    re.DOTALL,
)
BEGINNING_BYTES = 12
MAGICS = tuple(
    b"RIFF|RIFX|RF64|BW64|riff\x2e\x91\xcf\x11|FORM|caff\x00\x01\x00\x00|.snd\x00\x00|NIST_1A|"
    b"OggS\x00\x02|fLaC\x00\x00\x00\x22".split(b"|")
)
"""What `BEGINNINGS` begin with: to look for each takes a tenth of the time of looking for the pattern."""
JOINED = "joined of several files: split it"


@dataclass(frozen=True)
class Streams:
    """What of a file libsndfile can read, all of it.

    Attributes:
        parts: encoded files whose samples follow each other; mostly the file itself.
        mended: what was done to it that version 1 of decoding didn't do, so that it failed or read a part: "joined",
            "size", ...; else empty. It enters the keys of embeddings.
        frames: samples of one channel, where libsndfile doesn't look at their number in the header (NIST, AIFF) or
            only estimates it (MPEG layer II).
    """

    parts: tuple[Encoded, ...]
    mended: str = ""
    frames: int | None = None


def streams(audio: Encoded, name: str) -> Streams:
    """`audio` such that libsndfile reads all of it. Other kinds of audio, and what is none, come back as they are.

    Raises:
        AudioError: its end is missing, or its header can't be true.
    """
    tagged = mpeg.after_id3_tags(audio)
    if audio[tagged : tagged + 4] in TAGGED and tagged:  # of a tagged WAV file, libsndfile leaves out the end
        found = streams(audio[tagged:], name)
        return replace(found, mended=found.mended or ("" if audio[tagged : tagged + 4] == b"fLaC" else "tag"))
    starts = [0]
    while (at := _joined_at(audio, starts[-1])) is not None:
        starts.append(at)
    if len(starts) == 1:
        return _of_one(audio, name)
    files = [_of_one(audio[start:end], name) for start, end in zip(starts, [*starts[1:], len(audio)], strict=True)]
    told = [file.frames for file in files if file.frames is not None]
    frames = sum(told) if len(told) == len(files) else None
    return Streams(tuple(part for file in files for part in file.parts), "joined", frames)


def _joined_at(audio: Encoded, start: int) -> int | None:
    """Where another file of the same kind begins behind the one at byte `start`: WAV, AIFF or FLAC."""
    magic, kind = audio[start : start + 4], audio[start + 8 : start + 12]
    if magic == b"fLaC":
        at = audio.find(flac.HEADER, start + 4)
        return None if at == -1 else at
    if kind in JOINABLE:
        (size,) = unpack("<I" if magic == b"RIFF" else ">I", audio, start + 4)
        at = start + 8 + size + size % 2
        return at if size and (audio[at : at + 4], audio[at + 8 : at + 12]) == (magic, kind) else None
    return None


def _of_one(audio: Encoded, name: str) -> Streams:
    kind = audio[:4]
    if kind in (b"RIFF", b"RIFX") and audio[8:12] == b"WAVE":
        return _chunks(audio, b"data", "<" if kind == b"RIFF" else ">", name)
    if kind == b"FORM" and audio[8:12] in (b"AIFF", b"AIFC"):
        return replace(_chunks(audio, b"SSND", ">", name), frames=_aiff_frames(audio))
    if kind == b"OggS":
        links = ogg.links(audio, name)
        _check_tail(audio, ogg.end(audio), name)
        return Streams(tuple(links), "joined" if len(links) > 1 else "")
    if kind == b"fLaC":
        if flac.goes_on(audio):
            raise AudioError(name, "its header counts fewer samples than follow")
        _check_alone(audio, flac.first_frame(audio), name)
        if mpeg.has_frames(audio, flac.first_frame(audio)):
            raise AudioError(name, JOINED)
    if kind == b".snd":
        return _au(audio, name)
    if kind == b"BW64":  # RF64 by another name, which libsndfile doesn't know
        return replace(found := _wide(b"RF64" + audio[4:], name), mended=found.mended or "BW64")
    if kind in (b"RF64", b"riff", b"caff"):
        return _wide(audio, name)
    if kind == b"NIST":
        told = NIST_SAMPLES.search(audio[:1024])
        return Streams((audio,), frames=int(told[1]) if told else None)
    return _mpeg(audio, name)


def _chunks(audio: Encoded, data_id: bytes, order: str, name: str) -> Streams:
    """`streams` for files of chunks, each an id, a size and so many bytes, padded to an even number."""
    at, odd, tag, mended, loose, count = 12, False, 0, "", (0, 0), 0
    while at + 8 <= len(audio):
        count += 1
        if count > MOST_CHUNKS:
            raise AudioError(name, f"more than {MOST_CHUNKS} chunks stand before its samples")
        if odd and audio[at - 1 : at + 3] in CHUNK_IDS:  # the chunk before lacks its pad byte
            audio, mended = audio[: at - 1] + b"\0" + audio[at - 1 :], "padding"
        if not _is_chunk_id(audio[at : at + 4]):
            break
        (size,) = unpack(f"{order}I", audio, at + 4)
        if audio[at : at + 4] == data_id:
            if tag == MP3_TAG:
                return _mp3_in_wav(audio[at + 8 :], size, name)
            found = _data(audio, at, size, order, name)
            if loose[0] > loose[1] > 0 and _at_lower_end(audio[at + 8 : at + 8 + size], *loose, order):
                raise AudioError(name, f"its {loose[1]} bits are at the lower end of {loose[0]}: write it anew")
            return replace(found, mended=found.mended or mended)
        if audio[at : at + 4] == b"fmt " and at + 10 <= len(audio):
            (tag,) = unpack(f"{order}H", audio, at + 8)
            loose = _bits(audio, at + 8, size, order) if data_id == b"data" else loose
            if loose[1] < loose[0] == 32 > unpack(f"{order}H", audio, at + 22)[0]:
                # libsndfile would guess by the samples whether 24 bits take 3 bytes or 4.
                audio, mended = audio[: at + 22] + struct.pack(f"{order}H", 32) + audio[at + 24 :], "bits"
        at += 8 + size + size % 2
        odd = size % 2 == 1
    return Streams((audio,))  # no data chunk: libsndfile says what is wrong


def _bits(audio: Encoded, at: int, size: int, order: str) -> tuple[int, int]:
    """Of the integers that a "fmt " chunk tells, how many bits each takes, and how many of them say something."""
    if size < 16 or at + size > len(audio):
        return 0, 0
    tag, channels, _, _, block, bits = unpack(f"{order}HHIIHH", audio, at)
    if tag == 0xFFFE and size >= 26:
        (valid, _, tag) = unpack(f"{order}HIH", audio, at + 18)
        bits = valid or bits
    return (8 * block // channels, bits) if tag == 1 and channels else (0, 0)


def _at_lower_end(data: Encoded, width: int, bits: int, order: str) -> bool:
    """Whether integers of `width` bits use their lower `bits`, which then are read as all but silent, and not the
    upper ones, as they should."""
    if width not in (16, 32):
        return False
    low, lowest, highest = False, 0, 0
    for chunk in chunks(data):
        values = np.frombuffer(chunk[: len(chunk) // (width // 8) * (width // 8)], f"{order}i{width // 8}")
        lowest, highest = min(lowest, int(values.min(initial=0))), max(highest, int(values.max(initial=0)))
        low = low or bool((values & (1 << width - bits) - 1).any())
    return low and -(1 << bits - 1) <= lowest and highest < 1 << bits - 1


def _data(audio: Encoded, at: int, size: int, order: str, name: str) -> Streams:
    """`_chunks` where the data chunk, which promises `size` bytes, begins at byte `at`."""
    left = len(audio) - at - 8
    made_up = left + SLACK_BYTES < size < STREAMED_BYTES and size % ROUND_BYTES == 0
    if made_up or (size == 0 and left and not _is_chunk(audio, at + 8, order)):
        sizes = struct.pack(f"{order}I", len(audio) - 8), struct.pack(f"{order}I", left)
        whole = audio[:4] + sizes[0] + audio[8 : at + 4] + sizes[1] + audio[at + 8 :]
        before = size == 0 and not _is_chunk_id(audio[at + 8 : at + 12])
        return Streams((whole,), "" if before else "size")
    if left + SLACK_BYTES < size < STREAMED_BYTES:
        raise AudioError(name, "truncated")
    _check_tail(audio, at + 8 + size, name, order, 8)
    return Streams((audio,))


def _aiff_frames(audio: Encoded) -> int | None:
    """How many samples of each channel the chunk COMM counts; None where it counts packets, or made its number up."""
    at = 12
    while at + 18 <= len(audio):
        kind, size, channels, frames, bits = unpack(">4sIHIH", audio, at)
        if kind == b"COMM":
            packed = audio[8:12] == b"AIFC" and audio[at + 26 : at + 30] in AIFF_PACKETS
            made_up = frames % ROUND_BYTES == 0 or frames * channels * bits >= 8 * STREAMED_BYTES
            return None if packed or made_up else frames
        at += 8 + size + size % 2
    return None


def _is_chunk_id(four: bytes) -> bool:
    return len(four) == 4 and all(32 <= byte < 127 for byte in four)


def _is_chunk(audio: Encoded, at: int, order: str) -> bool:
    return _chunk_end(audio, at, order, 8) is not None


def _chunk_end(audio: Encoded, at: int, order: str, head: int) -> int | None:
    """Where the chunk at byte `at` ends, whose id and size take `head` bytes; None where none begins there.

    Quiet samples of 8 bits look like an id, but hardly like a size, too.
    """
    kind = audio[at : at + 4]
    if not head or not _is_chunk_id(kind):
        return None
    if at + head > len(audio):
        return len(audio) if kind in CHUNK_IDS else None
    code, behind = ("I", at + 8) if head == 8 else ("q", at if head == W64_HEAD else at + head)
    (size,) = unpack(order + code, audio, at + head - struct.calcsize(order + code))
    end = behind + int(size)
    return end if at + head <= end and (kind in CHUNK_IDS or end <= len(audio)) else None


def _check_tail(audio: Encoded, at: int, name: str, order: str = "<", head: int = 0) -> None:
    """Raises AudioError where, from byte `at` on, more follows the samples than chunks, tags and zeros.

    `order` and `head` are the chunks': see `_chunk_end`; 0 where the format has none.
    """
    end, before = at, -1
    while before < at < len(audio):
        before, at = at, mpeg.after_tags(audio, at)
        for start in (at, at + 1):  # 1: the pad byte
            if BEGINNINGS.match(audio[start : start + BEGINNING_BYTES]):
                raise AudioError(name, JOINED)
            if head and audio[start : start + 4] in (b"data", b"SSND"):
                raise AudioError(name, "several chunks of samples")
            found = _chunk_end(audio, start, order, head)
            if found is not None:
                at = found
                break
    if at + SLACK_BYTES < len(audio):
        raise AudioError(name, f"{len(audio) - end:,} bytes follow the samples that its headers count")


def _check_alone(audio: Encoded, at: int, name: str) -> None:
    """Raises AudioError where a file of another format begins behind byte `at`, that of the first frame."""
    for magic in MAGICS:
        start = audio.find(magic, at)
        while start != -1:
            if BEGINNINGS.match(audio[start : start + BEGINNING_BYTES]):
                raise AudioError(name, JOINED)
            start = audio.find(magic, start + 1)


def _mp3_in_wav(data: Encoded, size: int, name: str) -> Streams:
    """libsndfile estimates its length: what the data chunk holds is read as the MP3 that it is."""
    if len(data) + SLACK_BYTES < size < STREAMED_BYTES and size % ROUND_BYTES:
        raise AudioError(name, "truncated")
    return Streams(_mpeg(data[: size or None], name).parts, "MP3 in WAV")


def _au(audio: Encoded, name: str) -> Streams:
    """Sun's .snd. libsndfile takes a made-up size as it should, but for 0 and those next to 0x7FFFFFFF."""
    if len(audio) < 24:
        return Streams((audio,))
    start, size = unpack(">II", audio, 4)
    left = len(audio) - start
    if left > 0 and (size == 0 or STREAMED_BYTES <= size <= 0x7FFFFFFF):
        return Streams((audio[:8] + struct.pack(">I", left) + audio[12:],), "size")
    if left + SLACK_BYTES < size < STREAMED_BYTES and size % ROUND_BYTES:
        raise AudioError(name, "truncated")
    _check_tail(audio, start + size, name)
    return Streams((audio,))


def _wide(audio: Encoded, name: str) -> Streams:
    """RF64, W64 and CAF, whose sizes have 64 bits."""
    if audio[:4] == b"riff":
        first, head, order, extra = 40, W64_HEAD, "<", W64_HEAD  # a GUID of 16 bytes, and sizes count the header
    elif audio[:4] == b"caff":
        first, head, order, extra = 8, 12, ">", 0
    else:
        first, head, order, extra = 12, 8, "<", 0
    at, wide_at = first, 0
    while at + head <= len(audio):
        kind, field_at = audio[at : at + 4], at + head - 8 if head > 8 else 0
        if head == 8:
            (size,) = unpack("<I", audio, at + 4)
            if kind == b"ds64":
                wide_at = at + 16
            if kind == b"data" and size == 0xFFFFFFFF and wide_at and wide_at + 8 <= len(audio):
                field_at = wide_at
                (size,) = unpack("<q", audio, wide_at)
        else:
            size = unpack(f"{order}q", audio, field_at)[0] - extra
        if kind == b"data":
            return _wide_data(audio, len(audio) - at - head, size, field_at, order, extra, name)
        if size < 0:
            break
        at += head + size
        at += -at % 8 if extra else size % 2 if head == 8 else 0
    return Streams((audio,))


def _wide_data(audio: Encoded, left: int, size: int, field_at: int, order: str, extra: int, name: str) -> Streams:
    """`_wide` where the data chunk holds `left` bytes and promises `size`, in the field of 64 bits at byte `field_at`.

    Where that is 0, the chunk has 32 bits for it, and libsndfile does as it should with a made-up size.
    """
    beyond = size > left + SLACK_BYTES
    made_up = size <= 0 or (beyond and (size >= 2**62 or 0 in (size % ROUND_BYTES, (size + extra) % ROUND_BYTES)))
    if made_up and left > 0 and field_at:
        told = struct.pack(f"{order}q", left + extra)
        return Streams((audio[:field_at] + told + audio[field_at + 8 :],), "size")
    if beyond and (field_at or size < STREAMED_BYTES):
        raise AudioError(name, "truncated")
    end = len(audio) - left + size
    _check_tail(audio, end, name, order, extra or (12 if order == ">" else 8))
    if extra and end + -end % 8 < len(audio):  # libsndfile reads on
        return Streams((audio[:end],), "tail")
    return Streams((audio,))


def _mpeg(audio: Encoded, name: str) -> Streams:
    found = mpeg.first_frame(audio)
    if found is None:
        return Streams((audio,))
    start, zeros = found
    _check_alone(audio, start, name)
    audio, start, mended = (audio[start:], 0, "zeros") if zeros else (audio, start, "")
    if mpeg.layer_of(audio, start) == 2:
        return Streams((audio,), mended, frames=mpeg.layer2_samples(audio, start, name))
    parts, joined = mpeg.streams(audio, start, name)
    return Streams(tuple(parts), "joined" if joined else mended)

"""MPEG audio by its frames: layers II and III (ISO 11172-3 and 13818-3), and AAC's ADTS (ISO 13818-7).

libsndfile stops after half of an MP3 file with a variable bitrate and no Xing header, because it estimates the length;
after the first of several that were joined, where its Xing header or the tag behind it says so; and it takes a file
that begins with zeros for none.
"""

from __future__ import annotations

import itertools
import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

from soundprobe.audio.encoded import Encoded, after_zeros, joined, search, unpack
from soundprobe.base.errors import AudioError

XING_OFFSETS = {(3, False): 36, (3, True): 21, (2, False): 21, (2, True): 13, (0, False): 21, (0, True): 13}
"""Where the Xing header begins in its frame, by MPEG version bits (3: 1, 2: 2, 0: 2.5) and whether mono."""

KBITS_MPEG1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0)
KBITS_MPEG1_LAYER2 = (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 0)
KBITS_MPEG2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0)
RATES_HZ = {3: (44100, 48000, 32000, 0), 2: (22050, 24000, 16000, 0), 0: (11025, 12000, 8000, 0)}
LAYER2_FRAME_SAMPLES = 1152

TAIL_TAGS = (b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"ID3")
RATED = bytes(byte for byte in range(0x10, 0xF0) if byte & 0x0C != 0x0C)
SYNC = re.compile(rb"\xff(?=[\xe2-\xe7\xf2-\xf7\xfa-\xff][" + re.escape(RATED) + rb"])")
"""How frames of layers II and III begin, with a bitrate and a sampling rate."""
SYNC_BYTES = 3
RESYNC_FRAMES = 3
"""So many frames in a row, of the same kind, are no accident behind something that is no frame."""


class _Frame(NamedTuple):
    """The header of one frame. `version` as in `XING_OFFSETS`."""

    version: int
    layer: int
    rate_hz: int
    mono: bool
    size: int  # bytes

    def joins(self, other: _Frame | None) -> bool:
        """Whether one decoder can go from the one to the other."""
        return other is not None and self[:4] == other[:4]


class _Run(NamedTuple):
    """Frames that follow each other: bytes `start` to `end` hold so many `frames`. Cut short, `end` is beyond the file.

    `alike`: whether one decoder can read all of them.
    """

    start: int
    end: int
    frames: int
    alike: bool


def first_frame(audio: Encoded) -> tuple[int, bool] | None:
    """Where the first frame begins, behind tags and zeros, and whether there were zeros; None where there is none."""
    start = after_id3_tags(audio)
    frame = _frame(audio, start)
    if frame is not None:
        return start, False
    start = after_tags(audio, start)
    return (start, True) if _resyncs(audio, start, start) else None


def after_id3_tags(audio: Encoded) -> int:
    """Where the ID3v2 tags at the beginning end; 0 without any."""
    start = 0
    while audio[start : start + 3] == b"ID3" and len(audio) >= start + 10:
        start = _after_id3(audio, start)
    return start


def layer_of(audio: Encoded, start: int) -> int:
    """2 or 3, of the frame that begins at byte `start`."""
    frame = _frame(audio, start)
    assert frame is not None
    return frame.layer


def layer2_samples(audio: Encoded, start: int, name: str) -> int:
    """How many samples of each channel follow, of layer II.

    Raises:
        AudioError: "truncated".
    """
    first = _run(audio, start)
    runs = [first, *_further_runs(audio, first.end, start)]
    if runs[-1].end > len(audio) and runs[-1].frames > 1:
        raise AudioError(name, "truncated")
    return LAYER2_FRAME_SAMPLES * sum(run.frames for run in runs)


def streams(audio: Encoded, start: int, name: str) -> tuple[list[Encoded], bool]:
    """`audio`, whose first frame of layer III begins at byte `start`, in parts that libsndfile reads whole.

    Also tells whether they are more than its header, or its first run of frames, would make libsndfile read. The very
    same object comes back where that is so as it is. A header frame is put in front of what doesn't tell its length.
    Each further Xing header begins a part of its own; what comes behind a tag without one goes on.

    Raises:
        AudioError: "truncated", or joined of parts with different rates or channels.
    """
    first = _run(audio, start)
    if first.frames == 1 and first.end > len(audio):  # may be two bytes of anything that look like a frame
        return [audio], False
    runs = [first, *_further_runs(audio, first.end, start)]
    if runs[-1].end > len(audio):
        raise AudioError(name, "truncated")
    count, told = sum(run.frames for run in runs), _told_frames(audio, start)
    # Some encoders count the header's own frame and some don't: one frame more or less is no proof.
    goes_on = told is not None and told + 2 < count
    if len(runs) == 1 and not goes_on and not _is_tail(audio, first.end):
        return [audio], False  # something behind the frames that is no tag: libmpg123 finds its way
    if told is not None and told > count:
        raise AudioError(name, "truncated")
    if not all(run.alike and _alike(audio, run.start, start) for run in runs):
        raise AudioError(name, "joined of parts with different rates or channels: split it")
    if goes_on or (told is None and len(runs) > 1):
        return [_whole(part, name) for part in _parts(audio, runs)], True
    # A length that counts the frames behind a gap, too, is right.
    return [audio if told is not None else _with_length(audio[start:], count)], False


def _parts(audio: Encoded, runs: list[_Run]) -> Iterator[Encoded]:
    """The frames of `runs`, cut in front of each Xing header."""
    part: list[Encoded] = []
    for run in runs:
        kept = at = run.start
        for frame in _frames(audio, run.start):
            if _told_frames(audio, at) is not None and (part or at > kept):
                yield joined([*part, audio[kept:at]])
                part, kept = [], at
            at += frame.size
        part.append(audio[kept:at])
    yield joined(part)


def _whole(part: Encoded, name: str) -> Encoded:
    """Frames of which only the first may be a Xing header, with one that tells their length."""
    count, told = _run(part, 0).frames, _told_frames(part, 0)
    if told is not None and told > count:
        raise AudioError(name, "truncated")
    if told is None or told + 2 < count:
        first = _frame(part, 0)
        assert first is not None
        return _with_length(part, count) if told is None else _with_length(part[first.size :], count - 1)
    return part


def has_frames(audio: Encoded, at: int) -> bool:
    """Whether several frames follow each other anywhere from byte `at` on."""
    return any(_resyncs(audio, sync, sync) for sync in search(SYNC, audio, at, SYNC_BYTES))


def adts_ends(audio: Encoded) -> bool:
    """Whether the last frame of an ADTS stream, which begins at byte 0, is all there."""
    at = 0
    while audio[at : at + 1] == b"\xff" and len(audio) >= at + 7:
        size = (audio[at + 3] & 3) << 11 | audio[at + 4] << 3 | audio[at + 5] >> 5
        if size < 7:
            break
        at += size
    return at <= len(audio) and audio[at : at + 1] != b"\xff"


def _frame(audio: Encoded, at: int) -> _Frame | None:
    """The frame that begins at byte `at`; None where there is none, or one of free format or of layer I."""
    head = audio[at : at + 4]
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    if version == 1 or layer not in (2, 3):
        return None
    mpeg1 = KBITS_MPEG1_LAYER2 if layer == 2 else KBITS_MPEG1
    kbits = (mpeg1 if version == 3 else KBITS_MPEG2)[head[2] >> 4]
    rate_hz = RATES_HZ[version][head[2] >> 2 & 3]
    if not kbits or not rate_hz:
        return None
    padding = head[2] >> 1 & 1
    size = (144 if version == 3 or layer == 2 else 72) * kbits * 1000 // rate_hz + padding
    return _Frame(version, layer, rate_hz, head[3] >> 6 == 3, size)


def _frames(audio: Encoded, at: int) -> Iterator[_Frame]:
    frame = _frame(audio, at)
    while frame is not None:
        yield frame
        at += frame.size
        frame = _frame(audio, at)


def _run(audio: Encoded, start: int) -> _Run:
    at, count, alike = start, 0, True
    first = _frame(audio, start)
    for frame in _frames(audio, start):
        at += frame.size
        count += 1
        alike = alike and frame.joins(first)
    return _Run(start, at, count, alike)


def _further_runs(audio: Encoded, at: int, start: int) -> Iterator[_Run]:
    """The runs of frames behind byte `at`, tags and what else stands between them left out."""
    while True:
        at = after_tags(audio, at)
        if not _resyncs(audio, at, at):
            syncs = (sync for sync in search(SYNC, audio, at, SYNC_BYTES) if _resyncs(audio, sync, start))
            at = next(syncs, len(audio))
        if at >= len(audio):
            return
        run = _run(audio, at)
        yield run
        at = run.end


def _resyncs(audio: Encoded, at: int, start: int) -> bool:
    """Whether several frames begin at byte `at` that one decoder can read behind the one at byte `start`."""
    some = list(itertools.islice(_frames(audio, at), RESYNC_FRAMES))
    return len(some) == RESYNC_FRAMES and all(frame.joins(_frame(audio, start)) for frame in some)


def _alike(audio: Encoded, at: int, start: int) -> bool:
    frame = _frame(audio, at)
    return frame is not None and frame.joins(_frame(audio, start))


def _is_tail(audio: Encoded, at: int) -> bool:
    return len(audio) < at + 4 or audio.startswith(TAIL_TAGS, at) or after_zeros(audio, at) == len(audio)


def after_tags(audio: Encoded, at: int) -> int:
    """The first byte from `at` on that is in no tag (ID3, APE, lyrics) and is no zero between them."""
    before = -1
    while at != before and at < len(audio):
        before = at
        if audio[at : at + 3] == b"ID3":
            at = _after_id3(audio, at)
        elif audio[at : at + 8] == b"APETAGEX" and len(audio) >= at + 32:
            size, _, flags = unpack("<III", audio, at + 12)
            at += 32 + (size if flags & 1 << 29 else 0)  # a header: the items follow
        elif audio[at : at + 11] == b"LYRICSBEGIN":
            end = audio.find(b"LYRICS200", at)
            at = at if end == -1 else end + 9
        elif audio[at : at + 3] == b"TAG":
            at += 128
        elif audio[at] == 0:
            at = after_zeros(audio, at)
    return at


def _after_id3(audio: Encoded, at: int) -> int:
    """Where the ID3v2 tag at byte `at` ends."""
    if len(audio) < at + 10:
        return at
    size = 0
    for byte in audio[at + 6 : at + 10]:
        size = size << 7 | byte & 0x7F
    return at + 10 + size + (10 if audio[at + 5] & 0x10 else 0)  # 0x10: a footer follows


def _told_frames(audio: Encoded, at: int) -> int | None:
    """How many frames the Xing header in the frame at byte `at` promises; None without one that does.

    libsndfile believes a header without that number, too, so such a one is taken to promise none: 0.
    """
    frame = _frame(audio, at)
    assert frame is not None
    offset = at + XING_OFFSETS[frame.version, frame.mono]
    for xing in (offset, offset + 2):  # 2: a checksum stands between
        if audio[xing : xing + 4] in (b"Xing", b"Info") and len(audio) >= xing + 12:
            flags, frames = unpack(">II", audio, xing + 4)
            return int(frames) if flags & 1 else 0
    return None


def _with_length(frames: Encoded, count: int) -> Encoded:
    """A frame without sound, which tells the decoder that `count` frames follow, and `frames`."""
    # No checksum, and bitrate index 9 (128 or 80 kbit/s), where the frame has room for the Xing header.
    header = bytes((frames[0], frames[1] | 1, 0x90 | frames[2] & 0x0C, frames[3]))
    frame = _frame(header, 0)
    assert frame is not None
    body = header + bytes(XING_OFFSETS[frame.version, frame.mono] - 4) + b"Xing" + struct.pack(">II", 1, count)
    return body.ljust(frame.size, b"\0") + frames

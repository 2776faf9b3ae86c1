"""Ogg pages (RFC 3533): is the stream whole, and is it one stream or several, one after the other?

libogg leaves out a page whose checksum is wrong, and what it continues; libsndfile says nothing of it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import NamedTuple

from soundprobe.audio.encoded import Encoded
from soundprobe.base.errors import AudioError

HEADER_BYTES = 27
FIRST_PAGE, LAST_PAGE = 2, 4
AUDIO_HEADERS = (b"\x01vorbis", b"OpusHead", b"Speex   ", b"\x7fFLAC")
BITS_TURNED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class _Page(NamedTuple):
    """Bytes `start` to `end`; `stream` and `number` are its serial number and its place in it."""

    start: int
    end: int
    flags: int
    stream: bytes
    number: int
    has_audio_header: bool


def links(audio: Encoded, name: str) -> list[Encoded]:
    """The streams that are joined in `audio` ("chained"), mostly one.

    The very same object comes back where there is one.

    Raises:
        AudioError: "truncated": the end of one is missing; "truncated or damaged": a page is; several tracks that sound
            at the same time.
    """
    starts: list[int] = []
    flags, tracks = LAST_PAGE, 0
    next_number: dict[bytes, int] = {}
    for page in _pages(audio):
        if page.end > len(audio):
            raise AudioError(name, "truncated")
        if page.flags & FIRST_PAGE:
            if not flags & FIRST_PAGE:  # streams side by side all begin before any goes on
                if not flags & LAST_PAGE:
                    raise AudioError(name, "truncated")
                starts.append(page.start)
                tracks = 0
            next_number[page.stream] = page.number
            tracks += page.has_audio_header
            if tracks > 1:
                raise AudioError(name, "several tracks that sound at the same time: keep one")
        if page.number != next_number.get(page.stream) or not _checksum_fits(audio[page.start : page.end]):
            raise AudioError(name, "truncated or damaged")
        next_number[page.stream] = (page.number + 1) % 2**32
        flags = page.flags
    if not flags & LAST_PAGE:
        raise AudioError(name, "truncated")
    if len(starts) < 2:
        return [audio]
    return [audio[start:end] for start, end in zip(starts, [*starts[1:], len(audio)], strict=True)]


def end(audio: Encoded) -> int:
    """Where the last page ends."""
    return max((page.end for page in _pages(audio)), default=0)


def _pages(audio: Encoded) -> Iterator[_Page]:
    """Each page; the last may end beyond the file."""
    at = 0
    while at != -1:
        table = at + HEADER_BYTES
        segments = audio[at + 26] if table <= len(audio) else 0
        end = table + segments + sum(audio[table : table + segments])
        flags = audio[at + 5] if table <= len(audio) else 0
        number = int.from_bytes(audio[at + 18 : at + 22], "little")
        has_audio_header = audio.startswith(AUDIO_HEADERS, table + segments)
        yield _Page(at, end, flags, audio[at + 14 : at + 18], number, has_audio_header)
        at = audio.find(b"OggS", end)


def _checksum_fits(page: bytes) -> bool:
    """Ogg's CRC-32 is zlib's with the bits of every byte turned about, and without its inversions."""
    turned = (page[:22] + bytes(4) + page[26:]).translate(BITS_TURNED)
    return zlib.crc32(turned, 0xFFFFFFFF) ^ 0xFFFFFFFF == int.from_bytes(page[22:26].translate(BITS_TURNED), "big")

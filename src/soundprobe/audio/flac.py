"""FLAC frames (RFC 9639): does a stream end where its header says, or does libsndfile stop before?"""

from __future__ import annotations

from soundprobe.audio.encoded import Encoded

HEADER = b"fLaC\0\0\0\x22"
FIXED_BLOCKS = b"\xff\xf8"
MOST_FRAMES = 0x10FFFF


def goes_on(audio: Encoded) -> bool:
    """Whether a whole frame begins behind the samples that the header counts, of a stream with blocks of one size."""
    if len(audio) < 42:
        return False
    block, total = int.from_bytes(audio[10:12], "big"), int.from_bytes(audio[21:26], "big") & (2**36 - 1)
    first = first_frame(audio)
    if audio[8:10] != audio[10:12] or not block or not total or audio[first : first + 2] != FIXED_BLOCKS:
        return False
    number = -(-total // block)
    if number > MOST_FRAMES:
        return False
    # Frames are numbered as UTF-8 codes characters, and all but the last begin alike.
    return audio.find(audio[first : first + 4] + chr(number).encode("utf-8", "surrogatepass"), first) != -1


def first_frame(audio: Encoded) -> int:
    """Where the metadata end and the first frame begins."""
    at, last = 4, False
    while not last and at + 4 <= len(audio):
        last = audio[at] >= 0x80
        at += 4 + int.from_bytes(audio[at + 1 : at + 4], "big")
    return at

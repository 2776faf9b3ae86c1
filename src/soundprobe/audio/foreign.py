"""Is a file whole, and one, that FFmpeg is to read? It takes what is there of one that was cut, and the first of two.

Sources: ISO 14496-12 (boxes), RFC 8794 (EBML), Microsoft's ASF specification, RIFF as in libsndfile.
"""

from __future__ import annotations

from soundprobe.audio import mpeg
from soundprobe.audio.encoded import Encoded, unpack
from soundprobe.base.errors import AudioError

EBML, SEGMENT = b"\x1aE\xdf\xa3", b"\x18\x53\x80\x67"
ASF = b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"
ASF_FILE_PROPERTIES = b"\xa1\xdc\xab\x8c\x47\xa9\xcf\x11\x8e\xe4\x00\xc0\x0c\x20\x53\x65"
JOINED = "joined of several files, of which FFmpeg reads the first: split it"


def check_whole(audio: Encoded, name: str) -> None:
    """Raises AudioError where the end of `audio` is missing, or where a second file follows."""
    told = None
    if audio[4:8] == b"ftyp":
        told = _end_of_boxes(audio, name)
    elif audio.startswith(EBML):
        told = _end_of_segment(audio)
    elif audio.startswith(ASF):
        told = _end_of_asf(audio)
    elif audio[:1] == b"\xff" and not mpeg.adts_ends(audio):
        told = len(audio) + 1
    elif audio.startswith((b"TTA1", b"MAC ")) and audio.find(audio[:8], 8) != -1:
        raise AudioError(name, JOINED)
    if told is not None and told > len(audio):
        raise AudioError(name, "truncated")


def _end_of_boxes(audio: Encoded, name: str) -> int:
    at = 0
    while at + 16 <= len(audio):
        size, kind, wide = unpack(">I4sQ", audio, at)
        if kind == b"ftyp" and at:
            raise AudioError(name, JOINED)
        size = wide if size == 1 else size
        if size < 8:  # 0: up to the end
            break
        at += size
    return at


def _end_of_segment(audio: Encoded) -> int | None:
    head, size = _vint(audio, 4)
    at = head + size
    if audio[at : at + 4] != SEGMENT:
        return None
    head, size = _vint(audio, at + 4)
    unknown = 2 ** (7 * (head - at - 4)) - 1
    return None if size == unknown else head + size


def _vint(audio: Encoded, at: int) -> tuple[int, int]:
    """Where the number of EBML ends that begins at byte `at`, and its value."""
    first = audio[at] if at < len(audio) else 0
    length = 9 - first.bit_length()
    return at + length, int.from_bytes(audio[at : at + length], "big") & (2 ** (7 * length) - 1)


def _end_of_asf(audio: Encoded) -> int | None:
    at = audio.find(ASF_FILE_PROPERTIES, 0, 65_536)
    if at == -1 or at + 48 > len(audio):
        return None
    return int(unpack("<Q", audio, at + 40)[0]) or None

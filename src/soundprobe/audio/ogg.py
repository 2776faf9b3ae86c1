"""Ogg pages (RFC 3533): is the stream whole, and is it one stream or several, one after the other?"""

from __future__ import annotations

from collections.abc import Iterator

HEADER_BYTES = 27
FIRST_PAGE, LAST_PAGE = 2, 4


def links(audio: bytes) -> list[bytes] | None:
    """The streams that are joined in `audio` ("chained"), mostly one; None where the end of one is missing.

    The very same object comes back where there is one.
    """
    starts: list[int] = []
    flags = LAST_PAGE
    for at, page_flags in _pages(audio):
        if page_flags is None:
            return None
        if page_flags & FIRST_PAGE and not flags & FIRST_PAGE:  # streams side by side all begin before any goes on
            if not flags & LAST_PAGE:
                return None
            starts.append(at)
        flags = page_flags
    if not flags & LAST_PAGE:
        return None
    if len(starts) < 2:
        return [audio]
    return [audio[start:end] for start, end in zip(starts, [*starts[1:], len(audio)], strict=True)]


def _pages(audio: bytes) -> Iterator[tuple[int, int | None]]:
    """Where each page begins, and its flags; None for one that isn't all there."""
    at = 0
    while at != -1:
        table = at + HEADER_BYTES
        segments = audio[at + 26] if table <= len(audio) else 0
        end = table + segments + sum(audio[table : table + segments])
        if end > len(audio) or table + segments > len(audio):
            yield at, None
            return
        yield at, audio[at + 5]
        at = audio.find(b"OggS", end)

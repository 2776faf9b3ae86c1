"""Text that a stranger may have written, made fit for a line of a terminal or a page."""

from __future__ import annotations

import unicodedata

TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that could turn the text around them about (bidirectional overrides and isolates)."""


def one_line(text: object) -> str:
    """`text` on one line, without control characters or characters that reorder what stands around them."""
    shown = "".join(
        " " if char.isspace() or unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") else char
        for char in str(text)
        if char not in TURNING
    )
    return " ".join(shown.split())

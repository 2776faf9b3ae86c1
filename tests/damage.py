"""Files as an accident leaves them."""

from __future__ import annotations

from pathlib import Path


def damage(path: Path, how: str = "flipped") -> None:
    """The file "cut" in half, with one bit of its middle "flipped", or "lost"."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    if how == "lost":
        path.unlink()
    else:
        path.write_bytes(content if how == "flipped" else content[: len(content) // 2])

"""Files as an accident leaves them."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import Any

import pytest

from soundprobe.base.digests import MARK, UNSIGNED, sign


def damage(path: Path, how: str = "flipped") -> None:
    """The file "cut" in half, with one bit of its middle "flipped", or "lost"."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    if how == "lost":
        path.unlink()
    else:
        path.write_bytes(content if how == "flipped" else content[: len(content) // 2])


def sign_again(path: Path) -> None:
    """The digest of the file as it is now, where it has an older one: somebody wrote it so on purpose."""
    content = path.read_bytes()
    path.write_bytes(re.sub(MARK.encode() + rb"[0-9a-f]{32}", UNSIGNED.encode(), content))
    sign(path)


def make_read_only(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`root` and all below as if their disk were mounted so: what opens a file by `os.open` to write it is refused."""
    real = os.open

    def opened(path: Any, flags: int, *rest: Any, **named: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR) and str(path).startswith(str(root)):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        return real(path, flags, *rest, **named)

    monkeypatch.setattr(os, "open", opened)

"""Where things lie: what may be fetched again, and this machine's copies of what URLs name."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from pathlib import Path


def cache_folder() -> Path:
    """The folder of everything that soundprobe may fetch or make again: `SOUNDPROBE_CACHE`, else the user's cache."""
    chosen = os.environ.get("SOUNDPROBE_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    import platformdirs

    return platformdirs.user_cache_path("soundprobe")


def copies_folder() -> str:
    """The folder of the copies, ending in a separator: "s3/bucket/key" below it is the copy of s3://bucket/key."""
    return _copies_folder(os.environ.get("SOUNDPROBE_CACHE"))


@lru_cache
def _copies_folder(_: str | None) -> str:
    """Asked for each clip."""
    return os.path.join(os.path.realpath(cache_folder()), "stores", "")


def url_of(path: str | os.PathLike[str]) -> str | None:
    """What the file or folder at `path` is the copy of; None where it is none."""
    place, root = os.path.abspath(path), copies_folder()
    if not place.startswith(root):
        return None
    scheme, _, rest = place[len(root) :].replace(os.sep, "/").partition("/")
    return f"{scheme}://{rest}" if rest else None


def told(text: str) -> str:
    """`text` with URLs in place of the paths of their copies: what is said and written names the store."""
    root = copies_folder()
    return re.sub(re.escape(root) + r"([a-z0-9+.-]+)[/\\]", r"\1://", text) if root in text else text

"""Digests that name what a file was made from, so that a change of anything makes a new file."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

KEY_LENGTH = 12


def digest_key(content: Mapping[str, Any]) -> str:
    """The first 12 hexadecimal digits of the SHA-256 of `content` as canonical JSON.

    Equal content gives equal keys whatever the order of its fields; 48 bits keep the sets of one folder apart.
    """
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:KEY_LENGTH]


def printable(text: str) -> str:
    """`text` as UTF-8 can hold it: bytes of a path that are not UTF-8 become backslash escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def path_name(name: str) -> str:
    """`name` as one safe path component: letters, digits, '.', '_', '+' and '-'; anything else becomes '-'.

    >>> path_name("timm:resnet18"), path_name("../x y")
    ('timm-resnet18', 'x-y')
    """
    return re.sub(r"[^\w.+-]+", "-", name, flags=re.ASCII).strip(".-") or "unnamed"

"""Recordings that file names may hold, where nothing else says them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

PATTERNS = (
    r"^(.+)_nohash_",  # Speech Commands: 0a7c2a8d_nohash_0
    r"^\d+-(\d+)-[A-Z]",  # ESC-50: 1-100032-A-0
    r"^(\d+)-\d+-\d+-\d+\.",  # UrbanSound8K: 100032-3-0-0
    r"^(.+[^\d_-])[_-]?[a-z]\.",  # take12b
    r"^(.+\d)[_.-]\d+\.",  # dog_07_3
    r"^(.+\d)[_-]",  # r12_close
)
"""The particular before the general; each has one group, the recording."""


@dataclass(frozen=True)
class GroupsSuggestion:
    """A regular expression for --group-regex, and what it would give."""

    regex: str
    recordings: int
    clips: int
    example: str
    named: str

    def describe(self) -> str:
        """In a sentence, with the option."""
        return (
            f"--group-regex '{self.regex}' would give {self.recordings} recordings of {self.clips} clips (of "
            f"{self.example}: {self.named})."
        )


def suggest_groups(ids: Sequence[str] | np.ndarray, labels: np.ndarray) -> GroupsSuggestion | None:
    """What the first of `PATTERNS` finds in every file name, where it joins clips and leaves each class several
    recordings; None where none does.

    Args:
        ids: N paths; labels: (N,) int.
    """
    names = [PurePosixPath(str(clip).replace("\\", "/")).name for clip in ids]
    for pattern in PATTERNS:
        matches = [re.search(pattern, name) for name in names]
        groups = np.array([match[1] if match else "" for match in matches])
        if (groups == "").any() or not 1 < len(np.unique(groups)) < len(names):
            continue
        if all(len(np.unique(groups[labels == label])) > 1 for label in np.unique(labels)):
            return GroupsSuggestion(pattern, len(np.unique(groups)), len(names), names[0], str(groups[0]))
    return None

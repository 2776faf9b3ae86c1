"""Which clip of a data set a text names: by id, by the path of its file, or by the end of either."""

from __future__ import annotations

import os
from pathlib import PurePosixPath

from soundprobe.base.records import Clips
from soundprobe.data.readers.locate import plain_name

SEVERAL = -1


class ClipNames:
    """Finds clips as other systems and tools write their names.

    An id is taken as it is. Else backslashes are slashes, names may differ in Unicode form and in case, and the folders
    in front may be others or none, and so may a missing ending, as long as one clip alone is meant.
    """

    def __init__(self, clips: Clips) -> None:
        self._ids = {clip: row for row, clip in enumerate(clips.ids.tolist())}
        self._ends: dict[tuple[str, ...], int] = {}
        for row, (clip, source) in enumerate(zip(clips.ids.tolist(), clips.sources, strict=True)):
            named = {_parts(clip)} | ({_parts(os.fspath(source))} if isinstance(source, str | os.PathLike) else set())
            ends = {parts[begin:] for parts in named for begin in range(len(parts))}
            ends |= {(*end[:-1], PurePosixPath(end[-1]).stem) for end in ends}
            for end in ends:
                self._ends[end] = row if self._ends.get(end, row) == row else SEVERAL

    def find(self, text: str) -> int | None:
        """The clip's row; None where there is none, `SEVERAL` where several may be meant."""
        if text in self._ids:
            return self._ids[text]
        parts = _parts(text)
        return next((self._ends[end] for begin in range(len(parts)) if (end := parts[begin:]) in self._ends), None)


def _parts(path: str) -> tuple[str, ...]:
    return tuple(plain_name(part) for part in path.replace("\\", "/").split("/") if part not in ("", "."))

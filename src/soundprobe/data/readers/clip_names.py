"""Which clip of a data set a text names: by id, by the path of its file, or by the end of either."""

from __future__ import annotations

import os
from pathlib import PurePosixPath

from soundprobe.base.records import Clips
from soundprobe.data.readers.locate import plain_name

SEVERAL = -1


class ClipNames:
    """Finds clips as other systems and tools write their names.

    An id is taken as it is. Else backslashes are slashes, names may differ in Unicode form and in case, the folders in
    front may be others or none, and the ending may be missing, as long as one clip alone is meant. A folder that holds
    clips is no other: "train/1.wav" never is "test/1.wav" where both hold some.
    """

    def __init__(self, clips: Clips) -> None:
        self._ids = {clip: row for row, clip in enumerate(clips.ids.tolist())}
        self._ends: dict[tuple[str, ...], int] = {}
        self._folders: set[str] = set()
        for row, (clip, source) in enumerate(zip(clips.ids.tolist(), clips.sources, strict=True)):
            named = {_parts(clip)} | ({_parts(os.fspath(source))} if isinstance(source, str | os.PathLike) else set())
            self._folders |= {parts[-2] for parts in named if len(parts) > 1}
            ends = {parts[begin:] for parts in named for begin in range(len(parts))}
            ends |= {(*end[:-1], PurePosixPath(end[-1]).stem) for end in ends}
            for end in ends:
                self._ends[end] = row if self._ends.get(end, row) == row else SEVERAL

    def find(self, text: str) -> int | None:
        """The clip's row; None where there is none, `SEVERAL` where several may be meant."""
        if text in self._ids:
            return self._ids[text]
        parts = _parts(text)
        begin = next((begin for begin in range(len(parts)) if parts[begin:] in self._ends), None)
        if begin is None or (begin == len(parts) - 1 and begin > 0 and parts[begin - 1] in self._folders):
            return None
        return self._ends[parts[begin:]]


def _parts(path: str) -> tuple[str, ...]:
    return tuple(plain_name(part) for part in path.replace("\\", "/").split("/") if part not in ("", "."))

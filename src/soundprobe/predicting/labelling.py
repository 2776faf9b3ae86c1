"""A folder of label files, one for each recording, that is gone on with where it was stopped.

`predict.jsonl` beside them has a line for each recording that is done: what was asked, the recording's size and time
of change, and the answer. A recording is passed over where its last line says the same of it and its file is there.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soundprobe.base.errors import ConfigError, StoreError
from soundprobe.base.files import digest_key, parse_json, printable, refused, remove_leftovers_of, write_text
from soundprobe.base.places import told
from soundprobe.predicting.label_formats import json_line

LOG = "predict.jsonl"


@dataclass(frozen=True)
class Recording:
    """A file to be heard.

    Attributes:
        below: where it lies in the folder that was named, or its name.
        size_bytes, changed_ns: as it was when it was listed; 0 where it isn't there.
    """

    path: Path
    below: Path
    size_bytes: int = 0
    changed_ns: int = 0

    @classmethod
    def at(cls, path: Path, below: Path) -> Recording:
        try:
            status = os.stat(path)
        except (OSError, ValueError):  # ValueError: a NUL character in the path
            return cls(path, below)
        return cls(path, below, status.st_size, status.st_mtime_ns)

    @property
    def is_there(self) -> bool:
        """Whether it is a file that can be known again: standard input is none."""
        return self.changed_ns != 0

    @property
    def state(self) -> list[int]:
        """What changes when the file does."""
        return [self.size_bytes, self.changed_ns]


def asked_key(run: Path, asked: Mapping[str, Any]) -> str:
    """A key of all that an answer depends on but for the recording: what was asked, and the files of the run."""
    heads = [[path.name, *Recording.at(path, Path(path.name)).state] for path in sorted(run.glob("*.safetensors"))]
    return digest_key({"run": printable(str(run.resolve())), "heads": heads, **asked})


class LabelFolder:
    """The label files of `recordings` in `folder`.

    Args:
        key: see `asked_key`; ending: of the files.

    Raises:
        ConfigError: two of them would have one file.
    """

    def __init__(self, folder: Path, recordings: Sequence[Recording], key: str, ending: str) -> None:
        self.folder, self.key = folder, key
        self._before = ""
        self._files = {path: folder / name for path, name in _names(recordings, ending).items()}
        remove_leftovers_of(self._files.values())

    def file_of(self, recording: Recording) -> Path:
        """Named as the recording; with its ending too, where another in that place differs by nothing else, and
        placed below the folder that all share, where several of the folders that were named hold such a one."""
        return self._files[recording.path]

    def finished(self, recordings: Sequence[Recording]) -> dict[Path, dict[str, Any]]:
        """The answers of those that are done, by their paths."""
        try:
            text = (self.folder / LOG).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return {}
        # Not `splitlines`, which takes a few characters of names for line breaks.
        lines, self._before = text.split("\n"), "" if text.endswith("\n") or not text else "\n"
        logged: dict[str, dict[str, Any]] = {}
        for line in lines:
            try:
                said = parse_json(line)
                logged[said["file"]] = said
            except (ValueError, KeyError, TypeError):  # cut by a crash: that recording is heard again
                continue
        found = {}
        for recording in recordings:
            file = self.file_of(recording)
            said = logged.get(self._name(file), {})
            same = said.get("recording") == recording.state and said.get("asked") == self.key
            answer = said.get("answer")
            if not (same and recording.is_there and isinstance(answer, dict) and file.exists()):
                continue
            if answer.get("clip") == told(str(recording.path)):  # which stands in the file, too
                found[recording.path] = answer
        return found

    def write(self, recording: Recording, text: str, answer: Mapping[str, Any]) -> Path:
        """Writes a recording's file, whole or not at all, and then that it is done.

        Raises:
            StoreError: the folder can't be written.
        """
        file = self.file_of(recording)
        write_text(file, printable(text))
        said = {"file": self._name(file), "recording": recording.state, "asked": self.key, "answer": dict(answer)}
        try:
            with (self.folder / LOG).open("a", encoding="utf-8") as log:
                log.write(printable(self._before + json_line(said)))
        except OSError as error:
            raise StoreError(refused(f"Can't write {self.folder / LOG}", error)) from error
        self._before = ""
        return file

    def _name(self, file: Path) -> str:
        return printable(file.relative_to(self.folder).as_posix())


def _names(recordings: Sequence[Recording], ending: str) -> dict[Path, Path]:
    """The file of each recording's path, relative to the folder: the first way of naming them that tells all apart.

    Raises:
        ConfigError: there is none.
    """
    stems = Counter(recording.below.with_suffix("") for recording in recordings)
    ways: list[Callable[[Recording], Path]] = [
        lambda one: stem if stems[stem := one.below.with_suffix("")] == 1 else one.below,
        lambda one: one.below,
        lambda one: Path(os.path.abspath(one.path)).relative_to(_shared(recordings)),
    ]
    for way in ways:
        named = {one.path: way(one) for one in recordings}
        files = {path: below.with_name(below.name + ending) for path, below in named.items()}
        if len({Path(LOG), *files.values()}) == 1 + len(files):
            return files
    raise ConfigError("Two of the recordings would have one file of labels. Name each once, or their common folder.")


def _shared(recordings: Sequence[Recording]) -> Path:
    """The deepest folder that holds all of them."""
    return Path(os.path.commonpath([os.path.dirname(os.path.abspath(one.path)) for one in recordings]))

"""Where a manifest's paths lead: as they are written, or as another system or tool wrote the same name."""

from __future__ import annotations

import difflib
import itertools
import os
import re
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from soundprobe.base.errors import DataError, SoundprobeWarning
from soundprobe.base.remote import is_url, placed
from soundprobe.base.texts import first_of_each
from soundprobe.data.listing import files_below, is_audio

ODD = re.compile(r"/(?=[/.]|$)")
MOST_FILES = 100_000  # looked through for a file's name


class Locator:
    """Finds paths below `root`.

    A URL is taken as it is, and a path where something is there. Else backslashes are slashes, a drive or the folders
    in front of what is there are dropped where `root` was given by the user, and names may differ in Unicode form, in
    case, or by a missing ending.
    """

    def __init__(self, root: Path, *, given: bool) -> None:
        self.root, self.given = str(root), given
        self._listings: dict[str, dict[str, list[str]]] = {}

    def plain(self, path: str) -> str:
        """`path` below the root, as it is written, or the place of a URL."""
        if is_url(path):
            return str(placed(path))
        joined = os.path.join(self.root, path)
        return joined if os.sep == "/" and not ODD.search(joined) else str(Path(joined))

    def find(self, path: str) -> str:
        """The file's path; `path` below the root where nothing is found."""
        plain = self.plain(path)
        if is_url(path) or os.path.isfile(plain):
            return plain
        parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".")]
        tails = range(len(parts)) if self.given else range(1)
        for begin in tails:
            if found := self._below(parts[begin:], "/" if path.startswith("/") and not self.given else self.root):
                return found
        return plain

    def _below(self, parts: Sequence[str], place: str) -> str | None:
        for depth, part in enumerate(parts, start=1):
            child = os.path.join(place, part)
            if part == ".." or os.path.exists(child):
                place = child
                continue
            names = self._names(place)
            alike = names.get(plain_name(part), [])
            if not alike and depth == len(parts) and not is_audio(Path(child)):
                alike = [name for key, some in names.items() if Path(key).stem == plain_name(part) for name in some]
                alike = [name for name in alike if is_audio(Path(name))]
            if len(alike) != 1:
                return None
            place = os.path.join(place, alike[0])
        return place if os.path.isfile(place) else None

    def _names(self, folder: str) -> dict[str, list[str]]:
        """What is in a folder, by plain name."""
        if folder not in self._listings:
            names: dict[str, list[str]] = {}
            try:
                for name in sorted(os.listdir(folder)):
                    names.setdefault(plain_name(name), []).append(name)
            except OSError:
                pass
            self._listings[folder] = names
        return self._listings[folder]


def plain_name(name: str) -> str:
    """A file's name without what differs between systems: its Unicode form, and its case."""
    return unicodedata.normalize("NFC", name).casefold()


class LocatedFiles(Sequence[str]):
    """Where each of N paths leads: those that lie elsewhere than they are written are kept, the others put together."""

    def __init__(self, locator: Locator, written: Sequence[str]) -> None:
        self.plain, self.written = locator.plain, written
        self.elsewhere: dict[int, str] = {}
        for row, path in enumerate(written):
            if (found := locator.find(path)) != locator.plain(path):
                self.elsewhere[row] = found

    def __len__(self) -> int:
        return len(self.written)

    def __iter__(self) -> Iterator[str]:
        for row, path in enumerate(self.written):
            yield self.elsewhere.get(row) or self.plain(path)

    def __getitem__(self, row: Any) -> Any:
        return self.elsewhere.get(int(row)) or self.plain(self.written[row])


def first_of_each_file(files: Sequence[str]) -> np.ndarray:
    """(N,) int64, for each row the first one of its file: a link to it, or "./a.wav" for "a.wav", is the same."""
    folders: dict[str, str] = {}

    def real(file: str) -> str:
        if "\0" in file:
            return file
        folder, name = os.path.split(file)
        if folder not in folders:
            folders[folder] = os.path.realpath(folder)
        return os.path.realpath(file) if os.path.islink(file) else os.path.join(folders[folder], name)

    return first_of_each(files, real)


def nearest_name(path: str | Path) -> str:
    """Of the folder in which nothing is at `path`: " The nearest name there is ESC-10.", or empty."""
    names: list[str] = []
    with suppress(OSError):  # it isn't there, or may be entered and not listed
        names = os.listdir(Path(path).parent)
    near = difflib.get_close_matches(Path(path).name, names, n=1)
    return f" The nearest name there is {near[0]}." if near else ""


def explain_missing(path: str) -> str:
    """What is there instead of the missing file `path`: the nearest name, and where else a file of its name is."""
    wanted = Path(path.replace("\\", "/"))
    folder = wanted.parent
    standing = next((place for place in (folder, *folder.parents) if os.path.isdir(place)), Path("/"))
    if standing != folder:
        said = f"There is no folder {folder}; {standing} is there."
    else:
        try:
            near = difflib.get_close_matches(wanted.name, sorted(os.listdir(folder)), n=1)
        except OSError as error:
            return f"Can't list {folder} ({error.strerror}). Let it be read."
        said = f"The nearest name in {folder} is {near[0]}." if near else f"{folder} has no name like it."
    if standing == Path(standing.anchor):
        return said
    with warnings.catch_warnings(), suppress(DataError):  # links and locked folders are not what was asked for
        warnings.simplefilter("ignore", SoundprobeWarning)
        for file in itertools.islice(files_below(standing), MOST_FILES):
            if file.name == wanted.name:
                return f"{said} A file of that name is in {file.parent}: for a manifest, --audio-root {file.parent}."
    return f"{said} For a manifest, --audio-root FOLDER looks elsewhere."

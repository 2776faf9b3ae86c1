"""Where a manifest's paths lead: as they are written, or as another system or tool wrote the same name."""

from __future__ import annotations

import difflib
import itertools
import os
import unicodedata
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from soundprobe.base.errors import DataError, SoundprobeWarning
from soundprobe.base.remote import is_url, placed
from soundprobe.data.listing import files_below, is_audio

MOST_FILES = 100_000  # looked through for a file's name


class Locator:
    """Finds paths below `root`.

    A URL is taken as it is, and a path where something is there. Else backslashes are slashes, a drive or the folders
    in front of what is there are dropped where `root` was given by the user, and names may differ in Unicode form, in
    case, or by a missing ending.
    """

    def __init__(self, root: Path, *, given: bool) -> None:
        self.root, self.given = root, given
        self._listings: dict[Path, dict[str, list[str]]] = {}

    def find(self, path: str) -> str:
        """The file's path; `path` below the root where nothing is found."""
        plain = placed(path) if is_url(path) else self.root / path
        if is_url(path) or os.path.isfile(plain):
            return str(plain)
        parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".")]
        tails = range(len(parts)) if self.given else range(1)
        for begin in tails:
            if found := self._below(parts[begin:], Path("/") if path.startswith("/") and not self.given else self.root):
                return str(found)
        return str(plain)

    def _below(self, parts: Sequence[str], place: Path) -> Path | None:
        for depth, part in enumerate(parts, start=1):
            child = place / part
            if part == ".." or os.path.exists(child):
                place = child
                continue
            names = self._names(place)
            alike = names.get(plain_name(part), [])
            if not alike and depth == len(parts) and not is_audio(child):
                alike = [name for key, some in names.items() if Path(key).stem == plain_name(part) for name in some]
                alike = [name for name in alike if is_audio(Path(name))]
            if len(alike) != 1:
                return None
            place = place / alike[0]
        return place if place.is_file() else None

    def _names(self, folder: Path) -> dict[str, list[str]]:
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


def one_path_a_file(paths: Sequence[str], files: Sequence[str]) -> list[str]:
    """Each row's path, as its file's first row writes it: "a.wav" where "./a.wav", or a link to it, comes later."""
    folders = {folder: os.path.realpath(folder) for folder in set(map(os.path.dirname, files)) if "\0" not in folder}
    first: dict[str, str] = {}
    real = [os.path.join(folders.get(os.path.dirname(file), ""), os.path.basename(file)) for file in files]
    real = [os.path.realpath(file) if "\0" not in file and os.path.islink(file) else file for file in real]
    return [first.setdefault(file, path) for file, path in zip(real, paths, strict=True)]


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

"""Which files below a folder are audio: one answer for data sets, `predict`, `view` and folders of noise."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from soundprobe.audio.formats import AUDIO_ENDINGS
from soundprobe.base.errors import DataError, note
from soundprobe.base.records import EncodedAudio, Source
from soundprobe.base.remote import local

NO_CLIPS = frozenset({"__macosx", "desktop.ini", "thumbs.db"})
"""What systems leave in folders; hidden files, such as AppleDouble's "._a.wav", begin with a dot."""
TABLES = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".parquet", ".arrow")
"""Endings of what readers look into."""


def is_shown(name: str) -> bool:
    """Whether a file or folder of this name is the user's: not hidden, and not left there by a system."""
    return not name.startswith(".") and name.casefold() not in NO_CLIPS


def files_below(folder: Path) -> Iterator[Path]:
    """All files in `folder` and below that are shown, a folder's own before those of its subfolders, each by name.

    Links to folders are followed, but for those that lead to what is listed anyway: these are left out with a warning.

    Raises:
        DataError: a folder can't be listed.
    """
    listed = [os.path.realpath(folder)]
    left = [Path(folder)]
    while left:
        place = left.pop()
        subfolders = []
        for entry in shown_entries(place):
            if not _is_folder(entry):
                yield place / entry.name
            elif not entry.is_symlink():
                subfolders.append(place / entry.name)
            elif leads_back(target := os.path.realpath(entry.path), listed):
                note(f"The link {entry.path} is left out: it leads to {target}, whose files are listed already.")
            else:
                listed.append(target)
                subfolders.append(place / entry.name)
        left += reversed(subfolders)


def shown_entries(folder: Path) -> list[os.DirEntry[str]]:
    """What is in `folder` and shown, by name.

    Raises:
        DataError: it can't be listed.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted((entry for entry in entries if is_shown(entry.name)), key=lambda entry: entry.name)
    except OSError as error:
        remedy = " Let it be read, or move it elsewhere." if isinstance(error, PermissionError) else ""
        raise DataError(f"Can't read {folder}: {error.strerror or error}.{remedy}") from error


def folders_in(folder: Path) -> list[str]:
    """The names of the subfolders of `folder` that are shown, sorted; without links that lead back to it.

    Raises:
        DataError: it can't be listed.
    """
    listed = [os.path.realpath(folder)]
    return [
        entry.name
        for entry in shown_entries(folder)
        if _is_folder(entry) and not (entry.is_symlink() and leads_back(os.path.realpath(entry.path), listed))
    ]


def leads_back(target: str, listed: Sequence[str]) -> bool:
    """Whether the folder `target` is one of `listed`, lies in one, or holds one. All of them are real paths."""
    return any(Path(target).is_relative_to(one) or Path(one).is_relative_to(target) for one in listed)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def is_audio(path: Path) -> bool:
    """By its ending."""
    return path.suffix.lower() in AUDIO_ENDINGS


def audio_below(folder: Path) -> list[Path]:
    """The audio files in `folder` and below, sorted; others are left out with a warning that counts them."""
    files = sorted(files_below(folder))
    note_left_out(folder, (file for file in files if not is_audio(file)))
    return [file for file in files if is_audio(file)]


def audio_files(place: Path) -> list[Path]:
    """`place` itself, or the audio files below it, as `audio_below`.

    Raises:
        DataError: a folder without any.
    """
    if not place.is_dir():
        return [place]
    files = audio_below(place)
    if not files:
        raise DataError(f"{place} holds no audio files ({', '.join(AUDIO_ENDINGS)}). Name another folder or a file.")
    return files


def listed(place: str | os.PathLike[str]) -> Path:
    """Where `place` is on this machine; of one at a URL, tables are fetched, and all else when it is read."""
    return local(place, now=lambda name: name.lower().endswith(TABLES))


def with_folders(sources: Iterable[Source]) -> Iterator[tuple[Source, bool]]:
    """Each source, folders as the audio files in them, and whether it was found in one.

    Raises:
        DataError: as `audio_files`.
    """
    for source in sources:
        if isinstance(source, EncodedAudio):
            yield source, False
        else:
            yield from ((path, path != place) for place in [listed(source)] for path in audio_files(place))


def counted_endings(files: Iterable[Path]) -> str:
    """ ".txt: 2, .zip: 1"; empty for no files."""
    counted = Counter(file.suffix.lower() or "no ending" for file in files)
    return ", ".join(f"{ending}: {count}" for ending, count in sorted(counted.items()))


def note_left_out(folder: Path, files: Iterator[Path]) -> None:
    """Warns of files whose ending is not that of audio, counted by ending."""
    left_out = list(files)
    if left_out:
        number = len(left_out)
        note(
            f"{number} file{' below' if number == 1 else 's below'} {folder} {'is' if number == 1 else 'are'} left "
            f"out, because {'its' if number == 1 else 'their'} ending is not that of audio that can be decoded "
            f"({counted_endings(left_out)})."
        )

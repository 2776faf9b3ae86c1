"""Which files below a folder are audio: one answer for data sets, `predict`, `view` and folders of noise."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from soundprobe.audio.formats import AUDIO_ENDINGS
from soundprobe.base.errors import DataError, SoundprobeWarning

NO_CLIPS = frozenset({"__macosx", "desktop.ini", "thumbs.db"})
"""What systems leave in folders; hidden files, such as AppleDouble's "._a.wav", begin with a dot."""


def is_shown(name: str) -> bool:
    """Whether a file or folder of this name is the user's: not hidden, and not left there by a system."""
    return not name.startswith(".") and name.casefold() not in NO_CLIPS


def files_below(folder: Path) -> Iterator[Path]:
    """All files in `folder` and below that are shown; folders behind links are passed over.

    Raises:
        DataError: a folder can't be listed.
    """

    def refuse(error: OSError) -> None:
        raise DataError(f"Can't list {error.filename} ({error.strerror}). Let it be read, or move it elsewhere.")

    for place, subfolders, files in os.walk(folder, onerror=refuse):
        subfolders[:] = sorted(filter(is_shown, subfolders))
        yield from (Path(place, name) for name in sorted(filter(is_shown, files)))


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


def note_left_out(folder: Path, files: Iterator[Path]) -> None:
    """Warns of files whose ending is not that of audio, counted by ending."""
    left_out = Counter(file.suffix.lower() or "no ending" for file in files)
    if left_out:
        kinds = ", ".join(f"{ending}: {count}" for ending, count in sorted(left_out.items()))
        number = left_out.total()
        warnings.warn(
            f"{number} file{' below' if number == 1 else 's below'} {folder} {'is' if number == 1 else 'are'} left "
            f"out, because {'its' if number == 1 else 'their'} ending is not that of audio that can be decoded "
            f"({kinds}).",
            SoundprobeWarning,
            stacklevel=3,
        )

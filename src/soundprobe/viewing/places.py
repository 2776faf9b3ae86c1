"""Which audio files a path names."""

from __future__ import annotations

from pathlib import Path

from soundprobe.audio.formats import AUDIO_ENDINGS
from soundprobe.base.errors import DataError


def audio_files(place: Path) -> list[Path]:
    """`place` itself, or the audio files below it, sorted.

    Raises:
        DataError: a folder without any.
    """
    if not place.is_dir():
        return [place]
    files = sorted(path for path in place.rglob("*") if path.suffix.lower() in AUDIO_ENDINGS and path.is_file())
    if not files:
        raise DataError(f"{place} holds no audio files ({', '.join(AUDIO_ENDINGS)}). Name another folder or a file.")
    return files

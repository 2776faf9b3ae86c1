"""Where a page's sounds and pictures are: in a folder beside it, under their clips' digests, or in the page itself.

The folder is also what makes the next report quick: a clip that lies there is neither read nor encoded again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from soundprobe.base.digests import is_as_named, short_digest
from soundprobe.base.files import atomic_file, remove_file
from soundprobe.viewing.sound import COMPACT_RATE_HZ, MADE_BY, PageClip, Playable

FOLDER = "report-audio"
DIGITS = 16
"""Of a clip's SHA-256 in a file's name, before that of the file's own bytes."""
_OURS = re.compile(rf"([0-9a-f]{{{DIGITS}}})(-\d+)?(-v[0-9a-f]+)?(?:-([0-9a-f]{{{DIGITS}}}))?\.(mp3|webp)")


@dataclass(eq=False)
class MediaFiles:
    """The sounds and pictures of one page.

    A sound's name says its samples at `COMPACT_RATE_HZ`, so that nobody needs to open it to know its length. What
    made a file (`MADE_BY`) is in its name, too: another's is made again, and so is one that is not as its name says.

    Attributes:
        folder: where they lie; None for inside the page.
        sounds, pictures: digest -> the file's name and its bytes, of what lies there.
        used: the names that the page speaks of.
    """

    folder: Path | None
    sounds: dict[str, tuple[str, int]] = field(default_factory=dict)
    pictures: dict[str, tuple[str, int]] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        if self.folder is None or not self.folder.is_dir():
            return
        for path in self.folder.iterdir():
            found = _OURS.fullmatch(path.name)
            if found and found[3] == f"-{MADE_BY}" and is_as_named(path):
                kept = self.sounds if found[5] == "mp3" else self.pictures
                kept[found[1]] = (path.name, path.stat().st_size)

    def holds(self, digest: str, with_sound: bool) -> bool:
        """Whether the clip of this digest lies there."""
        short = digest[:DIGITS]
        return short in self.pictures and (short in self.sounds or not with_sound)

    def playable(self, digest: str, with_sound: bool, make: Callable[[bool], PageClip | None]) -> Playable | None:
        """The clip of this digest: as it lies there, or as `make` makes it with or without sound; None where it can't.

        Raises:
            StoreError: the folder can't be written.
        """
        short = digest[:DIGITS]
        if not self.holds(digest, with_sound):
            made = make(with_sound)
            if made is None or self.folder is None:
                return None if made is None else made.inline()
            self.pictures[short] = self._write(f"{short}-{MADE_BY}", ".webp", made.picture)
            if made.sound is not None:
                samples = round(made.duration_s * COMPACT_RATE_HZ)
                self.sounds[short] = self._write(f"{short}-{samples}-{MADE_BY}", ".mp3", made.sound)
        picture, taken_bytes = self.pictures[short]
        if not with_sound:
            return Playable(None, f"{FOLDER}/{picture}", 0.0, taken_bytes)
        sound, sound_bytes = self.sounds[short]
        duration_s = int(sound.split("-")[1]) / COMPACT_RATE_HZ
        return Playable(f"{FOLDER}/{sound}", f"{FOLDER}/{picture}", duration_s, taken_bytes + sound_bytes)

    def use(self, clip: Playable) -> None:
        """Notes that the page speaks of the clip's files."""
        self.used.update(url.removeprefix(f"{FOLDER}/") for url in (clip.sound, clip.picture) if url)

    def _write(self, stem: str, suffix: str, content: bytes) -> tuple[str, int]:
        assert self.folder is not None
        name = f"{stem}-{short_digest(content)}{suffix}"
        with atomic_file(self.folder / name) as file:
            file.write(content)
        return name, len(content)


def drop_unused(folder: Path, used: Iterable[str]) -> None:
    """Deletes what is ours in `folder` and not `used` by the page: nobody would know that it is of earlier ones."""
    with suppress(OSError):  # it isn't there, holds something else, or can't be written
        for name in {path.name for path in folder.iterdir() if _OURS.fullmatch(path.name)}.difference(used):
            remove_file(folder / name)
        folder.rmdir()

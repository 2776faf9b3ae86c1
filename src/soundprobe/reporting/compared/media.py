"""The clips behind a comparison: where they can be heard, and those of them that a page has room for.

A clip is found by its id and then checked by the digest of its bytes, which the predictions hold: another file of the
same name is never played.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from soundprobe.audio.encoded import digest, open_encoded
from soundprobe.base.errors import AudioError, ConfigError, DataError, SoundprobeWarning, StoreError
from soundprobe.base.files import digest_key
from soundprobe.base.records import Clips, Source
from soundprobe.base.remote import is_url
from soundprobe.reporting.compared.media_files import MediaFiles
from soundprobe.reporting.runs.run import Run
from soundprobe.viewing.sound import PageClip, Playable, page_clip

BYTES_OF_MB = 1_000_000
MAX_AUDIO_MB = 25.0
"""About 1,100 clips of 4 s."""
MAPS = ("pca", "umap")
ENCODERS = 4
"""Clips encoded at once: libsndfile works outside Python's lock."""
REMEDY = "Make the report again with --data PATH, where PATH is what was extracted"


@dataclass(frozen=True)
class MediaOptions:
    """What a user says about sound.

    Attributes:
        data: where the clips are, a name or a path; None takes what the runs say.
        max_audio_mb: how many million bytes clips may take, in the page or beside it, over all data sets.
        audio: whether there is to be any sound.
        embeddings: the store that the map is drawn from.
        folder: where sounds and pictures are put; None for inside the page.
        map: how the map is drawn: "pca", or "umap" as well.

    Raises:
        ConfigError: `max_audio_mb` is not a number from 0 up, or `map` no way to draw one here.
    """

    data: str | Path | None = None
    max_audio_mb: float = MAX_AUDIO_MB
    audio: bool = True
    embeddings: Path = Path("embeddings")
    folder: Path | None = None
    map: str = "pca"

    def __post_init__(self) -> None:
        if not 0 <= self.max_audio_mb < float("inf"):
            raise ConfigError(
                f"--max-audio-mb {self.max_audio_mb} is not valid: give 0 or more, such as {MAX_AUDIO_MB:g}."
            )
        if self.map not in MAPS:
            raise ConfigError(f"--map {self.map} is not valid: give {' or '.join(MAPS)}.")
        if self.map == "umap" and find_spec("umap") is None:
            raise ConfigError("--map umap needs a package that is not installed: pip install 'soundprobe[umap]'.")


Opened = dict[tuple[str, str], Clips | DataError]
"""Address and a key of the options -> the data set there, or why it can't be opened."""


@dataclass(eq=False)
class Media:
    """The clips of one comparison. Their data is opened once a clip is wanted that does not lie beside the page.

    Attributes:
        options: what the user asked for.
        runs: on one data set.
        left_bytes: what is left of the room for clips.
        opened: what was opened for other runs; what is opened here is put there.
        files: where they are put, and may lie from an earlier report.
        ready: the clips that were made for the page so far.
    """

    options: MediaOptions
    runs: Sequence[Run]
    left_bytes: float
    opened: Opened
    files: MediaFiles
    ready: dict[str, Playable] = field(default_factory=dict)

    @cached_property
    def digests(self) -> Mapping[str, str]:
        """Clip id -> sha256 of the bytes that the runs heard, of the first run that says it."""
        run = next((run for run in self.runs if "audio_sha256" in run.columns), None)
        return _pairs(run.ids, run.columns["audio_sha256"]) if run else {}

    @cached_property
    def groups(self) -> Mapping[str, str]:
        """Clip id -> recording, of the first run that says it."""
        run = next((run for run in self.runs if run.groups is not None), None)
        return _pairs(run.ids, run.groups) if run and run.groups is not None else {}

    @property
    def sources(self) -> Mapping[str, Source]:
        """Clip id -> where its bytes are; empty where the data was not found."""
        return self._found[0]

    @property
    def reason(self) -> str:
        """Why there are no sources, as one sentence with its remedy; else empty."""
        return self._found[1]

    @cached_property
    def _found(self) -> tuple[Mapping[str, Source], str]:
        if not self.digests:
            return {}, "The clips can't be heard here, because the runs don't say which bytes they heard. Probe again."
        reasons = []
        for address, how in _addresses(self.runs, self.options):
            key = (address, digest_key(how))
            if key not in self.opened:
                self.opened[key] = _open(address, how)
            clips = self.opened[key]
            if isinstance(clips, DataError):
                reasons.append(str(clips))
                continue
            pairs = zip(clips.ids, clips.sources, strict=True)
            sources = {str(clip): source for clip, source in pairs if str(clip) in self.digests}
            if sources and _any_matches(sources, self.digests):
                return sources, ""
            reasons.append(f"{address} does not hold the clips that the runs heard")
        where = reasons[0].rstrip(".") if reasons else "the runs don't say where their data was"
        return {}, f"The clips can't be heard here: {where}. {REMEDY}."

    def fetch(self, ids: Iterable[str], *, silent_too: bool = False) -> dict[str, Playable]:
        """The clips of `ids`, in their order, as far as they are found and there is room.

        Args:
            silent_too: where there is no room for sound, or none is wanted, still give the picture.

        Raises:
            StoreError: they can't be written beside the page.
        """
        wanted = [clip for clip in dict.fromkeys(ids) if clip in self.digests]
        if not silent_too and not self.options.audio:
            return {}
        found: dict[str, Playable] = {}
        with ThreadPoolExecutor(ENCODERS, thread_name_prefix="encode") as pool:
            for start in range(0, len(wanted), 4 * ENCODERS):
                some = wanted[start : start + 4 * ENCODERS]
                first = {self.digests[clip]: clip for clip in reversed(some)}  # copies are made once
                if not all(clip in self.ready or self.files.holds(self.digests[clip], self._sounds) for clip in some):
                    assert self._found  # opened once, before several ask
                made = dict(zip(first, pool.map(self._make, first.values()), strict=True))
                for clip in some:
                    kept = self._keep(clip, made[self.digests[clip]], silent_too)
                    if kept is not None:
                        found[clip] = kept
                if self.left_bytes <= 0 and not silent_too:
                    break
        return found

    def _make(self, clip: str) -> Playable | None:
        """The clip, or None where its bytes are not those that the runs heard."""
        if clip in self.ready:
            return self.ready[clip]
        return self.files.playable(self.digests[clip], self._sounds, lambda with_sound: self._encode(clip, with_sound))

    @property
    def _sounds(self) -> bool:
        return self.options.audio and self.left_bytes > 0

    def _encode(self, clip: str, with_sound: bool) -> PageClip | None:
        if clip not in self.sources:
            return None
        try:
            audio = open_encoded(self.sources[clip])
            if digest(audio) != self.digests[clip]:
                return None
            return page_clip(audio, clip, with_sound=with_sound)
        except AudioError:
            return None

    def _keep(self, clip: str, made: Playable | None, silent_too: bool) -> Playable | None:
        if made is None or clip in self.ready:
            return made
        if made.sound is not None and made.taken_bytes > self.left_bytes:
            self.left_bytes = 0  # what comes later counts for less: it must not squeeze into the rest
            made = replace(made, sound=None)
        if made.sound is None and not silent_too:
            return None
        if made.sound is not None:
            self.left_bytes -= made.taken_bytes
        self.ready[clip] = made
        self.files.use(made)
        return made


def _addresses(runs: Sequence[Run], options: MediaOptions) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where to look, and how to open it: what the user says first, then what each run says."""
    told = [run.dataset.get("opened_as") for run in runs]
    known = [as_ for as_ in told if isinstance(as_, dict) and isinstance(as_.get("data"), str)]
    if options.data is not None:
        yield str(options.data), _how(known[0]) if known else {}
    for as_ in known:
        yield str(as_["data"]), _how(as_)


def _how(opened_as: Mapping[str, Any]) -> dict[str, Any]:
    """The options that say which clips there are and what they are called; a record may hold anything."""
    from soundprobe.data.catalog import Opening

    folds, known = opened_as.get("folds"), Opening.__annotations__.keys() - {"corrections"}  # of labels, not of sounds
    texts = {name: value for name, value in opened_as.items() if name in known and isinstance(value, str)}
    return {**texts, "folds": folds if isinstance(folds, int) and folds > 1 else 10}


def _open(address: str, how: dict[str, Any]) -> Clips | DataError:
    """The data set at `address`, or why it can't be opened. What is on the Hub is read only where it was fetched."""
    from soundprobe.data.catalog import DATASETS, OF_HUB, open_data, open_fetched

    remote = address in DATASETS or (address.startswith(OF_HUB) and not is_url(address))
    if not remote and not is_url(address) and not Path(address).exists():
        return DataError(f"nothing is at {address} any more")
    try:
        with warnings.catch_warnings(action="ignore", category=SoundprobeWarning):  # said when they were extracted
            return open_fetched(address, **how) if remote else open_data(address, **how)
    except DataError as error:
        return error
    except StoreError as error:  # of a URL
        return DataError(str(error))


def _any_matches(sources: Mapping[str, Source], digests: Mapping[str, str]) -> bool:
    """Whether one of the first clips is the file that the runs heard: else it is another data set, or another copy."""
    for clip in sorted(sources)[:20]:
        try:
            if digest(open_encoded(sources[clip])) == digests[clip]:
                return True
        except AudioError:
            continue
    return False


def _pairs(ids: np.ndarray, values: np.ndarray) -> dict[str, str]:
    return {str(clip): str(value) for clip, value in zip(ids, values, strict=True) if value}

"""The clips behind a comparison: where they can be heard, and those of them that a page has room for.

A clip is found by its id and then checked by the digest of its bytes, which the predictions hold: another file of the
same name is never played.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from soundprobe.audio.decode import read_bytes
from soundprobe.base.errors import AudioError, ConfigError, DataError, SoundprobeWarning
from soundprobe.base.files import digest_key
from soundprobe.base.records import Clips, Source
from soundprobe.reporting.runs.run import Run
from soundprobe.viewing.sound import PageClip, page_clip

BYTES_OF_MB = 1_000_000
ENCODERS = 4
"""Clips encoded at once: libsndfile works outside Python's lock."""
REMEDY = "Make the report again with --data PATH, where PATH is what was extracted"


@dataclass(frozen=True)
class MediaOptions:
    """What a user says about sound.

    Attributes:
        data: where the clips are, a name or a path; None takes what the runs say.
        max_audio_mb: how many million bytes of the page clips may take, over all data sets.
        audio: whether there is to be any sound.
        embeddings: the store that the map is drawn from.

    Raises:
        ConfigError: `max_audio_mb` is not a number from 0 up.
    """

    data: str | Path | None = None
    max_audio_mb: float = 8.0
    audio: bool = True
    embeddings: Path = Path("embeddings")

    def __post_init__(self) -> None:
        if not 0 <= self.max_audio_mb < float("inf"):
            raise ConfigError(f"--max-audio-mb {self.max_audio_mb} is not valid: give 0 or more, such as 8.")


@dataclass(eq=False)
class Media:
    """The clips of one comparison.

    Attributes:
        options: what the user asked for.
        sources: clip id -> where its bytes are; empty where the data was not found.
        digests: clip id -> sha256 of the bytes that the runs heard; groups: clip id -> recording.
        reason: why there are no sources, as one sentence with its remedy; else empty.
        left_bytes: what is left of the page's room.
        ready: the clips that were made for the page so far.
    """

    options: MediaOptions
    sources: Mapping[str, Source]
    digests: Mapping[str, str]
    groups: Mapping[str, str]
    reason: str
    left_bytes: float
    ready: dict[str, PageClip] = field(default_factory=dict)

    def fetch(self, ids: Iterable[str], *, silent_too: bool = False) -> dict[str, PageClip]:
        """The clips of `ids`, in their order, as far as they are found and the page has room.

        Args:
            silent_too: where there is no room for sound, or none is wanted, still give the picture.
        """
        wanted = [clip for clip in dict.fromkeys(ids) if clip in self.sources]
        if not silent_too and not self.options.audio:
            return {}
        found: dict[str, PageClip] = {}
        with ThreadPoolExecutor(ENCODERS, thread_name_prefix="encode") as pool:
            for start in range(0, len(wanted), 4 * ENCODERS):
                some = wanted[start : start + 4 * ENCODERS]
                for clip, made in zip(some, pool.map(self._make, some), strict=True):
                    kept = None if made is None else self._keep(clip, made, silent_too)
                    if kept is not None:
                        found[clip] = kept
                if self.left_bytes <= 0 and not silent_too:
                    break
        return found

    def _make(self, clip: str) -> PageClip | None:
        """The clip, or None where its bytes are not those that the runs heard."""
        if clip in self.ready:
            return self.ready[clip]
        try:
            audio = read_bytes(self.sources[clip])
            if sha256(audio).hexdigest() != self.digests.get(clip):
                return None
            return page_clip(audio, clip, with_sound=self.options.audio and self.left_bytes > 0)
        except AudioError:
            return None

    def _keep(self, clip: str, made: PageClip, silent_too: bool) -> PageClip | None:
        if clip in self.ready:
            return made
        fits = made.sound is not None and made.page_bytes <= self.left_bytes
        if not fits:
            if made.sound is not None:
                self.left_bytes = 0  # what comes later counts for less: it must not squeeze into the rest
            if not silent_too:
                return None
            made = PageClip(made.name, None, made.picture, made.duration_s, made.spectrogram)
        else:
            self.left_bytes -= made.page_bytes
        self.ready[clip] = made
        return made


Opened = dict[tuple[str, str], Clips | DataError]
"""Address and a key of the options -> the data set there, or why it can't be opened."""


def media_of(runs: Sequence[Run], options: MediaOptions, room: float, opened: Opened) -> Media:
    """The clips of `runs`, which are on one data set.

    Args:
        room: how many bytes of the page they may take.
        opened: what was opened for other runs; what is opened here is put there.
    """
    digests, groups = _told(runs)
    if not digests:
        reason = "The clips can't be heard here, because the runs don't say which bytes they heard. Probe again."
        return Media(options, {}, {}, groups, reason, room)
    reasons = []
    for address, how in _addresses(runs, options):
        key = (address, digest_key(how))
        if key not in opened:
            opened[key] = _open(address, how)
        clips = opened[key]
        if isinstance(clips, DataError):
            reasons.append(str(clips))
            continue
        sources = {
            str(clip): source for clip, source in zip(clips.ids, clips.sources, strict=True) if str(clip) in digests
        }
        if sources and _any_matches(sources, digests):
            return Media(options, sources, digests, groups, "", room)
        reasons.append(f"{address} does not hold the clips that the runs heard")
    where = reasons[0].rstrip(".") if reasons else "the runs don't say where their data was"
    return Media(options, {}, digests, groups, f"The clips can't be heard here: {where}. {REMEDY}.", room)


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

    remote = address in DATASETS or address.startswith(OF_HUB)
    if not remote and not Path(address).exists():
        return DataError(f"nothing is at {address} any more")
    try:
        with warnings.catch_warnings(action="ignore", category=SoundprobeWarning):  # said when they were extracted
            return open_fetched(address, **how) if remote else open_data(address, **how)
    except DataError as error:
        return error


def _any_matches(sources: Mapping[str, Source], digests: Mapping[str, str], tries: int = 20) -> bool:
    """Whether one of the first clips is the file that the runs heard: else it is another data set, or another copy."""
    for clip in sorted(sources)[:tries]:
        try:
            if sha256(read_bytes(sources[clip])).hexdigest() == digests[clip]:
                return True
        except AudioError:
            continue
    return False


def _told(runs: Sequence[Run]) -> tuple[dict[str, str], dict[str, str]]:
    """Clip id -> digest, and clip id -> recording, each from the first run that says it."""
    digested = next((run for run in runs if "audio_sha256" in run.columns), None)
    grouped = next((run for run in runs if run.groups is not None), None)
    digests = _pairs(digested.ids, digested.columns["audio_sha256"]) if digested else {}
    groups = _pairs(grouped.ids, grouped.groups) if grouped and grouped.groups is not None else {}
    return digests, groups


def _pairs(ids: np.ndarray, values: np.ndarray) -> dict[str, str]:
    return {str(clip): str(value) for clip, value in zip(ids, values, strict=True) if value}

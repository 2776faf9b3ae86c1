"""One pass over a data set's audio before work begins: what is there, what is wrong, and the data's fingerprint.

N is the number of clips.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, cast

import numpy as np

from soundprobe.audio.checks import Findings
from soundprobe.audio.decode import AudioInfo, inspect, survey
from soundprobe.audio.encoded import digest, open_encoded, source_name
from soundprobe.base.errors import AudioError, ClipReadError, ConfigError, DataError
from soundprobe.base.files import KEPT, refusal_in, refused
from soundprobe.base.progress import progress_bar
from soundprobe.base.records import Clips, Embeddings, Source
from soundprobe.base.texts import HexTexts, TextsBuilder
from soundprobe.data.readers.locate import explain_missing
from soundprobe.data.readers.made_folds import deal_readable

RETRY_WAITS_S = (0.1, 0.5)
MISSING = "missing file"
SCAN_THREADS = min(8, os.cpu_count() or 1)
AHEAD = 1024


@dataclass(frozen=True, eq=False)
class Scan:
    """What the clips' audio is, in their order; columns of str may be `base.texts`, which stand for arrays.

    Attributes:
        sha256: (N,) str, the hexadecimal digest of the encoded bytes; '' where they can't be read.
        duration_s: (N,) float64; sample_rate_hz (N,) int32, channels (N,) int16; all 0 for a clip with an error.
        errors: (N,) str, why a clip can't be used; '' where it can.
        peak: (N,) float64, each clip's largest |sample|, NaN for a clip with an error; None where nothing was decoded.
        decoder: (N,) str, see `AudioInfo`; None says '' of all.
        findings: (N,) of `soundprobe.audio.checks`; None where nothing was decoded.
    """

    sha256: np.ndarray
    duration_s: np.ndarray
    sample_rate_hz: np.ndarray
    channels: np.ndarray
    errors: np.ndarray
    peak: np.ndarray | None = None
    decoder: np.ndarray | None = None
    findings: np.ndarray | None = None

    def take(self, rows: np.ndarray) -> Scan:
        """Of the clips at `rows`, an index array."""
        columns = {name: column for name, column in vars(self).items() if column is not None}
        return replace(self, **{name: column[rows] for name, column in columns.items()})


NOTHING = AudioInfo(duration_s=0.0, sample_rate_hz=0, channels=0, frames=0)


@dataclass(frozen=True, slots=True)
class _Seen:
    sha256: str
    info: AudioInfo
    error: str
    peak: float = float("nan")
    findings: Findings = field(default_factory=dict)


def scan(
    clips: Clips,
    *,
    jobs: int | None = None,
    on_progress: Callable[[int], None] | None = None,
    decode_samples: bool = False,
    channels: str = "mean",
) -> Scan:
    """Reads every clip once, on threads, and keeps of each only what `Scan` holds.

    Args:
        jobs: threads; None takes one for each core, at most 8.
        on_progress: called with 1 after each clip, in the calling thread.
        decode_samples: also decode every clip, which finds what headers don't show (a FLAC file cut short, NaN) at
            several times the cost, and what is conspicuous about their sound.
        channels: which of them are looked at then; see `decode`.

    Raises:
        ConfigError: `jobs` is below 1. DataError: the system fails to read a clip, or a drive went away.
    """
    if jobs is not None and jobs < 1:
        raise ConfigError(f"--jobs {jobs} is not valid: give 1 or more.")
    N = len(clips)
    digests = np.zeros((N, hashlib.sha256().digest_size), dtype=np.uint8)
    duration_s, peak = np.zeros(N), np.full(N, np.nan) if decode_samples else None
    rates_hz, channel_counts = np.zeros(N, dtype=np.int32), np.zeros(N, dtype=np.int16)
    errors, decoders, findings = TextsBuilder(), TextsBuilder(), np.empty(N, dtype=object) if decode_samples else None
    pool = ThreadPoolExecutor(jobs or SCAN_THREADS, thread_name_prefix="scan")
    try:
        for start in range(0, len(clips), AHEAD):  # of what waits a pool keeps more than of what was seen
            some = [clips.sources[row] for row in range(start, min(start + AHEAD, N))]
            look = partial(_look, decode_samples=decode_samples, channels=channels)
            for row, one in enumerate(pool.map(look, some), start=start):
                digests[row] = np.frombuffer(bytes.fromhex(one.sha256) or bytes(digests.shape[1]), np.uint8)
                duration_s[row], rates_hz[row] = one.info.duration_s, one.info.sample_rate_hz
                channel_counts[row] = one.info.channels
                errors.extend([one.error])
                decoders.extend([one.info.decoder])
                if peak is not None and findings is not None:
                    peak[row], findings[row] = one.peak, one.findings
                if on_progress is not None:
                    on_progress(1)
    finally:
        pool.shutdown(cancel_futures=True)  # Ctrl-C doesn't wait for thousands of clips
    sha256, reasons, told = (cast(np.ndarray, one) for one in (HexTexts(digests), errors.texts(), decoders.texts()))
    found = Scan(sha256, duration_s, rates_hz, channel_counts, reasons, peak, told, findings)
    _check_still_there(clips, found)
    return found


def scan_readable(clips: Clips, *, jobs: int | None = None, shown: bool) -> tuple[Clips, Scan]:
    """The clips, folds that soundprobe made dealt anew where some can't be read, and what `scan` finds, behind a bar.

    Raises:
        DataError: as `scan`; or no clip's file is there.
    """
    with progress_bar(f"scan {clips.name}", len(clips), "clips", shown=shown) as bar:
        scanned = scan(clips, jobs=jobs, on_progress=bar.advance)
    clips = deal_readable(clips, scanned.errors == "")
    check_any_there(clips, scanned)
    return clips, scanned


def _check_still_there(clips: Clips, scanned: Scan) -> None:
    """Raises DataError where a clip that was read is gone: a drive that went away says nothing about the rest."""
    if MISSING in scanned.errors:
        told = zip(clips.sources, scanned.sha256, strict=True)
        read = (path for path, sha256 in told if sha256 and isinstance(path, str))
        gone = next(read, None)
        if gone is not None and not os.path.exists(gone):
            raise DataError(f"{gone} was there a moment ago. See whether its drive is still there and well. {KEPT}")


def _look(source: Source, decode_samples: bool, channels: str) -> _Seen:
    """Tries again where the system fails.

    Raises:
        DataError: it goes on failing.
    """
    for wait_s in RETRY_WAITS_S:
        with suppress(ClipReadError):
            return _look_once(source, decode_samples, channels)
        time.sleep(wait_s)
    try:
        return _look_once(source, decode_samples, channels)
    except ClipReadError as error:
        told = refusal_in(error) or OSError(errno.EIO, error.reason)
        raise DataError(refused(f"Can't read {error.name}", told)) from error


def _look_once(source: Source, decode_samples: bool, channels: str) -> _Seen:
    name = source_name(source)
    try:
        audio = open_encoded(source)
        sha256 = digest(audio)
    except ClipReadError:
        raise
    except AudioError as error:
        return _Seen("", NOTHING, error.reason)
    try:
        info = inspect(audio, name)
        if not decode_samples:
            return _Seen(sha256, info, "")
        return _Seen(sha256, info, "", *survey(audio, name, channels))
    except ClipReadError:
        raise
    except AudioError as error:
        return _Seen(sha256, NOTHING, error.reason)


def fingerprint(clips: Clips, scanned: Scan) -> str:
    """The SHA-256 of what the clips are: ids, audio, labels, folds, groups, class names and further columns; and of the
    tested folds where that is not all of them.

    Neither the order of the clips nor where they lie counts, so a moved data set keeps its embeddings. What some of
    them are decoded by counts where older versions, or this one without FFmpeg, get other samples or none.
    """
    names = sorted(clips.columns)
    columns = [clips.ids, scanned.sha256, clips.labels, clips.folds, clips.groups, *(clips.columns[n] for n in names)]
    only = [] if set(clips.tested_folds) == set(np.unique(clips.folds).tolist()) else [clips.tested_folds]
    digest = hashlib.sha256(json.dumps([clips.class_names, names, *only]).encode())
    order = np.argsort(clips.ids)
    for start in range(0, len(order), AHEAD):  # N rows of Python's own objects would outweigh all else
        some = order[start : start + AHEAD]
        for row in zip(*(column[some].tolist() for column in columns), strict=True):
            digest.update(b"\n" + json.dumps(row).encode())
    decoders = [] if scanned.decoder is None else sorted(set(scanned.decoder) - {""})
    if decoders:
        digest.update(b"\n" + json.dumps({"decoders": decoders}).encode())
    return digest.hexdigest()


def check_any_there(clips: Clips, scanned: Scan) -> None:
    """Raises DataError where no clip's file is there, with what is in the first one's place."""
    if (scanned.errors == MISSING).all():
        said = explain_first_missing(clips, scanned)
        raise DataError(f"{clips.name}: none of the {len(clips)} clips is there. {said}")


def explain_first_missing(clips: Clips, scanned: Scan) -> str:
    """Where the first missing clip was looked for, and what is there instead; "" where that is no file's path."""
    missing = (scanned.errors == MISSING).tolist()
    paths = [one for one, gone in zip(clips.sources, missing, strict=True) if gone and isinstance(one, str)]
    if not paths:
        return ""
    return f"Looked for {paths[0]}. {explain_missing(paths[0])}"


def recordings_across_folds(clips: Clips | Embeddings) -> list[dict[str, Any]]:
    """The source recordings whose clips sit in more than one fold: `group`, its `folds`, how many `clips`.

    Such a recording is heard in training and in the test, so what its clips score is not clean. Needs no audio.
    """
    groups, number, counts = np.unique(clips.groups, return_inverse=True, return_counts=True)
    pairs = np.unique(np.stack([number, clips.folds], axis=1), axis=0)  # each group with each of its folds, once
    split = np.flatnonzero(np.bincount(pairs[:, 0]) > 1)
    return [
        {
            "group": str(groups[group]),
            "folds": pairs[pairs[:, 0] == group, 1].tolist(),
            "clips": int(counts[group]),
        }
        for group in split
    ]


def summarise(clips: Clips, scanned: Scan) -> dict[str, Any]:
    """What `data check` reports, as plain values: counts, lengths, rates, failures, recordings that folds share."""
    good = scanned.errors == ""
    durations_s = scanned.duration_s[good]
    failed = np.flatnonzero(~good)
    labels = np.arange(len(clips.class_names))
    return {
        "name": clips.name,
        "clips": len(clips),
        "recordings": len(np.unique(clips.groups)) if clips.recordings_known else None,
        "folds": {
            int(fold): {
                "clips": int((clips.folds == fold).sum()),
                "classes": dict(
                    zip(
                        clips.class_names,
                        (clips.labels[clips.folds == fold, None] == labels).sum(axis=0).tolist(),
                        strict=True,
                    )
                ),
            }
            for fold in np.unique(clips.folds)
        },
        "classes": dict(zip(clips.class_names, np.bincount(clips.labels, minlength=len(labels)).tolist(), strict=True)),
        "sample_rates_hz": _counts(scanned.sample_rate_hz[good]),
        "channels": _counts(scanned.channels[good]),
        "shortest_s": float(durations_s.min()) if len(durations_s) else None,
        "longest_s": float(durations_s.max()) if len(durations_s) else None,
        "total_s": float(durations_s.sum()),
        "missing": int((scanned.errors == MISSING).sum()),
        "failures": {str(clips.ids[row]): str(scanned.errors[row]) for row in failed},
        "findings": {
            str(clip): found
            for clip, found in zip(clips.ids, () if scanned.findings is None else scanned.findings, strict=False)
            if found
        },
        "recordings_across_folds": recordings_across_folds(clips),
    }


def _counts(values: np.ndarray) -> dict[int, int]:
    found, counts = np.unique(values, return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))

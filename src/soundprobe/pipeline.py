"""The way of clips through decoding and the network into parts: decode on threads, ahead of the network.

Letters: B clips of one batch, T samples, D the embedding's dimension.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from soundprobe import store
from soundprobe.audio import decode, fit_length, read_bytes, source_name
from soundprobe.backbones.load import Backbone
from soundprobe.data.scan import Scan
from soundprobe.errors import AudioError, StoreError
from soundprobe.progress import Progress
from soundprobe.records import Clips

PART_CLIPS = 256  # a kill loses at most this many clips' work
BATCHES_AHEAD = 4
DECODE_THREADS = min(8, os.cpu_count() or 1)


@dataclass(frozen=True)
class PlannedClip:
    """A row of `Clips` and the samples that it is cut or padded to."""

    row: int
    samples: int


@dataclass(frozen=True)
class Batch:
    """Clips of one part that share one length and go through the network together."""

    part: int
    clips: Sequence[PlannedClip]


@dataclass(frozen=True)
class Job:
    """One backbone's extraction: what stays the same from part to part."""

    model: Backbone
    clips: Clips
    scanned: Scan
    device: torch.device
    batch_size: int
    jobs: int | None


def plan_parts(clips: Clips, scanned: Scan, model: Backbone) -> list[list[PlannedClip]]:
    """All clips in parts of `PART_CLIPS`, the longest first: equal lengths share batches, and memory peaks at once."""
    clip_seconds = model.settings.get("clip_seconds")
    planned = [
        PlannedClip(row, model.spec.input_samples(float(scanned.duration_s[row]), clip_seconds))
        for row in range(len(clips))
    ]
    planned.sort(key=lambda clip: (-clip.samples, clips.ids[clip.row]))
    return [planned[start : start + PART_CLIPS] for start in range(0, len(planned), PART_CLIPS)]


def embed_parts(
    job: Job, left: Mapping[int, Sequence[PlannedClip]], folder: Path, bar: Progress
) -> Iterator[tuple[int, store.Part]]:
    """Embeds the parts in `left`, writing each as soon as its last clip is done. Yields its number and what it holds.

    Decoding runs on threads ahead of the network, across the borders of parts.
    """
    job.model.module.to(job.device).eval()
    with ThreadPoolExecutor(job.jobs or DECODE_THREADS, thread_name_prefix="decode") as pool:
        stream = decode_ahead(job, batches(left, job.batch_size), pool)
        for number, group in itertools.groupby(stream, key=lambda item: item[0].part):
            rows: list[int] = []
            features: list[np.ndarray] = []
            failures: dict[str, str] = {}
            for batch, decoded in group:
                embedded = embed_batch(job, batch, decoded)
                for clip, outcome in zip(batch.clips, embedded, strict=True):
                    if isinstance(outcome, AudioError):
                        failures[str(job.clips.ids[clip.row])] = outcome.reason
                    else:
                        rows.append(clip.row)
                        features.append(outcome)
                bar.advance(len(batch.clips))
            yield (
                number,
                store.write_part(
                    store.part_path(folder, number),
                    job.clips,
                    [clip.row for clip in left[number]],
                    rows,
                    np.asarray(features, dtype=np.float32).reshape(len(rows), job.model.spec.embedding_dim),
                    job.scanned.sha256,
                    job.scanned.duration_s,
                    failures,
                ),
            )


def batches(parts: Mapping[int, Sequence[PlannedClip]], batch_size: int) -> Iterator[Batch]:
    """The parts' clips in batches of at most `batch_size` clips of one length and one part."""
    for number, part in parts.items():
        for _, run in itertools.groupby(part, key=lambda clip: clip.samples):
            same = list(run)
            for start in range(0, len(same), batch_size):
                yield Batch(number, same[start : start + batch_size])


@dataclass(frozen=True)
class Decoded:
    """A clip's samples, cut or padded, and how many of them are its own."""

    wave: np.ndarray  # (T,) float32
    length: int


def decode_ahead(
    job: Job, stream: Iterator[Batch], pool: ThreadPoolExecutor
) -> Iterator[tuple[Batch, list[Decoded | AudioError]]]:
    """Yields each batch with its clips' samples, or why a clip has none, decoded `BATCHES_AHEAD` batches ahead."""
    waiting: deque[tuple[Batch, list[Future[Decoded | AudioError]]]] = deque()
    for batch in stream:
        waiting.append((batch, [pool.submit(_decode, job, clip) for clip in batch.clips]))
        if len(waiting) > BATCHES_AHEAD:
            ready, futures = waiting.popleft()
            yield ready, [future.result() for future in futures]
    while waiting:
        ready, futures = waiting.popleft()
        yield ready, [future.result() for future in futures]


def _decode(job: Job, clip: PlannedClip) -> Decoded | AudioError:
    wave = decode_scanned(job.clips, job.scanned, clip.row, job.model.spec.sample_rate_hz)
    if isinstance(wave, AudioError):
        return wave
    return Decoded(fit_length(wave, clip.samples), min(len(wave), clip.samples))


def decode_scanned(clips: Clips, scanned: Scan, row: int, sample_rate_hz: int) -> np.ndarray | AudioError:
    """The samples (T,) float32 of the clip at `row`, or why it has none.

    Raises:
        StoreError: the clip is not what it was when it was scanned, so its fingerprint would be another's.
    """
    source = clips.sources[row]
    name = source_name(source)
    if scanned.errors[row]:
        return AudioError(name, str(scanned.errors[row]))
    try:
        audio = read_bytes(source)
    except AudioError as error:  # it could be read a moment ago, so this says nothing about the clip
        raise StoreError(
            f"{error}, though it could be read before. Run the command again: finished work is kept."
        ) from error
    if hashlib.sha256(audio).hexdigest() != scanned.sha256[row]:
        raise StoreError(f"{name} changed since it was scanned. Run the command again: finished work is kept.")
    try:
        return decode(audio, sample_rate_hz=sample_rate_hz, name=name)
    except AudioError as error:
        return error


def embed_batch(job: Job, batch: Batch, decoded: Sequence[Decoded | AudioError]) -> list[np.ndarray | AudioError]:
    """For each clip of the batch its embedding (D,) float32, or why it has none."""
    good = [item for item in decoded if isinstance(item, Decoded)]
    rows: Iterator[np.ndarray] = iter(())
    if good:
        with torch.inference_mode():
            wave = torch.from_numpy(np.stack([item.wave for item in good])).to(job.device)  # (B, T)
            lengths = torch.tensor([item.length for item in good], device=job.device)  # (B,)
            rows = iter(job.model.module(wave, lengths).float().cpu().numpy())  # (B, D)
    outcomes: list[np.ndarray | AudioError] = []
    for clip, item in zip(batch.clips, decoded, strict=True):
        outcome = item if isinstance(item, AudioError) else next(rows)
        if isinstance(outcome, np.ndarray) and not np.isfinite(outcome).all():
            outcome = AudioError(source_name(job.clips.sources[clip.row]), "the backbone's embedding is not finite")
        outcomes.append(outcome)
    return outcomes

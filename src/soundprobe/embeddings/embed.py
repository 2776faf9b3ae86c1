"""The way of clips through decoding and the network into parts: decode on threads, ahead of the network.

Letters: B clips of one batch, T samples, D the embedding's dimension, m a clip's own frames.
"""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from soundprobe.audio.checks import Findings
from soundprobe.audio.decode import decode_checked
from soundprobe.audio.encoded import digest, open_encoded, source_name
from soundprobe.backbones.load import LoadedBackbone
from soundprobe.base.allowance import Allowance
from soundprobe.base.errors import AudioError, ClipReadError, ConfigError, DataError, StoreError
from soundprobe.base.progress import Progress
from soundprobe.base.records import Clips
from soundprobe.data.scan import Scan
from soundprobe.embeddings import store
from soundprobe.embeddings.forward import embed_waves, frame_waves, stacked
from soundprobe.embeddings.streams import in_streams, streams_of
from soundprobe.embeddings.there_before import embedding_key

PART_CLIPS = 256  # a kill loses at most this many clips' work
BATCHES_AHEAD = 4
DECODE_THREADS = min(8, os.cpu_count() or 1)


@dataclass(frozen=True, slots=True)  # there is one for each of N
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
class EmbeddingJob:
    """One backbone's extraction: what stays the same from part to part.

    `found` collects what is conspicuous about clips, by their rows, as they are decoded.
    """

    model: LoadedBackbone
    clips: Clips
    scanned: Scan
    device: torch.device
    batch_size: int
    jobs: int | None
    found: dict[int, Findings] = field(default_factory=dict)
    max_failures: Allowance | None = None

    def key(self, data_fingerprint: str) -> str:
        """Of the set that it makes of the data."""
        spec, settings, weights = self.model.spec, self.model.settings, self.model.weights
        return embedding_key(spec, settings, weights.sha256, data_fingerprint, self.batch_size, device=self.device.type)

    def unreadable(self) -> dict[str, str]:
        """Clip id -> why it failed while it was scanned."""
        bad = np.flatnonzero(self.scanned.errors != "")
        return {str(self.clips.ids[row]): str(self.scanned.errors[row]) for row in bad}

    def check_failures(self, failed: Mapping[str, str], kept: int) -> None:
        """Raises DataError where more clips `failed` (id -> reason) than are allowed; `kept` are embedded."""
        if self.max_failures is not None and not self.max_failures.covers(len(failed), len(self.clips)):
            clip, reason = next(iter(failed.items()))
            raise DataError(
                f"{len(failed)} of {len(self.clips)} clips fail, more than --max-failures {self.max_failures}; "
                f"the first: {clip}: {reason}. {kept} clips are embedded and kept: the same command with a higher "
                "--max-failures goes on from there."
            )


class Parts(Sequence[list[PlannedClip]]):
    """All clips in parts of `PART_CLIPS`: rows (N,) and samples (N,), of which each part's clips are made when asked
    for."""

    def __init__(self, rows: np.ndarray, samples: np.ndarray) -> None:
        self.rows, self.samples = rows, samples

    def __len__(self) -> int:
        return -(-len(self.rows) // PART_CLIPS)

    def __getitem__(self, number: Any) -> Any:
        own = slice(range(len(self))[number] * PART_CLIPS, (range(len(self))[number] + 1) * PART_CLIPS)
        return list(map(PlannedClip, self.rows[own].tolist(), self.samples[own].tolist()))


class SomeParts(Mapping[int, Sequence[PlannedClip]]):
    """Those of `parts` that have these numbers."""

    def __init__(self, parts: Sequence[Sequence[PlannedClip]], numbers: Sequence[int]) -> None:
        self.parts, self.numbers = parts, dict.fromkeys(numbers)

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[int]:
        return iter(self.numbers)

    def __getitem__(self, number: int) -> Sequence[PlannedClip]:
        self.numbers[number]
        return self.parts[number]


def plan_parts(clips: Clips, scanned: Scan, model: LoadedBackbone) -> Parts:
    """The longest clips first: equal lengths share batches, and memory peaks at once."""
    samples = np.fromiter(map(model.input_samples, scanned.duration_s.tolist()), np.int64, len(clips))
    place = np.empty(len(clips), dtype=np.int32)
    place[np.argsort(clips.ids)] = np.arange(len(clips), dtype=np.int32)
    rows = np.lexsort((place, -samples)).astype(np.int32)
    return Parts(rows, samples[rows])


def embed_parts(
    job: EmbeddingJob,
    left: Mapping[int, Sequence[PlannedClip]],
    folder: Path,
    bar: Progress,
    write: Callable[..., Any] = store.write_part,
) -> Iterator[tuple[int, Any]]:
    """Embeds the parts in `left`, writing each as soon as its last clip is done. Yields its number and what it holds:
    what `write` gives.

    Decoding runs on threads ahead of the network, across the borders of parts.
    """
    job.model.network.to(job.device)
    if job.device.type == "cpu" and isinstance(
        job.model.network, nn.Module
    ):  # SimpleCNN's layers take a quarter of the time so, the CRNN's six tenths
        job.model.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    streams = streams_of(job.model.network, job.device)
    with (
        ThreadPoolExecutor(job.jobs or DECODE_THREADS, thread_name_prefix="decode") as pool,
        closing(decode_ahead(job, batches(left, job.batch_size), pool)) as decoded_batches,
        closing(in_streams(lambda ready: embed_batch(job, *ready), decoded_batches, streams)) as stream,
    ):
        for number, group in itertools.groupby(stream, key=lambda item: item[0][0].part):
            rows: list[int] = []
            features: list[np.ndarray] = []
            kept_as = job.model.kept_frames
            failures: dict[str, str] = {}
            for (batch, _), embedded in group:
                for clip, outcome in zip(batch.clips, embedded, strict=True):
                    if isinstance(outcome, AudioError):
                        failures[str(job.clips.ids[clip.row])] = outcome.reason
                    else:
                        rows.append(clip.row)
                        features.append(outcome)
                bar.advance(len(batch.clips))
            yield (
                number,
                write(
                    store.part_path(folder, number),
                    job.clips,
                    [clip.row for clip in left[number]],
                    rows,
                    np.asarray(
                        features if kept_as is None else [own.mean(axis=0) for own in features], dtype=np.float32
                    ).reshape(len(rows), job.model.spec.embedding_dim),
                    job.scanned.sha256,
                    job.scanned.duration_s,
                    failures,
                    {str(job.clips.ids[c.row]): job.found[c.row] for c in left[number] if c.row in job.found},
                    None if kept_as is None else [own.astype(kept_as) for own in features],
                ),
            )


def batches(parts: Mapping[int, Sequence[PlannedClip]], batch_size: int) -> Iterator[Batch]:
    """The parts' clips in batches of at most `batch_size` clips of one length and one part.

    They hang on the part and nothing else, so that its numbers do. Clips of one length make an even number of batches
    of nearly one size, so that of two streams none is left without.
    """
    for number, part in parts.items():
        for _, run in itertools.groupby(part, key=lambda clip: clip.samples):
            same = list(run)
            count = min(len(same), -(-len(same) // (batch_size * 2)) * 2)
            for which in np.array_split(np.arange(len(same)), count):
                yield Batch(number, [same[clip] for clip in which])


Decoded = np.ndarray | AudioError
"""A clip's samples (T,) float32, or why it has none."""


def decode_ahead(
    job: EmbeddingJob, stream: Iterator[Batch], pool: ThreadPoolExecutor
) -> Generator[tuple[Batch, list[Decoded]]]:
    """Yields each batch with its clips' samples, or why a clip has none, decoded `BATCHES_AHEAD` batches ahead."""
    waiting: deque[tuple[Batch, list[Future[Decoded]]]] = deque()
    for batch in stream:
        waiting.append((batch, [pool.submit(_decode, job, clip) for clip in batch.clips]))
        if len(waiting) > BATCHES_AHEAD:
            ready, futures = waiting.popleft()
            yield ready, [future.result() for future in futures]
    while waiting:
        ready, futures = waiting.popleft()
        yield ready, [future.result() for future in futures]


def _decode(job: EmbeddingJob, clip: PlannedClip) -> Decoded:
    model = job.model
    return decode_scanned(
        job.clips, job.scanned, clip.row, model.spec.sample_rate_hz, clip.samples, model.channels, job.found
    )


def decode_scanned(
    clips: Clips,
    scanned: Scan,
    row: int,
    sample_rate_hz: int,
    samples: int,
    channels: str = "mean",
    found: dict[int, Findings] | None = None,
) -> Decoded:
    """The clip at `row`, at most `samples` of it; what is conspicuous about it is put into `found`.

    Raises:
        StoreError: the clip is not what it was when it was scanned, so its fingerprint would be another's.
    """
    source = clips.sources[row]
    name = source_name(source)
    if scanned.errors[row]:
        return AudioError(name, str(scanned.errors[row]))
    try:
        audio = open_encoded(source)
        sha256 = digest(audio)
        outcome: Decoded
        try:
            outcome, findings = decode_checked(
                audio, sample_rate_hz=sample_rate_hz, name=name, channels=channels, samples=samples
            )
        except ClipReadError:
            raise
        except AudioError as error:
            outcome, findings = error, {}
    except AudioError as error:  # it could be read a moment ago, so this says nothing about the clip
        raise StoreError(
            f"{error}, though it could be read before. Run the command again: finished work is kept."
        ) from error
    if sha256 != scanned.sha256[row] or (not isinstance(audio, bytes) and audio.changed()):
        raise StoreError(f"{name} changed since it was scanned. Run the command again: finished work is kept.")
    if findings and found is not None:
        found[row] = findings
    return outcome


Embedded = list[np.ndarray | AudioError]


def embed_batch(job: EmbeddingJob, batch: Batch, decoded: Sequence[Decoded]) -> Embedded:
    """For each clip of the batch its embedding (D,) or its frames (m, D), float32, or why it has none."""
    good = [wave for wave in decoded if isinstance(wave, np.ndarray)]
    kept_as = job.model.kept_frames
    rows: Iterator[np.ndarray] = iter(())
    if good:
        spec, network, stack = job.model.spec, job.model.network, stacked(good, batch.clips[0].samples)
        if kept_as is not None and spec.frames is not None:
            rows = iter(frame_waves(network, *stack, job.device, spec.frames))
        else:
            embedded = embed_waves(network, *stack, job.device)
            if embedded.shape[1] != spec.embedding_dim:
                raise ConfigError(
                    f"{spec.name} gave embeddings of {embedded.shape[1]} numbers, and its spec says "
                    f"{spec.embedding_dim}. Mend embedding_dim."
                )
            rows = iter(embedded)
    outcomes: Embedded = []
    for clip, item in zip(batch.clips, decoded, strict=True):
        outcome = item if isinstance(item, AudioError) else next(rows)
        if isinstance(outcome, np.ndarray) and not np.isfinite(outcome.astype(kept_as or np.float32)).all():
            what = "the backbone's embedding is not finite" + (f" in {kept_as}" if kept_as else "")
            outcome = AudioError(source_name(job.clips.sources[clip.row]), what)
        outcomes.append(outcome)
    return outcomes

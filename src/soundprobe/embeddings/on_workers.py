"""Parts that are embedded by the workers of a cluster, and written here."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from soundprobe.audio.encoded import from_anywhere
from soundprobe.base.parallel import run_tasks
from soundprobe.base.places import url_of
from soundprobe.base.progress import Progress
from soundprobe.base.records import Clips
from soundprobe.data.scan import Scan
from soundprobe.embeddings import store
from soundprobe.embeddings.embed import EmbeddingJob, PlannedClip, embed_parts


def embed_parts_on_workers(
    job: EmbeddingJob, left: Mapping[int, Sequence[PlannedClip]], folder: Path, bar: Progress, engine: str
) -> Iterator[tuple[int, store.SetPart]]:
    """As `embed_parts`, to the byte: a task a part, in whatever order they are done."""
    job.model.network.to(torch.device("cpu"))
    make_job = functools.partial(EmbeddingJob, job.model, device=job.device, batch_size=job.batch_size, jobs=job.jobs)
    readable = (source for source, error in zip(job.clips.sources, job.scanned.errors, strict=True) if not error)
    paths = [path for path in [next(readable, None)] if isinstance(path, str) and url_of(path) is None]
    tasks = ((number, *_cut(job, planned)) for number, planned in left.items())
    for number, embedded, features, rest in run_tasks(
        _embed_part, tasks, engine=engine, shared=[make_job], paths=paths, in_order=False
    ):
        rows, heard = np.array([clip.row for clip in left[number]]), job.scanned
        path, of_part = store.part_path(folder, number), rows[np.asarray(embedded, dtype=np.int64)]
        part = store.write_part(
            path, job.clips, rows.tolist(), of_part.tolist(), features, heard.sha256, heard.duration_s, *rest
        )
        bar.advance(len(rows))
        yield number, part


def _cut(job: EmbeddingJob, planned: Sequence[PlannedClip]) -> tuple[Clips, Scan, list[PlannedClip]]:
    """The clips of one part alone, in their order."""
    rows = np.array([clip.row for clip in planned])
    clips = job.clips.take(rows)
    clips = replace(clips, sources=[from_anywhere(source) for source in clips.sources], columns={})
    return clips, job.scanned.take(rows), [replace(clip, row=row) for row, clip in enumerate(planned)]


def _embed_part(
    make_job: Callable[..., EmbeddingJob], number: int, clips: Clips, scanned: Scan, planned: Sequence[PlannedClip]
) -> tuple[Any, ...]:
    """A part's number and what `_embedded` gives."""
    job = make_job(clips=clips, scanned=scanned)
    ((_, made),) = embed_parts(job, {number: planned}, Path(), Progress(lambda clips: None), write=_embedded)
    return number, *made


def _embedded(
    path: Path, clips: Clips, planned: Sequence[int], embedded: Sequence[int], features: np.ndarray, *rest: Any
) -> tuple[Any, ...]:
    """Instead of `store.write_part` in a worker: of its arguments those that only a worker knows."""
    return embedded, features, rest[2:]

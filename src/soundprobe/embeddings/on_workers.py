"""Parts that are embedded by the workers of a cluster, and written here as the workers wrote them."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from soundprobe.audio.encoded import from_anywhere
from soundprobe.base.files import atomic_file
from soundprobe.base.parallel import run_tasks
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
    paths = [path for path in [next(readable, None)] if isinstance(path, str)]
    tasks = ((number, *_cut(job, planned)) for number, planned in left.items())
    for number, part, content in run_tasks(
        _embed_part, tasks, engine=engine, shared=[make_job], paths=paths, in_order=False
    ):
        path = store.part_path(folder, number)
        with atomic_file(path) as file:
            file.write(content)
        bar.advance(len(left[number]))
        yield number, replace(part, path=path)


def _cut(job: EmbeddingJob, planned: Sequence[PlannedClip]) -> tuple[Clips, Scan, list[PlannedClip]]:
    """The clips of one part alone, in their order."""
    rows = np.array([clip.row for clip in planned])
    clips, (root, below) = job.clips.take(rows), job.clips.located  # of all clips, as every part has it
    placed = (root, [below[row] for row in rows])
    clips = replace(clips, sources=[from_anywhere(source) for source in clips.sources], placed=placed)
    return clips, job.scanned.take(rows), [replace(clip, row=row) for row, clip in enumerate(planned)]


def _embed_part(
    make_job: Callable[..., EmbeddingJob], number: int, clips: Clips, scanned: Scan, planned: Sequence[PlannedClip]
) -> tuple[int, store.SetPart, bytes]:
    """The part as a worker writes it, for itself."""
    job = make_job(clips=clips, scanned=scanned)
    with tempfile.TemporaryDirectory(prefix="soundprobe-") as folder:
        ((_, part),) = embed_parts(job, {number: planned}, Path(folder), Progress(lambda clips: None))
        return number, part, part.path.read_bytes()

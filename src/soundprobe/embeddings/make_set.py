"""One network's embeddings of all clips, as a set in the store: parts that are there already are not made again."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from soundprobe.audio.decode import DECODE_VERSION
from soundprobe.base.files import digest_key
from soundprobe.base.locks import locked
from soundprobe.base.machine import made_by
from soundprobe.base.progress import progress_bar
from soundprobe.base.records import Clips
from soundprobe.embeddings import store
from soundprobe.embeddings.embed import EmbeddingJob, SomeParts, embed_parts, plan_parts
from soundprobe.embeddings.on_workers import embed_parts_on_workers
from soundprobe.embeddings.precision import in_precision
from soundprobe.embeddings.twin_set import copy_parts


def make_set(
    job: EmbeddingJob,
    root: Path,
    origin: dict[str, Any],
    progress: bool,
    command: str,
    belongs: dict[str, Any] | None,
    engine: str = "threads",
) -> store.Extraction:
    """Embeds what is not there yet, in the set or in one of the same clips under other labels.

    Args:
        root: the store's; origin: the data's fingerprint and how it was opened, for `meta.json`.
        belongs: of a fine-tuned network, the fold that alone may be scored on the set, and its run; else None.
        engine: "threads" of this process, or "dask": a part a task, see `base.parallel.run_tasks`.

    Raises:
        SoundprobeError: a second writer, a full disk, a precision that differs too much from float32 on these clips.
    """
    spec, clips = job.model.spec, job.clips
    key, name, fold = job.key(origin["fingerprint"]), spec.name, None
    if belongs is not None:
        fold = int(belongs["fold"])
        key = digest_key({field: belongs[field] for field in ("key", "fold", "network_sha256")})
        name = f"{spec.name}-fold-{fold:02d}"
    folder = store.set_folder(root, clips.name, name, key)
    planned = plan_parts(clips, job.scanned, job.model)
    began = time.perf_counter()
    with locked(folder):
        found = {
            number: store.finished_part(store.part_path(folder, number), clips.ids[[clip.row for clip in part]])
            for number, part in enumerate(planned)
        }
        done = {number: part for number, part in found.items() if part is not None}
        if belongs is None:
            done |= copy_parts(job, SomeParts(planned, [number for number in found if number not in done]), folder)
        reused = kept = sum(part.clips for part in done.values())
        failed = job.unreadable() | {clip: why for part in done.values() for clip, why in part.failures.items()}
        job.check_failures(failed, kept)
        left = SomeParts(planned, [number for number in range(len(planned)) if number not in done])
        if left or not store.is_complete(folder):
            meta = _meta(job, origin, key, command) | ({} if belongs is None else {"finetuned": belongs})
            job, about_precision = in_precision(job, folder, progress)
            meta |= about_precision
            began = time.perf_counter()
            store.write_meta(folder, {**meta, "complete": False})
            new = sum(map(len, left.values()))
            with progress_bar(f"embed {name}", new, "clips", shown=progress) as bar:
                here = engine == "threads"
                embed = embed_parts if here else functools.partial(embed_parts_on_workers, engine=engine)
                for number, part in embed(job, left, folder, bar):
                    done[number] = part
                    failed |= part.failures
                    kept += part.clips
                    job.check_failures(failed, kept)
            done = dict(sorted(done.items()))
            rate = {"seconds_per_clip": round((time.perf_counter() - began) / new, 6) if new else None}
            store.write_meta(
                folder, {**meta, **rate, **_outcome(clips, [done[number] for number in range(len(planned))])}
            )
    return store.Extraction.of(store.open_set(folder), reused, time.perf_counter() - began)


def _meta(job: EmbeddingJob, origin: dict[str, Any], key: str, command: str) -> dict[str, Any]:
    return {
        "key": key,
        "dataset": job.clips.describe(**origin),
        "backbone": job.model.describe(),
        "decode_version": DECODE_VERSION,
        "device": str(job.device),
        "batch_size": job.batch_size,
        "audio_root": job.clips.audio_root,
        **made_by(command),
    }


def _outcome(clips: Clips, parts: Sequence[store.SetPart]) -> dict[str, Any]:
    failures = [{"clip_id": clip, "reason": reason} for part in parts for clip, reason in part.failures.items()]
    findings = {clip: found for part in parts for clip, found in part.findings.items()}
    failed = {failure["clip_id"] for failure in failures}
    embedded = np.fromiter((clip not in failed for clip in clips.ids), bool, len(clips))
    return {
        "complete": True,
        "embedded_folds": np.unique(clips.folds[embedded]).tolist(),
        "embedded": sum(part.clips for part in parts),
        "parts": [{"file": part.path.name, "clips": part.clips} for part in parts],
        "failures": failures,
        **({"findings": findings} if findings else {}),
    }

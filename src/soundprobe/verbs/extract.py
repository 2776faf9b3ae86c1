"""Clips x backbone -> the store. Each clip is decoded and embedded once; a killed run goes on where it was.

The networks of a fine-tuning run embed every clip once each, into a set for each fold.
"""

from __future__ import annotations

import dataclasses
import datetime
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from soundprobe.audio.decode import DECODE_VERSION
from soundprobe.backbones.load import LoadedBackbone, load_backbone
from soundprobe.base.errors import ConfigError
from soundprobe.base.files import digest_key
from soundprobe.base.machine import choose_device, versions
from soundprobe.base.progress import progress_bar
from soundprobe.base.records import Clips
from soundprobe.data.catalog import MADE_FOLDS, data_address, open_data
from soundprobe.data.scan import Scan, fingerprint, scan
from soundprobe.embeddings import store
from soundprobe.embeddings.embed import BATCH_CLIPS, Job, embed_parts, embedding_key, plan_parts
from soundprobe.embeddings.precision import check_precision, declared, in_precision, precision_of
from soundprobe.training.tuned_backbones import FinetunedRun, check_alone, data_of, load_network, open_run


@dataclass(frozen=True)
class Extraction:
    """What one backbone's extraction came to.

    Attributes:
        folder: the set's folder; fold: the only one that may be scored on it, of a network that was fine-tuned.
        clips: how many clips have embeddings; reused: how many of them were there before.
        failures: clip id -> reason.
        seconds: wall time of decoding and embedding, scan left out.
    """

    folder: Path
    backbone: str
    weights_label: str
    precision: str
    clips: int
    reused: int
    failures: Mapping[str, str]
    seconds: float
    fold: int | None = None


def extract(
    data: str | Path | Clips | None = None,
    *,
    backbone: str | Sequence[str] | None = None,
    weights: str | Path | None = None,
    clip_seconds: float | None = None,
    precision: str = "fp32",
    seed: int = 0,
    finetuned: str | Path | None = None,
    embeddings: str | Path = "embeddings",
    device: str = "auto",
    batch_size: int = BATCH_CLIPS,
    jobs: int | None = None,
    folds: int = MADE_FOLDS,
    group_prefix: str | None = None,
    limit: int | None = None,
    progress: bool = True,
    command: str = "",
    on_extraction: Callable[[Extraction], None] | None = None,
) -> list[Extraction]:
    """Embeds every clip of `data` with each backbone and keeps the embeddings below the folder `embeddings`.

    A set that is there already for the same clips, weights and settings is used as it is; a part that a killed run
    finished is not embedded again.

    Args:
        data: a data set's name ("urbansound8k" by default), a path, or `Clips`; folds, group_prefix, limit: see
            `open_data`.
        backbone: one name ("mn04" by default), several, or several joined by commas.
        weights: "pretrained" (the default), "random" (the control, drawn with `seed`) or a file's path; a backbone in
            which nothing is learnt takes none.
        clip_seconds: cut or pad every clip to this length; None takes the backbone's own rule.
        finetuned: a fine-tuning run's folder, or a network file in it. Each fold's network embeds all clips into a set
            of its own, which only that fold may be scored on. Weights, lengths and clips are then the run's own.
        precision: "fp32", "bf16", "fp16" or "int8": see `soundprobe.embeddings.precision`.
        device: "auto", "cpu", "cuda" or "mps"; batch_size: clips of one forward pass; jobs: decoding threads.
        command: kept in `meta.json` as what was run.
        on_extraction: called with each backbone's outcome as soon as it is there.

    Raises:
        SoundprobeError: an unknown name, unreadable data, missing weights, a full disk, a second writer; or the
            precision is not to be had for the backbone or device, or differs too much from float32 on these clips.
    """
    if batch_size < 1:
        raise ConfigError(f"--batch-size {batch_size} is not valid: give 1 or more.")
    torch_device = choose_device(device)
    how: dict[str, Any] = {"folds": folds, "group_prefix": group_prefix, "limit": limit}
    models: Sequence[LoadedBackbone] = ()
    if finetuned is None:
        run, data = None, "urbansound8k" if data is None else data
        names = _backbone_names("mn04" if backbone is None else backbone)
        check_precision(precision, names, torch_device)
        load: dict[str, Any] = {
            "weights": weights,
            "clip_seconds": clip_seconds,
            "seed": seed,
            "progress": progress,
        }
        # All of them first: missing weights show before gigabytes are scanned.
        models = [declared(load_backbone(name, **load), precision) for name in names]
    else:
        given = {"--backbone": backbone, "--weights": weights, "--clip-seconds": clip_seconds, "--seed": seed or None}
        check_alone(
            {
                **given,
                "--folds": None if folds == MADE_FOLDS else folds,
                "--group-prefix": group_prefix,
                "--limit": limit,
                "--precision": None if precision == "fp32" else precision,
            }
        )
        run = open_run(finetuned)
        data, how = data_of(run, data)
    clips = data if isinstance(data, Clips) else open_data(data, **how)
    opened_as = None if isinstance(data, Clips) else {"data": data_address(data), **how}
    with progress_bar(f"scan {clips.name}", len(clips), "clips", shown=progress) as bar:
        scanned = scan(clips, jobs=jobs, on_progress=bar.advance)
    digest = fingerprint(clips, scanned)
    origin = {"fingerprint": digest, "opened_as": opened_as}
    extractions = []
    for model, belongs in _networks_of(run, digest, scanned) if run else ((one, None) for one in models):
        job = Job(model, clips, scanned, torch_device, batch_size, jobs)
        extractions.append(_extract_one(job, Path(embeddings), origin, progress, command, belongs))
        if on_extraction:
            on_extraction(extractions[-1])
    return extractions


def _networks_of(run: FinetunedRun, data_digest: str, scanned: Scan) -> Iterator[tuple[LoadedBackbone, dict[str, Any]]]:
    """Each fold's network, one after the other, with what its set says of the fold that it belongs to."""
    run.check_data(data_digest)
    clip_seconds = run.clip_seconds(scanned)
    for fold in run.folds:
        model = load_network(run, fold, clip_seconds)
        whole = dataclasses.replace(model, weights=dataclasses.replace(model.weights, sha256=run.networks_sha256))
        about = {**run.describe(), "key": embedding_key(whole, data_digest), "fold": fold}
        yield model, {**about, "network_sha256": model.weights.sha256}


def _backbone_names(backbone: str | Sequence[str]) -> list[str]:
    names = backbone.split(",") if isinstance(backbone, str) else list(backbone)
    names = list(dict.fromkeys(name.strip() for name in names if name.strip()))
    if not names:
        raise ConfigError("No backbone given. Name one or several, such as --backbone mn04,panns.")
    from soundprobe.backbones.catalog import BACKBONES

    for name in names:
        BACKBONES[name]
    return names


def _extract_one(
    job: Job, root: Path, origin: dict[str, Any], progress: bool, command: str, belongs: dict[str, Any] | None
) -> Extraction:
    spec, clips = job.model.spec, job.clips
    key, name, fold = embedding_key(job.model, origin["fingerprint"]), spec.name, None
    if belongs is not None:
        fold = int(belongs["fold"])
        key = digest_key({field: belongs[field] for field in ("key", "fold", "network_sha256")})
        name = f"{spec.name}-fold-{fold:02d}"
    folder = store.set_folder(root, clips.name, name, key)
    planned = plan_parts(clips, job.scanned, job.model)
    began = time.perf_counter()
    with store.locked(folder):
        store.remove_leftovers(folder)
        found = {
            number: store.finished_part(store.part_path(folder, number), clips.ids[[clip.row for clip in part]])
            for number, part in enumerate(planned)
        }
        done = {number: part for number, part in found.items() if part is not None}
        reused = sum(part.clips for part in done.values())
        left = {number: part for number, part in enumerate(planned) if number not in done}
        if left or not store.is_complete(folder):
            meta = _meta(job, origin, key, command) | ({} if belongs is None else {"finetuned": belongs})
            job, about_precision = in_precision(job, folder, progress)
            meta |= about_precision
            began = time.perf_counter()
            store.write_meta(folder, {**meta, "complete": False})
            with progress_bar(f"embed {name}", sum(map(len, left.values())), "clips", shown=progress) as bar:
                done.update(embed_parts(job, left, folder, bar))
            new = sum(map(len, left.values()))
            rate = {"seconds_per_clip": round((time.perf_counter() - began) / new, 6) if new else None}
            store.write_meta(
                folder, {**meta, **rate, **_outcome(clips, [done[number] for number in range(len(planned))])}
            )
    return Extraction(
        folder=folder,
        backbone=spec.name,
        weights_label=job.model.weights.label,
        precision=precision_of(job.model),
        clips=sum(part.clips for part in done.values()),
        reused=reused,
        failures={clip: reason for part in done.values() for clip, reason in part.failures.items()},
        seconds=time.perf_counter() - began,
        fold=fold,
    )


def _meta(job: Job, origin: dict[str, Any], key: str, command: str) -> dict[str, Any]:
    clips = job.clips
    return {
        "key": key,
        "dataset": {
            "name": clips.name,
            **origin,
            "clips": len(clips),
            "class_names": list(clips.class_names),
            "folds": sorted({int(fold) for fold in clips.folds}),
        },
        "backbone": job.model.describe(),
        "decode_version": DECODE_VERSION,
        "device": str(job.device),
        "command": command,
        "versions": versions(),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def _outcome(clips: Clips, parts: Sequence[store.Part]) -> dict[str, Any]:
    failures = [{"clip_id": clip, "reason": reason} for part in parts for clip, reason in part.failures.items()]
    embedded = ~np.isin(clips.ids, [failure["clip_id"] for failure in failures])
    return {
        "complete": True,
        "embedded_folds": np.unique(clips.folds[embedded]).tolist(),
        "embedded": sum(part.clips for part in parts),
        "parts": [{"file": part.path.name, "clips": part.clips} for part in parts],
        "failures": failures,
    }

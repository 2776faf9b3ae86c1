"""Embeddings that are there already under other labels: a set of the same clips whose labels were corrected since."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from soundprobe.base.errors import StoreError
from soundprobe.base.files import path_name
from soundprobe.embeddings import store
from soundprobe.embeddings.embed import EmbeddingJob, PlannedClip
from soundprobe.embeddings.precision import precision_of


def find_twins(job: EmbeddingJob, folder: Path) -> list[store.EmbeddingSet]:
    """The finished sets beside `folder` that the same network made in the same way, of whatever clips.

    None in fewer bits than float32: how a network is quantised hangs on the clips. None of frames, which are not read
    with the embeddings.
    """
    found = []
    for other in sorted(folder.parent.glob(f"{path_name(job.model.spec.name)}-*")):
        usual = precision_of(job.model) == "fp32" and job.model.kept_frames is None
        try:
            made = store.open_set(other) if other != folder and usual else None
        except StoreError:
            continue
        # The keys of earlier versions know no device.
        alike = made is not None and made.record.device.partition(":")[0] == job.device.type
        if made and alike and made.fold is None and made.key == job.key(made.record.dataset.fingerprint):
            found.append(made)
    return found


def copy_parts(job: EmbeddingJob, left: Mapping[int, Sequence[PlannedClip]], folder: Path) -> dict[int, store.SetPart]:
    """Writes those parts of `left` that one twin has, planned alike and of the same bytes: their batches were the same.

    None of a clip that version 1 of decoding may have read in part: no set says by which its own were decoded.
    """
    done: dict[int, store.SetPart] = {}
    clips, scanned = job.clips, job.scanned
    for twin in find_twins(job, folder) if left else ():
        for number, planned in left.items():
            rows = [clip.row for clip in planned]
            if scanned.decoder is not None and any(scanned.decoder[rows]):
                continue
            ids = clips.ids[rows].tolist()
            there = store.part_path(twin.folder, number)
            if number in done or not store.finished_part(there, ids):
                continue
            table = store.read_table(there)
            told = (table["clip_id"].to_pylist(), table["audio_sha256"].to_pylist())
            if told != (ids, scanned.sha256[rows].tolist()):
                continue
            findings = {clip: dict(twin.record.findings[clip]) for clip in ids if clip in twin.record.findings}
            path = store.part_path(folder, number)
            done[number] = store.write_part(
                path, clips, rows, rows, store.embeddings_in(table), scanned.sha256, scanned.duration_s, {}, findings
            )
    return done

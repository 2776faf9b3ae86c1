"""The audit of a data set, from what its runs' predictions hold and, where they are at hand, its embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from soundprobe.audio.checks import notes
from soundprobe.base.errors import SoundprobeError
from soundprobe.base.records import Clips, Embeddings
from soundprobe.data.audit.audit import Audit, audit
from soundprobe.embeddings import store
from soundprobe.reporting.runs.marks import is_protocol_control
from soundprobe.reporting.runs.run import Run


def audit_runs(runs: Sequence[Run], embeddings: Path | None) -> Audit | None:
    """The audit of the clips that the fullest of `runs` tested; None where no run says the clips' recordings.

    Args:
        runs: on one data set; controls have other labels or folds, and are not asked.
        embeddings: the store in which near copies are looked for; what is not there is not looked at, and says so.
    """
    known = [run for run in runs if run.groups is not None and not is_protocol_control(run)]
    if not known:
        return None
    fullest = max(known, key=lambda run: (len(run.ids), len(run.columns)))
    assert fullest.groups is not None
    clips = Clips(
        name=str(fullest.dataset["name"]),
        ids=fullest.ids,
        sources=[""] * len(fullest.ids),
        labels=fullest.y_true,
        folds=fullest.fold,
        groups=fullest.groups,
        class_names=fullest.class_names,
        columns={name: values for name, values in fullest.columns.items() if name == "salience"},
        recordings_known=fullest.recordings_known,
    )
    found = None if embeddings is None else _find_embeddings(runs, clips, embeddings)
    told = [run.record.dataset for run in runs]
    kept = () if found is None else notes(found.meta.get("findings", {}))  # the set's; older runs don't keep them
    return replace(
        audit(
            clips,
            sha256=_column(fullest, "audio_sha256"),
            duration_s=_column(fullest, "duration_s"),
            embeddings=found,
        ),
        reading_notes=next((tuple(one.notes) for one in told if one.notes), ()),
        sound_notes=next((tuple(one.sound_notes) for one in told if one.sound_notes), tuple(kept)),
    )


def _column(run: Run, name: str) -> np.ndarray | None:
    return np.asarray(run.columns[name].tolist()) if name in run.columns else None


def _find_embeddings(runs: Sequence[Run], clips: Clips, root: Path) -> Embeddings | None:
    """The stored embeddings of the first pretrained backbone of `runs`, cut to `clips`; None where there are none."""
    wanted = set(clips.ids.tolist())
    for run in runs:
        if run.info["kind"] != "probe" or run.backbone["weights"] != "pretrained":
            continue
        folder = store.set_folder(root, str(run.dataset["name"]), str(run.backbone["name"]), str(run.backbone["key"]))
        try:
            found = store.read_embeddings(store.open_set(folder))
        except SoundprobeError:
            continue
        if set(found.ids.tolist()) <= wanted:
            return found
    return None

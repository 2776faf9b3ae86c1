"""The files of a run's folder, `result.json` and what was measured beside it, checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from soundprobe.base.errors import StoreError
from soundprobe.scoring.measured import LearningCurveRecord, PeekingRecord, ShotsRecord
from soundprobe.scoring.out_of_fold import UnreadableRunError, reason_of
from soundprobe.scoring.results import read_result
from soundprobe.scoring.run_records import RunRecord


def read_record(folder: Path) -> RunRecord:
    """result.json of `folder`.

    Raises:
        UnreadableRunError: it is missing, not JSON, of another format, or lacks a field.
    """
    if not (folder / "result.json").exists():
        raise UnreadableRunError("no result.json: the run is still going, or stopped before its end")
    try:
        return read_result(folder)
    except StoreError as error:
        raise UnreadableRunError(f"result.json {reason_of(error)}") from None


def read_extras(folder: Path) -> dict[str, Any]:
    """What was measured beside the run: `learning_curve`, `shots`, `peeking`; None where it was not, or can't be used.

    That is no reason to lose the run: `unreadable` says why, by the file's name. Never raises for what the files hold.
    """
    found: dict[str, Any] = {"unreadable": {}}
    kinds: dict[str, type[LearningCurveRecord | ShotsRecord | PeekingRecord]] = {
        "learning_curve": LearningCurveRecord,
        "shots": ShotsRecord,
        "peeking": PeekingRecord,
    }
    for name, kind in kinds.items():
        try:
            record = kind.read_if_there(folder / kind.FILE)
            found[name] = None if record is None else record.content
        except StoreError as error:
            why = f"{reason_of(error)}, so what it measured is left out; the run itself is not"
            found["unreadable"][kind.FILE] = why
    return found

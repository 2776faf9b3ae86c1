"""What was measured beside a run, `learning-curve.json` and `peeking.json`, read for a report.

A file that can't be used is no reason to lose the run: the measurement counts as not made, and the file is listed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from soundprobe.base.errors import StoreError
from soundprobe.reporting.runs.run_files import reason_of
from soundprobe.scoring.measured import LearningCurveRecord, PeekingRecord


class Extras(NamedTuple):
    """Both measurements, None where there is none, and why a file that is there can't be used, by its name."""

    learning_curve: Mapping[str, Any] | None
    peeking: Mapping[str, Any] | None
    unreadable: Mapping[str, str]


def read_extras(folder: Path) -> Extras:
    """What was measured beside the run in `folder`; never raises for what the files hold."""
    found: list[Mapping[str, Any] | None] = []
    unreadable = {}
    for kind in (LearningCurveRecord, PeekingRecord):
        try:
            record = kind.read_if_there(folder / kind.FILE)
            found.append(None if record is None else record.content)
        except StoreError as error:
            found.append(None)
            unreadable[kind.FILE] = f"{reason_of(error)}, so what it measured is left out; the run itself is not"
    return Extras(found[0], found[1], unreadable)

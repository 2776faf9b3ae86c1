"""`--mlflow`: where runs are logged besides."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

from soundprobe.cli.options import option

if TYPE_CHECKING:
    from soundprobe.scoring.results import FinishedRun


def _check(to: str | None) -> str | None:
    if to is not None:
        from soundprobe.verbs.track import check_tracker

        check_tracker(to)
    return to


Mlflow = Annotated[str | None, option("WHERE", "Also log runs to MLflow: a folder, or its URI.", callback=_check)]


def track_runs(runs: Iterable[FinishedRun], to: str | None) -> None:
    """Logs them where `--mlflow` says."""
    if to is not None:
        from soundprobe.verbs.track import track

        track(runs, to)

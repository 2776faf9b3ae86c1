"""Results on disk -> one HTML page, Markdown and JSON. Only reads the heads folder.

collect_runs(heads_folder)                 every run, its figures recomputed from its predictions
write_report(heads_folder, reports_folder) the three files
format_summary(collection)                 what a terminal shows

They are imported on first use, so that a message in a terminal need not wait for what a report computes with.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from soundprobe.reporting.render.terminal import format_summary as format_summary
    from soundprobe.reporting.runs.collect import Collection as Collection
    from soundprobe.reporting.runs.collect import UnreadableRun as UnreadableRun
    from soundprobe.reporting.runs.collect import collect_runs as collect_runs
    from soundprobe.reporting.runs.run import Run as Run
    from soundprobe.reporting.write import ReportPaths as ReportPaths
    from soundprobe.reporting.write import write_report as write_report

_HOMES = {
    "Collection": "runs.collect",
    "ReportPaths": "write",
    "Run": "runs.run",
    "UnreadableRun": "runs.collect",
    "collect_runs": "runs.collect",
    "format_summary": "render.terminal",
    "write_report": "write",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'soundprobe.reporting' has no attribute {name!r}")
    return getattr(import_module(f"soundprobe.reporting.{_HOMES[name]}"), name)

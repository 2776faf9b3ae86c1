"""Results on disk -> one HTML page, Markdown and JSON. Only reads the heads folder.

collect_runs(heads_folder)                 every run, its figures recomputed from its predictions
write_report(heads_folder, reports_folder) the three files
format_summary(collection)                 what a terminal shows
"""

from __future__ import annotations

from soundprobe.reporting.render.terminal import format_summary
from soundprobe.reporting.runs.collect import Collection, UnreadableRun, collect_runs
from soundprobe.reporting.runs.run import Run
from soundprobe.reporting.write import ReportPaths, write_report

__all__ = [
    "Collection",
    "ReportPaths",
    "Run",
    "UnreadableRun",
    "collect_runs",
    "format_summary",
    "write_report",
]

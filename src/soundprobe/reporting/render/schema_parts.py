"""The parts of report.json on intervals, tests and breakdowns; `soundprobe.reporting.render.schema` documents them."""

from __future__ import annotations

import dataclasses
from typing import Any

from soundprobe.reporting.compared.comparison import Comparison
from soundprobe.reporting.compared.pairs import Pair
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.sections.calibration import calibrate
from soundprobe.reporting.sections.conditions import breakdowns_of, shown_rows
from soundprobe.reporting.sections.curves import histories_of, last_epochs, learning_curve_of
from soundprobe.reporting.sections.evidence import doubts_of, notes_comparisons
from soundprobe.reporting.sections.recordings import hardest_recordings
from soundprobe.scoring.bootstrap import METRICS, Interval
from soundprobe.scoring.paired_tests import Paired

PEEKED = ("honest", "peeked_by_fold", "peeked_overall")


def index_of(comparison: Comparison, row: Row | None) -> int | None:
    return next((index for index, other in enumerate(comparison.rows) if other is row), None)


def interval(one: Interval) -> dict[str, Any]:
    return dataclasses.asdict(one)


def dataset_parts(comparison: Comparison) -> dict[str, Any]:
    """What a data set has besides its rows."""
    return {
        "audit": None if comparison.audit is None else comparison.audit.to_json(),
        "hardest_recordings": [dataclasses.asdict(one) for one in hardest_recordings(comparison)],
        "without_leaks": [_pair(comparison, pair) for pair in comparison.without_leaks],
    }


def row_parts(comparison: Comparison, row: Row) -> dict[str, Any]:
    """Intervals, tests, calibration and breakdowns of one row."""
    peeking = next((run.peeking for run in row.runs if run.peeking), None)
    return {
        "intervals": {metric: interval(row.scores.interval(metric)) for metric in METRICS},
        "doubts": list(doubts_of(row)),
        "per_class": [
            {name: interval(one) for name, one in figures.items()} for figures in row.scores.class_intervals()
        ],
        "calibration": dataclasses.asdict(calibrate(row)),
        "learning_curve": [dataclasses.asdict(point) for point in learning_curve_of(row)],
        "training": last_epochs(row) if any(histories_of(row)) else None,
        "peeking": None if peeking is None else {name: peeking[name] for name in PEEKED},
        "by": _by(comparison, row),
        "against_control": _found(comparison, comparison.against_controls, row),
        "against_best": _found(comparison, comparison.against_best, row),
        "against_notes": _against_notes(comparison, row),
    }


def _by(comparison: Comparison, row: Row) -> dict[str, Any]:
    if row not in shown_rows(comparison):
        return {}
    return {
        one.key: [
            {
                "condition": name,
                "clips": clips,
                "recordings": recordings,
                "accuracy": None if cell is None else interval(cell),
            }
            for name, clips, recordings, cell in zip(
                one.conditions, one.clips, one.recordings, one.cells[0], strict=True
            )
        ]
        for one in breakdowns_of([row])
    }


def _against_notes(comparison: Comparison, row: Row) -> dict[str, Any] | None:
    found = next((one for other, one in notes_comparisons(comparison) if other is row), None)
    if found is None:
        return None
    return {
        "clips": found.clips,
        "design_effect": found.design_effect,
        "by_clip": interval(found.by_clip.difference),
        "by_recording": interval(found.by_recording.difference),
    }


def _found(comparison: Comparison, pairs: tuple[Pair, ...], row: Row) -> dict[str, Any] | None:
    return next((_pair(comparison, pair) for pair in pairs if pair.row is row), None)


def _pair(comparison: Comparison, pair: Pair) -> dict[str, Any]:
    return {
        "row": index_of(comparison, pair.row),
        "other": index_of(comparison, pair.other),
        "clips": pair.clips,
        **{metric: _paired(getattr(pair, metric)) for metric in METRICS},
    }


def _paired(one: Paired) -> dict[str, Any]:
    content = dataclasses.asdict(one)
    return {
        "mean": content["mean"],
        "folds": list(one.folds),
        "differences": list(one.differences),
        "t_test": content["t_test"],
        "sign_test": content["sign_test"],
        "p_holm": one.p_holm,
        "comparisons": one.comparisons,
        "clear": one.is_clear,
    }

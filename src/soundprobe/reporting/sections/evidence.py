"""Is it real? What the page shows of paired tests: each run against the best, and against the notes' fold 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from soundprobe.reporting.compared.comparison import Comparison, Standing
from soundprobe.reporting.compared.pairs import Pair
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.render.plots import Plot, Variant, named_axis, reach
from soundprobe.reporting.render.wording import listing
from soundprobe.scoring import notes
from soundprobe.scoring.against_notes import NotesComparison, compare_with_notes, estimate_design_effect

UNKNOWN_RECORDINGS = (
    "Which recording a clip was cut from is not known here, so every clip was redrawn by itself: the intervals are too "
    "narrow. Probe again to have it written down."
)


def prepare_statistics(comparison: Comparison) -> dict[str, Any] | None:
    """Each contender against the best, and against the notes' fold 1 where these are its clips."""
    best, against_notes = comparison.best, notes_comparisons(comparison)
    if best is None and not against_notes:
        return None
    pairs = comparison.against_best
    return {
        "best": best,
        "pairs": pairs,
        "plot": forest("differences", "Each run less the best, in points of accuracy", pairs) if pairs else None,
        "doubts": doubts_of(best) if best else (),
        "against_notes": against_notes,
    }


def doubts_of(row: Row) -> tuple[str, ...]:
    """Why a row's intervals may be too narrow, a sentence each."""
    unknown = (UNKNOWN_RECORDINGS,) if any(run.groups is None for run in row.runs) else ()
    return (*unknown, *row.scores.doubts)


def cautions_of(comparison: Comparison) -> tuple[str, ...]:
    """What must be known of single rows to read them, a sentence for each kind of row."""
    found: dict[str, list[str]] = {}
    for row in comparison.rows:
        if row.caution:
            found.setdefault(row.caution, []).append(row.name)
    return tuple(f"{listing(names)}: {caution}" for caution, names in found.items())


def notes_comparisons(comparison: Comparison) -> tuple[tuple[Row, NotesComparison], ...]:
    """Each row that tested fold 1 against the notes' CNN on it, on the official folds only."""
    if comparison.standing is not Standing.SAME:
        return ()
    found = [(row, _on_clean_fold(row)) for row in comparison.rows if not row.is_control]
    return tuple((row, against) for row, against in found if against is not None)


def _on_clean_fold(row: Row) -> NotesComparison | None:
    here = [one.folds == notes.CLEAN_FOLD for one in row.predictions]
    clips = int(here[0].sum())
    missing = notes.FOLD_CLIPS[notes.CLEAN_FOLD - 1] - clips
    if clips == 0 or missing < 0:
        return None
    right = [(one.labels == one.predicted)[rows] for one, rows in zip(row.predictions, here, strict=True)]
    effect = float(
        np.mean(
            [
                estimate_design_effect(correct, one.groups[rows])
                for correct, one, rows in zip(right, row.predictions, here, strict=True)
            ]
        )
    )
    return compare_with_notes(round(float(np.mean(right)) * clips), clips, missing=missing, design_effect=effect)


def forest(key: str, title: str, pairs: Sequence[Pair]) -> Plot:
    """Differences with their intervals, one below the other; a filled mark is a clear difference."""
    shown = [pair.row.name for pair in pairs]
    trace = {
        "type": "scatter",
        "mode": "markers",
        "x": [100 * pair.accuracy.mean.value for pair in pairs],
        "y": list(range(len(pairs))),
        "error_x": reach([pair.accuracy.mean for pair in pairs], "var(--accent)"),
        "marker": {
            "size": 11,
            "color": ["var(--accent)" if pair.accuracy.is_clear else "var(--surface)" for pair in pairs],
            "line": {"width": 2, "color": "var(--accent)"},
        },
        "hovertemplate": "%{y}<br>%{x:+.1f} points<extra></extra>",
    }
    layout = {
        "xaxis": {"title": {"text": "points of accuracy"}, "zeroline": True, "zerolinecolor": "var(--text)"},
        "yaxis": named_axis(shown, autorange="reversed"),
        "showlegend": False,
    }
    return Plot(key, title, [Variant("", [trace])], layout, height=90 + 34 * len(pairs))

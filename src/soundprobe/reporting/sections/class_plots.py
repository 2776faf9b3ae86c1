"""Charts of classes and folds: the confusion matrix, precision and recall, accuracy fold by fold.

Letters: C classes, F folds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from soundprobe.reporting.compared.comparison import Comparison, Standing
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.render.plots import PALETTE, Plot, Variant, label, named_axis, percent_axis, reach
from soundprobe.reporting.sections import breakdown
from soundprobe.reporting.sections.conditions import shown_rows
from soundprobe.scoring import notes
from soundprobe.scoring.bootstrap import Interval

CELLS = 100_000
"""How many cells of confusion matrices a page may hold: 30 runs of 50 classes."""


def prepare_confusion(comparison: Comparison) -> dict[str, Any] | None:
    """The best run's confusions in words and as a table, every run's as a chart."""
    best = comparison.best
    if best is None:
        return None
    rows = (best, *(row for row in comparison.rows if row is not best))
    return {
        "row": best,
        "shares": breakdown.row_shares(best.confusion),
        "frequent": breakdown.most_frequent(best, limit=10),
        "plot": _confusion_plot(rows[: max(1, CELLS // len(comparison.class_names) ** 2)]),
    }


def _confusion_plot(rows: Sequence[Row]) -> Plot:
    names = rows[0].first.class_names
    variants = []
    for row in rows:
        shares, counts = breakdown.row_shares(row.confusion), row.confusion
        variants.append(
            Variant(
                row.full_name,
                [
                    {
                        "type": "heatmap",
                        "z": np.round(100 * shares, 2).tolist(),
                        "customdata": counts.tolist(),
                        "zmin": 0,
                        "zmax": 100,
                        "xgap": 1,
                        "ygap": 1,
                        "showscale": False,
                        "colorscale": [[0, "var(--raised)"], [0.25, "var(--heat-low)"], [1, "var(--heat)"]],
                        **(_cell_texts(shares) if len(names) <= 20 else {}),
                        "hovertemplate": "true: %{y}<br>taken for: %{x}<br>%{z:.1f} % of the class, %{customdata} "
                        "clips<extra></extra>",
                    }
                ],
            )
        )
    layout = {
        "xaxis": named_axis(names, title={"text": "taken for"}, side="bottom", showgrid=False, tickangle=-45),
        "yaxis": named_axis(names, title={"text": "true class"}, autorange="reversed", showgrid=False),
    }
    height = min(900, 200 + 34 * len(names))
    return Plot("confusion", "Confusion matrix, in percent of each true class", variants, layout, height)


def _cell_texts(shares: np.ndarray) -> dict[str, Any]:
    """The figure of each cell in whole percent; empty cells stay empty."""
    texts = [[f"{100 * share:.0f}" if share >= 0.005 else "<1" if share else "" for share in line] for line in shares]
    return {"text": [[text.replace("<", "&lt;") for text in line] for line in texts], "texttemplate": "%{text}"}


def prepare_classes(comparison: Comparison) -> dict[str, Any]:
    """Precision, recall and F1 of each class with intervals, for every run; and F1 of all runs as a table."""
    shown = shown_rows(comparison)
    rows = (shown[0], *(row for row in comparison.rows if row is not shown[0]))
    return {"rows": comparison.rows, "row": shown[0], "plot": _classes_plot(rows), "figures": class_figures(shown[0])}


def class_figures(row: Row) -> list[tuple[str, int, dict[str, Interval]]]:
    """Each class with its clips and its intervals, the lowest F1 first."""
    clips = row.confusion.sum(axis=1) / len(row.runs)
    found = [
        (name, round(float(count)), figures)
        for name, count, figures in zip(row.first.class_names, clips, row.scores.class_intervals(), strict=True)
    ]
    return sorted(found, key=lambda one: one[2]["f1"].value if "f1" in one[2] else -1.0)


def _classes_plot(rows: Sequence[Row]) -> Plot:
    variants = []
    for row in rows:
        figures = class_figures(row)
        traces = []
        for place, (key, symbol) in enumerate((("f1", "circle"), ("precision", "triangle-up"), ("recall", "diamond"))):
            there = [(number, one[2][key]) for number, one in enumerate(figures) if key in one[2]]
            color = PALETTE[place]
            traces.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "name": {"f1": "F1"}.get(key, key),
                    "x": [100 * cell.value for _, cell in there],
                    "y": [number + 0.22 * (place - 1) for number, _ in there],
                    "error_x": reach([cell for _, cell in there], color),
                    "marker": {"symbol": symbol, "size": 8, "color": color},
                    "hovertemplate": "%{x:.1f} %<extra>%{fullData.name}</extra>",
                }
            )
        layout = {"yaxis": named_axis([one[0] for one in figures], autorange="reversed")}
        variants.append(Variant(row.full_name, traces, layout))
    layout = {"xaxis": percent_axis("with 95 % intervals"), "yaxis": {"showgrid": True}}
    height = 130 + 46 * len(rows[0].first.class_names)
    return Plot("classes", "Precision, recall and F1 of each class", variants, layout, height)


def prepare_folds(comparison: Comparison) -> dict[str, Any]:
    """Accuracy of each fold as a chart of the best rows; the tables hold all of them."""
    return {"rows": comparison.rows, "plot": _folds_plot(comparison)}


def _folds_plot(comparison: Comparison) -> Plot:
    rows, folds = shown_rows(comparison), list(comparison.folds)
    traces: list[dict[str, Any]] = []
    for place, row in enumerate(rows):
        color = PALETTE[-1] if row.is_control else PALETTE[place % (len(PALETTE) - 1)]
        intervals = [row.scores.fold_interval("accuracy", fold) for fold in row.folds]
        shift = (place - (len(rows) - 1) / 2) * 0.1
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": label(row.full_name, 60),
                "x": [folds.index(fold) + shift for fold in row.folds],
                "y": [100 * one.value for one in intervals],
                "error_y": reach(intervals, color),
                "marker": {"color": color, "size": 8, "symbol": "circle-open" if row.is_control else "circle"},
                "hovertemplate": "%{y:.1f} %<extra>%{fullData.name}</extra>",
            }
        )
    if comparison.standing is Standing.SAME:
        traces.append(_notes_trace(folds))
    layout = {
        "xaxis": named_axis([str(fold) for fold in folds], title={"text": "fold"}, showgrid=False),
        "yaxis": percent_axis("accuracy"),
    }
    return Plot("folds", "Accuracy of each fold, with 95 % intervals", [Variant("", traces)], layout, 400)


def _notes_trace(folds: Sequence[int]) -> dict[str, Any]:
    clean = [fold.fold == notes.CLEAN_FOLD for fold in notes.FOLDS]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": f"{notes.TITLE}: contaminated but for fold {notes.CLEAN_FOLD}",
        "x": [folds.index(fold.fold) for fold in notes.FOLDS],
        "y": [100 * fold.accuracy for fold in notes.FOLDS],
        "marker": {
            "color": "var(--notes)",
            "size": 10,
            "symbol": ["diamond" if one else "x-thin-open" for one in clean],
        },
        "hovertemplate": "%{y:.1f} %<extra>%{fullData.name}</extra>",
    }

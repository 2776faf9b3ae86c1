"""Curves: accuracy against training recordings, losses against epochs, accuracy against cost.

Letters: F folds, E epochs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from soundprobe.reporting.compared.comparison import Comparison
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.render.plots import PALETTE, Plot, Variant, label, percent_axis
from soundprobe.scoring.overfitting import percents as overfitting_percents

LOSSES = {
    "train_loss_eval": "training loss, measured again",
    "train_loss": "training loss",
    "validation_loss": "validation loss",
}


@dataclass(frozen=True)
class CurvePoint:
    """Scores with a share of the training recordings: means over F folds, and the sample deviation between folds."""

    share: float
    recordings: float
    clips: float
    accuracy: float
    macro_f1: float
    spread: float
    folds: int


def learning_curve_of(row: Row) -> tuple[CurvePoint, ...]:
    """The points of the row's first run that has a curve; empty where none was measured."""
    content = next((run.learning_curve for run in row.runs if run.learning_curve), None)
    if content is None:
        return ()
    points = []
    for share in content["shares"]:
        here = [point for fold in content["folds"] for point in fold["points"] if point["share"] == share]
        if not here:
            continue
        accuracy = [point["accuracy"] for point in here]
        points.append(
            CurvePoint(
                share=share,
                **{
                    name: float(np.mean([point[name] for point in here]))
                    for name in ("recordings", "clips", "accuracy", "macro_f1")
                },
                spread=float(np.std(accuracy, ddof=1)) if len(here) > 1 else 0.0,
                folds=len(here),
            )
        )
    return tuple(points)


def prepare_learning(comparison: Comparison) -> dict[str, Any] | None:
    """Every row with a learning curve; None where there is none."""
    found = [(row, points) for row in comparison.rows if (points := learning_curve_of(row))]
    if not found:
        return None
    traces = [
        {
            **_line(place, row),
            "x": [point.recordings for point in points],
            "y": [100 * point.accuracy for point in points],
            "error_y": {
                "type": "data",
                "array": [100 * point.spread for point in points],
                "thickness": 1,
                "width": 0,
                "color": _color(place, row),
            },
            "hovertemplate": "%{x:.0f} recordings: %{y:.1f} %<extra>%{fullData.name}</extra>",
        }
        for place, (row, points) in enumerate(found)
    ]
    ticks = sorted({round(point.recordings) for _, points in found for point in points})
    layout = {
        "xaxis": {"type": "log", "title": {"text": "training recordings"}, "tickvals": ticks, "ticktext": ticks},
        "yaxis": percent_axis("accuracy"),
    }
    title = "Accuracy against the number of training recordings"
    return {"rows": found, "plot": Plot("learning", title, [Variant("", traces)], layout, 400)}


def prepare_training(comparison: Comparison) -> dict[str, Any] | None:
    """Losses and accuracy by epoch of the rows that trained a network; None where there is none."""
    rows = [row for row in comparison.rows if row.first.info["kind"] == "finetune" and any(histories_of(row))]
    if not rows:
        return None
    variants = [Variant(row.full_name, _epochs(row)) for row in rows]
    layout = {
        "xaxis": {"title": {"text": "epoch"}, "dtick": 1 if _longest(rows) <= 20 else 0},
        "yaxis": {"title": {"text": "loss (cross-entropy, nats)"}, "rangemode": "tozero"},
    }
    plot = Plot("training", "Losses by epoch: bold the mean of the folds, thin each fold", variants, layout, 400)
    return {"rows": [(row, last_epochs(row)) for row in rows], "plot": plot}


def histories_of(row: Row) -> list[list[Mapping[str, Any]]]:
    """For each fold of the first run the steps that are epochs with a training loss."""
    return [
        [step for step in entry.get("history") or [] if "epoch" in step and "train_loss" in step]
        for entry in row.first.info["folds"]
    ]


def last_epochs(row: Row) -> dict[str, float | None]:
    """Means over folds of each figure of the last epoch, and the notes' overfitting; None where a fold lacks it."""
    last = [history[-1] for history in histories_of(row) if history]
    names = (*LOSSES, "validation_accuracy", "epoch")
    means: dict[str, float | None] = {}
    for name in names:
        values = [float(step[name]) for step in last if _is_number(step.get(name))]
        means[name] = float(np.mean(values)) if len(values) == len(last) else None
    return {**means, **overfitting_percents(histories_of(row))}


def _epochs(row: Row) -> list[dict[str, Any]]:
    traces: list[dict[str, Any]] = []
    for place, (name, title) in enumerate(LOSSES.items()):
        folds = [[step.get(name) for step in history] for history in histories_of(row)]
        folds = [values for values in folds if values and all(_is_number(value) for value in values)]
        if not folds:
            continue
        color = PALETTE[place]
        for values in folds:
            line = {"color": color, "width": 1}
            thin = {"mode": "lines", "showlegend": False, "hoverinfo": "skip", "opacity": 0.35, "legendgroup": name}
            traces.append({"type": "scatter", "x": _numbered(values), "y": values, "line": line, **thin})
        longest = max(map(len, folds))
        mean = [float(np.mean([one[epoch] for one in folds if epoch < len(one)])) for epoch in range(longest)]
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": title,
                "legendgroup": name,
                "x": _numbered(mean),
                "y": mean,
                "line": {"color": color, "width": 3},
                "marker": {"color": color, "size": 5},
                "hovertemplate": "epoch %{x}: %{y:.3f}<extra>%{fullData.name}</extra>",
            }
        )
    return traces


def prepare_cost(comparison: Comparison) -> dict[str, Any]:
    """Every row's cost, and accuracy against the time to embed a clip."""
    timed = [row for row in comparison.rows if row.seconds_per_clip]
    plot = None
    if len({row.seconds_per_clip for row in timed}) > 1:
        traces = [
            {
                "type": "scatter",
                "mode": "markers",
                "name": label(row.full_name, 60),
                "x": [1000 * (row.seconds_per_clip or 0.0)],
                "y": [100 * row.accuracy.mean],
                "marker": {
                    "size": 12,
                    "color": _color(place, row),
                    "symbol": "circle-open" if row.is_control else "circle",
                },
                "hovertemplate": "%{x:.3g} ms a clip: %{y:.1f} %<extra>%{fullData.name}</extra>",
            }
            for place, row in enumerate(timed)
        ]
        layout = {
            "xaxis": {"type": "log", "title": {"text": "ms to embed a clip"}, "dtick": "D2"},
            "yaxis": percent_axis("accuracy"),
            "showlegend": len(timed) <= 8,
        }
        plot = Plot("cost", "Accuracy against the time to embed a clip", [Variant("", traces)], layout, 380)
    return {"rows": comparison.rows, "plot": plot}


def _line(place: int, row: Row) -> dict[str, Any]:
    color = _color(place, row)
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": label(row.full_name, 60),
        "line": {"color": color, "dash": "dot" if row.is_control else "solid"},
        "marker": {"color": color, "size": 7},
    }


def _color(place: int, row: Row) -> str:
    return PALETTE[-1] if row.is_control else PALETTE[place % (len(PALETTE) - 1)]


def _numbered(values: Sequence[object]) -> list[int]:
    return list(range(1, len(values) + 1))


def _longest(rows: Sequence[Row]) -> int:
    return max(len(history) for row in rows for history in histories_of(row))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

"""Training curves: losses by epoch of the rows that trained a network. Letters: F folds, E epochs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from soundprobe.reporting.compared.comparison import Comparison
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.elements import Column, Element, Plotted, Table, Text, on_page
from soundprobe.reporting.plots import PALETTE, Plot, Variant, scatter
from soundprobe.reporting.sections.section import Section
from soundprobe.reporting.sections.shown_rows import run_name
from soundprobe.reporting.wording import percent
from soundprobe.scoring.overfitting import percents as overfitting_percents

LOSSES = {
    "train_loss_eval": "training loss, measured again",
    "train_loss": "training loss",
    "validation_loss": "validation loss",
}


def _show(comparison: Comparison) -> Iterator[Element]:
    rows = [row for row in comparison.rows if row.first.info["kind"] == "finetune" and any(histories_of(row))]
    if not rows:
        return
    yield Text(
        "Cross-entropy in nats",
        on_page(" by epoch; bold the mean of the folds, thin each fold"),
        ". The training loss is taken while the network still changes, with dropout and augmentation; measured again, "
        "it is taken as the validation loss is. Validation clips are training recordings that were held out; the test "
        "fold is in none of these curves. Overfitting is validation loss less training loss in % "
        "of training loss, with the training loss as trained and measured again: it grows without end where training "
        "loss nears 0, falls below 0 under dropout and augmentation, and says nothing of accuracy. Judge by the "
        "validation curve.",
        role="how",
    )
    columns = [
        Column("Last epoch, mean over folds", lambda one: run_name(one[0]), text=True),
        Column("Epoch", lambda one: one[1]["epoch"], "{:.3g}".format),
        Column("Training loss", lambda one: one[1]["train_loss"], "{:.3f}".format),
        Column("Measured again", lambda one: one[1]["train_loss_eval"], "{:.3f}".format),
        Column("Validation loss", lambda one: one[1]["validation_loss"], "{:.3f}".format),
        Column("Validation accuracy, %", lambda one: one[1]["validation_accuracy"], percent),
        Column("Overfitting, %, as trained", lambda one: one[1]["as_trained_percent"], "{:+,.1f}".format),
        Column("Overfitting, %, measured again", lambda one: one[1]["remeasured_percent"], "{:+,.1f}".format),
    ]
    variants = [Variant(row.full_name, _epochs(row)) for row in rows]
    longest = max(len(history) for row in rows for history in histories_of(row))
    layout = {
        "xaxis": {"title": {"text": "epoch"}, "dtick": 1 if longest <= 20 else 0},
        "yaxis": {"title": {"text": "loss (cross-entropy, nats)"}, "rangemode": "tozero"},
    }
    yield Plotted(
        Plot("training", "Losses by epoch: bold the mean of the folds, thin each fold", variants, layout, 400),
        [Table(columns, [(row, last_epochs(row)) for row in rows])],
    )


def histories_of(row: Row) -> list[list[Mapping[str, Any]]]:
    """For each fold of the first run the steps that are epochs with a training loss."""
    return [
        [step for step in entry.get("history") or [] if "epoch" in step and "train_loss" in step]
        for entry in row.first.info["folds"]
    ]


def last_epochs(row: Row) -> dict[str, float | None]:
    """Means over folds of each figure of the last epoch, and the notes' overfitting; None where a fold lacks it."""
    last = [history[-1] for history in histories_of(row) if history]
    means: dict[str, float | None] = {}
    for name in (*LOSSES, "validation_accuracy", "epoch"):
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
        line, marker = {"color": color, "width": 3}, {"color": color, "size": 5}
        look = {"mode": "lines+markers", "legendgroup": name, "line": line, "marker": marker}
        traces.append(scatter(title, _numbered(mean), mean, "epoch %{x}: %{y:.3f}", **look))
    return traces


def _numbered(values: Sequence[object]) -> list[int]:
    return list(range(1, len(values) + 1))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


SECTION = Section(
    "training",
    "Training curves",
    _show,
    row_facts=lambda comparison, row: {"training": last_epochs(row) if any(histories_of(row)) else None},
    folded=True,
)

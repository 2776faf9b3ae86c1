"""Draws docs/images/overfitting.png: losses, the notes' overfitting metric, and validation accuracy, epoch by epoch.

.venv/bin/python docs/draw_overfitting.py "SimpleCNN=heads/.../finetune-..." "mn04=heads/.../finetune-..."

Each argument is a column: a title and a run's folder. Curves are means over the folds that went on so far; the figures
that the page quotes are printed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from soundprobe.training.log import read_history

IMAGE = Path(__file__).resolve().parent / "images" / "overfitting.png"
AS_TRAINED, AGAIN, VALIDATION = "#c0562f", "#2f5d8a", "#444444"
TICKS = (-100, 0, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000)
COLUMNS = ("train_loss", "train_loss_eval", "validation_loss", "validation_accuracy")


def mean_curves(run: Path) -> dict[str, np.ndarray]:
    """For each of COLUMNS its mean over folds by epoch, as far as every fold went.

    Raises:
        SystemExit: the folder has no history, or no validation.
    """
    folds = [read_history(path) for path in sorted(run.glob("fold-*-history.csv"))]
    epochs = min((len(fold) for fold in folds), default=0)
    if not epochs or not folds[0][0]["validation_loss"]:
        raise SystemExit(f"{run} has no history with a validation loss. Train it with validation.kind = next-fold.")
    return {
        name: np.mean([[float(line[name]) for line in fold[:epochs]] for fold in folds], axis=0) for name in COLUMNS
    }


def percent(validation: np.ndarray, training: np.ndarray) -> np.ndarray:
    return 100 * (validation - training) / training


def draw_column(axes: np.ndarray, title: str, curves: dict[str, np.ndarray]) -> None:
    epochs = np.arange(1, len(curves["train_loss"]) + 1)
    losses, metric, accuracy = axes
    losses.plot(epochs, curves["train_loss"], color=AS_TRAINED, label="training loss, as trained")
    losses.plot(epochs, curves["train_loss_eval"], color=AGAIN, label="training loss, measured again")
    losses.plot(epochs, curves["validation_loss"], color=VALIDATION, label="validation loss")
    losses.set_title(title, fontsize=11)
    losses.set_ylim(bottom=0)
    metric.plot(epochs, percent(curves["validation_loss"], curves["train_loss"]), color=AS_TRAINED)
    metric.plot(epochs, percent(curves["validation_loss"], curves["train_loss_eval"]), color=AGAIN)
    metric.axhline(0, color="#999999", linewidth=0.8)
    metric.set_yscale("symlog", linthresh=100)
    metric.set_ylim(-100, 2e7)
    metric.set_yticks(TICKS, [f"{tick:,}" for tick in TICKS])
    accuracy.plot(epochs, 100 * curves["validation_accuracy"], color=VALIDATION)
    best_loss = int(curves["validation_loss"].argmin())
    for row in (losses, metric, accuracy):
        row.axvline(best_loss + 1, color="#bbbbbb", linestyle=":", linewidth=1)
    accuracy.set_xlabel("epoch")
    accuracy.xaxis.set_major_locator(MaxNLocator(integer=True))


def report(title: str, curves: dict[str, np.ndarray]) -> None:
    best = int(curves["validation_loss"].argmin())
    for name, epoch in (("lowest validation loss", best), ("last", len(curves["train_loss"]) - 1)):
        as_trained, again, validation, accuracy = (curves[column][epoch] for column in COLUMNS)
        print(
            f"{title}, {name} (epoch {epoch + 1}): training loss {as_trained:.3f} / {again:.3f}, validation "
            f"{validation:.3f}, accuracy {accuracy:.3f}; metric {percent(validation, as_trained):+.0f} % as trained, "
            f"{percent(validation, again):+.0f} % measured again"
        )


def main() -> None:
    columns = [argument.partition("=") for argument in sys.argv[1:]]
    if not columns or not all(equals for _, equals, _ in columns):
        raise SystemExit(__doc__)
    figure, grid = plt.subplots(3, len(columns), figsize=(3.6 * len(columns), 7.2), sharex="col", squeeze=False)
    for place, (title, _, folder) in enumerate(columns):
        curves = mean_curves(Path(folder))
        draw_column(grid[:, place], title, curves)
        report(title, curves)
    labels = ("loss (nats)", "the notes' overfitting, %", "validation accuracy, %")
    for row, text in zip(grid, labels, strict=True):
        first: Axes = row[0]
        first.set_ylabel(text)
    for axes in grid[2]:
        axes.set_ylim(0, 100)
    handles, names = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="lower center", ncols=3, frameon=False)
    figure.align_ylabels(grid[:, 0])
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    figure.savefig(IMAGE, dpi=110)


if __name__ == "__main__":
    main()

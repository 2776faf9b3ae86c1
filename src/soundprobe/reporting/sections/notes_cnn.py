"""The notes' CNN, and why only its first fold counts: stands once, below all data sets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from soundprobe.reporting.elements import Cell, Column, Element, Line, Span, Table, Text, Words
from soundprobe.reporting.wording import MISSING, count
from soundprobe.scoring import notes
from soundprobe.scoring.metrics import MeanStd

TITLE = f"The notes' CNN, and why only its fold {notes.CLEAN_FOLD} counts"


def show() -> Iterator[Element]:
    yield Text(notes.CONTAMINATION)
    handovers, published = notes.evidence(), notes.published
    first = Span("strong", published(notes.clean().first_loss, 2))
    lines = [
        Line(
            [
                "loss at which the fold before ended",
                Cell(MISSING, style="quiet"),
                *(published(one.ended_at, 2) for one in handovers),
            ]
        ),
        Line(["loss of the first epoch", first, *(published(one.began_at, 2) for one in handovers)]),
        Line(
            [
                "began as",
                Span("strong", "fresh"),
                *("carried over" if one.carried_over else "fresh" for one in handovers),
            ],
            "wrapped",
        ),
        Line(["accuracy, as published", *(_published(fold.fold, fold.accuracy) for fold in notes.FOLDS)]),
        Line(["macro-F1, as published", *(_published(fold.fold, fold.macro_f1) for fold in notes.FOLDS)]),
    ]
    columns = [Column("Fold", text=True), *(Column(str(fold.fold)) for fold in notes.FOLDS)]
    yield Table(columns, lines, "The notes' losses and scores")
    yield Text(
        "As published, with both standard deviations over folds, and contaminated: mean accuracy ",
        *_mean(notes.accuracy(), " (population)", " (sample)"),
        "; mean macro-F1 ",
        *_mean(notes.macro_f1()),
        ".",
    )
    yield Text(f"The network, {count(notes.PARAMETERS)} parameters: {'; '.join(notes.NETWORK)}.", role="how")


def _published(fold: int, share: float) -> Words:
    shown = notes.published(share)
    return Span("strong", shown) if fold == notes.CLEAN_FOLD else Span("struck", shown, "contaminated")


def _mean(stats: MeanStd, population: str = "", sample: str = "") -> list[Words]:
    spreads = f" ± {notes.published(stats.std_population)}{population} or {notes.published(stats.std_sample)}{sample}"
    return [Span("struck", notes.published(stats.mean)), spreads]


def facts() -> Mapping[str, Any]:
    """The notes' own figures for report.json."""
    return {
        "title": notes.TITLE,
        "dataset": notes.DATASET,
        "clean_fold": notes.CLEAN_FOLD,
        "parameters": notes.PARAMETERS,
        "contamination": notes.CONTAMINATION,
        "folds": [
            {
                "fold": fold.fold,
                "accuracy": fold.accuracy,
                "macro_f1": fold.macro_f1,
                "first_loss": fold.first_loss,
                "last_loss": fold.last_loss,
                "contaminated": fold.fold != notes.CLEAN_FOLD,
            }
            for fold in notes.FOLDS
        ],
        "contaminated_mean": {"accuracy": notes.accuracy()._asdict(), "macro_f1": notes.macro_f1()._asdict()},
    }

"""The notes' CNN, and why only its first fold counts: stands once, below all data sets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from soundprobe.reporting.compared.comparison import Comparison
from soundprobe.reporting.elements import Cell, Element, Span, Table, Text, Words, columns_of, struck
from soundprobe.reporting.wording import MISSING, count
from soundprobe.scoring import notes
from soundprobe.scoring.metrics import MeanStd

TITLE = f"The notes' CNN, and why only its fold {notes.CLEAN_FOLD} counts"


def applies(comparisons: Sequence[Comparison]) -> bool:
    """Whether there is anything on the page that it explains."""
    return any(here.published is notes.PUBLISHED for one in comparisons for here in one.published)


def show() -> Iterator[Element]:
    yield Text(notes.CONTAMINATION)
    handovers, published = notes.evidence(), notes.shown
    first = Span("strong", published(notes.clean().first_loss, 2))

    def row(title: str, *cells: Cell | Words) -> list[Cell]:
        return [one if isinstance(one, Cell) else Cell(one) for one in (title, *cells)]

    began = ["carried over" if one.carried_over else "fresh" for one in handovers]
    lines = [
        row(
            "loss at which the fold before ended",
            Cell(MISSING, style="quiet"),
            *(published(one.ended_at, 2) for one in handovers),
        ),
        row("loss of the first epoch", first, *(published(one.began_at, 2) for one in handovers)),
        row("began as", Span("strong", "fresh"), *began),
        row("accuracy, as published", *(_published(fold.fold, fold.accuracy) for fold in notes.FOLDS)),
        row("macro-F1, as published", *(_published(fold.fold, fold.macro_f1) for fold in notes.FOLDS)),
    ]
    columns = columns_of(["Fold", *(str(fold.fold) for fold in notes.FOLDS)], lambda line, place: line[place])
    columns[0] = replace(columns[0], text=True)
    yield Table(columns, lines, "The notes' losses and scores", styled=_style)
    yield Text(
        "As published, with both standard deviations over folds, and contaminated: mean accuracy ",
        *_mean(notes.PUBLISHED.accuracy, " (population)", " (sample)"),
        "; mean macro-F1 ",
        *(() if (macro_f1 := notes.PUBLISHED.macro_f1) is None else _mean(macro_f1)),
        ".",
    )
    yield Text(f"The network, {count(notes.PARAMETERS)} parameters: {'; '.join(notes.NETWORK)}.", role="how")


def _style(line: Sequence[Cell]) -> str:
    return "wrapped" if line[0].words == "began as" else ""


def _published(fold: int, share: float) -> Words:
    shown = notes.shown(share)
    return Span("strong", shown) if fold == notes.CLEAN_FOLD else struck(shown)


def _mean(stats: MeanStd, population: str = "", sample: str = "") -> list[Words]:
    spreads = f" ± {notes.shown(stats.std_population)}{population} or {notes.shown(stats.std_sample)}{sample}"
    return [Span("struck", notes.shown(stats.mean)), spreads]


def facts() -> Mapping[str, Any]:
    """The notes' own figures for report.json."""
    macro_f1 = notes.PUBLISHED.macro_f1
    return {
        "title": notes.TITLE,
        "dataset": notes.DATASET,
        "clean_fold": notes.CLEAN_FOLD,
        "parameters": notes.PARAMETERS,
        "contamination": notes.CONTAMINATION,
        "folds": [{**asdict(fold), "contaminated": fold.fold != notes.CLEAN_FOLD} for fold in notes.FOLDS],
        "contaminated_mean": {
            "accuracy": notes.PUBLISHED.accuracy._asdict(),
            "macro_f1": macro_f1 and macro_f1._asdict(),
        },
    }

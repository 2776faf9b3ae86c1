"""What is taken for what: confusion matrices, and the best run's that weigh most. Letters: C classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from soundprobe.reporting.compared.comparison import Comparison
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.elements import (
    Beside,
    Bullets,
    Cell,
    Column,
    Element,
    Heading,
    Plotted,
    Table,
    Text,
    columns_of,
    name,
    on_page,
    pick,
)
from soundprobe.reporting.plots import Plot, Variant, named_axis
from soundprobe.reporting.runs.marks import has_shuffled_labels
from soundprobe.reporting.sections.section import Section
from soundprobe.reporting.sections.shown_rows import run_name
from soundprobe.reporting.wording import heat, one_line, percent, plural

CELLS = 100_000
"""How many cells of confusion matrices a page may hold: 30 runs of 50 classes."""


@dataclass(frozen=True)
class Confusion:
    """One kind of mistake: `count` clips of class `true` were taken for `predicted`, a share of all clips of `true`.

    `cell` are both by their numbers.
    """

    true: str
    predicted: str
    count: int
    share: float
    cell: tuple[int, int]


def row_shares(confusion: np.ndarray) -> np.ndarray:
    """(C, C) counts as shares of each true class; a class without clips gives a row of zeros."""
    totals = confusion.sum(axis=1, keepdims=True)
    return np.divide(confusion, totals, out=np.zeros(confusion.shape), where=totals > 0)


def most_frequent(row: Row, limit: int = 5) -> tuple[Confusion, ...]:
    """The mistakes of `row` that concern most clips, at most `limit`; counts are averaged over seeds."""
    counts, shares = row.confusion, row_shares(row.confusion)
    names, seeds = row.first.class_names, len(row.runs)
    wrong = counts * (1 - np.eye(len(names), dtype=counts.dtype))
    order = np.argsort(-wrong, axis=None, kind="stable")[:limit]
    cells = [np.unravel_index(cell, wrong.shape) for cell in order]
    return tuple(
        Confusion(names[i], names[j], round(wrong[i, j] / seeds), float(shares[i, j]), (int(i), int(j)))
        for i, j in cells
        if wrong[i, j] > 0
    )


def chosen_from(comparison: Comparison) -> tuple[Row, ...]:
    """The rows that a reader chooses from, the best first: none of shuffled labels, which are no clip's true class."""
    rows = [row for row in comparison.rows if row is not comparison.best and not has_shuffled_labels(row.first)]
    return (*filter(None, [comparison.best]), *rows)


def _show(comparison: Comparison) -> Iterator[Element]:
    best = comparison.best
    if best is None:
        return
    seeds = f", all {len(best.runs)} seeds" if len(best.runs) > 1 else ""
    yield Text(
        "In percent of each true class, all folds together",
        on_page(". Choose a run; a click on a cell selects its clips"),
        "; the table is of ",
        run_name(best),
        f"{seeds}.",
        role="how",
    )
    frequent = most_frequent(best, limit=10)
    mistakes: list[Element] = [Text("It made no mistake.")]
    if frequent:
        said = []
        for one in frequent:
            clips = f": {plural(one.count, 'clip')}, {percent(one.share, 0)} % of the class"
            words = (name(one.true), " taken for ", name(one.predicted))
            said.append((pick(words, true=one.cell[0], said=one.cell[1]), clips))
        mistakes = [Heading(f"Most frequent mistakes of {best.name}"), Bullets(said)]
    rows = chosen_from(comparison)
    plot = _plot(rows[: max(1, CELLS // len(comparison.class_names) ** 2)])
    names = [one_line(one) for one in best.first.class_names]
    shares = row_shares(best.confusion).tolist()

    def cell(true: int, predicted: int) -> Cell:
        share = shares[true][predicted]
        if share == 0:
            return Cell("·", style="quiet")
        shown = pick(percent(share, 0) if share >= 0.005 else "<1", true=true, said=predicted)
        if predicted == true:
            return Cell(shown, style="right", tint=heat(share))
        title = f"{names[true]} taken for {names[predicted]}: {best.confusion[true, predicted]}"
        return Cell(shown, style="wrong", tint=heat(share, 0.6), title=title)

    columns = [Column("True class", lambda true: name(names[true]), text=True)]
    columns += columns_of(names, cell, turned=True)
    yield Beside([Plotted(plot, [Table(columns, range(len(names)), style="heat square")])], mistakes)


def _plot(rows: Sequence[Row]) -> Plot:
    names = rows[0].first.class_names
    variants = []
    for row in rows:
        shares, counts = row_shares(row.confusion), row.confusion
        texts = cell_texts(shares) if len(names) <= 20 else {}
        heatmap = {
            "type": "heatmap",
            "z": np.round(100 * shares, 2).tolist(),
            "customdata": counts.tolist(),
            "zmin": 0,
            "zmax": 100,
            "xgap": 1,
            "ygap": 1,
            "showscale": False,
            "colorscale": [[0, "var(--raised)"], [0.25, "var(--heat-low)"], [1, "var(--heat)"]],
            "hovertemplate": "true: %{y}<br>taken for: %{x}<br>%{z:.1f} % of the class, %{customdata} "
            "clips<extra></extra>",
        }
        variants.append(Variant(row.full_name, [heatmap | texts]))
    layout = {
        "xaxis": named_axis(names, title={"text": "taken for"}, side="bottom", showgrid=False, tickangle=-45),
        "yaxis": named_axis(names, title={"text": "true class"}, autorange="reversed", showgrid=False),
    }
    height = min(900, 200 + 34 * len(names))
    return Plot("confusion", "Confusion matrix, in percent of each true class", variants, layout, height)


def cell_texts(shares: np.ndarray) -> dict[str, Any]:
    """The figure of each cell in whole percent; empty cells stay empty."""
    texts = [
        [percent(share, 0) if share >= 0.005 else "<1" if share else "" for share in line] for line in shares.tolist()
    ]
    return {"text": [[text.replace("<", "&lt;") for text in line] for line in texts], "texttemplate": "%{text}"}


SECTION = Section(
    "confusion", "What is taken for what", _show, row_facts=lambda comparison, row: {"confusion": row.confusion}
)

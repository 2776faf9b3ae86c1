"""Accuracy under conditions: foreground and background clips, short and long ones. Pooled over folds, with intervals.

Letters: N clips of a row, sorted by id; K conditions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from soundprobe.reporting.compared.comparison import Comparison
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.elements import BREAK, Element, Heading, Plotted, Span, Text, Words, columns_of, lead
from soundprobe.reporting.plots import Plot, Variant, named_axis, percent_axis, reach
from soundprobe.reporting.sections.section import Section
from soundprobe.reporting.sections.shown_rows import color_of, row_trace, run_table, shown_rows
from soundprobe.reporting.wording import between, percent, plural
from soundprobe.scoring.bootstrap import bound_share, resample
from soundprobe.scoring.intervals import Interval
from soundprobe.scoring.paired_tests import average

RESAMPLES = 1000
EDGES_S = (0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 10.0, 20.0, 30.0, 60.0)
FEWEST = 20
"""Clips of a length are put together with longer ones until there are this many."""
FULL = 0.995  # of the longest clip: decoding may cut a few samples
SALIENCE = {1: "foreground", 2: "background"}


@dataclass(frozen=True, eq=False)
class Breakdown:
    """Rows' accuracy under each of K conditions; None where a row tested no such clip.

    Attributes:
        key: names its chart; title: what the conditions are of.
        conditions: K names; counts: the clips and recordings that there are of each.
        cells: each row with its K intervals.
    """

    key: str
    title: str
    conditions: tuple[str, ...]
    counts: tuple[tuple[int, int], ...]
    cells: tuple[tuple[Row, tuple[Interval | None, ...]], ...]


def _show(comparison: Comparison) -> Iterator[Element]:
    rows = shown_rows(comparison)
    found = breakdowns_of(rows)
    if not found:
        return
    control = " and the best one's control" if any(row.is_control for row in rows) else ""
    yield Text(f"The best runs{control}, all folds together, with 95 % intervals.", role="how")
    for one in found:
        yield Heading(one.title)
        counts = [f"{plural(clips, 'clip')}, {plural(recordings, 'recording')}" for clips, recordings in one.counts]
        headings = [(condition, BREAK, some) for condition, some in zip(one.conditions, counts, strict=True)]
        columns = columns_of(headings, lambda pair, place: pair[1][place], shown=_shown)
        label = f"Accuracy {one.title.lower()}"
        table = run_table(columns, one.cells, label, row=lambda pair: pair[0], heading="Accuracy, %")
        yield Plotted(_plot(one), [table])


def _shown(accuracy: Interval) -> Words:
    return (lead(percent(accuracy.value)), " ", Span("aside", between(accuracy)))


def breakdowns_of(rows: Sequence[Row]) -> tuple[Breakdown, ...]:
    """By salience and by length, as far as the predictions hold them and clips differ in them."""
    found = []
    for key, title, column, conditions in (
        ("salience", "By salience", "salience", _of_salience),
        ("length", "By clip length", "duration_s", conditions_of_length),
    ):
        values = [column_of(row, column) for row in rows]
        known = next(((row, one) for row, one in zip(rows, values, strict=True) if one is not None), None)
        names = conditions(known[1]) if known else ()
        if known is None or len(names) < 2:
            continue
        groups = [known[0].predictions[0].groups[_within(known[1], one)] for one in names]
        counts = tuple((len(some), len(np.unique(some))) for some in groups)
        # Rows within conditions, so that all of them see the worlds that were drawn for the condition's recordings.
        cells = [[_accuracy(row, column, one) for row in rows] for one in names]
        told = tuple(zip(rows, zip(*cells, strict=True), strict=True))
        found.append(Breakdown(key, title, tuple(name for name, _, _ in names), counts, told))
    return tuple(found)


def column_of(row: Row, name: str) -> np.ndarray | None:
    """(N,) float64, a column of the clips in the order of the row's predictions; None where it is not known."""
    run = next((run for run in row.runs if name in run.columns), None)
    if run is None:
        return None
    try:
        values = np.asarray(run.columns[name]).astype(np.float64)
    except (TypeError, ValueError):
        return None
    order = np.argsort(run.ids)
    ids = row.predictions[0].ids
    return values[order][np.searchsorted(run.ids[order], ids)]


Condition = tuple[str, float, float]
"""A name, and the values from the first number up to, but without, the second."""


def _of_salience(values: np.ndarray) -> tuple[Condition, ...]:
    known = np.unique(values[np.isfinite(values)])
    if len(known) > 6:
        return ()
    return tuple(
        (SALIENCE.get(int(value), f"salience {value:g}"), value, np.nextafter(value, np.inf)) for value in known
    )


def conditions_of_length(values: np.ndarray) -> tuple[Condition, ...]:
    """Lengths from edge to edge, each with enough clips; those of the full length by themselves if they are enough."""
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return ()
    longest, full = f"{values.max():.3g} s", FULL * values.max()
    found: list[Condition] = []
    low = 0.0
    for high in [*(edge for edge in EDGES_S if edge < full), full]:
        if ((values >= low) & (values < high)).sum() >= FEWEST:
            found.append((_between_s(low, f"{high:g} s" if high < full else longest), low, high))
            low = high
    if found and low < full:  # too few were left below the full length: they join the last that were enough
        _, low, _ = found.pop()
        found.append((_between_s(low, longest), low, full))
    if found and (values >= full).sum() < FEWEST:
        _, low, _ = found.pop()
        return (*found, (f"{low:g} s or more", low, np.inf))
    return (*found, (f"the full {longest}", full, np.inf)) if found else ()


def _between_s(low: float, high: str) -> str:
    return f"{low:g} to under {high}" if low else f"under {high}"


def _within(values: np.ndarray, condition: Condition) -> np.ndarray:
    """(N,) bool, which clips the condition is of."""
    _, low, high = condition
    return (values >= low) & (values < high)


@lru_cache(maxsize=256)
def _accuracy(row: Row, column: str, condition: Condition) -> Interval | None:
    values = column_of(row, column)
    mask = None if values is None else _within(values, condition)
    return pooled_accuracy(row, mask) if mask is not None and mask.any() else None


def pooled_accuracy(row: Row, mask: np.ndarray) -> Interval:
    """The share of the clips of `mask` (N,) that were right, over all folds and seeds together."""
    scores = average([resample(one.take(mask), resamples=RESAMPLES) for one in row.predictions], row.name)
    value = float(scores.counts[0].sum() / scores.counts[1].sum())
    draws = scores.count_draws[:, 0].sum(axis=1) / scores.count_draws[:, 1].sum(axis=1)
    return bound_share(value, draws, scores.recordings, is_binomial=True)


def _plot(one: Breakdown) -> Plot:
    rows = len(one.cells)
    traces = []
    for place, (row, cells) in enumerate(one.cells):
        shift = (place - (rows - 1) / 2) * 0.5 / rows
        there = [(column, cell) for column, cell in enumerate(cells) if cell is not None]
        x, y = [column + shift for column, _ in there], [100 * cell.value for _, cell in there]
        bars = reach([cell for _, cell in there], color_of(place, row))
        traces.append(row_trace(place, row, x, y, "%{y:.1f} %", error_y=bars, marker={"size": 9}))
    names, clips = one.conditions, [plural(number, "clip") for number, _ in one.counts]
    layout = {
        "xaxis": named_axis(names, below=clips, range=[-0.5, len(names) - 0.5], showgrid=False),
        "yaxis": percent_axis("accuracy", traces),
    }
    return Plot(one.key, f"Accuracy {one.title.lower()}", [Variant("", traces)], layout, height=380)


def _row_facts(comparison: Comparison, row: Row) -> dict[str, Any]:
    found = breakdowns_of([row]) if row in shown_rows(comparison) else ()
    return {"by": {one.key: _facts(one) for one in found}}


def _facts(one: Breakdown) -> list[dict[str, Any]]:
    ((_, cells),) = one.cells
    return [
        {
            "condition": condition,
            "clips": clips,
            "recordings": recordings,
            "accuracy": None if cell is None else dataclasses.asdict(cell),
        }
        for condition, (clips, recordings), cell in zip(one.conditions, one.counts, cells, strict=True)
    ]


SECTION = Section("conditions", "Kinds of clips", _show, row_facts=_row_facts)

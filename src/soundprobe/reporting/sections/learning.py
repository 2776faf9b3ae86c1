"""Would more recordings help? Accuracy against the number of training recordings, or of clips a class.

Letters: F folds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from soundprobe.reporting.compared.comparison import Comparison
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.elements import Column, Element, Plotted, Text, on_page
from soundprobe.reporting.plots import Plot, Variant, percent_axis, reach
from soundprobe.reporting.sections.section import Section, Unmeasured
from soundprobe.reporting.sections.shown_rows import color_of, row_line, run_table
from soundprobe.reporting.wording import between, count, percent
from soundprobe.scoring.intervals import Interval
from soundprobe.scoring.paired_tests import corrected_t_test


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
        names = ("recordings", "clips", "accuracy", "macro_f1")
        means = {name: float(np.mean([point[name] for point in here])) for name in names}
        spread = float(np.std([point["accuracy"] for point in here], ddof=1)) if len(here) > 1 else 0.0
        points.append(CurvePoint(share, **means, spread=spread, folds=len(here)))
    return tuple(points)


@dataclass(frozen=True)
class ShotsPoint:
    """Scores with so many training clips of each class: means over F folds and several draws of the clips.

    Attributes:
        interval: of the accuracy, over folds; spread: its sample deviation between the draws' means.
    """

    shots: int
    recordings: float
    clips: float
    accuracy: float
    macro_f1: float
    interval: Interval
    spread: float
    draws: int
    folds: int


def shots_of(row: Row) -> tuple[ShotsPoint, ...]:
    """The points of the row's first run that was trained on few clips a class; empty where none was."""
    content = next((run.shots for run in row.runs if run.shots), None)
    if content is None:
        return ()
    found = []
    for shots in content["shots"]:
        here = [(fold["fold"], point) for fold in content["folds"] for point in fold["points"]]
        here = [(fold, point) for fold, point in here if point["shots"] == shots]
        if not here:
            continue
        recordings, clips, accuracy, macro_f1 = (
            float(np.mean([point[name] for _, point in here]))
            for name in ("recordings", "clips", "accuracy", "macro_f1")
        )
        of_folds = _means((fold, point["accuracy"]) for fold, point in here)
        of_draws = _means((point["draw"], point["accuracy"]) for _, point in here)
        found.append(
            ShotsPoint(
                shots=shots,
                recordings=recordings,
                clips=clips,
                accuracy=accuracy,
                macro_f1=macro_f1,
                interval=_over_folds(of_folds),
                spread=float(np.std(of_draws, ddof=1)) if len(of_draws) > 1 else 0.0,
                draws=len(of_draws),
                folds=len(of_folds),
            )
        )
    return tuple(found)


def _means(values: Iterable[tuple[int, float]]) -> list[float]:
    """The mean of those that belong together."""
    together: dict[int, list[float]] = {}
    for of, value in values:
        together.setdefault(of, []).append(value)
    return [float(np.mean(own)) for own in together.values()]


def _over_folds(scores: Sequence[float]) -> Interval:
    """Of the folds' mean, by the corrected t-test: draws of one fold are tested on the same clips."""
    found, mean = corrected_t_test(scores, test_train_ratio=1 / max(len(scores) - 1, 1)), float(np.mean(scores))
    if found.low is None or found.high is None:
        return Interval(mean, None, None, "corrected t-test")
    return Interval(mean, max(found.low, 0.0), min(found.high, 1.0), "corrected t-test")


def _show(comparison: Comparison) -> Iterator[Element]:
    yield from _by_recordings(comparison)
    yield from _by_shots(comparison)


def _by_shots(comparison: Comparison) -> Iterator[Element]:
    found = [(row, points) for row in comparison.rows if (points := shots_of(row))]
    if not found:
        return
    draws = max(point.draws for _, points in found for point in points)
    yield Text(
        f"Heads trained on a few clips of each class, in {draws} draws: one of each recording before a second one of "
        "any, and all of a class that has fewer. Settings are chosen on these clips alone; of one clip a class, linear "
        "takes the strength nearest to 1, kNN the smallest k, and other heads have no such point. ",
        on_page("Bars are 95 % intervals over folds (corrected t-test)."),
        role="how",
    )
    columns = [
        Column("Clips a class", lambda one: one[1].shots, count),
        Column("Recordings", lambda one: one[1].recordings, count),
        Column("Accuracy, %", lambda one: one[1].accuracy, percent, lead=True),
        Column("95 % interval", lambda one: between(one[1].interval)),
        Column("± between draws", lambda one: one[1].spread, percent),
        Column("Macro-F1, %", lambda one: one[1].macro_f1, percent),
    ]
    yield _plotted(
        "shots",
        "training clips a class",
        found,
        columns,
        lambda point: point.shots,
        lambda points: reach([one.interval for one in points], ""),
    )


def _by_recordings(comparison: Comparison) -> Iterator[Element]:
    found = [(row, points) for row in comparison.rows if (points := learning_curve_of(row))]
    if not found:
        return
    yield Text(
        "Heads trained on a growing share of each fold's training recordings, settings chosen anew inside each share; "
        "the test folds are the run's own. ",
        on_page(
            "Where a line still climbs at its right end, more recordings would help. Bars are one sample standard "
            "deviation between folds."
        ),
        role="how",
    )
    columns = [
        Column("Share", lambda one: f"{percent(one[1].share, 0)} %"),
        Column("Recordings", lambda one: one[1].recordings, count),
        Column("Clips", lambda one: one[1].clips, count),
        Column("Accuracy, %", lambda one: one[1].accuracy, percent, lead=True),
        Column("± between folds", lambda one: one[1].spread, percent),
        Column("Macro-F1, %", lambda one: one[1].macro_f1, percent),
    ]
    yield _plotted(
        "learning",
        "training recordings",
        found,
        columns,
        lambda point: point.recordings,
        lambda points: {"type": "data", "array": [100 * one.spread for one in points], "thickness": 1, "width": 0},
    )


def _unmeasured(comparison: Comparison) -> Iterator[Unmeasured]:
    if not any(learning_curve_of(row) for row in comparison.rows):
        yield Unmeasured("Whether more recordings would help", "soundprobe probe --learning-curve")


def _plotted(
    key: str,
    along: str,
    found: Sequence[tuple[Row, Sequence[Any]]],
    columns: Sequence[Column],
    amount: Callable[[Any], float],
    bars: Callable[[Sequence[Any]], dict[str, Any]],
) -> Plotted:
    """The accuracy of each row's points against the `amount` that they were trained on, `along` in words."""
    traces = []
    for place, (row, points) in enumerate(found):
        x, y = [amount(point) for point in points], [100 * point.accuracy for point in points]
        hover = f"%{{x:.0f}} {along}: %{{y:.1f}} %"
        traces.append(row_line(place, row, x, y, hover, error_y={**bars(points), "color": color_of(place, row)}))
    items = [(row, point) for row, points in found for point in points]
    ticks = sorted({round(amount(point)) for _, point in items})
    layout = {
        "xaxis": {"type": "log", "title": {"text": along}, "tickvals": ticks, "ticktext": ticks},
        "yaxis": percent_axis("accuracy", traces),
    }
    plot = Plot(key, f"Accuracy against the number of {along}", [Variant("", traces)], layout, 400)
    return Plotted(plot, [run_table(columns, items, row=lambda one: one[0])])


SECTION = Section(
    "learning",
    "Would more recordings help?",
    _show,
    row_facts=lambda comparison, row: {
        "learning_curve": [dataclasses.asdict(point) for point in learning_curve_of(row)],
        "shots": [dataclasses.asdict(point) for point in shots_of(row)],
    },
    unmeasured=_unmeasured,
)

"""How sure is it? Paired tests of each run against the best, and binomial ones against published scores."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from soundprobe.reporting.compared.baselines import PublishedHere
from soundprobe.reporting.compared.comparison import Comparison
from soundprobe.reporting.compared.pairs import Pair, pair_of
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.elements import (
    Bullets,
    Cell,
    Column,
    Element,
    Heading,
    Plotted,
    Span,
    Table,
    Text,
    Words,
    lead,
    on_page,
)
from soundprobe.reporting.plots import Plot, Variant, named_axis, reach
from soundprobe.reporting.sections.section import Section
from soundprobe.reporting.sections.shown_rows import published_name, run_name, run_table
from soundprobe.reporting.wording import (
    MISSING,
    between,
    count,
    give_or_take,
    p_value,
    percent,
    plural,
    points,
    points_between,
    sentence,
    together,
)
from soundprobe.scoring.against_published import PublishedComparison
from soundprobe.scoring.metrics import MeanStd

UNKNOWN_RECORDINGS = (
    "Which recording a clip was cut from is not known here, so every clip was redrawn by itself: the intervals are too "
    "narrow. Probe again to have it written down."
)


def _show(comparison: Comparison) -> Iterator[Element]:
    best = comparison.best
    against = {here.published.name: against_published(comparison, here) for here in comparison.published}
    if best is None and not any(against.values()):
        return
    pairs = comparison.against_best
    if pairs and best:
        yield Text(
            "All runs heard the same clips, so each is compared with the best, ",
            run_name(best),
            ", fold by fold. Luck has two sources: ",
            Span("strong", "which recordings were tested"),
            " (a bootstrap over recordings within folds) and ",
            Span("strong", "which folds were trained on"),
            " (a t-test on folds; its p is how often a difference this large would come up between two runs of equal "
            "worth that were named beforehand). The 95 % interval is the wider of both looks' at either end. A "
            "difference is called clear only where p, after Holm's correction for "
            f"{plural(pairs[0].accuracy.comparisons, 'comparison')}, is below .05 and the bootstrap leaves out 0. The "
            "run that all are compared with is the one that came out best by these same scores, so each p against it "
            "is a little too small, and Holm's guarantee does not cover that choice.",
        )
        yield Plotted(forest("differences", "Each run less the best, in points of accuracy", pairs), [_table(pairs)])
        yield Text(
            on_page("Filled marks are clear differences, lines 95 % intervals. "),
            'The t-test is Nadeau and Bengio\'s (2003), which allows for training sets that overlap; "signs" is the '
            "exact sign test, which counts only in how many folds a run is ahead. In the bootstrap both runs meet the "
            "same redrawn recordings. Not clear does not mean equal: it means that these clips can't tell. "
            '"Could show" is the least true difference that they would show as clear in about four cases of five.',
            role="how",
        )
    elif best is None:
        yield Text(f"{sentence(comparison.why_unranked)} So nothing is ranked or compared.")
    elif best.is_control:
        yield Text("Only controls have tested every fold, so nothing is ranked or compared.")
    else:
        yield Text("There is no second run to compare ", run_name(best), " with.")
    doubts = doubts_of(best) if best else ()
    if doubts:
        yield Bullets([together(doubt) for doubt in doubts], "caveats")
    yield Heading("Intervals and spreads")
    leans = (
        f" Being the best of {comparison.field}, by these very figures, the first leans a little high."
        if len(comparison.contenders) > 2
        else ""
    )
    yield Text(
        "Percent: means over folds, 95 % intervals by a bootstrap over recordings within folds, and standard "
        f"deviations between folds, population and sample.{leans}",
        role="how",
    )
    columns = [*_figures("Accuracy", "accuracy"), *_figures("Macro-F1", "macro_f1")]
    yield run_table(columns, comparison.rows, "Intervals and spreads", "tight")
    for here in comparison.published:
        if found := against.get(here.published.name):
            yield from _against_published(here, found)


def _figures(group: str, metric: str) -> list[Column]:
    """Mean, interval and both deviations."""

    def spreads(row: Row) -> str:
        stats: MeanStd = getattr(row, metric)
        both = f"{percent(stats.std_population)} / {percent(stats.std_sample)}"
        return both if give_or_take(stats) else MISSING

    return [
        Column("mean", lambda row: getattr(row, metric).mean, percent, group, lead=True),
        Column("95 % interval", lambda row: row.scores.interval(metric), between, group),
        Column("± pop. / sample", spreads, group=group),
    ]


def _table(pairs: Sequence[Pair]) -> Table:
    columns = [
        *_differences("Accuracy, points", "accuracy", lead=True),
        *_differences("Macro-F1, points", "macro_f1"),
        Column("ahead", lambda pair: pair.accuracy.sign_test.ahead, group="Folds", sort="number"),
        Column("equal", lambda pair: pair.accuracy.sign_test.ties, group="Folds", sort="number"),
        Column("behind", lambda pair: pair.accuracy.sign_test.behind, group="Folds", sort="number"),
        Column("t-test", _t_test, group="p", sort="least"),
        Column("Holm", lambda pair: pair.accuracy.p_holm, p_value, "p", sort="least", lead=True),
        Column("signs", lambda pair: pair.accuracy.sign_test.p, p_value, "p", sort="least"),
        Column("Difference", clearly, text=True, sort="text", by=lambda pair: pair.verdict),
        Column("Could show", lambda pair: pair.accuracy.detectable, percent, sort="least"),
    ]
    named = Column("Run less the best", _named, text=True, sort="text", by=lambda pair: pair.row.name)
    return Table([named, *columns], pairs, "Each run against the best")


def _named(pair: Pair) -> Words:
    clips = f"on the {plural(pair.clips, 'clip')} that both tested"
    return (run_name(pair.row), () if pair.same_clips else (" ", Span("below", clips)))


def _t_test(pair: Pair) -> Cell:
    found = pair.accuracy.t_test
    return Cell(p_value(found.p), "" if found.p is None else found.p, title=found.reason)


def _differences(group: str, metric: str, lead: bool = False) -> list[Column]:
    """The mean difference and its interval."""
    return [
        Column("mean", lambda pair: getattr(pair, metric).mean.value, points, group, sort="number", lead=lead),
        Column("95 % interval", lambda pair: getattr(pair, metric).interval, points_between, group),
    ]


def clearly(pair: Pair) -> str:
    """Whether the difference is clear, in words."""
    return "clear" if pair.is_clear else "not clear"


def _against_published(here: PublishedHere, against: Sequence[tuple[Row, PublishedComparison]]) -> Iterator[Element]:
    one, where = here.published, here.published.where
    alone = ", the only test result" if one.contamination else ""
    yield Heading(f"Against {one.name}, on {where}{' alone' * bool(one.contamination)}")
    yield Text(
        f"Scores of {where} of {one.name} were published{alone}: how many clips were right, "
        "not which, so nothing can be paired, and the intervals are binomial. Clips of one recording are right or "
        "wrong together, so the careful interval counts them for as many clips as they are worth.",
        role="how",
    )
    columns = [
        Column(f"{where.capitalize()}, %", lambda one: one[1].by_recording.run.value, percent, lead=True),
        Column("95 % interval", lambda one: one[1].by_recording.run, between),
        Column("Less the published, points", lambda one: one[1].by_recording.difference.value, points),
        Column("by clip", lambda one: one[1].by_clip.difference, points_between),
        Column("by recording", lambda one: one[1].by_recording.difference, points_between, lead=True),
        Column("Clips worth", lambda one: f"{count(one[1].clips / one[1].design_effect)} of {count(one[1].clips)}"),
        Column("Difference", lambda one: "clear" if one[1].is_clear else "not clear", text=True),
    ]
    theirs = against[0][1].by_clip.published
    own = [published_name(here), lead(percent(theirs.value)), between(theirs), Cell("", style="quiet", span=5)]
    yield run_table(columns, against, f"{where.capitalize()}, against {one.name}", row=lambda one: one[0], below=[own])


def doubts_of(row: Row) -> tuple[str, ...]:
    """Why a row's intervals may be too narrow, a sentence each."""
    unknown = (UNKNOWN_RECORDINGS,) if any(not run.recordings_known for run in row.runs) else ()
    return (*unknown, *row.scores.doubts)


def against_published(comparison: Comparison, here: PublishedHere) -> tuple[tuple[Row, PublishedComparison], ...]:
    """Each row that tested the folds that are published as test results, against these."""
    found = [(row, here.against(row)) for row in comparison.rows]
    return tuple((row, against) for row, against in found if against is not None)


def forest(key: str, title: str, pairs: Sequence[Pair]) -> Plot:
    """Differences with their intervals, one below the other; a filled mark is a clear difference."""
    shown = [pair.row.name for pair in pairs]
    accent, surface = "var(--accent)", "var(--surface)"
    means = [pair.accuracy.interval for pair in pairs]
    filled = [accent if pair.is_clear else surface for pair in pairs]
    trace = {
        "type": "scatter",
        "mode": "markers",
        "x": [100 * mean.value for mean in means],
        "y": list(range(len(pairs))),
        "error_x": reach(means, accent),
        "marker": {"size": 11, "color": filled, "line": {"width": 2, "color": accent}},
        "hovertemplate": "%{y}<br>%{x:+.1f} points<extra></extra>",
    }
    layout = {
        "xaxis": {"title": {"text": "points of accuracy"}, "zeroline": True, "zerolinecolor": "var(--text)"},
        "yaxis": named_axis(shown, autorange="reversed"),
        "showlegend": False,
    }
    return Plot(key, title, [Variant("", [trace])], layout, height=90 + 34 * len(pairs))


def _row_facts(comparison: Comparison, row: Row) -> dict[str, Any]:
    against = {here.published.name: here.against(row) for here in comparison.published}
    pair = pair_of(row, comparison.against_best)
    return {
        "doubts": list(doubts_of(row)),
        "against_best": pair and pair.facts(comparison.rows),
        "against_published": {
            name: {
                "clips": one.clips,
                "design_effect": one.design_effect,
                "by_clip": dataclasses.asdict(one.by_clip.difference),
                "by_recording": dataclasses.asdict(one.by_recording.difference),
            }
            for name, one in against.items()
            if one is not None
        },
    }


SECTION = Section("statistics", "How sure is it?", _show, row_facts=_row_facts, folded=True)

"""What a comparison comes to: the answer in plain words, its figures, and how sure both are. All is computed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from soundprobe.reporting.compared.baselines import ClassLead, OwnLead
from soundprobe.reporting.compared.comparison import Comparison
from soundprobe.reporting.compared.pairs import Pair
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.runs import marks
from soundprobe.reporting.wording import (
    between,
    give_or_take,
    lead_in_folds,
    listing,
    of_100,
    one_line,
    p_value,
    percent,
    plural,
    points,
    points_between,
)

MOST_FIGURES = 3
MOST_NAMES = 4
"""More than these are counted where none of them is the winner."""
MOST_CLASSES = 3


@dataclass(frozen=True)
class Figure:
    """A figure of the first screen with its unit, and what it is."""

    figure: str
    unit: str
    what: str


@dataclass(frozen=True)
class Verdict:
    """The answer, what stands out in figures, and how sure that is, in sentences for who knows statistics."""

    headline: str
    figures: tuple[Figure, ...] = ()
    sure: tuple[str, ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        return (self.headline, *self.sure)


def verdict_of(comparison: Comparison) -> Verdict:
    """What the runs on one data set come to."""
    best, lead = comparison.best, comparison.lead_over_own
    own = tuple(_over_own(lead)) if lead else ()
    if best is None:
        return Verdict(_unfinished(comparison), tuple(_own_figure(lead)), own)
    figures = islice(_figures(comparison, best), MOST_FIGURES)
    return Verdict(_answer(comparison, best), tuple(figures), (*_sure(comparison, best), *own))


def plain_name(comparison: Comparison, row: Row) -> str:
    """What was compared, for people: whether it was pretrained, and no head."""
    name, weights = one_line(row.first.backbone["name"]), row.first.backbone["weights"]
    if marks.is_imported(row.first):
        return f"your {name}"
    if comparison.own and row is comparison.own.row:
        return one_line(comparison.own.name)
    if row.is_baseline or weights == "file":
        return name
    if row.control == "random weights":
        return f"untrained {name}"
    if "random" in weights:
        return f"{name} trained from scratch"
    return f"{'pretrained' if row.is_frozen_pretrained else 'fine-tuned'} {name}"


def _answer(comparison: Comparison, best: Row) -> str:
    if best.is_control:
        (here,) = of_100([best.accuracy.mean])
        alone = all(row.is_control for row in comparison.rows)
        why = "Only controls have been run" if alone else "Only controls can be ranked yet"
        return f"{why}: {plain_name(comparison, best)} gets {here} of 100 clips right."
    front: dict[str, Row] = {}
    for row in comparison.front:
        front.setdefault(plain_name(comparison, row), row)
    own = comparison.own.row if comparison.own else None
    without = next((one.row for one in comparison.baselines if one.row is not own), own)
    rest = dict.fromkeys((without, comparison.pretrained, own))
    others = [row for row in rest if row is not None and plain_name(comparison, row) not in front]
    said = of_100([row.accuracy.mean for row in (*front.values(), *others)])
    top, below = list(dict.fromkeys(said[: len(front)])), said[len(front) :]
    right = f"all {plural(len(best.predictions[0]), 'clip')}" if top == ["100"] else f"{listing(top)} of 100 clips"
    if len(front) == 1:
        text = f"{next(iter(front))} gets {right} right"
    elif len(front) <= MOST_NAMES:
        text = f"no clear winner among {listing(list(front))}: they get {right} right"
    else:
        told = f"{len(comparison.front)} of {plural(len(comparison.contenders), 'set-up')} can't be told apart"
        text = f"no clear winner: {told}, and the first of them gets {top[0]} of 100 clips right"
    needs_pretraining = all(row.is_frozen_pretrained or row.is_fine_tuned for row in front.values())
    for row, share in zip(others, below, strict=True):
        name = plain_name(comparison, row)
        if row is without and needs_pretraining and not marks.is_imported(row.first):
            what = one_line(row.first.backbone["title"]) if row.is_baseline else name
            text += f"; the best without pretraining, {what}, {share}"
        else:
            text += f". {_capital(name)} gets {share}{row.but and f', {row.but}'}"
    if len(comparison.contenders) == 1 and not others:
        text += ". There is nothing to compare it with yet"
    return f"{_capital(text)}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _unfinished(comparison: Comparison) -> str:
    if any(row.complete for row in comparison.rows):
        unfinished = " and runs that lack folds" if comparison.partial else ""
        return (
            "Nothing can be ranked yet: there are only runs whose scores are no test results (controls, networks that "
            f"were carried over from fold to fold, other folds or missing clips){unfinished}."
        )
    tested = max(len(row.folds) for row in comparison.partial)
    return (
        f"No run has tested all {len(comparison.folds)} folds yet; the furthest tested {tested}. Means over different "
        "folds are of different clips, so nothing is ranked."
    )


def _figures(comparison: Comparison, best: Row) -> Iterator[Figure]:
    """What stands out, the most telling first; nothing that was not measured."""
    interval = between(best.scores.interval())
    yield Figure(percent(best.accuracy.mean), "%", f"accuracy of {best.name}, 95 % interval {interval}")
    pretraining, lead = next(iter(comparison.over_baselines), None), comparison.lead_over_own
    if pretraining:
        what = f"over {pretraining.other.name}, the best without pretraining"
        away = f"{pretraining.row.name} " if pretraining.row is not best else ""
        yield Figure(points(pretraining.accuracy.mean.value), "points", f"{away}{what}: {_clear(pretraining.is_clear)}")
    if not (pretraining and lead and lead.is_paired and pretraining.other is lead.own.row):
        yield from _own_figure(lead)
    mine = plain_name(comparison, best)
    rival = next((one for one in comparison.against_best if plain_name(comparison, one.row) != mine), None)
    told = [*((pretraining.row, pretraining.other) if pretraining else ()), lead.own.row if lead else None]
    if rival and rival.row not in told:
        yield Figure(points(-rival.accuracy.mean.value), "points", f"over {rival.row.name}: {_clear(rival.is_clear)}")
    clips = best.confusion.sum(axis=1)
    found = np.divide(best.confusion.diagonal(), clips, out=np.ones(len(clips)), where=clips > 0)
    if found.min() < 1:
        names = [one_line(best.first.class_names[c]) for c in np.flatnonzero(np.isclose(found, found.min()))]
        alike = f"the hardest class{'es' * (len(names) > 1)}"
        which = f"of {listing(names)} clips" if len(names) <= MOST_CLASSES else f"of the clips of {len(names)} classes"
        yield Figure(percent(float(found.min()), 0), "%", f"{which} found, {alike}")


def _own_figure(lead: OwnLead | None) -> Iterator[Figure]:
    if lead is None or lead.is_itself or lead.difference is None:
        return
    again = ", trained on these clips" if lead.is_paired and lead.own.retrain else ""
    again = again if lead.is_paired else ", as published"
    most = f", most in {one_line(lead.gained[0].name)}" if lead.is_paired and lead.gained else ""
    fair = f"{_clear(lead.is_clear)}{most}" if not lead.caution else "no fair comparison"
    what = f"over {one_line(lead.name)}{again}: {fair}"
    yield Figure(points(lead.difference), lead.unit, what)


def _sure(comparison: Comparison, best: Row) -> Iterator[str]:
    spread = give_or_take(best.accuracy)
    between_seeds = percent(best.over_seeds("accuracy").std_population)
    seeds = f", ± {between_seeds} between its {len(best.runs)} seeds" if len(best.runs) > 1 else ""
    text = (
        f"{best.name}: mean over {plural(len(best.folds), 'fold')}, 95 % interval {between(best.scores.interval())} %"
        f"{spread and f',{spread} points between folds (population standard deviation)'}{seeds}; "
        f"macro-F1 {percent(best.macro_f1.mean)} %."
    )
    pair = next((pair for pair in comparison.against_best if pair.row is comparison.contenders[1]), None)
    if pair:
        text += f" The next, {pair.row.name}, is {_beside(pair)}."
    yield text
    yield from _pretraining(comparison, best)


def _beside(pair: Pair, other: str = "") -> str:
    """How far the pair's row is ahead of or behind the `other`, in how many folds, and whether that is clear."""
    found = pair.accuracy
    distance, side = percent(abs(found.mean.value)), "behind" if found.mean.value < 0 else "ahead"
    joint = {"behind": " ", "ahead": " of "}[side] + other if other else ""
    away = f"{distance} {'point' if distance == '1.0' else 'points'} {side}{joint}"
    if distance == "0.0":
        away = f"level with {other}" if other else "level with it"
    folds = lead_in_folds(found.sign_test)
    return f"{away}, {folds if ',' in folds else folds.removeprefix(f'{side} ')}: {_clearly(pair)}"


def _clearly(pair: Pair) -> str:
    """Whether a difference is clear, with its interval, its p value, and what would have been clear where it is not."""
    if not (pair.row.is_fair and pair.other.is_fair):
        return "no fair comparison"
    corrected = " after Holm's correction" if pair.accuracy.comparisons > 1 else ""
    value = p_value(pair.accuracy.p_holm)
    p = "" if pair.accuracy.p_holm is None else f"; p {value if value.startswith('<') else f'= {value}'}{corrected}"
    text = f"{_clear(pair.is_clear)} (95 % interval {points_between(pair.accuracy.interval)}{p})"
    least = pair.accuracy.detectable
    if pair.is_clear or least is None:
        return text
    if least >= 1:
        return f"{text}. So few clips and folds can't show any difference as clear in four cases of five"
    return f"{text}. These clips would show {percent(least)} points in four cases of five"


def _clear(is_clear: bool) -> str:
    return "a clear difference" if is_clear else "not a clear difference"


def _pretraining(comparison: Comparison, best: Row) -> Iterator[str]:
    pairs = comparison.over_baselines
    if not pairs:
        return
    kinds = {one.row: one.kind.name for one in comparison.baselines}
    pair = pairs[0]
    text = pair.row.name if pair.row is best else f"The best frozen pretrained run, {pair.row.name},"
    reached = f"{kinds[pair.other]}, {percent(pair.other.accuracy.mean)} %"
    text += f" is {_beside(pair, f'the best run without pretraining, {pair.other.name} ({reached})')}."
    others = [f"{points(one.accuracy.mean.value)} over {kinds[one.other]}" for one in pairs[1:]]
    yield f"{text} Besides: {listing(others)}." if others else text


def _over_own(lead: OwnLead) -> Iterator[str]:
    """How far the best run is from the user's model: as published, then clip by clip with the classes."""
    name, published = one_line(lead.name), lead.own.published
    if lead.against is not None and published is not None:
        told, found = published.published, lead.against
        alone = ", the only one that can be compared," if told.contamination else ""
        interval = f"95 % interval {points_between(found.by_recording.difference)} points, binomial"
        yield (
            f"On {told.where}{alone} {lead.row.name} reaches {percent(found.by_recording.run.value)} % and {name} "
            f"{percent(found.by_recording.published.value)} %: {_clear(found.is_clear)} ({interval})."
        )
    if lead.pair is not None:
        own = lead.pair.other
        seeds = f", mean of {len(own.runs)} seeds" if len(own.runs) > 1 else ""
        again = ", trained on these clips fresh in each fold" if lead.own.retrain else ""
        text = f"{lead.row.name} is {_beside(lead.pair, f'{name}{again} ({percent(own.accuracy.mean)} %{seeds})')}."
        if not lead.pair.same_clips:
            text += f" On the {plural(lead.pair.clips, 'clip')} that both tested."
        if not lead.caution:
            for how, leads in (("more", lead.gained), ("fewer", lead.lost)):
                text += _classes(how, leads) if leads else ""
        yield text
    if lead.caution:
        yield lead.caution


def _classes(how: str, leads: Sequence[ClassLead]) -> str:
    named = [f"{one_line(one.name)} ({points(one.difference)})" for one in leads[:MOST_CLASSES]]
    return f" It finds {how} of {listing([*named, *(['others'] if len(leads) > len(named) else [])])}."

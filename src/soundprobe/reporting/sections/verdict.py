"""What a comparison comes to: the answer in plain words, its figures, and how sure both are. All is computed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from soundprobe.reporting.compared.baselines import USERS_NETWORK
from soundprobe.reporting.compared.comparison import Comparison, Standing
from soundprobe.reporting.compared.pairs import Pair, pair_of
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.sections.statistics import against_notes
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
from soundprobe.scoring import notes

MOST_FIGURES = 3
MOST_NAMES = 4
"""More than these are counted where none of them is the winner."""
OWN = "the notes' network"


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
    best = comparison.best
    if best is None:
        return Verdict(_unfinished(comparison), *_on_fold_1(comparison, _on_clean_fold(comparison)))
    return Verdict(
        _answer(comparison, best),
        tuple(islice(_figures(comparison, best), MOST_FIGURES)),
        tuple(_sure(comparison, best)),
    )


def plain_name(row: Row) -> str:
    """What was compared, for people: whether it was pretrained, and no head."""
    name = one_line(row.first.backbone["name"])
    if row.is_users_network:
        return OWN
    if row.is_baseline or row.first.backbone["weights"] == "file":
        return name
    if row.control == "random weights":
        return f"untrained {name}"
    if "random" in row.first.backbone["weights"]:
        return f"{name} trained from scratch"
    return f"{'pretrained' if row.is_frozen_pretrained else 'fine-tuned'} {name}"


def _answer(comparison: Comparison, best: Row) -> str:
    if best.is_control:
        (here,) = of_100([best.accuracy.mean])
        return f"Only controls have been run: {plain_name(best)} gets {here} of 100 clips right."
    front = {plain_name(row): row for row in reversed(comparison.front)}
    names = list(dict.fromkeys(plain_name(row) for row in comparison.front))
    own = next((one.row for one in comparison.baselines if one.kind is USERS_NETWORK), None)
    without = next((one.row for one in comparison.baselines if one.row is not own), own)
    rest = dict.fromkeys((without, comparison.pretrained, own))
    others = [row for row in rest if row is not None and plain_name(row) not in front]
    said = of_100([row.accuracy.mean for row in (*(front[name] for name in names), *others)])
    top, below = list(dict.fromkeys(said[: len(names)])), said[len(names) :]
    right = f"all {plural(len(best.predictions[0]), 'clip')}" if top == ["100"] else f"{listing(top)} of 100 clips"
    if len(names) == 1:
        text = f"{names[0]} gets {right} right"
    elif len(names) <= MOST_NAMES:
        text = f"no clear winner among {listing(names)}: they get {right} right"
    else:
        best_of = f"{len(comparison.front)} of {plural(len(comparison.contenders), 'set-up')}"
        text = f"no clear winner: the best {best_of} get {top[-1]} to {top[0]} of 100 clips right"
    needs_pretraining = all(row.is_frozen_pretrained or row.is_fine_tuned for row in front.values())
    for row, share in zip(others, below, strict=True):
        if row is without and needs_pretraining:
            what = one_line(row.first.backbone["title"]) if row.is_baseline else plain_name(row)
            text += f"; the best without pretraining, {what}, {share}"
        else:
            text += f". {_capital(plain_name(row))} gets {share}"
    if len(comparison.contenders) == 1 and not others:
        text += ". There is nothing to compare it with yet"
    return f"{_capital(text)}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _unfinished(comparison: Comparison) -> str:
    if any(row.complete for row in comparison.rows):
        unfinished = " and runs that lack folds" if comparison.partial else ""
        return (
            "Nothing can be ranked yet: there are only runs whose scores are no test results (controls, or networks "
            f"that were carried over from fold to fold){unfinished}."
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
    pretraining = next(iter(comparison.over_baselines), None)
    if pretraining:
        yield _lead(pretraining, "the best without pretraining")
    own = _pair_with_own(comparison, best)
    if own and (pretraining is None or own.other is not pretraining.other):
        yield _lead(own, f"{OWN}, trained on these clips")
    yield from _on_fold_1(comparison, best)[0]
    rival = next((one for one in comparison.against_best if plain_name(one.row) != plain_name(best)), None)
    if rival and rival.row not in (one.row for one in comparison.baselines):
        yield Figure(points(-rival.accuracy.mean.value), "points", f"over {rival.row.name}: {_clear(rival)}")
    yield from _hardest_class(best)


def _lead(pair: Pair, what: str) -> Figure:
    mine = f"{pair.row.name} over " if pair.row.is_baseline else "over "
    return Figure(points(pair.accuracy.mean.value), "points", f"{mine}{pair.other.name}, {what}: {_clear(pair)}")


def _hardest_class(best: Row) -> Iterator[Figure]:
    clips = best.confusion.sum(axis=1)
    found = np.divide(best.confusion.diagonal(), clips, out=np.ones(len(clips)), where=clips > 0)
    if found.min() < 1:
        name = one_line(best.first.class_names[int(found.argmin())])
        yield Figure(percent(float(found.min()), 0), "%", f"of {name} clips found, the hardest class")


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
    own = _pair_with_own(comparison, best)
    if own:
        seeds = f", mean of {len(own.other.runs)} seeds" if len(own.other.runs) > 1 else ""
        here = f"{OWN}, trained on these clips fresh in each fold ({percent(own.other.accuracy.mean)} %{seeds})"
        yield f"{own.row.name} is {_beside(own, here)}."
    yield from _on_fold_1(comparison, best)[1]


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
    corrected = " after Holm's correction" if pair.accuracy.comparisons > 1 else ""
    value = p_value(pair.accuracy.p_holm)
    p = "" if pair.accuracy.p_holm is None else f"; p {value if value.startswith('<') else f'= {value}'}{corrected}"
    text = f"{_clear(pair)} (95 % interval {points_between(pair.accuracy.interval)}{p})"
    least = pair.accuracy.detectable
    if pair.accuracy.is_clear or least is None:
        return text
    if least >= 1:
        return f"{text}. So few clips and folds can't show any difference as clear in four cases of five"
    return f"{text}. These clips would show {percent(least)} points in four cases of five"


def _clear(pair: Pair) -> str:
    return _is_clear(pair.accuracy.is_clear)


def _is_clear(is_clear: bool) -> str:
    return "a clear difference" if is_clear else "not a clear difference"


def _pretraining(comparison: Comparison, best: Row) -> Iterator[str]:
    pairs = comparison.over_baselines
    if not pairs:
        return
    kinds = {one.row: one.kind.name for one in comparison.baselines}
    pair = pairs[0]
    text = "It" if pair.row is best else f"The best frozen pretrained run, {pair.row.name},"
    reached = f"{kinds[pair.other]}, {percent(pair.other.accuracy.mean)} %"
    text += f" is {_beside(pair, f'the best run without pretraining, {pair.other.name} ({reached})')}."
    others = [f"{points(one.accuracy.mean.value)} over {kinds[one.other]}" for one in pairs[1:]]
    yield f"{text} Besides: {listing(others)}." if others else text


def _pair_with_own(comparison: Comparison, best: Row) -> Pair | None:
    return pair_of(best, comparison.over_users_network)


def _on_clean_fold(comparison: Comparison) -> Row | None:
    """The row that tested the notes' clean fold, where nothing is ranked."""
    unranked = [row for row in comparison.rows if not (row.is_ranked or row.is_control)]
    return next((row for row in unranked if notes.CLEAN_FOLD in row.folds), None)


def _on_fold_1(comparison: Comparison, row: Row | None) -> tuple[tuple[Figure, ...], tuple[str, ...]]:
    """A row against the notes' published figure, of their only test result, on the official folds."""
    fold, clean = notes.CLEAN_FOLD, notes.clean().accuracy
    here = row.accuracy_on(fold) if row and comparison.standing is Standing.SAME else None
    if row is None or here is None:
        return (), ()
    against = against_notes(comparison, row)
    clear = f": {_is_clear(against.is_clear)}" if against else ""
    interval = f" (95 % interval {points_between(against.by_recording.difference)} points, binomial)" if against else ""
    sure = (
        f"On fold {fold}, the only one that can be compared, {row.name} reaches {percent(here)} % and {OWN}, as "
        f"published, {percent(clean)} %{clear}{interval}."
    )
    what = f"over {OWN} as published, on fold {fold}, the only one that can be compared{clear}"
    return (Figure(points(here - clean), "points", what),), (sure,)

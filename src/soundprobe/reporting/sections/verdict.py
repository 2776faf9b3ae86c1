"""What a comparison comes to, in plain sentences. Every figure in them is computed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from soundprobe.reporting.compared.baselines import BaselineKind, ClassLead, OwnLead, OwnModel
from soundprobe.reporting.compared.comparison import Comparison
from soundprobe.reporting.compared.pairs import Pair
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.wording import (
    UNKNOWN_RECORDINGS,
    between,
    give_or_take,
    lead_in_folds,
    listing,
    one_line,
    p_value,
    percent,
    plural,
    points,
    points_between,
    sentence,
)

MOST_CLASSES = 3


@dataclass(frozen=True)
class Finding:
    """One answer: what was asked, what it means in words, the figure with its unit, and the command that tells more."""

    question: str
    meaning: str
    figure: str = ""
    unit: str = ""
    command: str = ""

    @property
    def sentence(self) -> str:
        """Meaning and command as plain text."""
        return f"{self.meaning} {self.command}".rstrip()


@dataclass(frozen=True)
class Verdict:
    """The first screen in words: one headline, one finding for each question."""

    headline: str
    findings: tuple[Finding, ...]

    @property
    def sentences(self) -> tuple[str, ...]:
        return (self.headline, *(finding.sentence for finding in self.findings))


def verdict_of(comparison: Comparison) -> Verdict:
    """What the runs on one data set come to."""
    best = comparison.best
    if best is None:
        return Verdict(_unfinished(comparison), tuple(_against_own(comparison)))
    findings = (_best(comparison, best), _pretraining(comparison, best), *_against_own(comparison))
    return Verdict(_headline(comparison, best), findings)


def _headline(comparison: Comparison, best: Row) -> str:
    name = one_line(comparison.name)
    if best.is_control:
        return (
            f"Only controls have been run on {name}: the best of them, {best.name} ({best.tag}), reaches "
            f"{percent(best.accuracy.mean)} % accuracy."
        )
    figure = f"{percent(best.accuracy.mean)} % accuracy"
    baseline = " It is a baseline: nothing was learnt before its head." if best.is_baseline else ""
    if len(comparison.contenders) > 1:
        where = f", on {name}:" if comparison.controls else f" on {name}:"
        if len(comparison.leaders) > 1:
            names = listing([row.name for row in comparison.leaders])
            return f"{names} are level at the top of {comparison.field}{where} {figure}."
        return f"{best.name} is the best of {comparison.field}{where} {figure}.{baseline}"
    besides = f", besides {plural(len(comparison.controls), 'control')}" if comparison.controls else ""
    return f"{best.name} reaches {figure} on {name}. It is the only run so far{besides}.{baseline}"


def _unfinished(comparison: Comparison) -> str:
    if any(row.complete for row in comparison.rows):
        unfinished = " and runs that lack folds" if comparison.partial else ""
        return (
            f"Nothing can be ranked on {one_line(comparison.name)} yet: there are only runs whose scores are no test "
            f"results (controls, or networks that were carried over from fold to fold){unfinished}."
        )
    tested = max(len(row.folds) for row in comparison.partial)
    return (
        f"No run on {one_line(comparison.name)} has tested all {len(comparison.folds)} folds yet; the furthest tested "
        f"{tested}. Means over different folds are of different clips, so nothing is ranked."
    )


def _best(comparison: Comparison, best: Row) -> Finding:
    spread = give_or_take(best.accuracy)
    between_seeds = percent(best.over_seeds("accuracy").std_population)
    seeds = f", ± {between_seeds} between its {len(best.runs)} seeds" if len(best.runs) > 1 else ""
    text = (
        f"Mean over {plural(len(best.folds), 'fold')}, 95 % interval {between(best.scores.interval())} %"
        f"{spread and f',{spread} points between folds (population standard deviation)'}{seeds}; "
        f"macro-F1 {percent(best.macro_f1.mean)} %."
    )
    pair = next((pair for pair in comparison.against_best if pair.row is comparison.contenders[1]), None)
    if pair:
        text += f" The next, {pair.row.name}, is {_beside(pair)}."
    if comparison.audit is not None and not comparison.audit.recordings_known:
        text += f" {sentence(UNKNOWN_RECORDINGS)}"
    return Finding("Accuracy of the best run", text, percent(best.accuracy.mean), "%")


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
    text = f"{_clear(pair.is_clear)} (95 % interval {points_between(pair.accuracy.interval)}{p})"
    least = pair.accuracy.detectable
    if pair.is_clear or pair.accuracy.is_clear or least is None:
        return text
    if least >= 1:
        return f"{text}. So few clips and folds can't show any difference as clear in four cases of five"
    return f"{text}. These clips would show {percent(least)} points in four cases of five"


def _clear(is_clear: bool) -> str:
    return "a clear difference" if is_clear else "not a clear difference"


def _pretraining(comparison: Comparison, best: Row) -> Finding:
    question = "What pretraining is worth"
    known = {one.row: one.kind for one in comparison.baselines}
    add = f"soundprobe extract --backbone logmel-stats{comparison.data_options} && soundprobe probe -b logmel-stats"
    missing = "" if any(kind.key == "no_network" for kind in known.values()) else add
    pairs = comparison.over_baselines
    if not pairs:
        what = "nothing without pretraining" if comparison.pretrained else "no frozen backbone with pretrained weights"
        command = missing if comparison.pretrained else f"soundprobe extract --backbone mn04{comparison.data_options}"
        return Finding(question, f"Not known: {what} has been run here.", command=command)
    pair = pairs[0]
    text = "It" if pair.row is best else f"The best frozen pretrained run, {pair.row.name},"
    reached = f"{known[pair.other].name}, {percent(pair.other.accuracy.mean)} %"
    text += f" is {_beside(pair, f'the best run without pretraining, {pair.other.name} ({reached})')}."
    others = [f"{points(one.accuracy.mean.value)} over {known[one.other].name}" for one in pairs[1:]]
    text += f" Besides: {listing(others)}." if others else ""
    text += " What no network at all reaches is not known:" if missing else ""
    return Finding(
        question, text, points(pair.accuracy.mean.value), f"points over {_short(pair.other, known)}", missing
    )


def _short(row: Row, known: Mapping[Row, BaselineKind]) -> str:
    """A baseline in a few words: its backbone's name where it has no network to speak of."""
    return one_line(row.first.backbone["name"]) if row.is_baseline else known[row].name


def _against_own(comparison: Comparison) -> Iterator[Finding]:
    """The best run against the user's own model; nothing where there is none."""
    lead, own = comparison.lead_over_own, comparison.own
    if own is None:
        return
    question = f"Against {one_line(own.name)}"
    if lead is not None and lead.is_itself:
        yield Finding(question, f"Nothing is ahead of {one_line(own.name)}: it is the best run itself.")
    elif lead is None or lead.difference is None:
        yield Finding(question, *_not_compared(comparison, own))
    else:
        yield Finding(question, " ".join(_over_own(lead)), points(lead.difference), lead.unit)


def _not_compared(comparison: Comparison, own: OwnModel) -> tuple[str, str, str, str]:
    """Why nothing is known, and the command that tells."""
    published = own.published
    if own.row is not None:
        return f"Not known: the best run and {one_line(own.name)} share no clip.", "", "", ""
    if published is not None and published.is_same:
        return f"Not known: no run has tested {published.published.where} yet.", "", "", ""
    command = f"soundprobe finetune --config {own.retrain}{comparison.data_options}" if own.retrain else ""
    again = " This trains it on them, fresh in each fold:" if command else ""
    return f"Not known yet. Its published figures are of other clips than these.{again}", "", "", command


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
        yield f"{lead.row.name} is {_beside(lead.pair, f'{name}{again} ({percent(own.accuracy.mean)} %{seeds})')}."
        if not lead.pair.same_clips:
            yield f"On the {plural(lead.pair.clips, 'clip')} that both tested."
        yield from (_classes(how, leads) for how, leads in (("more", lead.gained), ("fewer", lead.lost)) if leads)
    if lead.caution:
        yield lead.caution


def _classes(how: str, leads: Sequence[ClassLead]) -> str:
    named = [f"{one_line(one.name)} ({points(one.difference)})" for one in leads[:MOST_CLASSES]]
    return f"It finds {how} of {listing([*named, *(['others'] if len(leads) > len(named) else [])])}."

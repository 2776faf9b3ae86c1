"""What a comparison comes to, in plain sentences. Every figure in them is computed."""

from __future__ import annotations

from dataclasses import dataclass

from soundprobe.reporting.compared.comparison import Comparison, Standing
from soundprobe.reporting.compared.pairs import Pair
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.runs.marks import networks_of, weights_of
from soundprobe.reporting.sections.statistics import against_notes
from soundprobe.reporting.wording import (
    UNKNOWN_RECORDINGS,
    between,
    count,
    listing,
    one_line,
    p_value,
    percent,
    plural,
    points,
    points_between,
    sentence,
)
from soundprobe.scoring import notes


@dataclass(frozen=True)
class Finding:
    """One answer: what was asked, what it means in words, and the figure with its unit where there is one."""

    question: str
    meaning: str
    figure: str = ""
    unit: str = ""


@dataclass(frozen=True)
class Verdict:
    """The first screen in words: one headline, one finding for each question."""

    headline: str
    findings: tuple[Finding, ...]

    @property
    def sentences(self) -> tuple[str, ...]:
        return (self.headline, *(finding.meaning for finding in self.findings))


def verdict_of(comparison: Comparison) -> Verdict:
    """What the runs on one data set come to."""
    best = comparison.best
    if best is None:
        return Verdict(_unfinished(comparison), (_against_notes(comparison, None),))
    return Verdict(
        _headline(comparison, best),
        (_best(comparison, best), _pretraining(comparison, best), _against_notes(comparison, best)),
    )


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
        return f"{best.name} is the best of {comparison.field}{where} {figure}.{baseline}"
    besides = f", besides {plural(len(comparison.controls), 'control')}" if comparison.controls else ""
    return f"{best.name} reaches {figure} on {name}. It is the only run so far{besides}.{baseline}"


def _unfinished(comparison: Comparison) -> str:
    if any(row.complete for row in comparison.rows):
        unfinished = " and runs that lack folds" if comparison.partial else ""
        return (
            f"Nothing can be ranked on {one_line(comparison.name)} yet: there are only runs whose scores are no test "
            f"results (shuffled labels, or networks that were carried over from fold to fold){unfinished}."
        )
    tested = max(len(row.folds) for row in comparison.partial)
    return (
        f"No run on {one_line(comparison.name)} has tested all {len(comparison.folds)} folds yet; the furthest tested "
        f"{tested}. Means over different folds are of different clips, so nothing is ranked."
    )


def _best(comparison: Comparison, best: Row) -> Finding:
    text = (
        f"Mean over {plural(len(best.folds), 'fold')}, 95 % interval {between(best.scores.interval())} %, "
        f"± {percent(best.accuracy.std_population)} points between folds (population standard deviation); "
        f"macro-F1 {percent(best.macro_f1.mean)} %."
    )
    pair = next((pair for pair in comparison.against_best if pair.row is comparison.contenders[1]), None)
    if pair:
        text += (
            f" The next, {pair.row.name}, is {_distance(pair)} behind, in {pair.accuracy.sign_test.behind} of "
            f"{plural(len(pair.accuracy.folds), 'fold')}: {_clearly(pair)}."
        )
    if comparison.audit is not None and not comparison.audit.recordings_known:
        text += f" {sentence(UNKNOWN_RECORDINGS)}"
    return Finding("Accuracy of the best run", text, percent(best.accuracy.mean), "%")


def _distance(pair: Pair) -> str:
    distance = percent(abs(pair.accuracy.mean.value))
    return f"{distance} {'point' if distance == '1.0' else 'points'}"


def _clearly(pair: Pair) -> str:
    """Whether a difference is clear, with its interval and its p value."""
    corrected = " after Holm's correction" if pair.accuracy.comparisons > 1 else ""
    value = p_value(pair.accuracy.p_holm)
    p = "" if pair.accuracy.p_holm is None else f", p {value if value.startswith('<') else f'= {value}'}{corrected}"
    return f"{_clear(pair.accuracy.is_clear)} (interval {points_between(pair.accuracy.mean)}{p})"


def _clear(is_clear: bool) -> str:
    return "a clear difference" if is_clear else "not a clear difference"


def _pretraining(comparison: Comparison, best: Row) -> Finding:
    question = "What pretraining is worth"
    if best.is_control:
        return Finding(question, "Not known: no backbone with pretrained weights has been run here.")
    owes = f"The best run owes nothing to pretraining: {best.name} is a baseline. " if best.is_baseline else ""
    pair = next(iter(comparison.against_controls), None)
    if pair is None:
        return Finding(question, owes + _no_control(best))
    subject = "It" if pair.row is best else pair.row.name
    also = "" if pair.row.matches(pair.other) else " and other settings"
    side = "ahead of" if pair.accuracy.mean.value >= 0 else "behind"
    text = (
        f"{owes}{subject} is {_distance(pair)} {side} the same network with random weights{also}, which reaches "
        f"{percent(pair.other.accuracy.mean)} %; ahead in {pair.accuracy.sign_test.ahead} of "
        f"{plural(len(pair.accuracy.folds), 'fold')}: {_clearly(pair)}."
    )
    return Finding(question, text, points(pair.accuracy.mean.value), "points")


def _no_control(best: Row) -> str:
    """Why nobody knows what pretraining is worth, and how to find out."""
    both = "Extract a pretrained backbone with both --weights, then probe both."
    if best.is_baseline:
        return f"No pretrained run here has a control with the same head. {both}"
    if best.first.info["kind"] == "finetune" or best.caution:
        return (
            "Not known: no probe here has a control with the same head, and a network that was trained whole has none. "
            f"{both}"
        )
    it = listing(networks_of(best.first)) if "none" in weights_of(best.first) else "it"
    return (
        f"Not known: {one_line(best.first.backbone['name'])} has no control with the same head here. Extract {it} "
        "again with --weights random, then probe both."
    )


def _against_notes(comparison: Comparison, best: Row | None) -> Finding:
    question, fold = "Against the notes' CNN", notes.CLEAN_FOLD
    clean = notes.clean().accuracy
    if comparison.standing is Standing.OTHER:
        text = (
            "Not comparable: the notes' CNN was tested on UrbanSound8K, on other clips than these. "
            f"(There, only its fold 1 is a test result: {percent(clean)} %.)"
        )
        return Finding(question, text)
    if comparison.standing is Standing.SAMPLE:
        here = best.accuracy_on(fold) if best else None
        reached = "" if here is None else f"The best run reaches {percent(here)} % on fold {fold} of it. "
        text = (
            f"Not a direct comparison: this is a sample of {count(comparison.clips)} of UrbanSound8K's "
            f"{count(notes.DATASET_CLIPS)} clips. {reached}The CNN's fold {fold}, its only test result, is "
            f"{percent(clean)} %, on other clips."
        )
        return Finding(question, text)
    unranked = [row for row in comparison.rows if not (row.is_ranked or row.is_control)]
    row = best or next((row for row in unranked if fold in row.folds), None)
    here = row.accuracy_on(fold) if row else None
    if row is None or here is None:
        return Finding(question, f"Not known: no run has tested fold {fold} yet.")
    text = (
        f"On fold {fold}, the only one that can be compared, {row.name} reaches {percent(here)} % and the CNN "
        f"{percent(clean)} %"
    )
    if against := against_notes(comparison, row):
        interval = f"interval {points_between(against.by_recording.difference)} points, binomial"
        text += f": {_clear(against.is_clear)} ({interval})"
    return Finding(question, f"{text}.", points(here - clean), f"points on fold {fold}")

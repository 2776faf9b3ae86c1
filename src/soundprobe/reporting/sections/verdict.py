"""What a comparison comes to, in plain sentences. Every figure in them is computed."""

from __future__ import annotations

from dataclasses import dataclass

from soundprobe.reporting.compared.comparison import Comparison, Standing, compare
from soundprobe.reporting.compared.pairs import Pair
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.runs.marks import networks_of, weights_of
from soundprobe.reporting.sections.statistics import notes_comparisons
from soundprobe.reporting.wording import (
    between,
    count,
    listing,
    one_line,
    p_value,
    percent,
    plural,
    points,
    points_between,
)
from soundprobe.scoring import notes


@dataclass(frozen=True)
class Finding:
    """One answer: what was asked, the figure (empty where there is none), its unit, and what it means in words."""

    question: str
    figure: str
    unit: str
    meaning: str


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
    runner_up = comparison.runner_up
    pair = next((pair for pair in comparison.against_best if pair.row is runner_up), None)
    if runner_up and pair:
        signs = pair.accuracy.sign_test
        text += (
            f" The next, {runner_up.name}, is {_distance(pair.accuracy.mean.value)} behind, in {signs.behind} of "
            f"{plural(len(pair.accuracy.folds), 'fold')}: {_clearly(pair)}."
        )
    return Finding("Accuracy of the best run", percent(best.accuracy.mean), "%", text)


def _distance(share: float) -> str:
    return f"{percent(abs(share))} {'point' if percent(abs(share)) == '1.0' else 'points'}"


def _clearly(pair: Pair) -> str:
    """Whether a difference is clear, with its interval and its p value."""
    interval = f"interval {points_between(pair.accuracy.mean)}"
    corrected = " after Holm's correction" if pair.accuracy.comparisons > 1 else ""
    value = p_value(pair.accuracy.p_holm)
    p = "" if pair.accuracy.p_holm is None else f", p {value if value.startswith('<') else f'= {value}'}{corrected}"
    if pair.accuracy.is_clear:
        return f"a clear difference ({interval}{p})"
    return f"not a clear difference ({interval}{p})"


def _pretraining(comparison: Comparison, best: Row) -> Finding:
    question = "What pretraining is worth"
    pair = comparison.best_with_control()
    difference = compare(*pair) if pair else None
    if best.is_control:
        return Finding(question, "", "", "Not known: no backbone with pretrained weights has been run here.")
    owes = f"The best run owes nothing to pretraining: {best.name} is a baseline. " if best.is_baseline else ""
    if owes and difference is None:
        text = (
            f"{owes}No pretrained run here has a control with the same head: extract a pretrained backbone with both "
            "--weights, then probe both."
        )
        return Finding(question, "", "", text)
    if (pair is None or difference is None) and (best.first.info["kind"] == "finetune" or best.caution):
        return Finding(
            question,
            "",
            "",
            "Not known: no probe here has a control with the same head, and a network that was trained whole has none. "
            "Extract a pretrained backbone with both --weights, then probe both.",
        )
    if pair is None or difference is None:
        it = listing(networks_of(best.first)) if "none" in weights_of(best.first) else "it"
        return Finding(
            question,
            "",
            "",
            f"Not known: {one_line(best.first.backbone['name'])} has no control with the same head here. Extract "
            f"{it} again with --weights random, then probe both.",
        )
    row, control = pair
    subject = "It" if row is best else row.name
    also = "" if difference.matched else " and other settings"
    side = "ahead of" if difference.mean >= 0 else "behind"
    text = (
        f"{owes}{subject} is {_distance(difference.mean)} {side} the same network "
        f"with random weights{also}, which reaches {percent(control.accuracy.mean)} %; ahead in {difference.better} of "
        f"{plural(difference.folds, 'fold')}"
    )
    tested = next((one for one in comparison.against_controls if one.row is row), None)
    text += f": {_clearly(tested)}." if tested else "."
    return Finding(question, points(difference.mean), "points", text)


def _against_notes(comparison: Comparison, best: Row | None) -> Finding:
    question = "Against the notes' CNN"
    clean = notes.clean()
    if comparison.standing is Standing.OTHER:
        text = (
            f"Not comparable: the notes' CNN was tested on UrbanSound8K, on other clips than these. "
            f"(There, only its fold 1 is a test result: {percent(clean.accuracy)} %.)"
        )
        return Finding(question, "", "", text)
    if comparison.standing is Standing.SAMPLE:
        here = best.accuracy_on(notes.CLEAN_FOLD) if best else None
        reached = "" if here is None else f"The best run reaches {percent(here)} % on fold {notes.CLEAN_FOLD} of it. "
        text = (
            f"Not a direct comparison: this is a sample of {count(comparison.clips)} of UrbanSound8K's "
            f"{count(notes.DATASET_CLIPS)} clips. {reached}The CNN's fold {notes.CLEAN_FOLD}, its only test result, "
            f"is {percent(clean.accuracy)} %, on other clips."
        )
        return Finding(question, "", "", text)
    return _on_clean_fold(question, comparison, best)


def _on_clean_fold(question: str, comparison: Comparison, best: Row | None) -> Finding:
    clean = notes.clean()
    unranked = [row for row in comparison.rows if not row.is_ranked]
    tested = [row for row in unranked if row.accuracy_on(notes.CLEAN_FOLD) is not None and not row.is_control]
    row = best or next(iter(tested), None)
    here = row.accuracy_on(notes.CLEAN_FOLD) if row else None
    if row is None or here is None:
        return Finding(question, "", "", f"Not known: no run has tested fold {notes.CLEAN_FOLD} yet.")
    text = (
        f"On fold {notes.CLEAN_FOLD}, the only one that can be compared, {row.name} reaches {percent(here)} % and the "
        f"CNN {percent(clean.accuracy)} %"
    )
    against = next((one for other, one in notes_comparisons(comparison) if other is row), None)
    if against is not None:
        interval = f"interval {points_between(against.by_recording.difference)} points, binomial"
        text += f": {'a clear difference' if against.is_clear else 'not a clear difference'} ({interval})"
    text += "."
    return Finding(question, points(here - clean.accuracy), f"points on fold {notes.CLEAN_FOLD}", text)

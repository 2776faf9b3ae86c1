"""What to do next, chosen by what was measured: each with the command or the section that it is done with."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice

from soundprobe.reporting.compared.baselines import OwnModel
from soundprobe.reporting.compared.comparison import Comparison
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.sections.confusion import most_frequent
from soundprobe.reporting.sections.learning import learning_curve_of
from soundprobe.reporting.wording import duration, one_line, plural, points

MOST = 4
CLIMBS = 0.01
"""A learning curve that gains so much by its last step still climbs: a point of accuracy."""
NEAR_THE_TOP = 0.97
"""From here on another backbone has little to add."""


@dataclass(frozen=True)
class Step:
    """A thing to do and why; with the command that does it, or the key of the section where it is done."""

    said: str
    command: str = ""
    section: str = ""


def steps_of(comparison: Comparison) -> tuple[Step, ...]:
    """The most useful first; listening is always among them, where there are mistakes."""
    heard = tuple(_listen(comparison))
    kinds = (_trust, _baseline, _more_recordings, _level, _backbone)
    found = chain.from_iterable(kind(comparison) for kind in kinds)
    return (*islice(found, MOST - len(heard)), *heard)


def probe_of(comparison: Comparison, options: str) -> str:
    """The command that probes again as the best probe did, with `options`."""
    probed = _probed(comparison)
    if probed is None:
        return comparison.probe_command(options)
    backbone, head = (shlex.quote(one_line(part["name"])) for part in (probed.first.backbone, probed.first.head))
    return comparison.probe_command(options, f"-b {backbone} --head {head}")


def _probed(comparison: Comparison) -> Row | None:
    """The best contender that is a probe."""
    return next((row for row in comparison.contenders if row.first.info["kind"] == "probe"), None)


def _trust(comparison: Comparison) -> Iterator[Step]:
    audit = comparison.audit
    if audit is None or not audit.recordings_known:
        yield Step(
            "Say which clips were cut from one recording: if some were, these scores are too high. This proposes how:",
            f"soundprobe data check{comparison.data_options}{comparison.embeddings_option}",
        )
    elif audit.shared_recordings and not comparison.without_leaks:
        yield Step(
            f"{plural(len(audit.leaking), 'clip')} leak between folds. See what that is worth:",
            probe_of(comparison, "--exclude-leaks"),
        )


def _baseline(comparison: Comparison) -> Iterator[Step]:
    if all(one.kind.key != "no_network" for one in comparison.baselines):
        yield Step("See what no network at all reaches:", no_network(comparison))
    if comparison.pretrained is None:
        yield Step("Try a pretrained backbone; this lists them:", "soundprobe backbones")
    own = comparison.own
    if own and own.retrain and own.row is None and not (own.published and own.published.is_same):
        yield Step(f"Train {one_line(own.name)} on these clips, to compare with:", retrain(comparison, own))


def no_network(comparison: Comparison) -> str:
    """The command that measures what statistics of a spectrogram reach."""
    extract = f"soundprobe extract --backbone logmel-stats{comparison.data_options}{comparison.embeddings_option}"
    return f"{extract} && {comparison.probe_command(which='-b logmel-stats')}"


def retrain(comparison: Comparison, own: OwnModel) -> str:
    """The command that trains a published model on these clips, fresh in each fold."""
    return f"soundprobe finetune --config {own.retrain}{comparison.data_options}{comparison.heads_option}"


def _more_recordings(comparison: Comparison) -> Iterator[Step]:
    curves = [curve for row in comparison.contenders if len(curve := learning_curve_of(row)) > 1]
    if curves:
        before, last = curves[0][-2:]
        gain = last.accuracy - before.accuracy
        if gain >= CLIMBS:
            said = f"Record more: the last step to all recordings still gained {points(gain)} points."
        else:
            said = f"More recordings of this kind would add little: the last step gained {points(gain)} points."
        yield Step(said, section="learning")
    elif _probed(comparison) and comparison.contenders[0].accuracy.mean < 1:
        yield Step("Would more recordings help? Measure it:", probe_of(comparison, "--learning-curve"))


def _level(comparison: Comparison) -> Iterator[Step]:
    """Where no winner is clear, the cheapest of those in front."""
    front = [row for row in comparison.front if row.seconds_per_clip]
    cheapest = min(front, key=_cost, default=None)
    if cheapest is None or len(comparison.front) < 2 or _cost(cheapest) > 0.8 * max(map(_cost, front)):
        return
    yield Step(
        f"Take the cheapest of those in front: {cheapest.name} needs {duration(_cost(cheapest))} a clip, "
        f"{duration(max(map(_cost, front)))} the dearest.",
        section="cost",
    )


def _cost(row: Row) -> float:
    return row.seconds_per_clip or 0.0


def _backbone(comparison: Comparison) -> Iterator[Step]:
    learnt = [row for row in comparison.contenders if row.is_frozen_pretrained or row.is_fine_tuned]
    tried = {row.first.backbone["name"] for row in learnt}
    if len(tried) == 1 and comparison.contenders[0].accuracy.mean < NEAR_THE_TOP:
        yield Step("Try another backbone; this lists them:", "soundprobe backbones")


def _listen(comparison: Comparison) -> Iterator[Step]:
    best = comparison.best
    frequent = most_frequent(best, limit=2) if best else ()
    if best and frequent:
        one = frequent[0]
        wrong = round((best.confusion.sum() - best.confusion.trace()) / len(best.runs))
        most = f": most often {one_line(one.true)} is taken for {one_line(one.predicted)}, {one.count} times"
        is_most = one.count > max((other.count for other in frequent[1:]), default=1)
        yield Step(f"Listen to its {plural(wrong, 'mistake')}{most * is_most}.", section="gallery")

"""What the best run has to beat on the same clips: what needs no pretraining, and the user's own model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

import numpy as np

from soundprobe.base.errors import ConfigError, unknown
from soundprobe.reporting.compared.pairs import Pair
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.runs import marks
from soundprobe.scoring.against_published import PublishedComparison, compare_with_published, estimate_design_effect
from soundprobe.scoring.intervals import Interval
from soundprobe.scoring.published import Published


@dataclass(frozen=True)
class BaselineKind:
    """One way to do without pretraining: its name in running text, and which rows are of it."""

    key: str
    name: str
    includes: Callable[[Row], bool]


KINDS = (
    BaselineKind("no_network", "no network", lambda row: row.is_baseline),
    BaselineKind("untrained", "an untrained network", lambda row: marks.is_untrained(row.first)),
    BaselineKind(
        "from_scratch", "a network trained from scratch", lambda row: marks.is_trained_from_scratch(row.first)
    ),
)


@dataclass(frozen=True, eq=False)
class Baseline:
    """The best row of a kind, whatever its head: the best of them is what a pretrained run has to beat."""

    kind: BaselineKind
    row: Row


def baselines_of(ranked: Sequence[Row], own: OwnModel | None) -> tuple[Baseline, ...]:
    """The baseline of each kind among `ranked`, whose best row comes first; the best baseline first.

    The user's own model, trained from scratch in each fold, is a kind of its own.
    """
    mine = own.row if own else None
    kinds = list(KINDS)
    if own and mine and marks.is_trained_from_scratch(mine.first):
        kinds.append(BaselineKind("own", own.name, lambda row: row is mine))
    firsts = (
        (kind, next((row for row in ranked if kind.includes(row) and (row is not mine or kind.key == "own")), None))
        for kind in kinds
    )
    found = [Baseline(kind, row) for kind, row in firsts if row is not None]
    return tuple(sorted(found, key=lambda one: -one.row.accuracy.mean))


class Standing(Enum):
    """How a data set stands to the one that fold scores were published of."""

    SAME = "same clips"
    """The same clips in the same folds: those that are test results are compared directly."""
    SAMPLE = "a sample of the clips"
    """Some of the clips: shown beside each other, but a fold holds other clips than the published fold."""


@dataclass(frozen=True)
class PublishedHere:
    """Published fold scores beside runs on the same data, or on some of its clips."""

    published: Published
    standing: Standing

    @property
    def is_same(self) -> bool:
        return self.standing is Standing.SAME

    def against(self, row: Row) -> PublishedComparison | None:
        """`row` on the folds that are published as test results; None where it tested others, lacks one or chose its
        clips, and where its network had been trained on their clips before.
        """
        tests = self.published.tests
        known = row.contaminated and tests != row.folds[:1]  # carried over from the first fold on
        unequal = row.is_control or not row.is_fair or known
        if not self.is_same or unequal or not set(tests) <= set(row.folds):
            return None
        here = [np.isin(one.folds, tests) for one in row.predictions]
        clips = int(here[0].sum())
        missing = self.published.tested_clips - clips
        if missing < 0:
            return None
        right = [(one.labels == one.predicted)[rows] for one, rows in zip(row.predictions, here, strict=True)]
        groups = [one.groups[rows] for one, rows in zip(row.predictions, here, strict=True)]
        effect = float(np.mean([estimate_design_effect(*of_seed) for of_seed in zip(right, groups, strict=True)]))
        correct = float(np.mean(right)) * clips
        return compare_with_published(self.published, correct, clips, missing=missing, design_effect=effect)


@dataclass(frozen=True, eq=False)
class OwnModel:
    """The user's own model: its predictions of these clips, or the scores that it was published with, or both.

    Attributes:
        name: in running text.
        retrain: the recipe that would make the predictions, where they are not there.
    """

    name: str
    row: Row | None = None
    published: PublishedHere | None = None
    retrain: str = ""


def own_model(rows: Sequence[Row], published: Sequence[PublishedHere], baseline: str | None) -> OwnModel | None:
    """The model of the name `baseline`; by default the only imported one, else one that was published beforehand.

    Raises:
        ConfigError: there is none of that name, or several.
    """
    given = given_models(rows, published)
    beforehand = [_with_row(one, rows) for one in published if one.published.recipe]
    if baseline is not None:
        mine = [one.row for one in given]
        models = [*given, *beforehand, *(OwnModel(row.name, row) for row in rows if row not in mine)]
        found = [one for one in models if one.name == baseline] or [
            one for one in models if one.row and one.row.first.backbone["name"] == baseline
        ]
        if len(found) == 1:
            return found[0]
        names = [one.name for one in found or models]
        if not found:
            raise ConfigError(f"--baseline: {unknown('run', baseline, dict.fromkeys(names))}")
        raise ConfigError(f"--baseline {baseline} may be any of {', '.join(names)}. Give one of these names whole.")
    if given:
        return given[0] if len(given) == 1 else None
    return next(iter(beforehand), None)


def given_models(rows: Sequence[Row], published: Sequence[PublishedHere]) -> list[OwnModel]:
    """The models that the user imported, as predictions or, where these are not there, as fold scores."""
    imported = {row.name: OwnModel(row.name, row) for row in rows if marks.is_imported(row.first)}
    told = {
        one.published.name: OwnModel(one.published.name, None, one) for one in published if not one.published.recipe
    }
    return list({**told, **imported}.values())


def _with_row(one: PublishedHere, rows: Sequence[Row]) -> OwnModel:
    """A published model, with the row that trained it again where there is one: the best that has a rank."""
    again = [row for row in rows if row.is_ranked and marks.is_trained_as(row.first, one.published)]
    return OwnModel(one.published.name, next(iter(again), None), one, one.published.recipe)


@dataclass(frozen=True)
class ClassLead:
    """How many of a class's clips the run found more (or fewer) than the user's model: shares of `clips`."""

    name: str
    run: float
    own: float
    clips: int

    @property
    def difference(self) -> float:
        return self.run - self.own


@dataclass(frozen=True, eq=False)
class OwnLead:
    """A run less the user's own model.

    Attributes:
        row: the run.
        pair: clip by clip, with Holm's correction among all contenders; None where they share no clip.
        against: on the published folds that are test results; None where there are none, or their clips are others.
    """

    own: OwnModel
    row: Row
    pair: Pair | None = None
    against: PublishedComparison | None = None

    @property
    def name(self) -> str:
        """The user's model."""
        return self.own.name

    @property
    def is_itself(self) -> bool:
        """Whether the user's model is the run itself."""
        return self.row is self.own.row

    @property
    def is_paired(self) -> bool:
        """Whether the figures are clip by clip; else binomial, of the published folds that are test results.

        A published model is compared as it was published, where its clips are these.
        """
        return self.against is None and self.pair is not None

    @property
    def difference(self) -> float | None:
        """In accuracy, with its `interval`; None where nothing can be compared."""
        return None if self.interval is None else self.interval.value

    @property
    def interval(self) -> Interval | None:
        if self.against is not None:
            return self.against.by_recording.difference
        return self.pair.accuracy.interval if self.pair else None

    @property
    def p(self) -> float | None:
        """After Holm's correction; None where scores alone were published, or the two are no equals."""
        return self.pair.accuracy.p_holm if self.is_paired and self.pair else None

    @property
    def is_clear(self) -> bool:
        if self.against is not None:
            return self.against.is_clear
        return self.pair is not None and self.pair.is_clear

    @property
    def unit(self) -> str:
        """What the difference is of: "points", "points on fold 1", "points over 10 folds"."""
        if self.against is None or self.own.published is None:
            return "points"
        published = self.own.published.published
        return f"points {'on' if len(published.tests) == 1 else 'over'} {published.where}"

    @property
    def caution(self) -> str:
        """Why the two are no equals, as a sentence; empty where they are."""
        return self.own.row.no_equal if self.own.row and self.is_paired else ""

    @cached_property
    def classes(self) -> tuple[ClassLead, ...]:
        """Each class on the clips that both tested, averaged over seeds; the one with the largest lead first."""
        if self.pair is None:
            return ()
        shared = np.intersect1d(self.row.predictions[0].ids, self.pair.other.predictions[0].ids)
        mine, theirs = (_found(row, shared) for row in (self.row, self.pair.other))
        labels = self.row.predictions[0].take(np.isin(self.row.predictions[0].ids, shared)).labels
        clips = np.bincount(labels, minlength=len(mine))
        names = self.row.first.class_names
        leads = [ClassLead(names[c], float(mine[c]), float(theirs[c]), int(n)) for c, n in enumerate(clips) if n]
        return tuple(sorted(leads, key=lambda one: -one.difference))

    @property
    def gained(self) -> tuple[ClassLead, ...]:
        """The classes of which the run found more, the most first."""
        return tuple(one for one in self.classes if one.difference > 0)

    @property
    def lost(self) -> tuple[ClassLead, ...]:
        """The classes of which it found fewer, the fewest first."""
        return tuple(one for one in self.classes[::-1] if one.difference < 0)


def _found(row: Row, ids: np.ndarray) -> np.ndarray:
    """(C,) the share of each class's clips among `ids` that were found, averaged over seeds; 0 of an absent class."""
    shares = []
    for one in row.predictions:
        here = one.take(np.isin(one.ids, ids))
        clips = np.bincount(here.labels, minlength=one.n_classes)
        right = np.bincount(here.labels[here.labels == here.predicted], minlength=one.n_classes)
        shares.append(right / np.maximum(clips, 1))
    found: np.ndarray = np.mean(shares, axis=0)
    return found

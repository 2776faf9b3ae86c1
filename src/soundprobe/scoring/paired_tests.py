"""Is one run better than another, and is that more than luck? Paired tests on the same clips. No torch.

docs/protocol.md says in words what each figure means and when not to trust it.
Letters: J folds, M comparisons.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from soundprobe.base.errors import DataError, unknown
from soundprobe.scoring.bootstrap import METRICS, Predictions, Scores, bound
from soundprobe.scoring.intervals import LEVEL, Interval, hull, tango

TIE = 1e-12
"""Differences of fold scores within rounding are ties."""
POWER = 0.8
NAMED = 3  # clips that a message names


@dataclass(frozen=True)
class TTest:
    """The corrected resampled t-test. `statistic` and `p` are None where there is none; `reason` then says why.

    Attributes:
        test_train_ratio: n_test / n_train, as it was given.
        low, high: of the mean difference at `LEVEL`, by the same correction.
        error: the mean difference's standard error, by the same correction; 0 where folds don't differ.
    """

    statistic: float | None
    freedom: int
    p: float | None
    low: float | None
    high: float | None
    test_train_ratio: float
    error: float = 0.0
    reason: str = ""


@dataclass(frozen=True)
class SignTest:
    """In how many folds a run is ahead, behind and level, and how often a fair coin would be as one-sided.

    `smallest_p` is what a win in every fold that is no tie would give: with 5 folds or fewer it can't be below 5 %.
    """

    ahead: int
    behind: int
    ties: int
    p: float
    smallest_p: float


@dataclass(frozen=True)
class Paired:
    """`run` less `reference` on the same clips, in one metric.

    Attributes:
        differences: one a fold, in the order of `folds`.
        mean: their mean, with a bootstrap interval in which both runs meet the same redrawn recordings.
        error, freedom: standard deviation of the mean in the redrawn worlds, and recordings that are free to vary.
        p_holm: the t-test's p after Holm's correction for `comparisons` comparisons with one reference.
    """

    run: str
    reference: str
    metric: str
    folds: tuple[int, ...]
    differences: tuple[float, ...]
    mean: Interval
    error: float
    freedom: int
    t_test: TTest
    sign_test: SignTest
    p_holm: float | None
    comparisons: int = 1

    @property
    def interval(self) -> Interval:
        """The mean difference with the wider of both intervals, the bootstrap's and the t-test's.

        It leaves 0 out where both do: of a single comparison, where the difference is clear, if the t-test has a p.
        No end goes beyond a difference of 1.
        """
        low, high = (None if end is None else min(max(end, -1.0), 1.0) for end in (self.t_test.low, self.t_test.high))
        return hull(self.mean, Interval(self.mean.value, low, high, "corrected t"))

    @property
    def detectable(self) -> float | None:
        """How large a true difference must be for these clips and folds to show it as clear in `POWER` of cases.

        For each of the two looks (t_(1 - a/2) + t_power) x its standard error; the larger counts. a is .05, for the
        t-test .05 / `comparisons`, as for the first in Holm's order. The error is the observed one over c4, by which a
        sample's deviation falls short on average (by 8 % with 4 folds). 1 is the most: then no difference would be.
        None where there is no t-test (one fold, or the same difference in all), without which none is ever clear.

        Source: Bloom, "Minimum detectable effects", Evaluation Review 19, 1995.
        """
        if self.t_test.p is None:
            return None
        from scipy import stats

        looks = ((self.t_test.error, self.t_test.freedom, self.comparisons), (self.error, self.freedom, 1))
        found = []
        for error, freedom, comparisons in looks:
            if freedom > 0 and error > TIE:
                reach = stats.t.isf((1 - LEVEL) / 2 / comparisons, freedom) + stats.t.ppf(POWER, freedom)
                found.append(error / _c4(freedom) * float(reach))
        return min(1.0, max(found)) if found else None

    @property
    def is_clear(self) -> bool:
        """Whether training on other folds (t-test, after Holm) and testing on other recordings (bootstrap) both leave
        the difference on its side of 0. Each alone looks at one source of luck."""
        return self.p_holm is not None and self.p_holm < 1 - LEVEL and self.mean.excludes_zero


def _c4(freedom: int) -> float:
    """The mean of a normal sample's standard deviation, over the true one."""
    from scipy import special

    return float(np.sqrt(2 / freedom) * np.exp(special.gammaln((freedom + 1) / 2) - special.gammaln(freedom / 2)))


def kfold_ratio(folds: int) -> float:
    """n_test / n_train where each of `folds` folds is tested once and the others train: 1 / (folds - 1).

    `folds` counts the folds of the data set, also when only some of them were tested.
    """
    if folds < 2:
        raise DataError(f"{folds} fold leaves nothing to train on; cross-validation needs 2 or more.")
    return 1 / (folds - 1)


def corrected_t_test(differences: Sequence[float] | np.ndarray, *, test_train_ratio: float) -> TTest:
    """Two-sided test that the mean of J fold differences is 0, allowing for training sets that overlap.

    t = mean / sqrt((1 / J + n_test / n_train) s^2) with J - 1 degrees of freedom, s^2 the sample variance (J - 1).
    The plain t-test lacks n_test / n_train: it takes folds for independent, and finds differences that are not there.
    The correction was derived for random splits, and is used for k folds with n_test / n_train = 1 / (k - 1).

    Source: Nadeau and Bengio, "Inference for the generalization error", Machine Learning 52, 2003.

    Raises:
        DataError: there are no differences, one is not finite, or the ratio is not above 0.
    """
    values = _finite(differences)
    if not 0 < test_train_ratio < np.inf:
        raise DataError(f"n_test / n_train of {test_train_ratio} is not valid; k folds give 1 / (k - 1).")
    J, mean = len(values), float(values.mean())
    if J < 2:
        reason = "one fold has no spread to judge a difference by"
        return TTest(None, 0, None, None, None, test_train_ratio, reason=reason)
    spread = float(values.std(ddof=1))
    if spread <= TIE:
        if abs(mean) <= TIE:
            return TTest(0.0, J - 1, 1.0, None, None, test_train_ratio, reason="every fold is equal")
        reason = "every fold has the same difference, so there is no spread to judge it by"
        return TTest(None, J - 1, None, None, None, test_train_ratio, reason=reason)
    from scipy import stats

    error = spread * float(np.sqrt(1 / J + test_train_ratio))
    reach = float(stats.t.isf((1 - LEVEL) / 2, J - 1)) * error
    p = 2 * float(stats.t.sf(abs(mean / error), J - 1))
    return TTest(mean / error, J - 1, p, mean - reach, mean + reach, test_train_ratio, error)


def sign_test(differences: Sequence[float] | np.ndarray) -> SignTest:
    """The exact two-sided sign test over folds: p = P(a fair coin is at least as one-sided). Ties are left out.

    Asks least of all tests here: not how large differences are, nor how they are distributed.

    Raises:
        DataError: there are no differences, or one is not finite.
    """
    values = _finite(differences)
    ahead, behind = int((values > TIE).sum()), int((values < -TIE).sum())
    decided = ahead + behind
    from scipy import stats

    p = float(stats.binomtest(ahead, decided).pvalue) if decided else 1.0
    return SignTest(ahead, behind, len(values) - decided, p, 2.0 ** (1 - decided) if decided else 1.0)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's adjusted p values, in the given order: below 5 % where the chance of any false finding is kept at 5 %.

    The smallest of M is multiplied by M, the next by M - 1, and so on, never falling below the one before. None (no
    test was possible) stays None and is not counted.

    Source: Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statistics 6, 1979.

    Raises:
        DataError: a value is not between 0 and 1.
    """
    for p in p_values:
        if p is not None and not 0 <= p <= 1:
            raise DataError(f"{p} is no p value; those lie between 0 and 1.")
    tested = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, place) in enumerate(tested):
        largest = max(largest, min(1.0, (len(tested) - rank) * p))
        adjusted[place] = largest
    return adjusted


def paired(run: Scores, reference: Scores, *, test_train_ratio: float, metric: str = "accuracy") -> Paired:
    """`run` less `reference`, fold by fold, with every test of this module.

    Args:
        run, reference: of `resample`, on the same clips, with the same seed and number of resamples.
        test_train_ratio: n_test / n_train, see `kfold_ratio`.
        metric: one of `METRICS`.

    Raises:
        DataError: the runs tested different clips, or were redrawn differently; the message names what differs.
    """
    if metric not in METRICS:
        raise DataError(unknown("metric", metric, METRICS))
    check_redrawn_alike(run, reference)
    differences = run.points[metric] - reference.points[metric]
    draws = (run.draws[metric] - reference.draws[metric]).mean(axis=1)
    mean = bound(float(differences.mean()), draws, run.freedom, low=-1.0)
    if mean.low is not None and not mean.has_width:  # no recording tells the two apart, or all do by as much
        equal = metric == "accuracy" and abs(mean.value) <= TIE
        mean = tango(run.recordings.sum()) if equal else dataclasses.replace(mean, low=None, high=None)
    t_test = corrected_t_test(differences, test_train_ratio=test_train_ratio)
    return Paired(
        run=run.predictions.name,
        reference=reference.predictions.name,
        metric=metric,
        folds=tuple(run.folds.tolist()),
        differences=tuple(differences.tolist()),
        mean=mean,
        error=float(draws.std()),
        freedom=run.freedom,
        t_test=t_test,
        sign_test=sign_test(differences),
        p_holm=t_test.p,
    )


def average(seeds: Sequence[Scores], name: str) -> Scores:
    """The mean scores of runs that differ only in their seed, as the scores of one run called `name`.

    `predictions` are those of the first seed. Counts of classes are summed, so that `class_intervals` are of the
    predictions of all seeds together.

    Raises:
        DataError: there are none, they tested different clips, or were redrawn differently.
    """
    if not seeds:
        raise DataError("No runs to average; give at least one.")
    first = seeds[0]
    for other in seeds[1:]:
        check_redrawn_alike(first, other)

    def mean(columns: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
        return {metric: np.mean([column[metric] for column in columns], axis=0) for metric in METRICS}

    return dataclasses.replace(
        first,
        predictions=dataclasses.replace(first.predictions, name=name),
        points=mean([scores.points for scores in seeds]),
        draws=mean([scores.draws for scores in seeds]),
        counts=np.sum([scores.counts for scores in seeds], axis=0),
        count_draws=np.sum([scores.count_draws for scores in seeds], axis=0),
    )


def on_shared_clips(runs: Sequence[Predictions]) -> list[Predictions]:
    """The runs, each cut down to the clips that all of them tested.

    Raises:
        DataError: they share none.
    """
    shared = set(runs[0].ids.tolist()).intersection(*(run.ids.tolist() for run in runs[1:])) if runs else set()
    if runs and not shared:
        raise DataError(f"Runs {', '.join(repr(run.name) for run in runs)} share no clip, so they can't be compared.")
    keep = np.array(sorted(shared))
    return [run.take(np.isin(run.ids, keep)) for run in runs]


def check_redrawn_alike(run: Scores, other: Scores) -> None:
    """Raises DataError, naming what differs, unless both are of the same clips and the same redrawn recordings."""
    check_same_clips(run.predictions, other.predictions)
    mine, theirs = (run.seed, len(run.count_draws)), (other.seed, len(other.count_draws))
    if mine != theirs:
        raise DataError(
            f"Runs {run.predictions.name!r} and {other.predictions.name!r} were redrawn differently: seed {mine[0]} "
            f"with {mine[1]} resamples, and seed {theirs[0]} with {theirs[1]}. Redraw both alike."
        )


def check_same_clips(run: Predictions, other: Predictions) -> None:
    """Raises DataError, naming what differs, unless both tested the same clips in the same folds."""
    names = f"Runs {run.name!r} and {other.name!r}"
    if not np.array_equal(run.ids, other.ids):
        mine, theirs = np.setdiff1d(run.ids, other.ids), np.setdiff1d(other.ids, run.ids)
        raise DataError(
            f"{names} tested different clips: {_named(mine)} only in the first, {_named(theirs)} only in the second. "
            "Compare them on the clips that both tested (on_shared_clips), or finish the missing folds."
        )
    for column, what in (("labels", "labels"), ("folds", "folds"), ("groups", "recordings")):
        mine, theirs = getattr(run, column), getattr(other, column)
        differ = np.flatnonzero(mine != theirs)
        if len(differ):
            row = differ[0]
            raise DataError(
                f"{names} have different {what} for {len(differ)} clips, such as {str(run.ids[row])!r} "
                f"({mine[row]!s} and {theirs[row]!s}). Only runs on the same data set can be compared."
            )
    if run.n_classes != other.n_classes:
        raise DataError(
            f"{names} have {run.n_classes} and {other.n_classes} classes. "
            "Only runs on the same data set can be compared."
        )


def _named(ids: np.ndarray) -> str:
    if len(ids) == 0:
        return "none"
    shown = ", ".join(repr(str(name)) for name in ids[:NAMED])
    return f"{len(ids)} ({shown}{', ...' if len(ids) > NAMED else ''})"


def _finite(differences: Sequence[float] | np.ndarray) -> np.ndarray:
    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 1 or len(values) == 0 or not np.isfinite(values).all():
        raise DataError(f"Fold differences {values.tolist()} can't be tested; give one finite number a fold.")
    return values

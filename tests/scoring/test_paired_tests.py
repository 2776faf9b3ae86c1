"""Intervals and tests, each on data whose answer is known: by hand, from a textbook, or because it was simulated.

Simulated rates are held against binomial bounds: with S simulations and a true rate of 5 %, fewer than one in a
thousand sets of simulations has a rate above `most(S)` or below `least(S)`. Seeds are fixed, so nothing flickers.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support

from soundprobe.base.errors import DataError
from soundprobe.scoring import metrics, notes
from soundprobe.scoring.against_published import compare_with_published, estimate_design_effect
from soundprobe.scoring.bootstrap import METRICS, Predictions, Scores, resample
from soundprobe.scoring.intervals import Interval, wilson
from soundprobe.scoring.paired_tests import (
    Paired,
    TTest,
    average,
    corrected_t_test,
    holm,
    kfold_ratio,
    on_shared_clips,
    paired,
    sign_test,
)


def most(simulations: int) -> float:
    """The highest share of false findings that a true 5 % gives in 999 of 1,000 sets of simulations."""
    return float(stats.binom.ppf(0.999, simulations, 0.05)) / simulations


def least(simulations: int) -> float:
    return float(stats.binom.ppf(0.001, simulations, 0.05)) / simulations


def make_run(
    labels: np.ndarray,
    predicted: np.ndarray,
    folds: np.ndarray,
    groups: np.ndarray,
    name: str = "run",
    classes: int = 0,
) -> Predictions:
    ids = np.array([f"clip-{row:05d}" for row in range(len(labels))])
    n_classes = classes or 1 + int(max(np.max(labels), np.max(predicted)))
    return Predictions(name, ids, labels, predicted, folds, groups, n_classes)


def correlated_run(
    rng: np.random.Generator, *, folds: int, recordings: int, clips: int = 8, accuracy: float = 0.7, name: str = "run"
) -> Predictions:
    """A run whose recordings differ as Beta(0.7, 0.3) does: most are nearly all right or nearly all wrong."""
    G = folds * recordings
    group = np.repeat(np.arange(G), clips)
    labels = rng.integers(0, 3, G)[group]
    right = rng.random(len(group)) < rng.beta(accuracy, 1 - accuracy, G)[group]
    return make_run(labels, np.where(right, labels, (labels + 1) % 3), group // recordings, group.astype(str), name, 3)


# --- scores and their intervals


def test_resample_points_are_the_metrics_of_each_fold() -> None:
    rng = np.random.default_rng(0)
    run = make_run(rng.integers(0, 4, 300), rng.integers(0, 5, 300), rng.integers(1, 4, 300), rng.integers(0, 40, 300))
    scores = resample(run, resamples=100)
    for place, fold in enumerate(scores.folds):
        here = run.folds == fold
        truth, said = run.labels[here], run.predicted[here]
        assert scores.points["accuracy"][place] == pytest.approx(accuracy_score(truth, said))
        assert scores.points["macro_f1"][place] == pytest.approx(f1_score(truth, said, average="macro"))
        assert scores.points["macro_f1"][place] == pytest.approx(metrics.macro_f1(truth, said))
    assert scores.interval("accuracy").value == pytest.approx(scores.points["accuracy"].mean())


def test_resample_draws_are_scores_of_really_redrawn_clips() -> None:
    rng = np.random.default_rng(1)
    run = correlated_run(rng, folds=2, recordings=6, clips=3)
    scores = resample(run, resamples=100, seed=5)
    drawn = np.random.default_rng([5, 1]).integers(0, 6, size=(100, 5))  # fold 1: 5 of its 6 recordings
    names = np.unique(run.groups[run.folds == 1])
    for world in (0, 42, 99):
        rows = np.concatenate([np.flatnonzero((run.groups == names[one]) & (run.folds == 1)) for one in drawn[world]])
        truth, said = run.labels[rows], run.predicted[rows]
        assert scores.draws["accuracy"][world, 1] == pytest.approx(accuracy_score(truth, said))
        assert scores.draws["macro_f1"][world, 1] == pytest.approx(f1_score(truth, said, average="macro"))


def test_interval_of_independent_clips_is_that_of_a_binomial() -> None:
    labels = np.zeros(2000, dtype=int)
    run = make_run(labels, (np.arange(2000) % 10 < 3).astype(int), np.zeros(2000), np.arange(2000))
    found = resample(run, resamples=4000).interval("accuracy")
    expected = wilson(0.7, 2000)
    assert found.value == pytest.approx(0.7)
    assert found.low == pytest.approx(expected.low, abs=0.003)
    assert found.high == pytest.approx(expected.high, abs=0.003)


def test_interval_over_recordings_covers_the_truth_and_over_clips_does_not() -> None:
    """True accuracy .7, clips of a recording correlated. 95 % are asked for; 300 simulations."""
    rng, hit = np.random.default_rng(2), {"recordings": 0, "clips": 0}
    simulations = 300
    for _ in range(simulations):
        run = correlated_run(rng, folds=2, recordings=60)
        for kind, asked in (("recordings", run), ("clips", dataclasses.replace(run, groups=run.ids))):
            found = resample(asked, resamples=300).interval("accuracy")
            hit[kind] += found.low <= 0.7 <= found.high
    assert least(simulations) <= 1 - hit["recordings"] / simulations <= most(simulations)
    assert hit["clips"] / simulations < 0.75  # "95 %" over clips misses the truth more than a quarter of the time


def test_interval_of_few_recordings_is_as_wide_as_their_scatter() -> None:
    """Three folds of four recordings: drawing four of four would make it a seventh too narrow."""
    rng = np.random.default_rng(3)
    runs = [correlated_run(rng, folds=3, recordings=4) for _ in range(300)]
    scores = [resample(run, resamples=200) for run in runs]
    scatter = np.std([one.interval().value for one in scores], ddof=1)
    drawn = np.sqrt(np.mean([one.draws["accuracy"].mean(axis=1).var() for one in scores]))
    assert drawn == pytest.approx(scatter, rel=0.1)


def test_interval_of_macro_f1_is_centred_on_the_score_though_draws_lie_below_it() -> None:
    rng = np.random.default_rng(4)
    G, C = 60, 10
    group = np.repeat(np.arange(G), 5)
    labels = (np.arange(G) % C)[group]
    right = rng.random(len(group)) < 0.8
    run = make_run(labels, np.where(right, labels, rng.integers(0, C, len(group))), group // 30, group, classes=C)
    scores = resample(run)
    found, draws = scores.interval("macro_f1"), scores.draws["macro_f1"].mean(axis=1)
    assert draws.mean() < found.value - 0.2 * draws.std()
    assert (found.high - found.value) / (found.value - found.low) == pytest.approx(1, abs=0.35)


@pytest.mark.parametrize("right", [True, False])
def test_interval_of_clips_that_are_all_right_or_all_wrong_is_wilsons_by_recording(right: bool) -> None:
    labels = np.arange(30) % 3
    said = labels if right else (labels + 1) % 3
    scores = resample(make_run(labels, said, np.arange(30) % 2, np.arange(30) // 2), resamples=100)
    expected = wilson(float(right), 30)  # 15 pairs of clips, each in both folds: a recording counts in each
    assert scores.interval("accuracy") == expected
    assert scores.interval("accuracy").method == "Wilson"
    assert scores.fold_interval("accuracy", 1) == wilson(float(right), 15)
    assert (scores.interval("macro_f1").low, scores.interval("macro_f1").high) == (None, None)
    assert any("not certainty" in doubt and "30 recordings" in doubt for doubt in scores.doubts)


def test_interval_of_recordings_that_are_all_half_right_has_no_ends() -> None:
    labels, folds, recording = np.zeros(40, dtype=int), np.arange(40) // 20, np.arange(40) // 2
    found = resample(make_run(labels, np.arange(40) % 2, folds, recording), resamples=100).interval()
    assert (found.value, found.low, found.high) == (0.5, None, None)


def test_interval_of_one_recording_a_fold_has_no_ends() -> None:
    folds = np.arange(40) % 4
    scores = resample(make_run(np.arange(40) % 3, np.zeros(40, dtype=int), folds, folds), resamples=100)
    assert scores.interval("accuracy").low is None
    assert scores.fold_interval("accuracy", 2).high is None
    assert not scores.interval("accuracy").excludes_zero
    assert "4 of 4 folds hold a single recording" in scores.doubts[0]


def test_interval_of_one_fold_is_there_and_stays_within_0_and_1() -> None:
    run = correlated_run(np.random.default_rng(6), folds=1, recordings=3, accuracy=0.9)
    scores = resample(run, resamples=200)
    for metric in METRICS:
        found = scores.interval(metric)
        assert 0 <= found.low <= found.value <= found.high <= 1
    assert "fewer than 10 recordings" in scores.doubts[0]


def test_class_intervals_hold_the_pooled_scores_and_leave_out_what_does_not_exist() -> None:
    rng = np.random.default_rng(7)
    run = make_run(
        rng.integers(0, 3, 400), rng.integers(0, 4, 400), np.arange(400) % 4, rng.integers(0, 80, 400), classes=6
    )
    found = resample(run, resamples=200).class_intervals()
    precision, recall, f1, _ = precision_recall_fscore_support(
        run.labels, run.predicted, labels=range(6), zero_division=0
    )
    for label in range(3):
        for name, expected in (("precision", precision), ("recall", recall), ("f1", f1)):
            assert found[label][name].value == pytest.approx(expected[label])
            assert found[label][name].low < expected[label] < found[label][name].high
    assert set(found[3]) == {"precision", "f1"}  # never true
    assert found[4] == {}  # neither true nor predicted


def test_class_interval_uses_the_worlds_that_hold_the_class_and_shows_no_certainty() -> None:
    recording = np.repeat(np.arange(40), 5)
    labels = np.where(recording < 4, 1, np.where(recording < 5, 2, 0))
    labels[-100:] = 3
    said = np.where(np.arange(200) % 4 > 0, labels, 0)
    said[-100:] = 3
    scores = resample(make_run(labels, said, np.zeros(200, dtype=int), recording, classes=4), resamples=400)
    found = scores.class_intervals()
    some = found[1]["recall"]  # 4 of 40 recordings: about 1 world in 60 draws none of them
    assert np.isfinite([some.low, some.high]).all()
    assert some.low < some.value < some.high
    assert not Interval(0.5, float("nan"), float("nan"), "bootstrap over recordings").excludes_zero
    assert (found[3]["recall"].value, found[3]["recall"].low, found[3]["recall"].high) == (1.0, None, None)
    assert (found[2]["recall"].low, found[2]["recall"].high) == (None, None)  # one recording, never drawn differently
    rare = scores._bound_class(0.5, np.where(np.arange(400) < 199, np.linspace(0, 1, 400), np.nan))
    assert (rare.low, rare.high) == (None, None)


def test_resample_is_the_same_for_any_order_of_clips_and_any_run_of_the_same_seed() -> None:
    run = correlated_run(np.random.default_rng(8), folds=3, recordings=20)
    order = np.random.default_rng(9).permutation(len(run))
    shuffled = run.take(order)
    first, second, other = (
        resample(run, resamples=100),
        resample(shuffled, resamples=100),
        resample(run, resamples=100, seed=1),
    )
    assert np.array_equal(first.draws["macro_f1"], second.draws["macro_f1"])
    assert not np.array_equal(first.draws["macro_f1"], other.draws["macro_f1"])
    fold = resample(run.take(run.folds == 1), resamples=100)
    assert np.array_equal(fold.draws["accuracy"][:, 0], first.draws["accuracy"][:, 1])


def test_predictions_that_are_not_whole_are_refused_by_name() -> None:
    run = correlated_run(np.random.default_rng(10), folds=2, recordings=2)
    with pytest.raises(DataError, match="Run 'run' has no predictions"):
        run.take(np.zeros(len(run), dtype=bool))
    with pytest.raises(DataError, match="'run': 3 groups for 32 clips"):
        dataclasses.replace(run, groups=run.groups[:3])
    with pytest.raises(DataError, match="clip 'clip-00001' is predicted more than once"):
        dataclasses.replace(run, ids=np.where(run.ids == "clip-00000", "clip-00001", run.ids))
    with pytest.raises(DataError, match="predicted from 0 to 9 don't fit 3 classes"):
        dataclasses.replace(run, predicted=np.where(run.ids == "clip-00003", 9, 0))
    with pytest.raises(DataError, match="20 resamples are too few"):
        resample(run, resamples=20)


# --- tests of a difference


def test_corrected_t_test_matches_a_value_computed_by_hand() -> None:
    """Differences 1 .. 5 points: mean .03, s^2 = .00025; (1/5 + 1/4) s^2 = .0001125; t = .03 / .0106066 = 2 sqrt 2.

    With 4 degrees of freedom P(T < t) = 1/2 + 3/8 u (1 - u^2 / 12) where u = t / sqrt(1 + t^2 / 4) = sqrt(8 / 3).
    """
    found = corrected_t_test([0.01, 0.02, 0.03, 0.04, 0.05], test_train_ratio=kfold_ratio(5))
    assert found.statistic == pytest.approx(2 * np.sqrt(2))
    assert found.freedom == 4
    u = np.sqrt(8 / 3)
    assert found.p == pytest.approx(2 * (0.5 - 3 / 8 * u * (1 - u**2 / 12)))
    assert found.p == pytest.approx(0.04742, abs=1e-5)
    assert found.low == pytest.approx(0.03 - 2.776445 * 0.01060660, abs=1e-6)
    assert found.high == pytest.approx(0.03 + 2.776445 * 0.01060660, abs=1e-6)


def test_corrected_t_test_becomes_the_plain_one_as_the_ratio_goes_to_0() -> None:
    values = [0.03, -0.01, 0.02, 0.05]
    plain = stats.ttest_1samp(values, 0)
    found = corrected_t_test(values, test_train_ratio=1e-12)
    assert (found.statistic, found.p) == (pytest.approx(plain.statistic), pytest.approx(plain.pvalue))


def test_corrected_t_test_under_the_null_finds_5_percent_where_the_plain_one_finds_many() -> None:
    """Fold differences as Nadeau and Bengio suppose them: correlation n_test / (n_test + n_train), here 1/10."""
    rng, simulations = np.random.default_rng(11), 3000
    shared, own = rng.normal(size=(simulations, 1)), rng.normal(size=(simulations, 10))
    differences = np.sqrt(0.1) * shared + np.sqrt(0.9) * own
    found = [corrected_t_test(row, test_train_ratio=kfold_ratio(10)).p < 0.05 for row in differences]
    plain = stats.ttest_1samp(differences, 0, axis=1).pvalue < 0.05
    assert least(simulations) <= np.mean(found) <= most(simulations)
    assert plain.mean() > 0.12


def cross_validated_pair(rng: np.random.Generator) -> tuple[Predictions, Predictions]:
    """Two heads of equal merit: nearest class mean, each on its own half of features that are drawn alike."""
    F, G, C, D = 10, 4, 4, 6
    lengths = rng.integers(1, 8, F * G)
    group = np.repeat(np.arange(F * G), lengths)
    labels, folds = rng.integers(0, C, F * G), group // G
    centre = rng.normal(size=(C, D))[labels]
    runs = []
    for name in ("one", "two"):
        scene = centre + 1.6 * rng.normal(size=centre.shape)
        X, y = scene[group] + 0.8 * rng.normal(size=(len(group), D)), labels[group]
        said = np.empty_like(y)
        for fold in range(F):
            train, one_hot = folds != fold, np.eye(C)[y]
            means = one_hot[train].T @ X[train] / one_hot[train].sum(axis=0)[:, None].clip(1)
            said[~train] = ((X[~train, None] - means) ** 2).sum(axis=2).argmin(axis=1)
        runs.append(make_run(y, said, folds, group, name, C))
    return runs[0], runs[1]


def test_t_tests_of_equally_good_heads_in_real_cross_validation() -> None:
    """Every head is trained: 600 times 10 folds. The corrected test keeps to 5 %, the plain one does not."""
    rng, simulations = np.random.default_rng(12), 600
    found = np.zeros((simulations, 2), dtype=bool)
    for one in range(simulations):
        first, second = cross_validated_pair(rng)
        gain = (first.predicted == first.labels).astype(int) - (second.predicted == second.labels)
        differences = np.bincount(first.folds, weights=gain) / np.bincount(first.folds)
        p = corrected_t_test(differences, test_train_ratio=kfold_ratio(10)).p
        found[one] = (p is not None and p < 0.05, stats.ttest_1samp(differences, 0).pvalue < 0.05)
    corrected, plain = found.mean(axis=0)
    assert 0 < corrected <= most(simulations)
    assert plain > most(simulations)


def test_paired_interval_of_equally_good_heads_leaves_0_out_in_5_percent() -> None:
    rng, simulations = np.random.default_rng(13), 300
    found = 0
    for _ in range(simulations):
        run = correlated_run(rng, folds=2, recordings=60)
        luck = rng.beta(0.7, 0.3, 120)[np.unique(run.groups, return_inverse=True)[1]]
        other = np.where(rng.random(len(run)) < luck, run.labels, (run.labels + 1) % 3)
        pair = [resample(one, resamples=200) for one in (run, dataclasses.replace(run, predicted=other))]
        found += paired(*pair, test_train_ratio=1.0).mean.excludes_zero
    assert least(simulations) <= found / simulations <= most(simulations)


def test_sign_test_values_are_exact() -> None:
    assert sign_test([1] * 10).p == 2 / 1024
    assert sign_test([1] * 9 + [-1]).p == pytest.approx(22 / 1024)
    assert sign_test([1] * 8 + [-1] * 2).p == pytest.approx(112 / 1024)
    assert sign_test([1, -1]).p == 1.0
    five = sign_test([0.1] * 5)
    assert (five.p, five.smallest_p) == (1 / 16, 1 / 16)
    one = sign_test([-0.2])
    assert (one.ahead, one.behind, one.p) == (0, 1, 1.0)


def test_sign_test_leaves_ties_out() -> None:
    found = sign_test([0.1, 0.2, 0.0, -0.3, 0.1 + 0.2 - 0.3])  # the last is 5.6e-17
    assert (found.ahead, found.behind, found.ties, found.p) == (2, 1, 2, 1.0)
    none = sign_test([0.0] * 10)
    assert (none.ties, none.p, none.smallest_p) == (10, 1.0, 1.0)


def test_sign_test_of_all_outcomes_finds_at_most_5_percent() -> None:
    for folds in (1, 5, 6, 9):
        outcomes = [sign_test(signs).p < 0.05 for signs in itertools.product((-1, 1), repeat=folds)]
        assert np.mean(outcomes) <= 0.05
        assert any(outcomes) == (folds >= 6)


def test_holm_matches_the_textbook() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02]
    assert holm([]) == []
    assert holm([None, 0.02, None, 0.03]) == [None, 0.04, None, 0.04]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_never_lowers_a_value_or_swaps_two(p_values: list[float]) -> None:
    found = holm(p_values)
    assert all(adjusted >= p for adjusted, p in zip(found, p_values, strict=True))
    order = np.argsort(p_values)
    assert (np.diff(np.array(found)[order]) >= 0).all()
    assert max(found) <= 1


def test_holm_of_true_nulls_errs_in_5_percent_of_families() -> None:
    rng, families = np.random.default_rng(14), 3000
    p_values = rng.random((families, 8))
    wrong = np.mean([min(holm(row)) < 0.05 for row in p_values])
    assert least(families) <= wrong <= most(families)
    assert (p_values.min(axis=1) < 0.05).mean() > 0.3  # without it


@pytest.mark.parametrize("bad", [-0.1, 1.5, float("nan")])
def test_holm_refuses_what_is_no_probability(bad: float) -> None:
    with pytest.raises(DataError, match="is no p value"):
        holm([0.5, bad])


@pytest.mark.parametrize("bad", [[], [0.1, float("nan")], [[0.1]]])
def test_tests_refuse_differences_that_are_not_finite(bad: list[float]) -> None:
    for test in (sign_test, lambda values: corrected_t_test(values, test_train_ratio=0.1)):
        with pytest.raises(DataError, match="give one finite number a fold"):
            test(bad)


@pytest.mark.parametrize("ratio", [0, -1, float("nan"), float("inf")])
def test_corrected_t_test_refuses_a_ratio_that_is_none(ratio: float) -> None:
    with pytest.raises(DataError, match="k folds give"):
        corrected_t_test([0.1, 0.2], test_train_ratio=ratio)
    with pytest.raises(DataError, match="1 fold leaves nothing"):
        kfold_ratio(1)
    assert (kfold_ratio(2), kfold_ratio(10)) == (1.0, 1 / 9)


def test_corrected_t_test_of_one_fold_or_without_spread_says_why_it_has_no_p() -> None:
    one = corrected_t_test([0.2], test_train_ratio=0.1)
    assert one.freedom == 0
    assert (one.p, one.reason) == (None, "one fold has no spread to judge a difference by")
    equal = corrected_t_test([0.2, 0.2, 0.2], test_train_ratio=0.5)
    assert equal.p is None
    assert "same difference" in equal.reason
    nothing = corrected_t_test([0.0, 0.0], test_train_ratio=1)
    assert (nothing.statistic, nothing.p) == (0.0, 1.0)
    two = corrected_t_test([0.1, 0.2], test_train_ratio=1)  # t = .15 / sqrt(1.5 * .005) = sqrt 3: a third of Cauchy's
    assert two.p == pytest.approx(1 / 3)


# --- comparisons of runs


def paired_runs(name: str = "worse") -> tuple[Scores, Scores]:
    run = correlated_run(np.random.default_rng(15), folds=6, recordings=25)
    wrong = np.random.default_rng(16).random(len(run)) < 0.2
    worse = np.where(wrong, (run.labels + 2) % 3, run.predicted)
    return resample(run), resample(dataclasses.replace(run, predicted=worse, name=name))


def one_fold(run: Predictions) -> Predictions:
    return run.take(run.folds == 3)


def test_paired_differences_are_run_less_reference() -> None:
    better, worse = paired_runs()
    found = paired(better, worse, test_train_ratio=0.2, metric="macro_f1")
    assert found.differences == pytest.approx(better.points["macro_f1"] - worse.points["macro_f1"])
    assert found.mean.value == pytest.approx(np.mean(found.differences))
    assert (found.run, found.reference, found.folds) == ("run", "worse", (0, 1, 2, 3, 4, 5))
    assert found.is_clear
    mirrored = paired(worse, better, test_train_ratio=0.2, metric="macro_f1")
    assert mirrored.t_test.p == pytest.approx(found.t_test.p)
    assert mirrored.mean.value == pytest.approx(-found.mean.value)
    assert mirrored.mean.low == pytest.approx(-found.mean.high, abs=0.005)


def test_paired_interval_is_narrower_than_that_of_runs_redrawn_apart() -> None:
    """Both find the same recordings hard; redrawn together, that cancels."""
    better, worse = paired_runs()
    together = paired(better, worse, test_train_ratio=0.2).mean
    apart = resample(worse.predictions, seed=99).draws["accuracy"].mean(axis=1)
    assert (together.high - together.low) < 3.92 * 0.6 * (better.draws["accuracy"].mean(axis=1) - apart).std()


def test_paired_run_with_itself_differs_by_nothing() -> None:
    better, _ = paired_runs()
    found = paired(better, better, test_train_ratio=0.2)
    reach = wilson(0.0, 150).high  # 6 x 25 recordings, none of which told the two apart
    assert (found.mean.low, found.mean.value, found.mean.high) == (-reach, 0.0, reach)
    assert (found.t_test.low, found.t_test.high) == (None, None)
    assert found.interval == found.mean
    assert paired(better, better, test_train_ratio=0.2, metric="macro_f1").interval.low is None
    assert (found.t_test.p, found.sign_test.p, found.is_clear, found.detectable) == (1.0, 1.0, False, None)


def test_paired_runs_of_which_each_clip_is_right_in_one_only_have_no_interval_without_width() -> None:
    run = correlated_run(np.random.default_rng(19), folds=3, recordings=10)
    right, wrong = (dataclasses.replace(run, predicted=one) for one in (run.labels, (run.labels + 1) % 3))
    found = paired(resample(right), resample(wrong), test_train_ratio=0.5)
    assert (found.mean.value, found.mean.low, found.mean.high, found.interval.low) == (1.0, None, None, None)


def test_paired_interval_of_few_recordings_ends_where_differences_do() -> None:
    run = correlated_run(np.random.default_rng(19), folds=2, recordings=3)
    wrong = np.where(np.isin(run.groups, ["0", "3"]), run.labels, (run.labels + 1) % 3)  # one of each fold is right
    # With seed 2 the draws' mean lies above the difference, so they are moved down, the least of them below -1.
    better, worse = (resample(dataclasses.replace(run, predicted=said), seed=2) for said in (run.labels, wrong))
    found = paired(worse, better, test_train_ratio=0.5).mean
    assert (found.value, found.low) == (pytest.approx(-2 / 3), -1.0)


def simulated(F: int, G: int, worse: float, rng: np.random.Generator) -> Paired:
    """Two heads that are really trained (nearest class mean), the second on features with `worse` more noise."""
    C, D = 4, 6
    group = np.repeat(np.arange(F * G), rng.integers(1, 4, F * G))
    labels, folds = rng.integers(0, C, F * G), group // G
    centre, runs = rng.normal(size=(C, D))[labels], []
    for noise in (1.2, 1.2 + worse):
        scene = centre + noise * rng.normal(size=centre.shape)
        X, y = scene[group] + 0.6 * rng.normal(size=(len(group), D)), labels[group]
        said = np.empty_like(y)
        for fold in range(F):
            train, one_hot = folds != fold, np.eye(C)[y]
            means = one_hot[train].T @ X[train] / one_hot[train].sum(axis=0)[:, None].clip(1)
            said[~train] = ((X[~train, None] - means) ** 2).sum(axis=2).argmin(axis=1)
        runs.append(resample(make_run(y, said, folds, group, "run", C), resamples=200))
    return paired(*runs, test_train_ratio=kfold_ratio(F))


def test_shown_interval_covers_a_true_difference_of_few_folds_and_recordings_where_the_bootstrap_does_not() -> None:
    """4 folds of 25 recordings, 800 pairs of heads: the true difference is their mean."""
    rng = np.random.default_rng(20)
    found = [simulated(4, 25, 0.6, rng) for _ in range(800)]
    truth = np.mean([one.mean.value for one in found])
    covered = {
        name: np.mean([getattr(one, name).low <= truth <= getattr(one, name).high for one in found])
        for name in ("mean", "interval")
    }
    assert covered["mean"] < 1 - most(800)
    assert covered["interval"] >= 0.95


def test_shown_interval_leaves_0_out_exactly_where_one_comparison_is_clear() -> None:
    rng = np.random.default_rng(21)
    found = [simulated(5, 20, worse, rng) for worse in (0.0, 0.5, 2.0) for _ in range(20)]
    assert [one.interval.excludes_zero for one in found] == [one.is_clear for one in found]
    assert 10 < sum(one.is_clear for one in found) < 50


def test_difference_in_one_fold_is_never_clear_and_nothing_is_said_to_be_detectable() -> None:
    (better, worse), ratio = paired_runs(), 0.2
    alone = [resample(one_fold(scores.predictions)) for scores in (better, worse)]
    found = paired(*alone, test_train_ratio=ratio)
    assert found.mean.excludes_zero
    assert not found.is_clear
    assert found.detectable is None


def test_interval_and_detectable_difference_of_two_folds_stay_within_what_can_be() -> None:
    pair = [scores.predictions for scores in paired_runs()]
    two = [resample(run.take(run.folds < 2)) for run in pair]
    found = dataclasses.replace(paired(*two, test_train_ratio=1.0), comparisons=20)
    assert found.detectable == 1.0
    wild = dataclasses.replace(found.t_test, low=-3.0, high=4.0)
    beyond = dataclasses.replace(found, t_test=wild).interval
    assert (beyond.low, beyond.high) == (-1.0, 1.0)


@pytest.mark.parametrize("difference", [0.0, 0.1])
def test_folds_that_do_not_differ_from_one_another_have_their_freedom_still(difference: float) -> None:
    assert corrected_t_test([difference] * 3, test_train_ratio=0.5).freedom == 2


def test_detectable_difference_is_the_larger_of_both_looks_by_the_tables_of_t_and_c4() -> None:
    zero = Interval(0.0, None, None, "bootstrap over recordings")

    def detectable(by_folds: float, by_recordings: float) -> float | None:
        t_test = TTest(0.0, 9, 1.0, None, None, 0.1, by_folds)
        looks = (zero, by_recordings, 10, t_test, sign_test([0.0]), None, 5)
        return Paired("a", "b", "accuracy", (), (), *looks).detectable

    folds, recordings = 0.01 / 0.9727 * (3.2498 + 0.8834), 0.02 / 0.9754 * (2.2281 + 0.8791)
    assert detectable(0.01, 0.0) == pytest.approx(folds, rel=1e-3)
    assert detectable(0.0, 0.02) == pytest.approx(recordings, rel=1e-3)
    assert detectable(0.01, 0.02) == pytest.approx(recordings, rel=1e-3)
    assert detectable(0.0, 0.0) is None


@pytest.mark.parametrize(("folds", "comparisons"), [(4, 1), (10, 1), (10, 5)])
def test_detectable_difference_is_found_in_about_four_cases_of_five(folds: int, comparisons: int) -> None:
    """Fold differences as the test supposes them, with what is stated where their spread is observed on average."""
    rng, simulations, ratio = np.random.default_rng(22), 4000, kfold_ratio(folds)
    shared, own = rng.normal(size=(simulations, 1)), rng.normal(size=(simulations, folds))
    differences = 0.05 * (np.sqrt(1 / folds) * shared + np.sqrt(1 - 1 / folds) * own)
    error = float(np.sqrt(1 / folds + ratio) * differences.std(axis=1, ddof=1).mean())
    t_test = TTest(0.0, folds - 1, 1.0, None, None, ratio, error)
    zero = Interval(0.0, None, None, "bootstrap over recordings")
    one = Paired("a", "b", "accuracy", (), (), zero, 0.0, 0, t_test, sign_test([0.0]), None, comparisons)
    p = np.array([corrected_t_test(row, test_train_ratio=ratio).p for row in differences + one.detectable])
    assert np.mean(p < 0.05 / comparisons) == pytest.approx(0.8, abs=0.04)


def test_detectable_difference_of_trained_heads_is_found_more_often_than_a_smaller_one() -> None:
    """4 folds of 80 recordings: what is clear of the differences as large as stated, and of a quarter of that."""
    rng = np.random.default_rng(23)
    large, small = ([simulated(4, 80, worse, rng) for _ in range(120)] for worse in (1.3, 0.2))
    least = np.median([one.detectable for one in large])
    assert np.mean([one.mean.value for one in large]) == pytest.approx(least, rel=0.1)
    assert 0.6 < np.mean([one.is_clear for one in large]) < 0.95
    assert np.mean([one.is_clear for one in small]) < 0.2


def test_paired_on_one_fold_has_an_interval_and_no_t_test() -> None:
    better, worse = (resample(one_fold(scores.predictions)) for scores in paired_runs())
    found = paired(better, worse, test_train_ratio=0.2)
    assert found.mean.excludes_zero
    assert (found.t_test.p, found.sign_test.p, found.p_holm, found.is_clear) == (None, 1.0, None, False)


def test_paired_runs_on_different_clips_are_refused_naming_the_clips() -> None:
    better, worse = paired_runs()
    run = worse.predictions
    fewer = resample(run.take(run.ids != "clip-00007"))
    with pytest.raises(DataError, match=r"1 \('clip-00007'\) only in the first, none only in the second") as caught:
        paired(better, fewer, test_train_ratio=0.2)
    assert "\n" not in str(caught.value)
    other = resample(run.take(run.folds < 2))
    with pytest.raises(DataError, match=r"800 \('clip-00400', 'clip-00401', 'clip-00402', ...\) only in the first"):
        paired(better, other, test_train_ratio=0.2)


@pytest.mark.parametrize(
    ("column", "what"),
    [("labels", "different labels"), ("folds", "different folds"), ("groups", "different recordings")],
)
def test_paired_runs_of_different_data_are_refused_naming_what_differs(column: str, what: str) -> None:
    better, worse = paired_runs()
    values = getattr(worse.predictions, column).copy()
    values[4] = 2 if values[4] != 2 else 1
    other = resample(dataclasses.replace(worse.predictions, **{column: values}))
    with pytest.raises(DataError, match=rf"'run' and 'worse' have {what} for 1 clips, such as 'clip-00004'"):
        paired(better, other, test_train_ratio=0.2)


def test_paired_runs_redrawn_differently_or_by_an_unknown_metric_are_refused() -> None:
    better, worse = paired_runs()
    with pytest.raises(DataError, match="seed 0 with 2000 resamples, and seed 3 with 100"):
        paired(better, resample(worse.predictions, resamples=100, seed=3), test_train_ratio=0.2)
    with pytest.raises(DataError, match="Unknown metric 'acuracy'. Did you mean 'accuracy'"):
        paired(better, worse, test_train_ratio=0.2, metric="acuracy")
    with pytest.raises(DataError, match="3 and 5 classes"):
        paired(better, resample(dataclasses.replace(worse.predictions, n_classes=5)), test_train_ratio=0.2)


def test_comparison_is_json_without_nan() -> None:
    better, worse = (resample(one_fold(scores.predictions)) for scores in paired_runs("<img src=x onerror=alert(1)>"))
    text = json.dumps(dataclasses.asdict(paired(worse, better, test_train_ratio=0.2)), allow_nan=False)
    assert json.loads(text)["run"] == "<img src=x onerror=alert(1)>"
    against = compare_with_published(notes.PUBLISHED, 600, 873, design_effect=4.0)
    assert json.loads(json.dumps(dataclasses.asdict(against), allow_nan=False))["by_clip"]["run"]["method"] == "Wilson"


def test_average_of_seeds_has_their_mean_scores() -> None:
    better, worse = paired_runs()
    both = average([better, worse], "both seeds")
    for metric in METRICS:
        assert both.interval(metric).value == pytest.approx(
            (better.interval(metric).value + worse.interval(metric).value) / 2
        )
    assert paired(both, worse, test_train_ratio=0.2).mean.value == pytest.approx(
        paired(better, worse, test_train_ratio=0.2).mean.value / 2
    )
    assert both.predictions.name == "both seeds"
    np.testing.assert_array_equal(both.counts, better.counts + worse.counts)
    np.testing.assert_array_equal(both.count_draws, better.count_draws + worse.count_draws)
    with pytest.raises(DataError, match="No runs to average"):
        average([], "none")
    with pytest.raises(DataError, match="redrawn differently"):
        average([better, resample(worse.predictions, seed=1)], "apart")


def test_on_shared_clips_cuts_runs_down_to_what_all_tested() -> None:
    run = correlated_run(np.random.default_rng(17), folds=2, recordings=3)
    first, second = on_shared_clips([run.take(np.arange(10)), run.take(np.arange(5, 48))])
    assert first.ids.tolist() == second.ids.tolist() == [f"clip-{row:05d}" for row in range(5, 10)]
    with pytest.raises(DataError, match="share no clip"):
        on_shared_clips([run.take(np.arange(3)), run.take(np.arange(5, 9))])
    assert on_shared_clips([]) == []


# --- against the notes


def test_notes_interval_is_that_of_616_of_873() -> None:
    found = compare_with_published(notes.PUBLISHED, 700, 873)
    expected = stats.binomtest(616, 873).proportion_ci(method="wilson")
    exact = stats.binomtest(616, 873).proportion_ci(method="exact")
    assert found.by_clip.published.value == pytest.approx(0.7056, abs=5e-5)
    assert (found.by_clip.published.low, found.by_clip.published.high) == (
        pytest.approx(expected.low),
        pytest.approx(expected.high),
    )
    assert (found.by_clip.published.low, found.by_clip.published.high) == (
        pytest.approx(exact.low, abs=1e-3),
        pytest.approx(exact.high, abs=1e-3),
    )
    assert found.by_recording == found.by_clip
    assert found.is_clear


def test_notes_comparison_by_recording_is_wider_and_may_not_be_clear() -> None:
    narrow, wide = (
        compare_with_published(notes.PUBLISHED, 660, 873),
        compare_with_published(notes.PUBLISHED, 660, 873, design_effect=9.0),
    )
    assert narrow.is_clear
    assert not wide.is_clear
    width = [one.by_recording.published.high - one.by_recording.published.low for one in (narrow, wide)]
    assert width[1] == pytest.approx(3 * width[0], rel=0.05)


def test_notes_comparison_of_other_clips_is_refused() -> None:
    with pytest.raises(DataError, match="Fold 1 of the notes' CNN has 873 clips, this run's 99 and 0 that failed"):
        compare_with_published(notes.PUBLISHED, 50, 99)
    with pytest.raises(DataError, match="874 correct of 873"):
        compare_with_published(notes.PUBLISHED, 874, 873)
    with pytest.raises(DataError, match="design effect of nan"):
        compare_with_published(notes.PUBLISHED, 800, 873, design_effect=float("nan"))
    assert compare_with_published(notes.PUBLISHED, 800, 870, missing=3).missing == 3


def test_design_effect_is_the_clips_of_a_recording_when_they_agree_and_1_when_they_don_t() -> None:
    rng = np.random.default_rng(18)
    groups = np.repeat(np.arange(400), 7)
    together = np.repeat(rng.random(400) < 0.7, 7)
    assert estimate_design_effect(together, groups) == pytest.approx(7, rel=0.01)
    assert estimate_design_effect(rng.random(2800) < 0.7, groups) == pytest.approx(1, abs=0.15)
    assert estimate_design_effect(np.arange(2800) % 7 < 5, groups) == 1.0  # recordings more alike than luck would have
    assert estimate_design_effect(np.ones(2800), groups) == 1.0
    assert estimate_design_effect(together, np.zeros(2800)) == 1.0
    with pytest.raises(DataError, match="3 recordings for 2800 clips"):
        estimate_design_effect(together, groups[:3])


# --- the room


def test_comparing_needs_no_torch() -> None:
    script = (
        "import sys, soundprobe.scoring.paired_tests, soundprobe.scoring.against_published; "
        "print({'torch', 'sklearn', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"

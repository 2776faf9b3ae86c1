"""How often intervals hold the truth, and how often equal heads are called different: the tables of docs/protocol.md.

Letters: F folds, G recordings of a fold, C classes, D features.
"""

from __future__ import annotations

import argparse
import dataclasses
import time

import numpy as np
from scipy import stats

from soundprobe.scoring.bootstrap import LEVEL, METRICS, Predictions, resample
from soundprobe.scoring.paired_tests import kfold_ratio, paired

SHAPES = ((10, 130), (10, 30), (5, 10), (4, 25), (10, 4), (3, 6))
EQUAL_SHAPES = ((10, 4), (10, 12), (10, 40), (5, 12), (5, 40), (4, 25))
ACCURACY, C, D = 0.7, 10, 6
CLIPS = (np.log(8732 / 1297) - 0.49, 0.99)
"""Mean and deviation of the logarithm of a recording's clips: UrbanSound8K's mean, and its inequality (1,297 recordings
say as much as 486 of equal size)."""


def recordings(rng: np.random.Generator, folds: int, each: int) -> np.ndarray:
    """(N,) the recording of each clip, 0 .. F G - 1, G of them in each fold; they have 1 to 100 clips."""
    clips = np.exp(rng.normal(*CLIPS, folds * each)).round().clip(1, 100).astype(int)
    return np.repeat(np.arange(folds * each), clips)


def run_of(
    labels: np.ndarray, predicted: np.ndarray, group: np.ndarray, each: int, name: str = "run", classes: int = C
) -> Predictions:
    ids = np.char.mod("%06d", np.arange(len(group)))
    return Predictions(name, ids, labels, predicted, group // each, group, classes)


def correlated_run(rng: np.random.Generator, folds: int, each: int) -> Predictions:
    """A run of known accuracy; recordings are nearly all right or nearly all wrong: their shares are Beta(.7, .3)."""
    group = recordings(rng, folds, each)
    labels = rng.integers(0, C, folds * each)[group]
    right = rng.random(len(group)) < rng.beta(ACCURACY, 1 - ACCURACY, folds * each)[group]
    wrong = (labels + rng.integers(1, C, len(group))) % C
    return run_of(labels, np.where(right, labels, wrong), group, each)


def coverage(
    folds: int, each: int, simulations: int, resamples: int, seed: int, by_clip: bool = False
) -> dict[str, float]:
    """How often intervals over recordings held the truth; for macro-F1 that is the mean of all simulations."""
    rng = np.random.default_rng([seed, folds, each])
    values: dict[str, list[tuple[float, float, float]]] = {metric: [] for metric in METRICS}
    for _ in range(simulations):
        run = correlated_run(rng, folds, each)
        scores = resample(dataclasses.replace(run, groups=run.ids) if by_clip else run, resamples=resamples)
        for metric in METRICS:
            found = scores.interval(metric)
            assert found.low is not None
            assert found.high is not None
            values[metric].append((found.value, found.low, found.high))
    held = {}
    for name, rows in values.items():
        value, low, high = np.array(rows).T
        truth = value.mean() if name == "macro_f1" else ACCURACY
        held[name] = float(np.mean((low <= truth) & (truth <= high)))
    return held


def equal_heads(rng: np.random.Generator, folds: int, each: int) -> tuple[Predictions, Predictions]:
    """Two heads of equal merit, nearest class mean, cross-validated on features of their own that are drawn alike."""
    classes, group = 4, recordings(rng, folds, each)
    label = rng.integers(0, classes, folds * each)
    centre, y = rng.normal(size=(classes, D))[label], label[group]
    runs = []
    for name in ("one", "two"):
        X = (centre + 1.6 * rng.normal(size=centre.shape))[group] + 0.8 * rng.normal(size=(len(group), D))
        said, one_hot = np.empty_like(y), np.eye(classes)[y]
        for fold in range(folds):
            train = group // each != fold
            means = one_hot[train].T @ X[train] / one_hot[train].sum(axis=0)[:, None].clip(1)
            said[~train] = ((X[~train, None] - means) ** 2).sum(axis=2).argmin(axis=1)
        runs.append(run_of(y, said, group, each, name, classes))
    return runs[0], runs[1]


def called_different(folds: int, each: int, simulations: int, resamples: int, seed: int) -> np.ndarray:
    """(5,) how often: plain t-test, bootstrap alone, sign test, corrected t-test, the last two but one (clear)."""
    rng = np.random.default_rng([seed, folds, each])
    found = np.zeros((simulations, 5))
    for one in range(simulations):
        pair = [resample(run, resamples=resamples) for run in equal_heads(rng, folds, each)]
        told = paired(*pair, test_train_ratio=kfold_ratio(folds))
        corrected = told.t_test.p is not None and told.t_test.p < 1 - LEVEL
        plain = stats.ttest_1samp(told.differences, 0).pvalue < 1 - LEVEL
        signs = told.sign_test.p < 1 - LEVEL
        found[one] = plain, told.mean.excludes_zero, signs, corrected, told.is_clear
    return found.mean(axis=0)


def shares(values: np.ndarray | list[float]) -> str:
    return " | ".join(f"{100 * value:.0f} %" for value in values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=200, help="of each shape (default 200)")
    parser.add_argument(
        "--resamples", type=int, default=500, help="of each bootstrap (default 500; reports draw 2,000)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=["coverage", "equal"], help="one of the two tables")
    given = parser.parse_args()
    began, each = time.perf_counter(), (given.simulations, given.resamples, given.seed)
    if given.only != "equal":
        print("| folds x recordings in each | accuracy | macro-F1 |\n|---|---|---|")
        for F, G in SHAPES:
            print(f"| {F} x {G} | {shares(list(coverage(F, G, *each).values()))} |", flush=True)
        by_clip = coverage(*SHAPES[0], given.simulations // 4, given.resamples, given.seed, by_clip=True)
        print(
            f"\nclips redrawn, {SHAPES[0][0]} x {SHAPES[0][1]}: accuracy {shares([by_clip['accuracy']])}\n", flush=True
        )
    if given.only != "coverage":
        print("| folds x recordings | plain t | bootstrap alone | sign | corrected t | both (clear) |")
        print("|---" * 6 + "|")
        for F, G in EQUAL_SHAPES:
            print(f"| {F} x {G} | {shares(called_different(F, G, *each))} |", flush=True)
        print()
    error = 100 * np.sqrt(0.05 * 0.95 / given.simulations)
    print(f"{given.simulations} simulations each: 5 % and 95 % within ± {1.96 * error:.1f} points of chance; ", end="")
    print(f"{given.resamples} resamples, seed {given.seed}; {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()

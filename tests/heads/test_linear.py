"""The stacked logistic regression against scikit-learn's, tightly converged."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight

from soundprobe.base.errors import ConfigError, SoundprobeWarning
from soundprobe.heads.catalog import make_head
from soundprobe.heads.lbfgs import minimise
from soundprobe.heads.linear import LinearHead
from soundprobe.heads.scaling import scaler_of, split_scalers, standardised
from soundprobe.scoring.folds import cross_validate, inner_split


def embeddings(
    N: int = 300, D: int = 64, C: int = 6, spread: float = 0.8, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features (N, D), labels and recordings (N,): correlated, non-negative, skewed in scale, as embeddings are."""
    rng = np.random.default_rng(seed)
    recording = rng.integers(0, N // 3, N)
    y = recording % C
    hidden = spread * rng.normal(size=(C, D))[y] + rng.normal(size=(N // 3, D))[recording] + rng.normal(size=(N, D))
    mixed = (hidden * np.arange(1, D + 1) ** -0.5) @ np.linalg.qr(rng.normal(size=(D, D)))[0]
    return np.maximum(mixed, -0.1).astype(np.float32), y, recording


def objective(
    Z: np.ndarray,
    y: np.ndarray,
    weights: np.ndarray,
    bias: np.ndarray,
    strength: float,
    of_row: np.ndarray | None = None,
) -> float:
    """scikit-learn's objective over C N (or C times the sum of the rows' weights); with 2 classes, of the softmax that
    equals its single weight vector."""
    of_row = np.ones(len(y)) if of_row is None else of_row
    logits = Z.astype(np.float64) @ weights.astype(np.float64) + bias
    loss = np.average(logsumexp(logits, axis=1) - logits[np.arange(len(y)), y], weights=of_row)
    penalty = (weights.astype(np.float64) ** 2).sum() * (2 if logits.shape[1] == 2 else 1)
    return float(loss + penalty / (2 * strength * of_row.sum()))


def scikit_learns(
    Z: np.ndarray, y: np.ndarray, strength: float, class_weight: str | dict[int, float] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    peer = LogisticRegression(C=strength, tol=1e-8, max_iter=5000, class_weight=class_weight)
    fitted = peer.fit(Z.astype(np.float64), y)
    if len(fitted.classes_) == 2:
        halves = np.array([-0.5, 0.5])
        return fitted.coef_.T * halves, fitted.intercept_ * halves
    return fitted.coef_.T, fitted.intercept_


def with_rare_feature(X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.hstack([X, np.eye(len(X), 3, dtype=np.float32)]), y


def with_constants(X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.hstack([X, np.full((len(X), 2), 0.1, np.float32)]), y


def with_scales(X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return X * np.logspace(-6, 6, X.shape[1]).astype(np.float32), y


def with_duplicates(X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.vstack([X, X[:50], X[:50]]), np.hstack([y, y[:50], y[:50]])


def as_it_is(X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return X, y


@pytest.mark.parametrize("strength", [1e-4, 1e-2, 1.0, 10.0])
@pytest.mark.parametrize(
    ("shape", "change"),
    [
        ((300, 64, 6), as_it_is),
        ((90, 200, 5), as_it_is),
        ((200, 30, 2), as_it_is),
        ((200, 30, 4), with_rare_feature),
        ((200, 30, 4), with_constants),
        ((200, 30, 4), with_scales),
        ((200, 30, 4), with_duplicates),
    ],
    ids=["plain", "wide", "binary", "rare", "constant", "scales", "duplicates"],
)
def test_linear_head_reaches_scikit_learns_objective_and_accuracy(
    shape: tuple[int, int, int], change: Callable[..., tuple[np.ndarray, np.ndarray]], strength: float
) -> None:
    X, y, _ = embeddings(*shape)
    X, y = change(X, y)
    head = LinearHead(strengths=(strength,)).fit(X, y)
    Z = standardised(X, head.mean_, head.scale_)
    weights, bias = scikit_learns(Z, y, strength)
    best = objective(Z, y, weights, bias, strength)
    assert objective(Z, y, head.weights_, head.bias_, strength) == pytest.approx(best, rel=1e-3)
    ours, theirs = head.predict(X), (Z @ weights + bias).argmax(axis=1)
    assert abs((ours == y).mean() - (theirs == y).mean()) <= 0.002


@pytest.mark.parametrize("strength", [1e-2, 1.0])
@pytest.mark.parametrize("n_classes", [2, 6])
@pytest.mark.parametrize("class_weight", ["balanced", {0: 5.0, 1: 0.3}])
def test_linear_head_with_class_weights_reaches_scikit_learns_objective_and_accuracy(
    class_weight: str | dict[int, float], n_classes: int, strength: float
) -> None:
    X, y, _ = embeddings(C=n_classes)
    X, y = X[(y > 0) | (np.arange(len(y)) % 4 == 0)], y[(y > 0) | (np.arange(len(y)) % 4 == 0)]
    of_row = compute_sample_weight(class_weight, y)
    head = LinearHead(strengths=(strength,), class_weight=class_weight).fit(X, y)
    Z = standardised(X, head.mean_, head.scale_)
    weights, bias = scikit_learns(Z, y, strength, class_weight)
    best = objective(Z, y, weights, bias, strength, of_row)
    assert objective(Z, y, head.weights_, head.bias_, strength, of_row) == pytest.approx(best, rel=1e-3)
    plain = LinearHead(strengths=(strength,)).fit(X, y)
    assert objective(Z, y, plain.weights_, plain.bias_, strength, of_row) > 1.01 * best
    ours, theirs = head.predict(X), (Z @ weights + bias).argmax(axis=1)
    assert abs((ours == y).mean() - (theirs == y).mean()) <= 0.002


@pytest.mark.parametrize("class_weight", [None, "balanced"])
@pytest.mark.parametrize("strength", [1e-2, 1.0])
def test_linear_head_of_a_clip_that_weighs_k_reaches_the_optimum_of_k_clips(
    strength: float, class_weight: str | None
) -> None:
    X, y, _ = embeddings(N=150, D=30)
    times = np.random.default_rng(2).integers(0, 4, len(y))
    repeated, labels = np.repeat(X, times, axis=0), np.repeat(y, times)
    settings = {"strengths": (strength,), "tol": 1e-6, "class_weight": class_weight}
    weighted = LinearHead(**settings).fit(X, y, sample_weight=times)
    copies = LinearHead(**settings).fit(repeated, labels)
    np.testing.assert_allclose(weighted.mean_, copies.mean_, rtol=1e-5)
    np.testing.assert_allclose(weighted.scale_, copies.scale_, rtol=1e-6)
    Z, of_row = standardised(repeated, copies.mean_, copies.scale_), compute_sample_weight(class_weight, labels)
    ours, theirs = (objective(Z, labels, h.weights_, h.bias_, strength, of_row) for h in (weighted, copies))
    assert ours == pytest.approx(theirs, rel=1e-6)
    np.testing.assert_allclose(weighted.predict_proba(X), copies.predict_proba(X), atol=1e-3)


def test_linear_head_chooses_by_the_weighted_loss_of_what_weighted_rows_of_each_inner_split_taught() -> None:
    X, y, groups = embeddings(N=150, D=8, C=3)
    X[groups % 7 == 0] += 3  # so that the splits' means differ, and by weights
    sample_weight = np.random.default_rng(2).uniform(0.1, 4.0, len(y))
    head = LinearHead(strengths=(0.1, 1.0), inner_splits=3, tol=1e-6, class_weight="balanced")
    head.fit(X, y, groups=groups, sample_weight=sample_weight)
    of_row = sample_weight / np.bincount(y, sample_weight)[y] * sample_weight.sum() / 3
    told = [step for step in head.history_ if "split" in step]
    assert len(told) == 2 * 3
    splits = inner_split(y, groups, 3, 0)
    for step in told:
        train, val = splits[step["split"]]
        scaler = StandardScaler().fit(X[train], sample_weight=sample_weight[train])
        peer = LogisticRegression(C=step["strength"], tol=1e-8, max_iter=5000)
        peer.fit(scaler.transform(X[train]), y[train], sample_weight=of_row[train])
        proba = peer.predict_proba(scaler.transform(X[val]))
        assert step["log_loss"] == pytest.approx(log_loss(y[val], proba, sample_weight=of_row[val]), rel=1e-3)


@pytest.mark.parametrize("labels", [np.arange(3), np.array(["a", "b", "c"])])
def test_linear_head_is_fitted_again_with_the_class_weights_that_its_record_has(labels: np.ndarray) -> None:
    X, y, _ = embeddings(N=60, D=8, C=3)
    head = LinearHead(strengths=(1.0,), class_weight={labels[1]: 5.0}).fit(X, labels[y])
    recorded = json.loads(json.dumps(head.state_params()))["settings"]["class_weight"]
    again = LinearHead(strengths=(1.0,), class_weight=recorded).fit(X, labels[y])
    plain = LinearHead(strengths=(1.0,)).fit(X, labels[y])
    assert head.weights_.tobytes() == again.weights_.tobytes() != plain.weights_.tobytes()
    with pytest.raises(ConfigError, match="class_weight: '7' is no label here"):
        LinearHead(class_weight={"7": 1.0}).fit(X, labels[y])


@pytest.mark.parametrize("settings", [{"class_weight": {0: float("inf")}}, {"class_weight": {0: 1e9}}])
def test_linear_head_with_a_class_weight_that_float32_cannot_hold_is_refused(settings: dict[str, Any]) -> None:
    X, y, _ = embeddings(N=30, D=4, C=2)
    with pytest.raises(ConfigError, match="class_weight: .* is not valid; give numbers from 1e-08 to 1e.08"):
        LinearHead(**settings).fit(X, y)


@pytest.mark.parametrize("times", [1e-45, 1e200])
def test_linear_head_with_sample_weights_that_float32_cannot_hold_is_refused(times: float) -> None:
    X, y, _ = embeddings(N=30, D=4, C=2)
    with pytest.raises(ValueError, match="sample_weight: a mean of .* is not valid; give weights of which it is from"):
        LinearHead().fit(X, y, sample_weight=np.full(len(y), times))


def test_linear_head_tries_no_weaker_penalty_once_the_loss_has_risen_and_chooses_as_the_whole_path_would() -> None:
    X, y, groups = embeddings(spread=0.3)
    strengths = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
    head = LinearHead(strengths=strengths, seed=1).fit(X, y, groups=groups)
    losses = {
        strength: float(np.mean([h["log_loss"] for h in head.history_ if h["strength"] == strength and "split" in h]))
        for strength in dict.fromkeys(h["strength"] for h in head.history_)
    }
    *tried, last = losses
    assert len(losses) < len(strengths)
    assert losses[last] > 1.05 * min(losses.values())
    lowest = [min(list(losses.values())[: n + 1]) for n in range(len(tried))]
    assert all(losses[strength] <= 1.05 * low for strength, low in zip(tried, lowest, strict=True))
    each = {
        strength: LinearHead(strengths=(strength, strength * (1 + 1e-9)), seed=1).fit(X, y, groups=groups).history_
        for strength in strengths
    }
    alone = {s: float(np.mean([h["log_loss"] for h in history if "split" in h])) for s, history in each.items()}
    assert head.chosen_["strength"] == min(alone, key=lambda strength: alone[strength])


def test_linear_heads_inner_scores_are_those_of_a_pipeline_on_each_split() -> None:
    X, y, groups = embeddings()
    strengths = (1e-3, 1e-1, 1.0)
    head = LinearHead(strengths=strengths, inner_splits=3, seed=4).fit(X, y, groups=groups)
    splits = inner_split(y, groups, 3, seed=4)
    means = []
    for strength in strengths:
        losses = []
        for split, (train, val) in enumerate(splits):
            peer = make_pipeline(StandardScaler(), LogisticRegression(C=strength, tol=1e-8, max_iter=5000))
            peer.fit(X[train].astype(np.float64), y[train])
            losses.append(log_loss(y[val], peer.predict_proba(X[val].astype(np.float64)), labels=peer.classes_))
            (ours,) = [h for h in head.history_ if (h["strength"], h.get("split")) == (strength, split)]
            assert ours["log_loss"] == pytest.approx(losses[-1], rel=1e-2)
            assert ours["accuracy"] == pytest.approx(peer.score(X[val].astype(np.float64), y[val]), abs=0.02)
        means.append(np.mean(losses))
    assert head.chosen_["strength"] == strengths[int(np.argmin(means))]


def test_linear_head_with_equal_scores_takes_the_stronger_penalty() -> None:
    # A feature that never varies carries nothing: every strength gives the classes' shares.
    head = LinearHead(strengths=(10.0, 1e-3, 1.0)).fit(np.ones((40, 2), np.float32), np.arange(40) % 2)
    assert head.chosen_["strength"] == 1e-3
    np.testing.assert_allclose(head.predict_proba(np.zeros((3, 2), np.float32)), 0.5)


def test_linear_head_by_accuracy_tries_every_strength_and_takes_the_most_accurate() -> None:
    X, y, groups = embeddings(spread=0.3)
    strengths = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
    by = {
        criterion: LinearHead(strengths=strengths, seed=1, criterion=criterion).fit(X, y, groups=groups)
        for criterion in ("log-loss", "accuracy")
    }
    means = {
        strength: np.mean(
            [
                (1 - h["accuracy"], h["log_loss"])
                for h in by["accuracy"].history_
                if h["strength"] == strength and "split" in h
            ],
            axis=0,
        )
        for strength in strengths
    }
    assert by["accuracy"].chosen_["strength"] == min(means, key=lambda strength: tuple(means[strength]))
    assert by["accuracy"].inner_loss_ == pytest.approx(min(wrong for wrong, _ in means.values()))
    assert by["log-loss"].inner_loss_ == pytest.approx(min(loss for _, loss in means.values()))
    assert by["accuracy"].chosen_ != by["log-loss"].chosen_  # else the criterion made no difference here


def test_linear_head_with_an_unknown_criterion_names_those_there_are() -> None:
    with pytest.raises(ConfigError, match="Unknown criterion 'acuracy'. Did you mean 'accuracy'"):
        make_head("linear", criterion="acuracy")


def test_linear_head_with_clips_and_folds_in_another_order_predicts_the_same() -> None:
    X, y, groups = embeddings()
    data = {"features": X, "labels": y, "folds": groups % 3, "groups": groups, "ids": np.arange(len(y)), "n_classes": 6}
    order = np.random.default_rng(1).permutation(len(y))
    shuffled = {key: value if key == "n_classes" else value[order] for key, value in data.items()}
    renamed = {**data, "folds": 9 - data["folds"]}
    results = [cross_validate(LinearHead, **given) for given in (data, shuffled, renamed)]
    by_clip = []
    for folds in results:
        ids = np.concatenate([result.ids for result, _ in folds])
        by_clip.append(np.concatenate([result.proba for result, _ in folds])[np.argsort(ids)])
    np.testing.assert_allclose(by_clip[1], by_clip[0], atol=2e-3)
    np.testing.assert_allclose(by_clip[2], by_clip[0], atol=2e-3)
    chosen = [sorted((result.train_clips, result.chosen["strength"]) for result, _ in folds) for folds in results]
    assert chosen[0] == chosen[1] == chosen[2]


def test_linear_head_that_runs_out_of_steps_warns() -> None:
    X, y, _ = embeddings()
    with pytest.warns(SoundprobeWarning, match="strength 10 has not converged in 3 steps; raise max_iter"):
        head = LinearHead(strengths=(10.0,), max_iter=3).fit(X, y)
    assert head.chosen_ == {"strength": 10.0}
    assert head.history_ == [{"stage": "final", "strength": 10.0, "iterations": 3, "converged": False}]


def test_linear_head_on_a_class_that_is_in_one_recording_learns_it() -> None:
    X, y, groups = embeddings()
    y, groups = np.append(y, [6, 6]), np.append(groups, [999, 999])
    X = np.vstack([X, X[:2] + 9])
    head = LinearHead().fit(X, y, groups=groups)
    assert list(head.predict(X[-2:])) == [6, 6]


def test_minimise_of_quadratics_of_any_condition_finds_each_minimum() -> None:
    generator = torch.Generator().manual_seed(0)
    minima = torch.randn(5, 20, generator=generator)
    curvatures = torch.stack([torch.logspace(0, power, 20) for power in range(5)])

    def evaluate(x: torch.Tensor, problems: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        away = x - minima[problems]
        gradient = curvatures[problems] * away
        return 1.0 + 0.5 * (gradient * away).sum(dim=1).double(), gradient

    solution = minimise(evaluate, torch.zeros(5, 20), tol=1e-5, max_iter=500)
    assert solution.converged.all()
    torch.testing.assert_close(solution.x, minima, atol=5e-3, rtol=0)
    assert solution.iterations[0] < solution.iterations[4]


def test_minimise_of_a_barrier_steps_back_from_where_the_value_is_not_a_number() -> None:
    def evaluate(x: torch.Tensor, problems: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return (x - x.log()).sum(dim=1).double(), 1 - 1 / x  # defined for x > 0 only; least at 1

    solution = minimise(evaluate, torch.tensor([[30.0], [0.01]]), tol=1e-5, max_iter=200)
    torch.testing.assert_close(solution.x, torch.ones(2, 1), atol=1e-3, rtol=0)


def test_split_scalers_of_standardised_rows_are_those_of_each_training_part() -> None:
    X, y, groups = embeddings(N=200, D=10)
    X[:, 3] = np.arange(200) == 17  # constant in every training part that lacks row 17
    Z = standardised(X, *scaler_of(X))
    splits = inner_split(y, groups, 4)
    means, scales = split_scalers(Z, splits)
    for split, (train, _) in enumerate(splits):
        own = Z[train].astype(np.float64)
        np.testing.assert_allclose(means[split], own.mean(axis=0), atol=1e-9)
        np.testing.assert_allclose(scales[split], np.where(np.ptp(own, axis=0) == 0, 1, own.std(axis=0)), rtol=1e-7)
    times = np.arange(200) % 3
    means, scales = split_scalers(Z, splits, times.astype(np.float64))
    for split, (train, _) in enumerate(splits):
        own = np.repeat(Z[train].astype(np.float64), times[train], axis=0)
        np.testing.assert_allclose(means[split], own.mean(axis=0), atol=1e-9)
        np.testing.assert_allclose(scales[split], np.where(np.ptp(own, axis=0) == 0, 1, own.std(axis=0)), rtol=1e-7)


def test_scaler_of_extreme_features_measures_them() -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(size=5000)
    X = np.stack([base * 1e-30, base * 1e-9, base * 1e30, base + 1e6, np.full(5000, 0.1)], axis=1).astype(np.float32)
    mean, scale = scaler_of(X)
    np.testing.assert_allclose(scale[:4], X[:, :4].astype(np.float64).std(axis=0), rtol=1e-6)
    assert scale[4] == 1
    assert mean[4] == np.float32(0.1)
    Z = standardised(X, mean, scale)
    np.testing.assert_allclose(Z[:, :3].std(axis=0), 1, rtol=1e-4)
    assert (Z[:, 4] == 0).all()

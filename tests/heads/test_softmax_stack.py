"""Strengths solved one after the other, preconditioned: where scikit-learn ends, on data of every shape."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from sklearn.linear_model import LogisticRegression

from soundprobe.heads.feature_matrix import FeatureMatrix
from soundprobe.heads.lbfgs import minimise
from soundprobe.heads.linear import LinearHead
from soundprobe.heads.scaling import scaler_of, split_scalers, standardised
from soundprobe.heads.softmax_stack import SoftmaxStack, gram_of, preconditioner
from soundprobe.scoring.folds import inner_split

STRENGTHS = [1e-4, 1e-2, 1.0, 10.0]


def rows(N: int, D: int, C: int, spread: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Standardised features (N, D) whose variances fall as a power law before they are mixed, and labels (N,)."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(N) % C)
    hidden = (spread * rng.normal(size=(C, D))[y] + rng.normal(size=(N, D))) * np.arange(1, D + 1) ** -0.7
    X = (hidden @ rng.normal(size=(D, D))).astype(np.float32)
    return standardised(X, *scaler_of(X)), y


def objective(Z: np.ndarray, y: np.ndarray, weights: np.ndarray, bias: np.ndarray, strength: float) -> float:
    logits = Z.astype(np.float64) @ weights.astype(np.float64) + bias
    loss = (logsumexp(logits, axis=1) - logits[np.arange(len(y)), y]).mean()
    return float(loss + (weights.astype(np.float64) ** 2).sum() / (2 * strength * len(y)))


@cache
def scikit_learns(N: int, D: int, C: int, spread: float, strength: float, split: int) -> LogisticRegression:
    """Its solution on a split of `rows`, once for all that are held to it."""
    Z, y = rows(N, D, C, spread)
    splits = inner_split(y, None, 2)
    means, scales = split_scalers(Z, splits)
    train = splits[split][0]
    own = (Z - means[split]) / scales[split]
    return LogisticRegression(C=strength, tol=1e-8, max_iter=5000).fit(own[train], y[train])


@pytest.mark.parametrize("with_gram", [True, False], ids=["preconditioned", "plain"])
@pytest.mark.parametrize(
    ("N", "D", "C", "spread"),
    [(600, 60, 5, 0.4), (80, 200, 4, 0.5), (24, 40, 3, 0.5), (300, 40, 3, 6.0), (1000, 50, 50, 0.8)],
    ids=["plain", "fewer-clips-than-features", "few-clips", "separable", "50-classes"],
)
def test_path_of_strengths_on_each_split_ends_where_scikit_learn_does(
    N: int, D: int, C: int, spread: float, with_gram: bool
) -> None:
    Z, y = rows(N, D, C, spread)
    splits = inner_split(y, None, 2)
    means, scales = split_scalers(Z, splits)
    gram = gram_of(FeatureMatrix.of(Z), C, problems=10**6 // N) if with_gram else None
    assert (gram is not None) == with_gram
    stack = SoftmaxStack.of_splits(FeatureMatrix.of(Z), y, splits)
    solved = list(stack.solve_path(STRENGTHS, gram, tol=1e-4, max_iter=3000))
    assert [strength for strength, _ in solved] == STRENGTHS
    for strength, found in solved:
        assert found.converged.all()
        more_right = np.zeros(2, dtype=int)  # than scikit-learn, in all training and in all validation parts
        for split, parts in enumerate(splits):
            own, train = (Z - means[split]) / scales[split], parts[0]
            tight = scikit_learns(N, D, C, spread, strength, split)
            best = objective(own[train], y[train], tight.coef_.T, tight.intercept_, strength)
            ours = found.x[split].view(C, D + 1).numpy()
            reached = objective(own[train], y[train], ours[:, :-1].T, ours[:, -1], strength)
            assert reached == pytest.approx(best, rel=1e-3)
            right = ((own @ ours[:, :-1].T + ours[:, -1]).argmax(axis=1) == y).astype(int)
            ahead = right - (tight.predict(own) == y)
            more_right += [ahead[part].sum() for part in parts]
        assert (abs(more_right) <= max(1, N // 500)).all()  # .2 points of accuracy, or one clip


def test_path_with_a_preconditioner_takes_fewer_steps_than_without() -> None:
    Z, y = rows(800, 120, 6, 0.3)
    stack = SoftmaxStack.of_splits(FeatureMatrix.of(Z), y, inner_split(y, None, 3))
    gram = gram_of(FeatureMatrix.of(Z), 6, problems=18)
    steps = {}
    for name, given in (("preconditioned", gram), ("plain", None)):
        path = stack.solve_path([1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0], given, tol=1e-3, max_iter=1000)
        steps[name] = sum(int(found.iterations.sum()) for _, found in path)
    assert steps["preconditioned"] < 0.5 * steps["plain"]


def test_path_of_neighbouring_strengths_costs_little_after_the_first() -> None:
    Z, y = rows(400, 60, 4, 0.3)
    stack = SoftmaxStack.of_all(FeatureMatrix.of(Z), y)
    gram = gram_of(FeatureMatrix.of(Z), 4, problems=10)
    first, *others = stack.solve_path([1.0, 1.01, 1.02], gram, tol=1e-3, max_iter=1000)
    assert all(int(found.iterations) <= 3 < int(first[1].iterations) for _, found in others)


@pytest.mark.parametrize("strength", [1e-12, 1e-4, 1e4, 1e12])
def test_preconditioner_of_duplicated_and_constant_features_exists_at_every_strength(strength: float) -> None:
    Z = rows(400, 8, 3, 0.5)[0]
    wide = np.hstack([np.tile(Z, 80), np.zeros((400, 5), np.float32)])
    gram = gram_of(FeatureMatrix.of(wide), 3, problems=10**6)
    assert gram is not None
    product = preconditioner(gram, 1 / (strength * 400), 3)(torch.ones(2, 3 * 646))
    assert torch.isfinite(product).all()


def test_preconditioner_is_the_inverse_of_gram_over_classes_plus_penalty() -> None:
    Z = torch.from_numpy(rows(50, 7, 3, 0.5)[0])
    gram = gram_of(FeatureMatrix.of(Z.numpy()), 3, problems=100)
    assert gram is not None
    hessian = Z.T.double() @ Z.double() / 50 / 3 + 0.2 * torch.eye(7, dtype=torch.float64)
    gradient = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(0))
    product = preconditioner(gram, 0.2, 3)(gradient.view(2, -1)).view(2, 3, 8)
    expected = torch.linalg.solve(hessian, gradient[..., :7].double().mT.transpose(0, 1).reshape(7, -1).double())
    expected = expected.view(7, 2, 3).permute(1, 2, 0)
    torch.testing.assert_close(product[..., :7], expected.float(), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(product[..., 7], 3 * gradient[..., 7])


def test_gram_of_more_features_than_it_repays_is_left_out() -> None:
    Z = np.zeros((30, 2000), dtype=np.float32)
    assert gram_of(FeatureMatrix.of(Z), 3, problems=1) is None
    assert LinearHead(strengths=(1e-2,)).fit(*rows(30, 300, 3, 1.0)).n_iter_ > 0


def test_minimise_that_goes_on_from_a_history_needs_fewer_steps() -> None:
    curvature = torch.logspace(0, 3, 30)

    def evaluate(x: torch.Tensor, problems: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        gradient = curvature * (x - 1)
        return 1.0 + 0.5 * (gradient * (x - 1)).sum(dim=1).double(), gradient

    first = minimise(evaluate, torch.zeros(2, 30), tol=1e-4, max_iter=500)
    again = minimise(evaluate, torch.full((2, 30), 2.0), tol=1e-4, max_iter=500, history=first.history)
    fresh = minimise(evaluate, torch.full((2, 30), 2.0), tol=1e-4, max_iter=500)
    assert (again.iterations < fresh.iterations).all()
    assert again.converged.all()

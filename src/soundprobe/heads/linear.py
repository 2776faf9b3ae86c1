"""Multinomial logistic regression whose strength is chosen on inner splits, all of them solved in one stack.

Letters: N rows, D features, C classes, S inner splits, P problems (splits x strengths), p problems still unsolved.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch.nn.functional import linear

from soundprobe.crossval import inner_split
from soundprobe.errors import SoundprobeWarning
from soundprobe.heads.head import Head, check_numbers, log_loss, softmax
from soundprobe.heads.lbfgs import Solution, minimise
from soundprobe.heads.scaling import split_scalers
from soundprobe.heads.threads import threads_for

LOGITS_IN_CACHE = 2**20
"""Rows go through an evaluation in chunks of about this many logits, which then stay in cache between the passes."""


class LinearHead(Head):
    """Logistic regression on standardised features, L2-penalised as scikit-learn's `LogisticRegression(C=strength)`.

    The strength is the one with the lowest mean log loss over grouped inner splits: with a few hundred clips,
    accuracies tie and jump by a clip, while the log loss tells a strength that is nearly right from one that is
    confidently wrong. Ties go to the stronger penalty (the smaller C).

    Args:
        strengths: the values of C to choose from.
        inner_splits: S; fewer are made where there are fewer recordings.
        seed: of the inner splits. The solution of a convex problem needs none.
        tol: the final fit stops at max |gradient of the mean loss| <= tol * min(1, loss); selection at 10 times that.
        max_iter: of the solver.

    Attributes:
        weights_, bias_: (D, C) and (C,) float32, on standardised features.
        n_iter_: steps of the final fit, from the mean of the inner splits' solutions.
    """

    def __init__(
        self,
        strengths: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0),
        inner_splits: int = 5,
        seed: int = 0,
        tol: float = 1e-4,
        max_iter: int = 1000,
    ) -> None:
        self.strengths = strengths
        self.inner_splits = inner_splits
        self.seed = seed
        self.tol = tol
        self.max_iter = max_iter

    @property
    def array_names(self) -> tuple[str, ...]:
        return ("weights", "bias")

    def check_settings(self) -> None:
        check_numbers("strengths", self.strengths, low=1e-12, high=1e12)
        check_numbers("inner_splits", [self.inner_splits], low=2, whole=True)
        check_numbers("seed", [self.seed], low=0, whole=True)
        check_numbers("tol", [self.tol], low=1e-7, high=0.1)
        check_numbers("max_iter", [self.max_iter], low=1, whole=True)

    def _train(self, Z: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> None:
        strengths = sorted({float(strength) for strength in self.strengths})
        history: list[dict[str, Any]] = []
        start, chosen = None, strengths[0]
        features = torch.from_numpy(Z)
        if len(strengths) > 1:
            splits = inner_split(labels, groups, self.inner_splits, self.seed)
            stack = SoftmaxStack.of_splits(features, labels, splits, strengths)
            found = stack.solve(None, tol=10 * self.tol, max_iter=self.max_iter)
            coefficients = stack.on_given_features(found.x)  # (P, C, D + 1)
            history = _scores(Z, labels, splits, strengths, coefficients.numpy(), found)
            losses = [np.mean([h["log_loss"] for h in history if h["strength"] == c]) for c in strengths]
            chosen = strengths[int(np.argmin(losses))]
            start = coefficients.view(len(splits), len(strengths), -1)[:, strengths.index(chosen)].mean(dim=0)
        stack = SoftmaxStack.of_all(features, labels, chosen)
        found = stack.solve(None if start is None else start[None], tol=self.tol, max_iter=self.max_iter)
        solution = stack.on_given_features(found.x)[0].numpy()
        self.weights_, self.bias_ = solution[:, :-1].T.copy(), solution[:, -1].copy()
        self.n_iter_, converged = int(found.iterations), bool(found.converged)
        if not converged:
            warnings.warn(
                f"The linear head at strength {chosen:g} has not converged in {self.max_iter} steps; "
                "raise max_iter, or leave out the weakest penalties.",
                SoundprobeWarning,
                stacklevel=3,
            )
        self.chosen_ = {"strength": chosen}
        final = {"stage": "final", "strength": chosen, "iterations": self.n_iter_, "converged": converged}
        self.history_ = [*history, final]

    def _proba(self, Z: np.ndarray) -> np.ndarray:
        # In float64, so that a row's prediction does not hang on the rows that it is multiplied with.
        return softmax(Z.astype(np.float64) @ self.weights_.astype(np.float64) + self.bias_)


@dataclass(frozen=True, eq=False)
class SoftmaxStack:
    """P logistic regressions on one feature matrix: each on some rows, standardised by those, with its own penalty.

    A split's standardisation (z - mean) / scale is folded into the problem's weights, so that every problem multiplies
    the same matrix and all of them share one product.

    Attributes:
        features: (N, D) float32.
        labels: (N,) int64; one_hot: (N, 1, C) float32.
        row_weights: (N, S) float32, 1 / (rows of the split) or 0.
        means, scales: (S, D) float32.
        split_of: (P,) int64.
        penalties: (P,) float32: 1 / (strength * rows), the weight of half the squared norm next to the mean loss.
    """

    features: torch.Tensor
    labels: torch.Tensor
    one_hot: torch.Tensor
    row_weights: torch.Tensor
    means: torch.Tensor
    scales: torch.Tensor
    split_of: torch.Tensor
    penalties: torch.Tensor

    @classmethod
    def of_splits(
        cls,
        features: torch.Tensor,
        labels: np.ndarray,
        splits: list[tuple[np.ndarray, np.ndarray]],
        strengths: list[float],
    ) -> Self:
        """One problem for each split and strength, split by split."""
        means, scales = split_scalers(features.numpy(), splits)
        return cls._of(features, labels, [train for train, _ in splits], means, scales, strengths)

    @classmethod
    def of_all(cls, features: torch.Tensor, labels: np.ndarray, strength: float) -> Self:
        """One problem, on every row, as the features are."""
        D = features.shape[1]
        return cls._of(features, labels, [np.arange(len(labels))], np.zeros((1, D)), np.ones((1, D)), [strength])

    @classmethod
    def _of(
        cls,
        features: torch.Tensor,
        labels: np.ndarray,
        training_rows: list[np.ndarray],
        means: np.ndarray,
        scales: np.ndarray,
        strengths: list[float],
    ) -> Self:
        row_weights = torch.zeros(len(labels), len(training_rows))
        for split, rows in enumerate(training_rows):
            row_weights[torch.from_numpy(rows), split] = 1 / len(rows)
        y = torch.from_numpy(labels.astype(np.int64))
        C = int(y.max()) + 1
        # scikit-learn fits 2 classes with one weight vector w; as a softmax that is -w/2 and w/2, whose norm is halved.
        halved = 2.0 if C == 2 else 1.0
        per_row = np.array([[halved / (c * len(rows)) for c in strengths] for rows in training_rows])
        return cls(
            features=features,
            labels=y,
            one_hot=torch.nn.functional.one_hot(y, C).float()[:, None, :],
            row_weights=row_weights,
            means=torch.from_numpy(means.astype(np.float32)),
            scales=torch.from_numpy(scales.astype(np.float32)),
            split_of=torch.arange(len(training_rows)).repeat_interleave(len(strengths)),
            penalties=torch.from_numpy(per_row.ravel().astype(np.float32)),
        )

    def solve(self, start: torch.Tensor | None, *, tol: float, max_iter: int) -> Solution:
        """The minima from `start` (P, C * (D + 1)), on standardised features, or from zero."""
        variables = (self.features.shape[1] + 1) * self.one_hot.shape[2]
        x = torch.zeros(len(self.penalties), variables) if start is None else start
        with torch.inference_mode(), threads_for(x.numel() * len(self.features)):
            return minimise(self.evaluate, x, tol=tol, max_iter=max_iter)

    def evaluate(self, x: torch.Tensor, problems: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean loss + penalty (p,) float64 and its gradient at x (p, C * (D + 1)), each class's weights and bias."""
        (N, D), C, p = self.features.shape, self.one_hot.shape[2], len(problems)
        split = self.split_of[problems]
        weights = x.view(p, C, D + 1)[:, :, :D]
        folded = self._fold(x, split).view(p * C, D + 1)
        stacked, bias = folded[:, :D].contiguous(), folded[:, D]
        loss = torch.zeros(p, dtype=torch.float64)
        slopes, bias_slopes = torch.zeros(p * C, D), torch.zeros(p * C)  # with regard to `stacked` and `bias`
        step = max(256, LOGITS_IN_CACHE // (p * C))
        for start in range(0, N, step):
            rows = slice(start, start + step)
            features = self.features[rows]
            row_weights = self.row_weights[rows].index_select(1, split)  # (rows, p)
            log_p = linear(features, stacked, bias).view(-1, p, C).log_softmax(dim=2)
            own = log_p.gather(2, self.labels[rows][:, None, None].expand(-1, p, 1))[:, :, 0]
            loss -= (own * row_weights).sum(dim=0, dtype=torch.float64)
            residual = log_p.exp_().sub_(self.one_hot[rows]).mul_(row_weights[:, :, None]).view(-1, p * C)
            # In this order the product takes 11 ms where features.T @ residual takes 85 (N 7,726, D 2,048, p C 10).
            slopes.addmm_(residual.T, features)
            bias_slopes += residual.sum(dim=0)
        gradient = torch.empty(p, C, D + 1)
        gradient[:, :, D] = bias_slopes.view(p, C)
        by_split = slopes.view(p, C, D) - self.means[split][:, None] * gradient[:, :, D:]
        penalty = self.penalties[problems]
        torch.addcmul(by_split / self.scales[split][:, None], penalty[:, None, None], weights, out=gradient[:, :, :D])
        loss += 0.5 * penalty.double() * weights.square().sum(dim=(1, 2), dtype=torch.float64)
        return loss, gradient.view(p, -1)

    def on_given_features(self, x: torch.Tensor) -> torch.Tensor:
        """(P, C, D + 1): weights and bias that act on `features` as they are, from those on standardised ones."""
        return self._fold(x, self.split_of)

    def _fold(self, x: torch.Tensor, split: torch.Tensor) -> torch.Tensor:
        folded = x.view(len(x), -1, self.features.shape[1] + 1).clone()
        folded[:, :, :-1] /= self.scales[split][:, None]
        folded[:, :, -1] -= torch.einsum("pd,pcd->pc", self.means[split], folded[:, :, :-1])
        return folded


def _scores(
    Z: np.ndarray,
    labels: np.ndarray,
    splits: list[tuple[np.ndarray, np.ndarray]],
    strengths: list[float],
    coefficients: np.ndarray,
    found: Solution,
) -> list[dict[str, Any]]:
    """Each problem's log loss and accuracy on its validation rows; `coefficients` (P, C, D + 1) act on Z (N, D)."""
    history = []
    for split, (_, val) in enumerate(splits):
        rows, y = Z[val], labels[val]
        for i, strength in enumerate(strengths):
            problem = split * len(strengths) + i
            logits = (rows @ coefficients[problem, :, :-1].T + coefficients[problem, :, -1]).astype(np.float64)
            history.append(
                {
                    "strength": strength,
                    "split": split,
                    "log_loss": log_loss(logits, y),
                    "accuracy": float((logits.argmax(axis=1) == y).mean()),
                    "iterations": int(found.iterations[problem]),
                }
            )
    return history

"""Logistic regressions on one feature matrix, each on rows of its own, solved side by side and strength after strength.

Letters: N rows, D features, C classes, S problems (inner splits), p problems still unsolved.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from scipy.linalg.blas import ssyrk

from soundprobe.heads.feature_matrix import FeatureMatrix
from soundprobe.heads.inference import log_losses
from soundprobe.heads.lbfgs import History, Precondition, Solution, minimise
from soundprobe.heads.scaling import split_scalers

PASSES_SAVED = 100
"""Evaluations of a problem that a preconditioner saves, roughly, from a comparison at D 2,048."""
GRAM_NUMBERS = 2**24
"""Features that are added to the Gram matrix at once: 64 MB."""
FURTHER = 0.5
"""How far a start goes on from the last strength's solution, as a share of the last change at equal log-strengths."""


@dataclass(frozen=True, eq=False)
class SoftmaxStack:
    """S logistic regressions on one feature matrix: each on some rows, standardised by those.

    A split's standardisation (z - mean) / scale is folded into the problem's weights, so that every problem multiplies
    the same matrix and all of them share one product.

    Attributes:
        features: N rows of D; classes: C.
        labels: (N,) int64.
        row_weights: (S, N) float32, each row's share of its split's loss, 1 / rows where all weigh the same; or 0.
        n_rows: (S,) float64, of each split; where rows have weights their sum.
        means, scales: (S, D) float32.
    """

    features: FeatureMatrix
    labels: torch.Tensor
    classes: int
    row_weights: torch.Tensor
    n_rows: torch.Tensor
    means: torch.Tensor
    scales: torch.Tensor

    @classmethod
    def of_splits(
        cls,
        features: FeatureMatrix,
        labels: np.ndarray,
        splits: Sequence[tuple[np.ndarray, np.ndarray]],
        weights: np.ndarray | None = None,
        sample_weight: np.ndarray | None = None,
    ) -> Self:
        """One problem for the training rows of each split.

        Args:
            weights: (N,) of the rows in the loss; sample_weight: (N,) in the standardisation; None of equal ones.
        """
        means, scales = split_scalers(features.rows, list(splits), sample_weight)
        return cls._of(features, labels, [train for train, _ in splits], weights, means, scales)

    @classmethod
    def of_all(cls, features: FeatureMatrix, labels: np.ndarray, weights: np.ndarray | None = None) -> Self:
        """One problem, on every row, as the features are."""
        D = features.rows.shape[1]
        return cls._of(features, labels, [np.arange(len(labels))], weights, np.zeros((1, D)), np.ones((1, D)))

    @classmethod
    def _of(
        cls,
        features: FeatureMatrix,
        labels: np.ndarray,
        training_rows: list[np.ndarray],
        weights: np.ndarray | None,
        means: np.ndarray,
        scales: np.ndarray,
    ) -> Self:
        weights = np.ones(len(labels)) if weights is None else weights
        row_weights = torch.zeros(len(training_rows), len(labels))
        totals = [float(weights[rows].sum()) for rows in training_rows]
        for split, rows in enumerate(training_rows):
            row_weights[split, torch.from_numpy(rows)] = torch.from_numpy(weights[rows] / totals[split]).float()
        device = features.device
        y = torch.from_numpy(labels.astype(np.int64)).to(device)
        return cls(
            features=features,
            labels=y,
            classes=int(labels.max()) + 1,
            row_weights=row_weights.to(device),
            n_rows=torch.tensor(totals, dtype=torch.float64).to(device),
            means=torch.from_numpy(means.astype(np.float32)).to(device),
            scales=torch.from_numpy(scales.astype(np.float32)).to(device),
        )

    def solve_path(
        self, strengths: Sequence[float], gram: torch.Tensor | None, *, tol: float, max_iter: int
    ) -> Iterator[tuple[float, Solution]]:
        """(strength, minima) for each of the ascending `strengths`, each from what the one before it has found.

        A solution hardly moves from one strength to the next where penalties are weak, and the loss's curvature,
        which is most of what the solver has learnt, does not hang on the strength.
        """
        solved: list[tuple[float, Solution]] = []
        for strength in strengths:
            start, history = None, None
            if solved:
                last, found = solved[-1]
                start = found.x
                if len(solved) > 1:
                    before, earlier = solved[-2]
                    share = FURTHER * min(1.0, math.log(strength / last) / math.log(last / before))
                    start = start + share * (start - earlier.x)
                history = self._under(found.history, self.penalties(strength) - self.penalties(last))
            found = self.solve(strength, gram, start=start, history=history, tol=tol, max_iter=max_iter)
            solved = [*solved[-1:], (strength, found)]
            yield strength, found

    def solve(
        self,
        strength: float,
        gram: torch.Tensor | None,
        *,
        tol: float,
        max_iter: int,
        start: torch.Tensor | None = None,
        history: History | None = None,
    ) -> Solution:
        """The minima, on standardised features.

        Args:
            gram: see `gram_of`; it speeds the solution up and does not change where it is.
            start: (S, C * (D + 1)), or from zero; history: see `minimise`.
        """
        C = self.classes
        x = self.penalised.new_zeros(len(self.n_rows), len(self.penalised)) if start is None else start
        penalties = self.penalties(strength)
        with torch.inference_mode():
            return minimise(
                functools.partial(self.evaluate, penalties),
                x,
                tol=tol,
                max_iter=max_iter,
                precondition=None if gram is None else preconditioner(gram, float(penalties.mean()), C),
                history=history,
            )

    def penalties(self, strength: float) -> torch.Tensor:
        """(S,) float32: 1 / (strength * rows), the weight of half the squared norm next to the mean loss."""
        # scikit-learn fits 2 classes with one weight vector w; as a softmax that is -w/2 and w/2, whose norm is halved.
        halved = 2.0 if self.classes == 2 else 1.0
        return (halved / (strength * self.n_rows)).float()

    @property
    def penalised(self) -> torch.Tensor:
        """(n,) float32: 1 for each of the n numbers of a solution that the penalty counts, 0 for the others."""
        of_class = self.means.new_ones(self.classes, self.features.rows.shape[1] + 1)
        of_class[:, -1] = 0.0  # the bias
        return of_class.view(-1)

    def _under(self, history: History, more: torch.Tensor) -> History:
        """`history` as it would be under penalties that are larger by `more` (S,)."""
        factors = more[:, None] * self.penalised
        return [(step, torch.addcmul(change, factors, step)) for step, change in history]

    def evaluate(
        self, penalties: torch.Tensor, x: torch.Tensor, problems: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean loss + penalty (p,) float64 and its gradient at x (p, C * (D + 1)), each class's weights and bias.

        Args:
            penalties: (S,); problems: (p,) int64, which of the S problems the rows of x belong to.
        """
        D, C, p = self.features.rows.shape[1], self.classes, len(problems)
        weights = x.view(p, C, D + 1)[:, :, :D]
        folded = self._fold(x, problems).view(p * C, D + 1)
        stacked, bias = folded[:, :D].contiguous(), folded[:, D:].contiguous()
        loss = x.new_zeros(p, dtype=torch.float64)
        slopes, bias_slopes = x.new_zeros(p * C, D), x.new_zeros(p * C)  # with regard to `stacked` and `bias`
        for rows, block in self.features:
            row_weights = self.row_weights[problems, rows]
            log_p = block.scores(stacked).add_(bias).view(p, C, -1).log_softmax(dim=1)
            labels = self.labels[rows].expand(p, 1, -1)
            own = log_p.gather(1, labels)[:, 0]
            loss -= (own * row_weights).sum(dim=1, dtype=torch.float64)
            residual = log_p.exp_().scatter_add_(1, labels, log_p.new_full((), -1.0).expand(labels.shape))
            residual = residual.mul_(row_weights[:, None]).view(p * C, -1)
            slopes += block.sums(residual)
            bias_slopes += residual.sum(dim=1)
        gradient = x.new_empty(p, C, D + 1)
        gradient[:, :, D] = bias_slopes.view(p, C)
        by_split = slopes.view(p, C, D) - self.means[problems][:, None] * gradient[:, :, D:]
        penalty = penalties[problems]
        torch.addcmul(
            by_split / self.scales[problems][:, None], penalty[:, None, None], weights, out=gradient[:, :, :D]
        )
        loss += 0.5 * penalty.double() * weights.square().sum(dim=(1, 2), dtype=torch.float64)
        return loss, gradient.view(p, -1)

    def judge(
        self, x: torch.Tensor, splits: Sequence[tuple[np.ndarray, np.ndarray]], weights: np.ndarray | None = None
    ) -> list[tuple[float, float]]:
        """Each split's log loss, weighted by `weights` (N,), and accuracy on its validation rows.

        Args:
            x: (S, C * (D + 1)).
        """
        judged_by, N = np.full(len(self.labels), -1), len(self.labels)  # every row is in one validation part at most
        for split, (_, val) in enumerate(splits):
            judged_by[val] = split
        of_row = np.ones(N) if weights is None else weights
        lost, right = np.zeros(len(splits)), np.zeros(len(splits))
        coefficients = [(own[:, :-1].contiguous(), own[:, -1:]) for own in self.on_given_features(x)]
        for rows, block in self.features:
            y = self.labels[rows].cpu().numpy()
            for split, (stacked, bias) in enumerate(coefficients):
                own = np.flatnonzero(judged_by[rows] == split)
                logits = (block.scores(stacked) + bias).T.cpu().numpy()[own].astype(np.float64)
                lost[split] += log_losses(logits, y[own]) @ of_row[rows][own]
                right[split] += (logits.argmax(axis=1) == y[own]).sum()
        return [
            (float(lost[split] / of_row[val].sum()), float(right[split] / len(val)))
            for split, (_, val) in enumerate(splits)
        ]

    def on_given_features(self, x: torch.Tensor) -> torch.Tensor:
        """(S, C, D + 1): weights and bias that act on `features` as they are, from those on standardised ones."""
        return self._fold(x, torch.arange(len(x), device=x.device))

    def start_from(self, x: torch.Tensor) -> torch.Tensor:
        """(1, n): where a solution on the features as they are starts from, the mean of the S problems' own."""
        return self.on_given_features(x).mean(dim=0).view(1, -1)

    def _fold(self, x: torch.Tensor, problems: torch.Tensor) -> torch.Tensor:
        folded = x.view(len(x), self.classes, -1).clone()
        folded[:, :, :-1] /= self.scales[problems][:, None]
        folded[:, :, -1] -= torch.einsum("pd,pcd->pc", self.means[problems], folded[:, :, :-1])
        return folded


def gram_of(features: FeatureMatrix, C: int, problems: int) -> torch.Tensor | None:
    """(D, D): the mean outer product of the N rows, at least its lower half.

    None where `problems` are too few to repay it.
    """
    N, D = features.rows.shape
    if D * (N + problems * D / 6) > PASSES_SAVED * problems * 2 * N * C:  # multiply-adds / D
        return None
    at_once = max(1, GRAM_NUMBERS // D)
    chunks = (features.rows[start : start + at_once] for start in range(0, N, at_once))
    if features.device.type != "cpu":
        on_device = (torch.from_numpy(chunk).to(features.device) for chunk in chunks)
        return functools.reduce(torch.add, (chunk.T @ chunk for chunk in on_device)) / N
    half = np.zeros((D, D), dtype=np.float32, order="F")
    for chunk in chunks:  # half the work of a product of any two matrices
        half = ssyrk(1 / N, chunk.T, beta=1.0, c=half, lower=True, overwrite_c=True)
    return torch.from_numpy(half)


def preconditioner(gram: torch.Tensor, penalty: float, C: int) -> Precondition:
    """An estimate of the inverse Hessian at zero weights, where all C probabilities are 1 / C: gram / C + penalty.

    On what the classes' weights have in common the loss is flat; they never move there, and the estimate need not
    know. With means that differ a little from zero, as the splits' do, the bias is still nearly apart from the weights.
    """
    D = len(gram)
    floor = 4 * torch.finfo(gram.dtype).eps * D / C  # rounding in `gram`, or of duplicated features, costs no more
    hessian = gram / C
    hessian.diagonal().add_(max(penalty, floor))
    factor = torch.linalg.cholesky(hessian)

    def precondition(gradient: torch.Tensor) -> torch.Tensor:
        given = gradient.view(-1, D + 1)
        product = C * given  # of the bias, whose feature is 1
        product[:, :D] = torch.cholesky_solve(given[:, :D].T, factor).T
        return product.view_as(gradient)

    return precondition

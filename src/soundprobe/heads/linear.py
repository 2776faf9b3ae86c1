"""Multinomial logistic regression whose strength is chosen on inner splits, which are solved side by side.

Letters: N rows, D features, C classes, S inner splits.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import clone

from soundprobe.base.errors import ConfigError, SoundprobeWarning, unknown
from soundprobe.base.machine import exactly, head_device
from soundprobe.heads.head import WeightedHead, check_numbers
from soundprobe.heads.inference import linear_proba
from soundprobe.scoring.folds import inner_split

RISEN = 1.05
CRITERIA = ("log-loss", "accuracy")


class LinearHead(WeightedHead):
    """Logistic regression on standardised features, L2-penalised as scikit-learn's `LogisticRegression(C=strength)`.

    The strength is the one with the lowest mean log loss over grouped inner splits: with a few hundred clips,
    accuracies tie and jump by a clip, while the log loss tells a strength that is nearly right from one that is
    confidently wrong. Ties go to the stronger penalty (the smaller C). Strengths are tried from the smallest C up
    until the log loss is more than `RISEN` times the lowest: weaker penalties would overfit further. By the accuracy
    all are tried, and ties go to the lower log loss.

    Args:
        strengths: the values of C to choose from.
        criterion: what it is chosen by, "log-loss" or "accuracy".
        inner_splits: S; fewer are made where there are fewer recordings.
        seed: of the inner splits. The solution of a convex problem needs none.
        tol: the final fit stops at max |gradient of the mean loss| <= tol * min(1, loss); selection at 10 times that.
        max_iter: of the solver.
        device: where it is trained, "cpu", "cuda" or "auto"; predictions are numpy's.
        class_weight: None; "balanced", N / (C clips of the class); or {label: weight}. As scikit-learn's.
        weighted_layers: see `WeightedHead`.

    Attributes:
        weights_, bias_: (D, C) and (C,) float32, on standardised features.
        n_iter_: steps of the final fit, from the mean of the inner splits' solutions.

    Source: Liu and Nocedal 1989, "On the limited memory BFGS method for large scale optimization".

    Examples:
        >>> from sklearn.datasets import load_iris
        >>> from soundprobe.heads import LinearHead
        >>> X, y = load_iris(return_X_y=True)
        >>> head = LinearHead(class_weight="balanced").fit(X, y)
        >>> head.chosen_
        {'strength': 10.0}
        >>> round(head.score(X, y), 2)
        0.98
    """

    choices: ClassVar = {"strength": "strengths"}
    added: ClassVar = {"criterion": "log-loss", "class_weight": None, "weighted_layers": 1}

    def __init__(
        self,
        strengths: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0),
        inner_splits: int = 5,
        seed: int = 0,
        tol: float = 1e-4,
        max_iter: int = 1000,
        device: str = "cpu",
        criterion: str = "log-loss",
        class_weight: str | Mapping[Any, float] | None = None,
        weighted_layers: int = 1,
    ) -> None:
        self.strengths = strengths
        self.inner_splits = inner_splits
        self.seed = seed
        self.tol = tol
        self.max_iter = max_iter
        self.device = device
        self.criterion = criterion
        self.class_weight = class_weight
        self.weighted_layers = weighted_layers

    @property
    def array_names(self) -> tuple[str, ...]:
        return ("weights", "bias")

    def check_settings(self) -> None:
        super().check_settings()
        check_numbers("strengths", self.strengths, low=1e-12, high=1e12)
        check_numbers("inner_splits", [self.inner_splits], low=2, whole=True)
        check_numbers("seed", [self.seed], low=0, whole=True)
        check_numbers("tol", [self.tol], low=1e-7, high=0.1)
        check_numbers("max_iter", [self.max_iter], low=1, whole=True)
        head_device(self.device)
        if self.criterion not in CRITERIA:
            raise ConfigError(unknown("criterion", str(self.criterion), CRITERIA))

    def train_rows(
        self, Z: np.ndarray, labels: np.ndarray, groups: np.ndarray, sample_weight: np.ndarray | None = None
    ) -> None:
        # Only where a head is trained is torch needed: a prediction is numpy's.
        import torch

        from soundprobe.heads.feature_matrix import FeatureMatrix
        from soundprobe.heads.layer_weights import WeightedStack
        from soundprobe.heads.softmax_stack import SoftmaxStack, gram_of
        from soundprobe.heads.threads import one_thread

        weights = self.weights_in_loss(self.classes_, labels, sample_weight)
        device = head_device(self.device)
        with one_thread(), exactly(torch.device(device)):
            strengths = sorted({float(strength) for strength in self.strengths})
            history: list[dict[str, Any]] = []
            chosen, start = strengths[0], None
            features = FeatureMatrix.of(Z, device)
            splits = inner_split(labels, groups, self.inner_splits, self.seed) if len(strengths) > 1 else []
            gram = None
            if self.weighted_layers == 1:
                gram = gram_of(features, len(self.classes_), problems=len(splits) * len(strengths) + 1)
            if splits:
                of_splits = SoftmaxStack.of_splits(features, labels, splits, weights, sample_weight)
                stack = WeightedStack.over(of_splits, self.weighted_layers)
                best = (float("inf"), float("inf"))
                for strength, found in stack.solve_path(strengths, gram, tol=10 * self.tol, max_iter=self.max_iter):
                    judged = stack.judge(found.x, splits, weights)
                    history += [
                        {
                            "strength": strength,
                            "split": split,
                            "log_loss": loss,
                            "accuracy": accuracy,
                            "iterations": int(found.iterations[split]),
                        }
                        for split, (loss, accuracy) in enumerate(judged)
                    ]
                    loss, accuracy = np.mean(judged, axis=0).tolist()
                    wrong = 1 - accuracy
                    lost = (loss, 0.0) if self.criterion == "log-loss" else (wrong, loss)
                    if lost < best:
                        best, chosen = lost, strength
                        start = stack.start_from(found.x)
                    elif self.criterion == "log-loss" and loss > RISEN * best[0]:
                        break
                self.inner_loss_ = best[0]
            stack = WeightedStack.over(SoftmaxStack.of_all(features, labels, weights), self.weighted_layers)
            found = stack.solve(chosen, gram, start=start, tol=self.tol, max_iter=self.max_iter)
        solution = stack.on_given_features(found.x)[0].cpu().numpy()
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
        if isinstance(stack, WeightedStack):
            self.chosen_["layer_weights"] = stack.shares(found.x)[0].tolist()
        final = {"stage": "final", "strength": chosen, "iterations": self.n_iter_, "converged": converged}
        self.history_ = [*history, final]

    def without_choice(self) -> Self:
        """The strength that is nearest to 1, scikit-learn's default."""
        nearest = min(self.strengths, key=lambda strength: abs(math.log(strength)))
        return clone(self).set_params(strengths=(nearest,))

    def proba_rows(self, Z: np.ndarray) -> np.ndarray:
        return linear_proba(self, Z)

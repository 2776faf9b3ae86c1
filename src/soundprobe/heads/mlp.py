"""A perceptron whose width, learning rate and number of epochs are chosen on inner splits.

Letters: N rows, D features, C classes, S inner splits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby, islice, product
from operator import itemgetter
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from soundprobe.base.errors import TrainingError
from soundprobe.base.machine import exactly, head_device
from soundprobe.heads.head import WeightedHead, check_numbers
from soundprobe.heads.inference import mlp_proba
from soundprobe.heads.scaling import split_scalers
from soundprobe.scoring.folds import inner_split

if TYPE_CHECKING:
    import torch

    from soundprobe.heads.mlp_training import MemberRecipe, Rows

WORTHWHILE = 0.99
"""A mean validation loss must fall below this share of the one before for training to go on."""


class MLPHead(WeightedHead):
    """One or two hidden layers of ReLU units on standardised features, trained with AdamW at a constant rate.

    Each pair of width and learning rate is trained on all inner splits side by side. The pair and the epoch with the
    lowest mean validation log loss over the splits are chosen (a pair stops when its mean has not fallen by 1 % for
    `patience` epochs), and a fresh network is trained on all rows for that many epochs. The log loss, and not the
    accuracy, for the reasons given at `LinearHead`; ties go to the narrower and slower.

    Args:
        widths: units of a hidden layer, to choose from.
        learning_rates: to choose from.
        hidden_layers: 1 or 2.
        max_epochs, patience: of selection.
        dropout: of hidden units in training.
        weight_decay: AdamW's.
        batch_size: rows of a step; a sixth of all rows where that is less, or small sets would get a step or two an
            epoch.
        inner_splits: S; fewer are made where there are fewer recordings.
        seed: of the inner splits, initial weights, dropout and order of rows. torch's global generator is left alone.
        device: where it is trained, "cpu", "cuda" (where dropout draws other numbers) or "auto"; it predicts in numpy.
        class_weight: None; "balanced", N / (C clips of the class); or {label: weight}. A batch's loss is divided by the
            sum of its rows' weights, as by torch's `CrossEntropyLoss`.
        weighted_layers: see `WeightedHead`.

    Attributes:
        weights_0_, bias_0_, weights_1_, ...: each layer's (in, out) and (out,) float32, on standardised features.

    Source: Loshchilov and Hutter 2019, "Decoupled weight decay regularization" (AdamW), arXiv 1711.05101.

    Examples:
        >>> from sklearn.datasets import load_iris
        >>> from soundprobe.heads import MLPHead
        >>> X, y = load_iris(return_X_y=True)
        >>> head = MLPHead(widths=(32,), learning_rates=(1e-2,)).fit(X, y)
        >>> sorted(head.chosen_)
        ['epochs', 'learning_rate', 'width']
        >>> head.predict_proba(X).shape
        (150, 3)
    """

    added: ClassVar = {"class_weight": None, "weighted_layers": 1}

    def __init__(
        self,
        widths: tuple[int, ...] = (128, 512),
        learning_rates: tuple[float, ...] = (3e-4, 1e-3),
        hidden_layers: int = 1,
        max_epochs: int = 60,
        patience: int = 5,
        dropout: float = 0.2,
        weight_decay: float = 1e-2,
        batch_size: int = 256,
        inner_splits: int = 3,
        seed: int = 0,
        device: str = "cpu",
        class_weight: str | Mapping[Any, float] | None = None,
        weighted_layers: int = 1,
    ) -> None:
        self.widths = widths
        self.learning_rates = learning_rates
        self.hidden_layers = hidden_layers
        self.max_epochs = max_epochs
        self.patience = patience
        self.dropout = dropout
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.inner_splits = inner_splits
        self.seed = seed
        self.device = device
        self.class_weight = class_weight
        self.weighted_layers = weighted_layers

    @property
    def array_names(self) -> tuple[str, ...]:
        return tuple(f"{kind}_{layer}" for layer in range(self.hidden_layers + 1) for kind in ("weights", "bias"))

    def check_settings(self) -> None:
        super().check_settings()
        check_numbers("widths", self.widths, low=1, whole=True)
        check_numbers("learning_rates", self.learning_rates, low=1e-8, high=10)
        check_numbers("hidden_layers", [self.hidden_layers], low=1, high=2, whole=True)
        for name in ("max_epochs", "patience", "batch_size"):
            check_numbers(name, [getattr(self, name)], low=1, whole=True)
        check_numbers("dropout", [self.dropout], low=0, high=0.95)
        check_numbers("weight_decay", [self.weight_decay], low=0, high=10)
        check_numbers("inner_splits", [self.inner_splits], low=2, whole=True)
        check_numbers("seed", [self.seed], low=0, high=2**63 - 1, whole=True)
        head_device(self.device)

    def train_rows(
        self, Z: np.ndarray, labels: np.ndarray, groups: np.ndarray, sample_weight: np.ndarray | None = None
    ) -> None:
        import torch  # only where a head is trained: a prediction is numpy's, and what is stored needs no torch

        from soundprobe.heads.layer_weights import LayersMembers
        from soundprobe.heads.mlp_training import train
        from soundprobe.heads.threads import one_thread

        device = head_device(self.device)
        # Whatever mode the caller is in, training needs gradients.
        with torch.inference_mode(False), torch.enable_grad(), one_thread(), exactly(torch.device(device)):
            history = self._select(Z, labels, groups, sample_weight)
            best = min(history, key=lambda h: h["log_loss"])
            self.inner_loss_ = best["log_loss"]
            width, rate, epochs = best["width"], best["learning_rate"], best["epoch"]
            of_row = self.weights_in_loss(self.classes_, labels, sample_weight)
            rows = self._all_rows(Z, labels, of_row, device)
            losses = []
            for members, loss in islice(train(rows, [np.arange(len(Z))], self.recipe_for(width, rate, len(Z))), epochs):
                losses.append(float(loss[0]))
                trained = members
        history += [{"stage": "final", "epoch": i, "train_loss": loss} for i, loss in enumerate(losses, 1)]
        for layer, (weights, bias) in enumerate(trained.on_inputs()):
            setattr(self, f"weights_{layer}_", weights[0].detach().cpu().numpy().copy())
            setattr(self, f"bias_{layer}_", bias[0, 0].detach().cpu().numpy().copy())
        self.chosen_ = {"width": width, "learning_rate": rate, "epochs": epochs}
        if isinstance(trained, LayersMembers):
            self.chosen_["layer_weights"] = trained.shares()[0].tolist()
        self.history_ = history

    def _select(
        self, Z: np.ndarray, labels: np.ndarray, groups: np.ndarray, sample_weight: np.ndarray | None
    ) -> list[dict[str, Any]]:
        """One mapping for each width, rate and epoch."""
        from soundprobe.heads.mlp_training import Rows, train_in_step, validate

        splits = inner_split(labels, groups, self.inner_splits, self.seed)
        weights = self.weights_in_loss(self.classes_, labels, sample_weight)
        scalers = self.split_scalers(Z, splits, sample_weight)
        rows = Rows.of(self.inputs(Z), labels, *scalers, head_device(self.device), weights)
        training, validation = ([own[part] for own in splits] for part in range(2))
        history: list[dict[str, Any]] = []
        for width, pairs in groupby(self._pairs(), itemgetter(0)):
            told: dict[float, list[dict[str, Any]]] = {rate: [] for _, rate in pairs}
            fallen = {rate: (0, float("inf")) for rate in told}
            """After which epoch the loss has last fallen by what is worthwhile, and to what."""
            going = [self.recipe_for(width, rate, len(Z)) for rate in told]
            for epoch, trained in enumerate(islice(train_in_step(rows, training, going), self.max_epochs), 1):
                for recipe, (members, train_losses) in zip(going.copy(), trained, strict=True):
                    rate = recipe.learning_rate
                    losses, accuracies = validate(rows, members, validation)
                    if not np.isfinite(losses).all():
                        raise TrainingError(
                            f"The MLP's loss is not finite at width {width}, learning rate {rate:g}, epoch {epoch}. "
                            "Leave that learning rate out."
                        )
                    step = {"stage": "selection", "width": width, "learning_rate": rate, "epoch": epoch}
                    scores = {"log_loss": float(np.mean(losses)), "accuracy": float(np.mean(accuracies))}
                    of_splits = {"split_log_losses": losses, "split_accuracies": accuracies}
                    told[rate].append({**step, "train_loss": float(train_losses.mean()), **scores, **of_splits})
                    if scores["log_loss"] < WORTHWHILE * fallen[rate][1]:
                        fallen[rate] = epoch, scores["log_loss"]
                    if epoch - fallen[rate][0] >= self.patience:
                        going.remove(recipe)
                if not going:
                    break
            history += [step for steps in told.values() for step in steps]
        return history

    def candidates(
        self, X: np.ndarray, y: np.ndarray, X_test: np.ndarray, groups: np.ndarray | None = None
    ) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
        """Every width and rate after every epoch; each pair is trained once, on all rows."""
        import torch

        from soundprobe.heads.mlp_training import train

        classes, labels = np.unique(y, return_inverse=True)
        X, X_test = np.asarray(X, dtype=np.float32), np.asarray(X_test, dtype=np.float32)
        mean, scale = self.scaler(X)
        asked = self.inputs(self.standardise(X_test, mean, scale))
        weights = self.weights_in_loss(classes, labels, None)
        rows = self._all_rows(self.standardise(X, mean, scale), labels, weights)
        for width, rate in self._pairs():
            epochs = train(rows, [np.arange(len(X))], self.recipe_for(width, rate, len(X)))
            for epoch, (members, _) in enumerate(islice(epochs, self.max_epochs), 1):
                with torch.no_grad():
                    logits = members.logits(asked[None])[0]
                setting = {"width": width, "learning_rate": rate, "epochs": epoch}
                yield setting, classes[logits.argmax(dim=1).numpy()]

    def inputs(self, Z: np.ndarray) -> torch.Tensor:
        """What the network takes of standardised rows: (N, D) float32."""
        import torch

        return torch.from_numpy(Z)

    def split_scalers(
        self, Z: np.ndarray, splits: list[tuple[np.ndarray, np.ndarray]], sample_weight: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mean and scale, each (S, D), by which each split's `inputs` are standardised further."""
        return split_scalers(Z, splits, sample_weight)

    def _all_rows(self, Z: np.ndarray, labels: np.ndarray, weights: np.ndarray | None, device: str = "cpu") -> Rows:
        """Of one network, which is trained on all of them as they are."""
        from soundprobe.heads.mlp_training import Rows

        inputs = self.inputs(Z)
        D = inputs.shape[-1]
        return Rows.of(inputs, labels, np.zeros((1, D)), np.ones((1, D)), device, weights)

    def _pairs(self) -> Iterator[tuple[int, float]]:
        """Widths and rates; the narrower and the slower come first."""
        yield from product(sorted({int(w) for w in self.widths}), sorted({float(r) for r in self.learning_rates}))

    def recipe_for(self, width: int, learning_rate: float, n_rows: int) -> MemberRecipe:
        """How one network is trained on so many rows."""
        from soundprobe.heads.layer_weights import LayersRecipe
        from soundprobe.heads.mlp_training import MemberRecipe

        recipe = MemberRecipe(
            width=width,
            hidden_layers=self.hidden_layers,
            learning_rate=learning_rate,
            weight_decay=self.weight_decay,
            dropout=self.dropout,
            batch_size=min(self.batch_size, max(1, n_rows // 6)),
            seed=self.seed,
        )
        return recipe if self.weighted_layers == 1 else LayersRecipe(**vars(recipe), layers=self.weighted_layers)

    def proba_rows(self, Z: np.ndarray) -> np.ndarray:
        return mlp_proba(self, Z)

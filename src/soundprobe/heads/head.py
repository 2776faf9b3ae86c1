"""What every head does alike: check its rows, standardise them, predict, be saved. numpy and scikit-learn only.

Letters: N rows, D features, C classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, column_or_1d, validate_data

from soundprobe.base.errors import ConfigError, TrainingError
from soundprobe.heads.inference import checked_proba, log_losses
from soundprobe.heads.scaling import scaler_of, standardised
from soundprobe.heads.stored_rows import StoredRows

AT_ONCE = 1024
"""Rows of stored features that are predicted at once."""


class Head(ClassifierMixin, BaseEstimator, ABC):
    """A scikit-learn classifier that standardises its features and chooses its own settings.

    `fit` sees training rows only; it makes grouped inner splits of them, chooses, and trains once more on all of them.

    Attributes:
        classes_: (C,) the labels, sorted.
        mean_, scale_: (D,) float32, of the rows that it was fitted on.
        chosen_: the settings that it chose, fit for JSON.
        history_: what selection and training saw, one mapping a step, fit for JSON.
        inner_loss_: the lowest mean over the inner splits of what settings were chosen by, a log loss or 1 - accuracy;
            None where nothing was chosen.
        added: settings that came later, with the defaults at which neither a run's key nor a saved head has them.
        choices: the name in `chosen_` -> the setting with its candidates, where `fit` chooses one value of one setting.
    """

    choices: ClassVar[Mapping[str, str]] = {}
    added: ClassVar[Mapping[str, Any]] = {}

    def fit(self, X: np.ndarray, y: np.ndarray, groups: np.ndarray | None = None) -> Self:
        """Chooses settings and trains on X (N, D) with labels y (N,).

        Args:
            groups: (N,) the recording of each row; rows of one recording are never on both sides of an inner split.
                Without it each row is its own recording.

        Raises:
            ConfigError: a setting is not valid.
            TrainingError: what was learnt is not finite.
            SplitError: settings are to be chosen, but every class comes from one recording.
            ValueError: scikit-learn's: shapes differ, values are not finite, there is one class only.
        """
        return self._fit(X, y, groups, None)

    def _fit(self, X: Any, y: Any, groups: Any, sample_weight: Any) -> Self:
        self.check_settings()
        if isinstance(X, StoredRows):  # the store has seen that they are finite
            y = column_or_1d(y)
            self.n_features_in_ = X.shape[1]
        else:
            X, y = validate_data(self, X, y, dtype=np.float32)
        check_classification_targets(y)
        if groups is not None and np.shape(groups) != (len(y),):
            raise ValueError(f"groups has shape {np.shape(groups)} for {len(y)} rows; one for each row is needed.")
        recordings = np.arange(len(y)) if groups is None else np.asarray(groups)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
            kept = sample_weight > 0  # a row that counts for nothing is not there
            X, y, recordings, sample_weight = X[kept], y[kept], recordings[kept], sample_weight[kept]
            if not LEAST_WEIGHT <= sample_weight.mean() <= MOST_WEIGHT:
                raise ValueError(
                    f"sample_weight: a mean of {sample_weight.mean():g} is not valid; give weights of which it is "
                    f"from {LEAST_WEIGHT:g} to {MOST_WEIGHT:g}."
                )
        classes, labels = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(
                f"{type(self).__name__} needs samples of at least 2 classes; the data has {len(classes)} class only"
                f"{': ' if len(classes) else ', where sample_weight is 0: '}{', '.join(map(repr, classes))}."
            )
        self.classes_ = classes
        self.mean_, self.scale_ = self.scaler(X, sample_weight)
        self.chosen_: dict[str, Any] = {}
        self.history_: list[dict[str, Any]] = []
        self.inner_loss_: float | None = None
        Z: Any = (
            X.standardised(self.mean_, self.scale_)
            if isinstance(X, StoredRows)
            else self.standardise(X, self.mean_, self.scale_)
        )
        self.train_rows(Z, labels, recordings, *([] if sample_weight is None else [sample_weight]))
        for name, array in self.state_dict().items():
            if not np.isfinite(array).all():
                raise TrainingError(
                    f"The {name} that {type(self).__name__} has learnt hold NaN or infinity, with "
                    f"{self.chosen_ or 'its settings'}. Leave such settings out."
                )
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """(N, C) float64, rows that sum to 1, in the order of `classes_`."""
        check_is_fitted(self)
        if isinstance(X, StoredRows):
            return np.concatenate([self.proba_of(X[at : at + AT_ONCE]) for at in range(0, len(X), AT_ONCE)])
        return self.proba_of(validate_data(self, X, dtype=np.float32, reset=False))

    def proba_of(self, X: np.ndarray) -> np.ndarray:
        """As `predict_proba`, of rows that were checked."""
        proba = self.proba_rows(self.standardise(X, self.mean_, self.scale_))
        return checked_proba(proba, (len(X), len(self.classes_)), type(self).__name__)

    def predict(self, X: np.ndarray) -> np.ndarray:
        """(N,) the most probable class of each row."""
        most_probable = self.predict_proba(X).argmax(axis=1)
        return self.classes_[most_probable]

    def state_dict(self) -> dict[str, np.ndarray]:
        """The arrays that a prediction needs; with `state_params`, all that `from_state` needs."""
        check_is_fitted(self)
        return {name: np.ascontiguousarray(getattr(self, f"{name}_")) for name in ("mean", "scale", *self.array_names)}

    def state_params(self) -> dict[str, Any]:
        """What a prediction needs besides arrays, fit for JSON: settings, classes, what was chosen."""
        check_is_fitted(self)
        settings = {
            name: value
            for name, value in self.get_params().items()
            if name != "device" and not (name in self.added and value == self.added[name])
        }
        return {"settings": settings, "classes": self.classes_.tolist(), "chosen": self.chosen_}

    @classmethod
    def from_state(cls, arrays: Mapping[str, np.ndarray], params: Mapping[str, Any]) -> Self:
        """The head that `state_dict` and `state_params` were taken from, as far as predictions go.

        Raises:
            ConfigError: an array or a parameter is missing.
        """
        absent = [name for name in ("settings", "classes", "chosen") if name not in params]
        head = cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in params.get("settings", {}).items()})
        names = ("mean", "scale", *head.array_names)
        absent += [name for name in names if name not in arrays]
        if absent:
            raise ConfigError(f"This is no saved {cls.__name__}: {', '.join(absent)} missing. Train the head again.")
        for name in names:
            setattr(head, f"{name}_", np.asarray(arrays[name]))
        head.classes_ = np.asarray(params["classes"])
        head.chosen_, head.history_ = dict(params["chosen"]), []
        head.n_features_in_ = len(head.mean_)
        return head

    def candidates(
        self, X: np.ndarray, y: np.ndarray, X_test: np.ndarray, groups: np.ndarray | None = None
    ) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
        """Each setting that `fit` may choose, with the class (Q,) of each row of X_test (Q, D) by a head that has it.

        To see what choosing on the test rows would have added; `fit` knows nothing of them. Here each value of the
        setting that `choices` names; a head that chooses otherwise says so in its own way.
        """
        for chosen, setting in self.choices.items():
            for value in getattr(self, setting):
                head = clone(self).set_params(**{setting: (value,)})
                yield {chosen: value}, np.asarray(head.fit(X, y, groups).predict(X_test))

    def without_choice(self) -> Self | None:
        """An unfitted head with one of its settings, for rows that none can be chosen on; None where there is none."""
        return None

    def scaler(self, X: np.ndarray, sample_weight: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Mean and scale, each (D,) float32, of X (N, D)."""
        return scaler_of(X, sample_weight)

    def standardise(self, X: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """Z (N, D) float32 of X (N, D)."""
        return standardised(X, mean, scale)

    @property
    @abstractmethod
    def array_names(self) -> tuple[str, ...]:
        """Names of the fitted arrays (without the underscore) that a prediction needs besides the scaler."""

    def check_settings(self) -> None:
        """Raises ConfigError where a setting's value is not valid; their types have been checked before."""

    @abstractmethod
    def train_rows(self, Z: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> None:
        """Sets `chosen_`, `history_` and the arrays.

        Args:
            Z: (N, D) float32 rows, standardised; labels: (N,) int64, 0 to C - 1.
            groups: (N,) the recordings, which inner splits keep together.
        """

    @abstractmethod
    def proba_rows(self, Z: np.ndarray) -> np.ndarray:
        """(N, C) float64 from standardised rows Z (N, D) float32."""


class WeightedHead(Head):
    """A head whose training loss is weighted, by clip and by class; and so may a backbone's layers be.

    A row of sample weight k counts as k rows wherever rows are averaged: in the standardisation, in the loss, and next
    to the penalty; one of weight 0 is left out. Class weights count in the loss alone. The log loss that settings are
    chosen by is weighted as the one in training; inner splits are dealt, and accuracies taken, as if all weighed 1.

    Attributes:
        weighted_layers: L, how many blocks of D columns its features have: it is fitted on their sum by weights that
            are learnt with it, see `heads.layer_weights`, and stand in `chosen_` as "layer_weights". 1 weighs nothing.
    """

    class_weight: str | Mapping[Any, float] | None
    weighted_layers: int = 1

    def fit(
        self, X: np.ndarray, y: np.ndarray, groups: np.ndarray | None = None, sample_weight: np.ndarray | None = None
    ) -> Self:
        """As `Head.fit`.

        Args:
            sample_weight: (N,) from 0 up, the weight of each row; without it each weighs 1.
        """
        if self.weighted_layers > 1 and np.shape(X)[-1] % self.weighted_layers:
            raise ConfigError(
                f"weighted_layers: {np.shape(X)[-1]} columns are not {self.weighted_layers} layers of one width. "
                "Give a number that divides them."
            )
        return self._fit(X, y, groups, sample_weight)

    @abstractmethod
    def train_rows(
        self, Z: np.ndarray, labels: np.ndarray, groups: np.ndarray, sample_weight: np.ndarray | None = None
    ) -> None:
        """As `Head.train_rows`; sample_weight (N,) above 0, or all 1."""

    def state_params(self) -> dict[str, Any]:
        params = super().state_params()
        if isinstance(self.class_weight, Mapping):
            weights = {str(label): float(weight) for label, weight in self.class_weight.items()}
            params["settings"]["class_weight"] = weights
        return params

    def check_settings(self) -> None:
        check_numbers("weighted_layers", [self.weighted_layers], low=1, whole=True)
        if not (self.class_weight in (None, BALANCED) or isinstance(self.class_weight, Mapping)):
            raise ConfigError(
                f"class_weight: {self.class_weight!r} is not valid; give {BALANCED}, or from Python None or "
                "{label: weight}."
            )
        if isinstance(self.class_weight, Mapping):
            check_numbers("class_weight", list(self.class_weight.values()), low=LEAST_WEIGHT, high=MOST_WEIGHT)

    def weights_in_loss(
        self, classes: np.ndarray, labels: np.ndarray, sample_weight: np.ndarray | None
    ) -> np.ndarray | None:
        """(N,) float64, what each row of labels (N,) 0 .. C-1 weighs; None where all weigh 1."""
        if self.class_weight is None:
            return sample_weight
        counts = np.bincount(labels, sample_weight)
        if not isinstance(self.class_weight, Mapping):
            of_class = counts.sum() / (len(classes) * counts)
        else:
            known = classes.tolist()
            texts = {str(label) for label in known}  # as labels are in JSON
            if strange := [label for label in self.class_weight if label not in known and label not in texts]:
                raise ConfigError(
                    f"class_weight: {strange[0]!r} is no label here; give some of {str(known)[1:-1]}, or {BALANCED}."
                )
            given = self.class_weight
            of_class = np.array([given.get(label, given.get(str(label), 1.0)) for label in known])
        weights: np.ndarray = of_class[labels] if sample_weight is None else of_class[labels] * sample_weight
        return weights


BALANCED = "balanced"
LEAST_WEIGHT, MOST_WEIGHT = 1e-8, 1e8
"""Losses are weighted in float32."""


def log_loss(logits: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None) -> float:
    """The mean of -log p(label), from logits (N, C) and labels (N,), weighted by `weights` (N,)."""
    return float(np.average(log_losses(logits, labels), weights=weights))


def check_numbers(
    name: str, values: Sequence[float], *, low: float, high: float = float("inf"), whole: bool = False
) -> None:
    """Raises ConfigError where `values` is empty or one of them is not a number from `low` to `high`."""
    kind = (int, np.integer) if whole else (int, float, np.integer, np.floating)
    good = [isinstance(v, kind) and not isinstance(v, bool) and low <= v <= high for v in values]
    if not good or not all(good):
        bad = repr(values[good.index(False)]) if good else "no value"
        valid = f"{'whole numbers' if whole else 'numbers'} from {low:g}" + (f" to {high:g}" if high < 1e9 else "")
        raise ConfigError(f"{name}: {bad} is not valid; give {valid}.")

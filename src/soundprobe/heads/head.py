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
from sklearn.utils.validation import check_is_fitted, validate_data

from soundprobe.base.errors import ConfigError, TrainingError
from soundprobe.heads.inference import checked_proba
from soundprobe.heads.scaling import scaler_of, standardised


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
        self.check_settings()
        X, y = validate_data(self, X, y, dtype=np.float32)
        check_classification_targets(y)
        classes, labels = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(
                f"{type(self).__name__} needs samples of at least 2 classes; the data has 1 class only: {classes[0]!r}."
            )
        if groups is not None and np.shape(groups) != (len(y),):
            raise ValueError(f"groups has shape {np.shape(groups)} for {len(y)} rows; one for each row is needed.")
        self.classes_ = classes
        self.mean_, self.scale_ = self.scaler(X)
        self.chosen_: dict[str, Any] = {}
        self.history_: list[dict[str, Any]] = []
        self.inner_loss_: float | None = None
        recordings = np.arange(len(y)) if groups is None else np.asarray(groups)
        self.train_rows(self.standardise(X, self.mean_, self.scale_), labels, recordings)
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

    def scaler(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and scale, each (D,) float32, of X (N, D)."""
        return scaler_of(X)

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
        """Sets `chosen_`, `history_` and the arrays, from standardised rows Z (N, D) and labels (N,) 0 .. C-1."""

    @abstractmethod
    def proba_rows(self, Z: np.ndarray) -> np.ndarray:
        """(N, C) float64 from standardised rows Z (N, D) float32."""


def log_loss(logits: np.ndarray, labels: np.ndarray) -> float:
    """The mean of -log p(label), from logits (N, C) and labels (N,)."""
    top = logits.max(axis=1)
    normaliser = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
    return float((normaliser - logits[np.arange(len(labels)), labels]).mean())


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

"""What trained heads say, in numpy alone: a prediction need not wait for scikit-learn, let alone for torch.

Letters: N rows, D features, C classes, K the largest number of neighbours, Q queries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from soundprobe.base.errors import ConfigError
from soundprobe.base.frame_rows import frame_rows, split_rows
from soundprobe.heads.scaling import standardised_rows

QUERIES_AT_ONCE = 512
Proba = Callable[[Any, np.ndarray], np.ndarray]
"""From a head, which has its arrays and settings as attributes, and standardised rows (N, D) to (N, C) float64."""


class FittedHead:
    """A head as it was saved, for predictions.

    Attributes:
        classes_: (C,) the labels, sorted; n_features_in_: D; the head's settings and arrays, as it has them.

    Args:
        proba: of its kind; arrays, params: what `Head.state_dict` and `Head.state_params` gave.

    Raises:
        ConfigError: an array or a parameter is missing, or they don't fit each other.
    """

    def __init__(self, title: str, proba: Proba, arrays: Mapping[str, np.ndarray], params: Mapping[str, Any]) -> None:
        self._title, self._proba = f"saved {title} head", proba
        self._arrays, self._params = arrays, params
        try:
            if overridden := next((name for name in params["settings"] if hasattr(self, name)), None):
                raise ValueError(f"{overridden} is no setting")
            vars(self).update(params["settings"])
            vars(self).update({f"{name}_": np.asarray(array) for name, array in arrays.items()})
            self.classes_, self.chosen_ = np.asarray(params["classes"]), dict(params["chosen"])
            (self.n_features_in_,) = arrays["mean"].shape
            clip = np.zeros((1, self.n_features_in_), dtype=np.float32)
            self.predict_proba(frame_rows([clip]) if self._frame_columns else clip)
        except (AttributeError, KeyError, ValueError, IndexError, TypeError, ConfigError) as error:
            absent = getattr(error, "name", None) or (
                error.args[0] if isinstance(error, KeyError) else "fitting arrays"
            )
            raise ConfigError(
                f"This is no saved {title} head: {str(absent).rstrip('_')} missing. Train the head again."
            ) from error

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """(N, C) float64, rows that sum to 1, in the order of `classes_`, from features (N, D)."""
        X = np.asarray(X, dtype=np.float32)
        Z = standardised_rows(X, self._frame_columns, self.mean_, self.scale_)  # type: ignore[attr-defined]
        return checked_proba(self._proba(self, Z), (len(Z), len(self.classes_)), self._title)

    @property
    def _frame_columns(self) -> int:
        """D of a head that pools frames, see `base.frame_rows`; 0 of any other."""
        return int(self._params["settings"].get("frame_columns", 0))

    def state_dict(self) -> dict[str, np.ndarray]:
        """The arrays that it was made of."""
        return dict(self._arrays)

    def state_params(self) -> dict[str, Any]:
        """The parameters that it was made of."""
        return dict(self._params)


def checked_proba(proba: Any, shape: tuple[int, int], name: str) -> np.ndarray:
    """`proba` as it is, where it is of `shape` (N, C) and its rows are probabilities.

    Raises:
        ConfigError: it isn't, so that the head's code or file is wrong.
    """
    if np.shape(proba) != shape:
        raise ConfigError(
            f"{name} gave probabilities of shape {np.shape(proba)} for {shape} rows and classes. Mend it."
        )
    if not (np.isfinite(proba).all() and (proba >= 0).all() and np.allclose(proba.sum(axis=1), 1, atol=1e-3)):
        raise ConfigError(f"{name} gave rows that are no probabilities: from 0 to 1, adding up to 1. Mend it.")
    return np.asarray(proba)


def linear_proba(head: Any, Z: np.ndarray) -> np.ndarray:
    """Of logistic regression: weights_ (D, C), bias_ (C,)."""
    # In float64, so that a row's prediction does not hang on the rows that it is multiplied with.
    return softmax(Z.astype(np.float64) @ head.weights_.astype(np.float64) + head.bias_)


def mlp_proba(head: Any, Z: np.ndarray) -> np.ndarray:
    """Of a perceptron: weights_0_ (in, out), bias_0_ (out,), ... of its `hidden_layers` with ReLU, and of the last."""
    x = Z.astype(np.float64)
    for layer in range(head.hidden_layers + 1):
        x = x @ getattr(head, f"weights_{layer}_").astype(np.float64) + getattr(head, f"bias_{layer}_")
        x = np.maximum(x, 0) if layer < head.hidden_layers else x
    return softmax(x)


def attention_proba(head: Any, Z: np.ndarray) -> np.ndarray:
    """Of a perceptron, as `mlp_proba`, on frames pooled by attention, whose two layers come after its own.

    A frame h weighs softmax(w' tanh(V h)); Z are rows of `frame_columns`, see `base.frame_rows`.
    """
    frames, own = split_rows(Z, head.frame_columns)
    frames = frames.astype(np.float64)
    into, out = (getattr(head, f"weights_{head.hidden_layers + layer}_").astype(np.float64) for layer in (1, 2))
    scores = (np.tanh(frames @ into + getattr(head, f"bias_{head.hidden_layers + 1}_")) @ out)[:, :, 0]
    weights = softmax(np.where(own, scores, -np.inf))  # (N, M)
    return mlp_proba(head, (weights[:, None] @ frames)[:, 0])


def knn_proba(head: Any, Z: np.ndarray) -> np.ndarray:
    """Of nearest neighbours: rows_ (N, D) at length 1, labels_ (N,), and the chosen k."""
    if len(head.labels_) != len(head.rows_):
        raise ValueError(f"{len(head.labels_)} labels of {len(head.rows_)} rows")
    return votes(unit(Z), head.rows_, head.labels_, len(head.classes_), [head.chosen_["k"]])[0]


def softmax(logits: np.ndarray) -> np.ndarray:
    """(N, C) probabilities of (N, C) logits, in the dtype of the logits."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def log_losses(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(N,) -log p(label), from logits (N, C) and labels (N,)."""
    top = logits.max(axis=1)
    normaliser = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
    losses: np.ndarray = normaliser - logits[np.arange(len(labels)), labels]
    return losses


def unit(Z: np.ndarray) -> np.ndarray:
    """Z (N, D) with rows of length 1; a row of zeros stays one, at cosine 0 to every other."""
    norms = np.linalg.norm(Z, axis=1, keepdims=True)
    return Z / np.where(norms > 0, norms, 1)


def votes(queries: np.ndarray, rows: np.ndarray, labels: np.ndarray, C: int, ks: list[int]) -> np.ndarray:
    """(len(ks), Q, C) float64: the classes' shares of the weighted votes among the k nearest of `rows`, for each k.

    Neighbours are found and sorted once, for the largest k; rows at the same cosine are taken in their order.
    """
    found = np.zeros((len(ks), len(queries), C))
    largest = min(max(ks), len(rows))
    for start in range(0, len(queries), QUERIES_AT_ONCE):
        cosines = (queries[start : start + QUERIES_AT_ONCE] @ rows.T).astype(np.float64)  # (Q, N)
        nearest = _largest(cosines, largest)  # (Q, K)
        weights = np.maximum(1 + np.take_along_axis(cosines, nearest, axis=1), 1e-6)
        by_class = np.zeros((len(cosines), largest, C))
        np.put_along_axis(by_class, labels[nearest][:, :, None], weights[:, :, None], axis=2)
        running = by_class.cumsum(axis=1)
        for i, k in enumerate(ks):
            found[i, start : start + QUERIES_AT_ONCE] = running[:, min(k, largest) - 1]
    return found / found.sum(axis=2, keepdims=True)


def _largest(cosines: np.ndarray, count: int) -> np.ndarray:
    """(Q, count) the columns of the largest values of each row, largest first."""
    if count < cosines.shape[1]:
        found = np.sort(np.argpartition(-cosines, count - 1, axis=1)[:, :count], axis=1)
    else:
        found = np.broadcast_to(np.arange(count), cosines.shape)
    values = np.take_along_axis(cosines, found, axis=1)
    return np.take_along_axis(found, np.argsort(-values, axis=1, kind="stable"), axis=1)

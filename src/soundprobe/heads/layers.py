"""A head on a backbone's layers, which stand side by side: which of them it takes is chosen as its other settings are.

Letters: N rows, D features of all layers, d of those taken, C classes.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np

from soundprobe.backbones.spec import ALL, BOTH, LAST, WEIGHTED, together
from soundprobe.base.errors import ConfigError, unknown


class LayeredHead:
    """Fits a head on each candidate's columns and keeps the one whose settings had the lowest loss on inner splits.

    The inner splits are the same for all, since they hang on labels and recordings alone. Ties go to the first.

    Args:
        head: unfitted.
        columns: how many each layer has, in their order.
        layers: the candidates, names of `columns`, "all" for all side by side, or "weighted" for their sum by weights
            that are learnt with the head. By default each by itself, and of two both.

    Raises:
        ConfigError: a layer is unknown, or weights can't be learnt by this head, or over layers of several widths.
    """

    def __init__(self, head: Any, columns: Mapping[str, int], layers: str | int | Sequence[str | int] = ()) -> None:
        self.head, self.columns, self.together = head, dict(columns), together(columns)
        asked = (str(layers),) if isinstance(layers, str | int) else tuple(map(str, layers))
        usual = (*columns, BOTH) if self.together == BOTH else tuple(columns)
        self.layers = tuple(self.together if name in (BOTH, ALL) else name for name in asked) or usual
        for name in self.layers:
            if name not in (*columns, self.together, WEIGHTED):
                raise ConfigError(unknown("layers", name, (*columns, ALL, WEIGHTED)))
        if WEIGHTED in self.layers and "weighted_layers" not in head.get_params():
            raise ConfigError(
                f"{type(head).__name__} learns no weights over layers; linear and mlp do. Leave --layer weighted out."
            )
        if WEIGHTED in self.layers and len(set(columns.values())) > 1:
            told = ", ".join(f"{name} {size}" for name, size in columns.items())
            raise ConfigError(
                f"Weights can't be learnt over layers of several widths ({told}). Leave --layer weighted out."
            )

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The head's, and its own."""
        return {**self.head.get_params(deep=deep), "layers": list(self.layers), "columns": self.columns}

    def fit(self, X: np.ndarray, y: np.ndarray, groups: np.ndarray | None = None) -> Self:
        """As `Head.fit`, on X (N, D)."""
        fitted = [self._head_of(name).fit(X[:, self._of(name)], y, groups) for name in self.layers]
        losses = [getattr(head, "inner_loss_", None) for head in fitted]
        known = [loss for loss in losses if loss is not None]
        if len(fitted) > 1 and len(known) < len(fitted):
            raise ConfigError(
                f"Which layers to take ({', '.join(self.layers)}) can't be judged, because {type(self.head).__name__} "
                "chooses no other setting on inner splits. Give it several values, or --layer last."
            )
        best = int(np.argmin(known)) if len(fitted) > 1 else 0
        self.fitted_, self.columns_ = fitted[best], self._of(self.layers[best])
        self.classes_, self.n_features_in_ = self.fitted_.classes_, X.shape[1]
        self.chosen_ = {"layers": self.layers[best], **self.fitted_.chosen_}
        if "layer_weights" in self.chosen_:
            of_layer = dict(zip(self.columns, [round(w, 4) for w in self.chosen_["layer_weights"]], strict=True))
            self.chosen_["layer_weights"] = dict(sorted(of_layer.items(), key=lambda one: one[0] == LAST))
        self.history_ = [
            {"layers": name, **step} for name, head in zip(self.layers, fitted, strict=True) for step in head.history_
        ]
        return self

    def without_choice(self) -> LayeredHead | None:
        """The first of the layers, with the head's own."""
        head = self.head.without_choice()
        return None if head is None else LayeredHead(head, self.columns, self.layers[0])

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """(N, C) float64 from X (N, D)."""
        proba: np.ndarray = self.fitted_.predict_proba(X[:, self.columns_])
        return proba

    def predict(self, X: np.ndarray) -> np.ndarray:
        """(N,) the most probable class of each row."""
        classes: np.ndarray = self.classes_[self.predict_proba(X).argmax(axis=1)]
        return classes

    def state_dict(self) -> dict[str, np.ndarray]:
        """The fitted head's arrays, and which columns (d,) it takes."""
        return {**self.fitted_.state_dict(), "columns": self.columns_}

    def state_params(self) -> dict[str, Any]:
        """The fitted head's, what was chosen, and D."""
        return {**self.fitted_.state_params(), "chosen": self.chosen_, "n_features": self.n_features_in_}

    def candidates(
        self, X: np.ndarray, y: np.ndarray, X_test: np.ndarray, groups: np.ndarray | None = None
    ) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
        """As `Head.candidates`, of every candidate."""
        for name in self.layers:
            columns = self._of(name)
            tried = self._head_of(name).candidates(X[:, columns], y, X_test[:, columns], groups)
            for setting, predicted in tried:
                yield {"layers": name, **setting}, predicted

    def _head_of(self, name: str) -> Any:
        """What is fitted on a candidate's columns; unfitted, and its own."""
        head = copy.deepcopy(self.head)
        return head.set_params(weighted_layers=len(self.columns)) if name == WEIGHTED else head

    def _of(self, name: str) -> np.ndarray:
        """(d,) int64, the columns of one candidate."""
        ends = np.cumsum(list(self.columns.values()))
        first = {layer: end - size for (layer, size), end in zip(self.columns.items(), ends, strict=True)}
        if name in (self.together, WEIGHTED):
            return np.arange(ends[-1])
        return np.arange(first[name], first[name] + self.columns[name])


class FittedOnColumns:
    """A saved head on some of the D features; see `LayeredHead.state_dict`.

    Raises:
        ConfigError: there are no such columns among `n_features`.
    """

    def __init__(self, head: Any, columns: np.ndarray, n_features: int) -> None:
        taken = np.asarray(columns)
        is_list = taken.shape == (head.n_features_in_,) and taken.dtype.kind == "i" and type(n_features) is int
        if not is_list or taken.min(initial=0) < 0 or taken.max(initial=-1) >= n_features:
            raise ConfigError("This is no saved head: its columns don't fit its features. Train the head again.")
        self.head, self.columns, self.n_features_in_ = head, columns, n_features
        self.classes_, self.chosen_ = head.classes_, head.chosen_

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """(N, C) from X (N, D)."""
        proba: np.ndarray = self.head.predict_proba(np.asarray(X)[:, self.columns])
        return proba

    def state_dict(self) -> dict[str, np.ndarray]:
        """As `LayeredHead.state_dict`."""
        return {**self.head.state_dict(), "columns": self.columns}

    def state_params(self) -> dict[str, Any]:
        """As `LayeredHead.state_params`."""
        return {**self.head.state_params(), "n_features": self.n_features_in_}

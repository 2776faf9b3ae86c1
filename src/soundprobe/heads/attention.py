"""A perceptron on a clip's frames, pooled over time by weights that are learnt with it.

Letters: N rows, M the most frames that one has, D numbers of a frame, C classes, S inner splits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_array

from soundprobe.base.frame_rows import split_rows
from soundprobe.heads.head import check_numbers
from soundprobe.heads.inference import attention_proba
from soundprobe.heads.mlp import MLPHead
from soundprobe.heads.scaling import scaler_of, standardised_rows

if TYPE_CHECKING:
    import torch

    from soundprobe.heads.attention_training import AttentionRecipe


class AttentionHead(MLPHead):
    """`MLPHead` on a weighted mean of a clip's frames; how much each weighs is learnt with the perceptron.

    A frame h weighs softmax(w' tanh(V h)) over the clip's own frames: the attention of Ilse et al. 2018
    ("Attention-based deep multiple instance learning", arXiv 1802.04712), without their gate. w begins at 0, so that
    training begins with the MLP on the mean of a clip's frames. Settings and epochs are chosen as the MLP's are.

    X (N, 1 + M * D) are rows of frames as `soundprobe.base.frame_rows` makes them, of as many frames as there are;
    predictions may be asked of rows with other numbers of frames than those of training.

    Args:
        attention_width: rows of V.
        frame_columns: D. With 0 a row is one frame, and the head is an MLP.
        widths, learning_rates, hidden_layers, max_epochs, patience, dropout, weight_decay, batch_size, inner_splits,
            seed, device, class_weight: see `MLPHead`.

    Attributes:
        weights_0_, bias_0_, weights_1_, ...: the perceptron's layers, then V's and w's; mean_, scale_: (D,).

    Examples:
        >>> import numpy as np
        >>> from soundprobe.base.frame_rows import frame_rows
        >>> from soundprobe.heads import AttentionHead
        >>> rng = np.random.default_rng(0)
        >>> y = np.arange(60) % 2
        >>> X = frame_rows([rng.normal(label, 1, size=(3 + label, 4)) for label in y])  # 3 or 4 frames of 4 numbers
        >>> head = AttentionHead(widths=(8,), learning_rates=(1e-2,), frame_columns=4).fit(X, y)
        >>> head.predict_proba(X).shape
        (60, 2)
    """

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
        attention_width: int = 8,
        frame_columns: int = 0,
        seed: int = 0,
        device: str = "cpu",
        class_weight: str | Mapping[Any, float] | None = None,
    ) -> None:
        super().__init__(
            widths=widths,
            learning_rates=learning_rates,
            hidden_layers=hidden_layers,
            max_epochs=max_epochs,
            patience=patience,
            dropout=dropout,
            weight_decay=weight_decay,
            batch_size=batch_size,
            inner_splits=inner_splits,
            seed=seed,
            device=device,
            class_weight=class_weight,
        )
        self.attention_width = attention_width
        self.frame_columns = frame_columns

    @property
    def array_names(self) -> tuple[str, ...]:
        return tuple(f"{kind}_{layer}" for layer in range(self.hidden_layers + 3) for kind in ("weights", "bias"))

    def check_settings(self) -> None:
        super().check_settings()
        check_numbers("attention_width", [self.attention_width], low=1, whole=True)
        check_numbers("frame_columns", [self.frame_columns], low=0, whole=True)

    def scaler(self, X: np.ndarray, sample_weight: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Mean and scale (D,) of all clips' own frames."""
        frames, own = split_rows(X, self.frame_columns)
        return scaler_of(frames[own], _of_frames(own, sample_weight))

    def standardise(self, X: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """Rows (N, 1 + M * D) of which each frame is standardised."""
        return standardised_rows(X, self.frame_columns, mean, scale)

    def split_scalers(
        self, Z: np.ndarray, splits: list[tuple[np.ndarray, np.ndarray]], sample_weight: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mean and scale, each (S, D + 1), of what `inputs` has; its last column is left as it is."""
        frames, own = split_rows(Z, self.frame_columns)
        clip_of = np.nonzero(own)[0]
        by_frame = [
            (np.flatnonzero(np.isin(clip_of, train)), np.flatnonzero(np.isin(clip_of, val))) for train, val in splits
        ]
        means, scales = super().split_scalers(frames[own], by_frame, _of_frames(own, sample_weight))
        return np.pad(means, ((0, 0), (0, 1))), np.pad(scales, ((0, 0), (0, 1)), constant_values=1.0)

    def inputs(self, Z: np.ndarray) -> torch.Tensor:
        """(N, M, D + 1) float32: frames, and in the last column 0 where one is the clip's own, else -infinity."""
        import torch

        frames, own = split_rows(Z, self.frame_columns)
        mask = np.where(own, np.float32(0), np.float32(-np.inf))
        return torch.from_numpy(np.concatenate([frames, mask[:, :, None]], axis=2))

    def recipe_for(self, width: int, learning_rate: float, n_rows: int) -> AttentionRecipe:
        """As the MLP's, with attention before it."""
        from soundprobe.heads.attention_training import AttentionRecipe

        perceptron = super().recipe_for(width, learning_rate, n_rows)
        return AttentionRecipe(**vars(perceptron), attention_width=self.attention_width)

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """(N, C) float64, rows that sum to 1, from rows of any number of frames."""
        return self.proba_of(check_array(X, dtype=np.float32)) if self.frame_columns else super().predict_proba(X)

    def proba_rows(self, Z: np.ndarray) -> np.ndarray:
        return attention_proba(self, Z)


def _of_frames(own: np.ndarray, sample_weight: np.ndarray | None) -> np.ndarray | None:
    """Each clip's weight for each of its `own` (N, M) frames."""
    return None if sample_weight is None else np.repeat(sample_weight, own.sum(axis=1))

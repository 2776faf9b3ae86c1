"""Classifiers on frozen embeddings that choose their own settings, from the rows that they are fitted on alone.

`LinearHead`, `MLPHead`, `KNNHead` and `AttentionHead` are scikit-learn's classifiers; they are imported on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from soundprobe.heads.attention import AttentionHead as AttentionHead
    from soundprobe.heads.knn import KNNHead as KNNHead
    from soundprobe.heads.linear import LinearHead as LinearHead
    from soundprobe.heads.mlp import MLPHead as MLPHead

_HOMES = {"AttentionHead": "attention", "KNNHead": "knn", "LinearHead": "linear", "MLPHead": "mlp"}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

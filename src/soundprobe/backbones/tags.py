"""The classes that a pretrained backbone was trained on, as its own classifier hears them: tags without any training.

Every backbone that has them makes them of its embedding, so embeddings that are there need no second pass over the
clips.

Letters: N clips, D the embedding's dimension, C tags.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from soundprobe.backbones.catalog import BACKBONES
from soundprobe.backbones.load import misfits
from soundprobe.backbones.spec import PRETRAINED
from soundprobe.backbones.weights.state_dicts import load_state_dict
from soundprobe.backbones.weights.verify import fetch
from soundprobe.base.errors import ConfigError, WeightsError
from soundprobe.base.registry import resolve


@dataclass(frozen=True, eq=False)
class TagHead:
    """A published network's last layers, which asks for nothing but its embeddings.

    Attributes:
        names: C tags; layers: (N, D) embeddings to (N, C) logits, on the CPU, each a yes or no of its own.
    """

    names: tuple[str, ...]
    layers: nn.Module

    @property
    def classes_(self) -> np.ndarray:
        """(C,) int64, as scikit-learn's classifiers have it."""
        return np.arange(len(self.names))

    def predict_proba(self, features: np.ndarray) -> np.ndarray:
        """(N, D) float32 embeddings to (N, C) float64 probabilities, which don't sum to 1."""
        with torch.inference_mode():
            logits = self.layers(torch.from_numpy(np.ascontiguousarray(features, dtype=np.float32)))
            return logits.double().sigmoid().numpy()


def load_tag_head(backbone: str, weights: str | Path | None = None, *, progress: bool = True) -> TagHead:
    """The classifier in a backbone's published file.

    Args:
        weights: "pretrained" (the default) or a file's path.

    Raises:
        ConfigError, WeightsError: see `Backbones.tagging`; or the file holds no such classifier.
    """
    spec = BACKBONES.tagging(backbone, weights)
    if weights not in (None, PRETRAINED):
        file = Path(str(weights))
    elif spec.weights is not None:
        file = fetch(spec.weights, progress=progress)
    else:
        raise WeightsError(f"{backbone} gets its weights itself, so its classifier is not known. Give --weights FILE.")
    target = resolve(spec.target, f"backbone {backbone!r}")
    names = tuple(resolve(spec.tags, f"the tags of {backbone!r}"))
    if not hasattr(target, "tag_head"):
        raise ConfigError(f"backbone {backbone!r}: it has tags, but {spec.target} has no tag_head. Add it.")
    layers, tensors = target.tag_head(load_state_dict(file))
    if problems := misfits(layers.state_dict(), tensors):
        raise WeightsError(
            f"{file} has no classifier of {spec.title}: {'; '.join(problems)}. Give the published file, or leave "
            "--weights out."
        )
    layers.load_state_dict(tensors)
    head = TagHead(names, layers.eval())
    given = head.predict_proba(np.zeros((1, spec.embedding_dim), dtype=np.float32)).shape[1]
    if given != len(names):
        raise ConfigError(f"backbone {backbone!r}: {len(names)} tags for {given} logits. Name each of them.")
    return head

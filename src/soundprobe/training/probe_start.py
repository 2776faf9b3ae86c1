"""LP-FT (Kumar et al. 2022, arXiv 2202.10054): the head starts from the linear probe's solution.

A random head sends random gradients into the backbone and bends its features before it has learnt anything; one that
already fits them doesn't.
Letters: D the embedding's dimension, C classes, K of them among the training clips.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from soundprobe.heads.linear import LinearHead
from soundprobe.training.evaluating import embed
from soundprobe.training.inputs import ClipsPart
from soundprobe.training.networks import FinetunedNetwork

ABSENT = 10.0
"""A class without training clips begins with a logit this far below the others'."""


def start_from_probe(
    network: FinetunedNetwork, training: ClipsPart, *, device: torch.device, batch_size: int, seed: int
) -> dict[str, Any]:
    """Fits the linear probe on the training clips' embeddings and puts it in the head's place, its scaler folded in.

    Returns:
        What the probe chose on its own inner splits, for the record.
    """
    network.to(device)
    features = embed(network, training, device, batch_size)
    probe = LinearHead(seed=seed).fit(features, training.labels, groups=training.recordings)
    weights, bias = folded(probe)
    state = network.head.state_dict()
    state["weight"].zero_()
    state["bias"].fill_(float(bias.min()) - ABSENT)
    present = torch.from_numpy(probe.classes_.astype(np.int64))
    state["weight"][present] = torch.from_numpy(weights.T).to(state["weight"])
    state["bias"][present] = torch.from_numpy(bias).to(state["bias"])
    return {"probe_strength": probe.chosen_["strength"]}


def folded(probe: LinearHead) -> tuple[np.ndarray, np.ndarray]:
    """Weights (D, K) and bias (K,) float32 that act on features as they are, from those on standardised ones."""
    weights = probe.weights_.astype(np.float64) / probe.scale_[:, None]
    bias = probe.bias_ - probe.mean_.astype(np.float64) @ weights
    return weights.astype(np.float32), bias.astype(np.float32)

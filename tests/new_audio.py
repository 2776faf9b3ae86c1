"""Predictors made without files, and the sounds that they know."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from soundprobe.backbones.load import LoadedBackbone
from soundprobe.embeddings.forward import embed_waves, stacked
from soundprobe.heads.catalog import make_head
from soundprobe.predicting.predictor import Member, Predictor
from sounds import tone

NAMES = ("low", "middle", "high")
CPU = torch.device("cpu")


def tone_clip(label: int, seconds: float, seed: int) -> np.ndarray:
    """(T,) float32 at `sounds.RATE_HZ`, of the class `NAMES[label]`: a tone, detuned for each seed."""
    detuned = np.random.default_rng(seed).uniform(0.8, 1.25)
    return tone(300 * 2**label * detuned, seconds, seed)


def predictor_on(backbone: LoadedBackbone, waves: list[np.ndarray], labels: list[int]) -> Predictor:
    """A linear head on the embeddings of waves at the backbone's rate."""
    features = embed_waves(backbone.network, *stacked(waves, backbone.input_samples(2.0)), CPU)
    head = make_head("linear", strengths=[1.0])
    head.fit(features, np.array(labels), groups=np.array([str(row) for row in range(len(labels))]))
    return Predictor(Path("run"), NAMES, (Member((backbone,), (head,)),), CPU, trained_s=2.0)

"""What a network says of clips: probabilities and loss, in eval mode, without augmentation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  (torch's own abbreviation)
from torch import Tensor

from soundprobe.training.inputs import ClipsPart
from soundprobe.training.networks import FinetunedNetwork, probabilities


@dataclass(frozen=True)
class Judgement:
    """Letters: n clips, C classes.

    Attributes:
        proba: (n, C) float32; loss: mean cross-entropy in nats, without label smoothing or weights; accuracy: a share.
    """

    proba: np.ndarray
    loss: float
    accuracy: float


def clip_losses(logits: Tensor, votes: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """(B,) cross-entropy of logits (B, S, C) against targets (B, C), shares of classes: the mean over the segments.

    Args:
        votes: (B, S), rows that sum to 1: the segments' weights in that mean.
    """
    batch, segments, classes = logits.shape
    every = targets[:, None].expand(batch, segments, classes).flatten(0, 1)
    losses = F.cross_entropy(logits.float().flatten(0, 1), every, reduction="none", label_smoothing=label_smoothing)
    return (losses.view(batch, segments) * votes).sum(dim=1)


def judge(
    network: FinetunedNetwork, part: ClipsPart, device: torch.device, batch_size: int, half: torch.dtype | None = None
) -> Judgement:
    """The network's answer to the clean clips of `part`, in float32, or with the 16-bit type `half` where it helps."""
    network.eval()
    proba, losses = [], []
    with torch.inference_mode():
        for start in range(0, len(part), batch_size):
            which = np.arange(start, min(start + batch_size, len(part)))
            spectrogram = part.spectrograms(which).to(device)
            with torch.autocast(device.type, dtype=half, enabled=half is not None):
                logits = network(spectrogram)
            votes = network.votes(spectrogram)
            targets = F.one_hot(torch.from_numpy(part.labels[which]), logits.shape[-1]).float().to(device)
            losses.append(clip_losses(logits, votes, targets).cpu())
            proba.append(probabilities(logits, votes).cpu())
    answers = torch.cat(proba).numpy()
    return Judgement(
        proba=answers,
        loss=float(torch.cat(losses).double().mean()),
        accuracy=float((answers.argmax(axis=1) == part.labels).mean()),
    )


def embed(network: FinetunedNetwork, part: ClipsPart, device: torch.device, batch_size: int) -> np.ndarray:
    """(n, D) float32 embeddings of the clean clips of `part`, as a frozen probe sees them."""
    network.eval()
    found = []
    with torch.inference_mode():
        for start in range(0, len(part), batch_size):
            which = np.arange(start, min(start + batch_size, len(part)))
            spectrogram = part.spectrograms(which).to(device)
            found.append(network.backbone.embed_spectrogram(spectrogram).float().cpu())
    return torch.cat(found).numpy()

"""A network's sanity check: it must be able to learn a few real clips by heart."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from soundprobe.backbones.load import LoadedBackbone

RATE_HZ = 22_050


def real_seconds(shared: Path) -> tuple[Tensor, Tensor]:
    """20 clips of UrbanSound8K's fold 1: (20, 22050) float32, the middle second, and (20,) labels, 2 of each class."""
    chosen: dict[int, list[Path]] = defaultdict(list)
    for path in sorted((shared / "data" / "UrbanSound8K" / "audio" / "fold1").glob("*.wav")):
        label = int(path.name.split("-")[1])
        if len(chosen[label]) < 2:
            chosen[label].append(path)
    assert {label: len(paths) for label, paths in chosen.items()} == dict.fromkeys(range(10), 2)
    waves, labels = [], []
    for label, paths in chosen.items():
        for path in paths:
            wave, rate = soundfile.read(path, dtype="float32")
            assert rate == RATE_HZ
            middle = (len(wave) - RATE_HZ) // 2
            waves.append(wave[middle : middle + RATE_HZ])
            labels.append(label)
    return torch.from_numpy(np.stack(waves)), torch.tensor(labels)


def overfit(backbone: LoadedBackbone, shared: Path, *, steps: int, lr: float) -> tuple[float, float]:
    """Cross-entropy of a linear head on the embedding, in eval mode, before and after `steps` of Adam on 20 clips."""
    module = backbone.network
    wave, labels = real_seconds(shared)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        head = nn.Linear(backbone.spec.embedding_dim, 10)
        spectrogram = module.spectrogram(wave)
        optimiser = torch.optim.Adam([*module.parameters(), *head.parameters()], lr=lr)
        before = _loss(module, head, spectrogram, labels)
        module.train()
        for _ in range(steps):
            optimiser.zero_grad()
            cross_entropy(head(module.embed_spectrogram(spectrogram)), labels).backward()
            optimiser.step()
        _settle(module, spectrogram)
    return before, _loss(module, head, spectrogram, labels)


def _settle(module: nn.Module, spectrogram: Tensor) -> None:
    """To eval mode, with BatchNorm's statistics of the weights as they are: the running ones lag behind."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()
            layer.momentum = None  # an average over all that it sees from here
    with torch.no_grad():
        module.embed_spectrogram(spectrogram)
    module.eval()


def _loss(module: nn.Module, head: nn.Module, spectrogram: Tensor, labels: Tensor) -> float:
    with torch.inference_mode():
        return cross_entropy(head(module.embed_spectrogram(spectrogram)), labels).item()

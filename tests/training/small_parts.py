"""A small network and clips for it, without any audio."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from soundprobe.backbones.protocol import SpectrogramBackbone
from soundprobe.training.inputs import ClipsPart, ClipsTable, Inputs
from soundprobe.training.networks import FinetunedNetwork

BANDS, FRAMES, CLASSES, WIDTH = 6, 10, 3, 5


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x)).relu()


class TwoBlocks(SpectrogramBackbone):
    """Two blocks with BatchNorm; the dropout after each is the network's own, as in PANNs. `unused` is as it says."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.blocks = nn.Sequential(Block(1, 4), Block(4, 4))
        self.fc = nn.Linear(4, WIDTH)
        self.unused = nn.Linear(WIDTH, 7)
        self.share = dropout
        self.dropout_was_on: list[bool] = []

    def spectrogram(self, wave: Tensor, lengths: Tensor | None = None) -> Tensor:
        return wave.unflatten(1, (BANDS, FRAMES))

    def embed_spectrogram(self, spectrogram: Tensor) -> Tensor:
        x = spectrogram.unsqueeze(1)
        self.dropout_was_on = []
        for block in self.blocks:
            x = block(x)
            self.dropout_was_on.append(self.training)
            x = nn.functional.dropout(x, self.share, training=self.training)
        return self.fc(x.mean(dim=(2, 3)))


def small_network(dropout: float = 0.0, seed: int = 0) -> FinetunedNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return FinetunedNetwork(TwoBlocks(dropout), WIDTH, CLASSES, dropout=dropout, seed=seed)


def small_part(clips: int = 24, seed: int = 0, *, waves: bool = False) -> ClipsPart:
    """Clips of 3 classes that differ in their spectrogram's level; 2 clips of each recording."""
    rng = np.random.default_rng(seed)
    labels = np.arange(clips) % CLASSES
    levels = labels[:, None, None] + 0.3 * rng.normal(size=(clips, BANDS, FRAMES))
    spectrograms = levels.astype(np.float32)
    flat = spectrograms.reshape(clips, -1) if waves else None
    inputs = Inputs(spectrograms, flat, np.full(clips, BANDS * FRAMES), BANDS * FRAMES, {})
    groups = np.array([f"r{label}-{row // CLASSES // 2}" for row, label in enumerate(labels)])
    ids = np.array([f"c{row:02d}" for row in range(clips)])
    table = ClipsTable(ids, labels, np.ones(clips, dtype=np.int64), groups, np.ones(clips, dtype=np.float32))
    return table.part(inputs, np.arange(clips))

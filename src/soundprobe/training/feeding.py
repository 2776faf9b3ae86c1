"""Training batches: order, augmentation, targets; all random numbers come from (seed, fold, epoch).

Letters: B clips of a batch, T samples, F mel bands, M frames, C classes, n training clips.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  (torch's own abbreviation)
from torch import Tensor

from soundprobe.augment.compose import Augmentations, NotFiniteError, build_augmentations
from soundprobe.augment.noise_bank import NoiseBank
from soundprobe.base.errors import TrainingError
from soundprobe.training.inputs import ClipsPart
from soundprobe.training.networks import FinetunedNetwork
from soundprobe.training.recipes import FinetuneRecipe

TINY = 1e-12
"""Keeps the shares of a clip whose weight is 0 from being 0 / 0."""

NOISE_CLIPS = 512
"""At most so many training clips are kept in memory to draw background noise from."""


def augmentations_of(recipe: FinetuneRecipe) -> Augmentations:
    """What the recipe's `[augment.<name>]` tables do, in their order.

    Raises:
        ConfigError: an unknown augmentation, field or value.
    """
    return build_augmentations([{"name": name, **settings} for name, settings in recipe.augment.items()])


@contextmanager
def seeded(seed: int, fold: int, epoch: int, device: torch.device) -> Iterator[torch.Generator]:
    """An epoch's own random numbers: a generator on the CPU, and torch's global ones (dropout) for the block.

    They hang on nothing that came before, so an epoch that is begun again after a kill is the same epoch. The caller's
    random state is as it was after the block.
    """
    number = int.from_bytes(hashlib.sha256(f"{seed}/{fold}/{epoch}".encode()).digest()[:7], "big")
    with torch.random.fork_rng(devices=[torch.cuda.current_device()] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(number)
        if device.type == "cuda":
            torch.cuda.manual_seed(number)
        yield torch.Generator().manual_seed(number)


def batches_of(order: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """`order` (n,) cut into batches; a single clip at the end joins the batch before it, for BatchNorm's sake."""
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [np.concatenate(batches[-2:])]
    return batches


class Feed:
    """Training clips as the network is shown them. Where no waveform is changed, their clean spectrograms are read.

    Noise, where it is drawn from recordings, is drawn from these training clips and no others.
    """

    def __init__(
        self,
        training: ClipsPart,
        augmentations: Augmentations,
        network: FinetunedNetwork,
        *,
        sample_rate_hz: int,
        device: torch.device,
        seed: int,
    ) -> None:
        self.training, self.augmentations, self.network = training, augmentations, network
        self.sample_rate_hz, self.device = sample_rate_hz, device
        self.classes = network.head.out_features
        self.changes_waves = any(True for _ in augmentations.of_stage("wave"))
        self.noise = noise_bank(training, seed) if augmentations.needs_noise else None

    def batch(self, which: np.ndarray, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Spectrogram (B, F, M), targets (B, C) as shares of classes, and weights (B,), of the clips `which` (B,).

        Raises:
            TrainingError: an augmentation gave NaN or infinity for one of them.
        """
        try:
            return self._batch(which, generator)
        except NotFiniteError as error:
            named = ", ".join(repr(str(self.training.ids[which[row]])) for row in error.rows[:3])
            raise TrainingError(f"Of {named}: {error}") from error

    def _batch(self, which: np.ndarray, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        part, rows = self.training, torch.from_numpy(which)
        spectrogram, lengths = self._spectrogram(which, generator)
        frames = (lengths / part.inputs.samples * spectrogram.shape[2]).ceil().long().clamp(min=1)
        spectrogram = self.augmentations.spectrogram(spectrogram, generator, frames)
        # Weighted before they are mixed, so that each clip of a mixture keeps its own weight.
        targets = (
            F.one_hot(torch.from_numpy(part.labels)[rows], self.classes) * torch.from_numpy(part.weights)[rows, None]
        )
        spectrogram, weighted = self.augmentations.mix(spectrogram, targets.float().to(self.device), generator)
        weights = weighted.sum(dim=1)  # (B,)
        return spectrogram, weighted / weights.clamp(min=TINY)[:, None], weights

    def _spectrogram(self, which: np.ndarray, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Spectrogram (B, F, M) and lengths (B,) in samples, after the waveform's augmentations."""
        part = self.training
        if not self.changes_waves:
            lengths = torch.from_numpy(part.inputs.lengths[part.rows[which]])
            return part.spectrograms(which).to(self.device), lengths.to(self.device)
        wave, lengths = (tensor.to(self.device) for tensor in part.waves(which))
        recordings = torch.from_numpy(part.recordings[which])
        wave, lengths = self.augmentations.wave(
            wave, lengths, self.sample_rate_hz, generator, noise=self.noise, recordings=recordings
        )
        with torch.no_grad():
            return self.network.backbone.spectrogram(wave, lengths), lengths


def noise_bank(training: ClipsPart, seed: int) -> NoiseBank:
    """Up to `NOISE_CLIPS` of the training clips, drawn with `seed`."""
    which = np.sort(np.random.default_rng(seed).permutation(len(training))[:NOISE_CLIPS])
    waves, lengths = training.waves(which)
    return NoiseBank(waves, torch.from_numpy(training.recordings[which]), lengths)

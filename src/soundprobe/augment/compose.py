"""The augmentations of a recipe, in its order, as the training loop calls them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from soundprobe.augment.background_noise import BackgroundNoise
from soundprobe.augment.catalog import AUGMENTATIONS, Stage, make_augmentation
from soundprobe.augment.noise_bank import NoiseBank
from soundprobe.base.errors import ConfigError, TrainingError


@dataclass(frozen=True)
class Augmentations:
    """What a recipe does to training batches, and to nothing else: validation and test clips never pass through here.

    Letters: B clips, T samples, F mel bands, M frames, C classes. Batches are not changed in place. All random numbers
    come from the `generator` handed in: with the same state of it, the same batch gives the same result.

    Attributes:
        steps: (name, augmentation) in the recipe's order; within a stage they are applied in it.
    """

    steps: tuple[tuple[str, Any], ...] = ()

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def needs_noise(self) -> bool:
        """Whether `wave` needs a bank of training clips."""
        return any(isinstance(step, BackgroundNoise) and not step.folder for step in self.of_stage("wave"))

    def of_stage(self, stage: Stage) -> Iterator[Any]:
        """The augmentations that act on `stage`, in order."""
        return (step for _, step in self._named(stage))

    def _named(self, stage: Stage) -> Iterator[tuple[str, Any]]:
        return ((name, step) for name, step in self.steps if AUGMENTATIONS[name].stage == stage)

    def tables(self) -> list[dict[str, Any]]:
        """The recipe's tables again, with every default written out: what a run records and its key covers."""
        return [{"name": name, **asdict(step)} for name, step in self.steps]

    @torch.no_grad()
    def wave(
        self,
        wave: Tensor,
        lengths: Tensor,
        sample_rate_hz: int,
        generator: torch.Generator,
        *,
        noise: NoiseBank | None = None,
        recordings: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Wave (B, T) float32 at `sample_rate_hz` and lengths (B,) int64, augmented.

        Args:
            noise: training clips to draw noise from, needed where `needs_noise`.
            recordings: (B,) int64, the source recording of each clip, numbered as the bank's.
        """
        for name, step in self._named("wave"):
            if isinstance(step, BackgroundNoise):
                wave, lengths = step(wave, lengths, sample_rate_hz, generator, noise=noise, recordings=recordings)
            else:
                wave, lengths = step(wave, lengths, sample_rate_hz, generator)
            _check_finite(name, wave)
        return wave, lengths

    @torch.no_grad()
    def spectrogram(self, spectrogram: Tensor, generator: torch.Generator, frames: Tensor | None = None) -> Tensor:
        """Spectrogram (B, F, M), augmented; frames (B,) int64 says how many of each clip are audio."""
        for name, step in self._named("spectrogram"):
            spectrogram = step(spectrogram, generator, frames)
            _check_finite(name, spectrogram)
        return spectrogram

    @torch.no_grad()
    def mix(self, inputs: Tensor, targets: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Waves or spectrograms (B, ...) and one-hot or soft targets (B, C) float, mixed among the batch."""
        for name, step in self._named("batch"):
            inputs, targets = step(inputs, targets, generator)
            _check_finite(name, inputs)
            _check_finite(name, targets)
        return inputs, targets


class NotFiniteError(TrainingError):
    """An augmentation gave NaN or infinity for the clips at `rows` of its batch."""

    def __init__(self, name: str, rows: Sequence[int]) -> None:
        super().__init__(f"[augment.{name}] gives NaN or infinity. Mend it, or leave it out.")
        self.rows = rows


def _check_finite(name: str, batch: Tensor) -> None:
    """Raises NotFiniteError where a number of `batch` (B, ...) is none."""
    finite = batch.isfinite().flatten(1).all(dim=1)
    if not bool(finite.all()):
        raise NotFiniteError(name, (~finite).nonzero()[:, 0].tolist())


def build_augmentations(tables: Sequence[Mapping[str, Any]]) -> Augmentations:
    """The augmentations of a recipe's `[augment.<name>]` tables, each here with its `name` among its settings.

    Raises:
        ConfigError: a table has no name, or as `make_augmentation`.
    """
    steps = []
    for table in tables:
        if not isinstance(table.get("name"), str):
            raise ConfigError(
                f"Augmentation {dict(table)!r} has no name. Available: {', '.join(sorted(AUGMENTATIONS))}."
            )
        settings = {field: value for field, value in table.items() if field != "name"}
        steps.append((table["name"], make_augmentation(table["name"], **settings)))
    return Augmentations(tuple(steps))

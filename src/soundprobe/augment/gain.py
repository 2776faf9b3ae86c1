"""Gain: the same sound, nearer or farther, or with the recorder turned up or down."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from soundprobe.augment.draws import chosen, uniform
from soundprobe.augment.settings import check_range


@dataclass(frozen=True)
class Gain:
    """Makes each clip louder or quieter by its own draw, uniform in ± `max_gain_db`.

    Physics: g dB multiply the pressure by 10^(g / 20): 6.02 dB double it. On a log-mel spectrogram this adds a
    constant, as long as no band lies at the front end's floor. Samples may come to lie beyond ±1: clipping them would
    add harmonics that the microphone never heard.

    Source: EfficientAT's ESC-50 recipe, ±12 dB.

    Attributes:
        max_gain_db: 0 to 60.
        probability: that a clip's level is changed.
    """

    max_gain_db: float = 6.0
    probability: float = 0.5

    def __post_init__(self) -> None:
        check_range("gain.max_gain_db", self.max_gain_db, 0, 60)
        check_range("gain.probability", self.probability, 0, 1)

    def __call__(
        self, wave: Tensor, lengths: Tensor, sample_rate_hz: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Wave (B, T) float32 and lengths (B,) int64 to the louder or quieter wave and the same lengths."""
        gain_db = uniform(-self.max_gain_db, self.max_gain_db, (len(wave),), generator)
        gain_db = torch.where(chosen(self.probability, len(wave), generator), gain_db, 0.0)
        return amplify(wave, gain_db), lengths


def amplify(wave: Tensor, gain_db: Tensor) -> Tensor:
    """Wave (B, T) with clip b louder by gain_db[b]; 0 dB leaves it bit for bit as it is."""
    return wave * (10 ** (gain_db.to(wave) / 20))[:, None]

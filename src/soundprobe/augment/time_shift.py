"""Time shift: the same sound, heard earlier or later in the clip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from soundprobe.augment.draws import chosen, whole_up_to, within
from soundprobe.augment.settings import check_choice, check_range

Fill = Literal["roll", "silence"]


@dataclass(frozen=True)
class TimeShift:
    """Shifts each clip in time by its own draw, uniform in ± `max_shift_s`.

    Physics: y(t) = x(t - s). Where an annotator began to cut says nothing of what sounds, so the class stays. "roll"
    brings what leaves the clip back at its other end: nothing is lost, but there is a seam where end meets beginning.
    "silence" has no seam but loses what leaves, so it shifts a clip by half of its own length at most.
    The shift happens within a clip's own length: its padding stays where it is.

    Source: the rolling of EfficientAT's and PaSST's ESC-50 recipes (4,000 samples at 32 kHz are 0.125 s).

    Attributes:
        max_shift_s: seconds, 0 to 60.
        fill: what takes the place of what moved.
        probability: that a clip is shifted.
    """

    max_shift_s: float = 0.5
    fill: Fill = "roll"
    probability: float = 0.5

    def __post_init__(self) -> None:
        check_range("time_shift.max_shift_s", self.max_shift_s, 0, 60)
        check_choice("time_shift.fill", self.fill, get_args(Fill))
        check_range("time_shift.probability", self.probability, 0, 1)

    def __call__(
        self, wave: Tensor, lengths: Tensor, sample_rate_hz: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Wave (B, T) float32 and lengths (B,) int64 to the shifted wave and the same lengths."""
        limit = torch.full_like(lengths, round(self.max_shift_s * sample_rate_hz))
        if self.fill == "silence":
            limit = torch.minimum(limit, lengths // 2)
        shift = whole_up_to(2 * limit, generator) - limit.to(generator.device)
        shift = torch.where(chosen(self.probability, len(wave), generator), shift, 0)
        return shift_time(wave, lengths, shift, self.fill), lengths


def shift_time(wave: Tensor, lengths: Tensor, shift: Tensor, fill: Fill) -> Tensor:
    """Wave (B, T) with clip b moved later by shift[b] samples (earlier where negative) within its lengths[b]."""
    time = torch.arange(wave.shape[1], device=wave.device)
    own = lengths.to(wave.device)[:, None]
    source = time - shift.to(wave.device)[:, None]  # (B, T): the sample that comes to stand here
    audio = within(own[:, 0], wave.shape[1])
    if fill == "roll":
        return wave.gather(1, torch.where(audio, source % own.clamp(min=1), time))
    moved = wave.gather(1, source.clamp(0, wave.shape[1] - 1))
    moved = moved.masked_fill((source < 0) | (source >= own), 0.0)
    return torch.where(audio, moved, wave)

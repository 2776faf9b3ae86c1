"""SpecAugment's masks: some bands and some moments of the spectrogram are hidden."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from soundprobe.augment.draws import chosen, whole_up_to
from soundprobe.augment.settings import check_range
from soundprobe.base.errors import ConfigError


@dataclass(frozen=True)
class SpecAugment:
    """Hides mel bands and frames of each clip, drawn for each.

    Physics: a band mask is a notch filter, a time mask a drop-out. A network that must do without any one of them can't
    lean on a single band or a single moment. A mask's width is drawn uniformly from 0 to its limit and its place
    uniformly from where it fits; masks may overlap. The paper's time warping is left out: it finds it the least useful.

    Source: Park et al. 2019, arXiv 1904.08779. AST's ESC-50 recipe: one mask of up to 24 of 128 bands, and one of up to
    96 of 512 frames.

    Attributes:
        frequency_masks, time_masks: how many, 0 to 20 each.
        max_bands: the widest frequency mask, in mel bands; not more than there are.
        max_frames: the widest time mask, in frames.
        max_time_share: no time mask hides more than this share of a clip's frames (the paper's p), 0 to 1.
        fill_value: what stands under a mask; left out, the mean of the clip's spectrogram.
        probability: that a clip is masked.
    """

    frequency_masks: int = 2
    max_bands: int = 16
    time_masks: int = 2
    max_frames: int = 32
    max_time_share: float = 0.25
    fill_value: float | None = None
    probability: float = 1.0

    def __post_init__(self) -> None:
        check_range("spec_augment.frequency_masks", self.frequency_masks, 0, 20)
        check_range("spec_augment.max_bands", self.max_bands, 0, 10_000)
        check_range("spec_augment.time_masks", self.time_masks, 0, 20)
        check_range("spec_augment.max_frames", self.max_frames, 0, 1_000_000)
        check_range("spec_augment.max_time_share", self.max_time_share, 0, 1)
        check_range("spec_augment.probability", self.probability, 0, 1)

    def __call__(self, spectrogram: Tensor, generator: torch.Generator, frames: Tensor | None = None) -> Tensor:
        """Spectrogram (B, F, M) to the same with masks.

        Args:
            frames: (B,) int64, the frames of each clip that are audio: time masks lie there, and so does the mean.
                None takes all M.

        Raises:
            ConfigError: `max_bands` is more than F.
        """
        clips, bands, width = spectrogram.shape
        if self.max_bands > bands:
            raise ConfigError(
                f"spec_augment.max_bands = {self.max_bands} is more than the spectrogram's {bands} mel bands: "
                f"give 0 to {bands}."
            )
        frames = torch.full((clips,), width) if frames is None else frames.clamp(max=width)
        every, widest = torch.full((clips,), bands), torch.full((clips,), self.max_bands)
        longest = (frames * self.max_time_share).long().clamp(max=self.max_frames)
        in_band = draw_masks(every, widest, self.frequency_masks, bands, generator)  # (B, F)
        in_time = draw_masks(frames, longest, self.time_masks, width, generator)  # (B, M)
        picked = chosen(self.probability, clips, generator)
        hidden = (in_band[:, :, None] | in_time[:, None]) & picked[:, None, None]
        fill = clip_means(spectrogram, frames) if self.fill_value is None else self.fill_value
        return torch.where(hidden.to(spectrogram.device), fill, spectrogram)


def draw_masks(room: Tensor, limit: Tensor, masks: int, size: int, generator: torch.Generator) -> Tensor:
    """(B, size) bool: `masks` spans for each clip, each at most limit (B,) wide, within the first room (B,) places."""
    room, limit = (one.to(generator.device)[:, None].expand(-1, masks) for one in (room, limit))
    width = whole_up_to(limit, generator)  # (B, masks)
    start = whole_up_to(room - width, generator)
    place = torch.arange(size, device=generator.device)
    return ((place >= start[..., None]) & (place < (start + width)[..., None])).any(dim=1)


def clip_means(spectrogram: Tensor, frames: Tensor) -> Tensor:
    """(B, 1, 1): the mean of each clip's spectrogram (B, F, M) over its first frames (B,)."""
    own = frames.to(spectrogram.device).clamp(min=1)[:, None, None]
    audio = torch.arange(spectrogram.shape[2], device=spectrogram.device) < own  # (B, 1, M)
    total = spectrogram.masked_fill(~audio, 0.0).sum(dim=(1, 2), keepdim=True)
    return total / (own * spectrogram.shape[1])

"""Pitch shift: the same events at the same times, sounding higher or lower."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor
from torchaudio.functional import phase_vocoder, resample

from soundprobe.augment.draws import chosen, whole_up_to, within
from soundprobe.augment.settings import check_range
from soundprobe.base.errors import ConfigError

WINDOW_S = 0.04
"""Of the transform: long enough to part the partials of a 100 Hz hum, short enough not to smear a bark."""
LARGEST_DENOMINATOR = 32


@dataclass(frozen=True)
class PitchShift:
    """Raises or lowers each clip by its own draw: ± a multiple of `step_semitones`, up to `max_semitones`, never 0.

    Physics: s semitones multiply all frequencies by r = 2^(s / 12). A phase vocoder makes the clip r times as long at
    the same pitch: it keeps each frame's magnitudes and lets each bin's phase run on at the rate at which it ran.
    Played r times as fast, the clip has its old length and r times its frequencies. What would pass half the sample
    rate is filtered out. Each bin then takes the phase of its own and its neighbours' sum, which undoes part of what
    the vocoder does to their relation: a noise loses 2 dB instead of 4, but clicks and shots still lose their edge.

    Cost: by far the dearest augmentation: 20 to 35 ms for a clip of 4 s at 32 kHz on one CPU core, two thirds of what
    mn04's whole training step takes there; docs/augmentations.md has them all. r is rounded to a fraction of small
    numbers (within 5 cents, a twentieth of a semitone), because resampling by p / q takes p + q products for each
    sample: torchaudio's own `pitch_shift` needs seconds for a clip wherever its two rates have no common divisor.
    All clips of one step go through it together.

    Source: Flanagan and Golden 1966 (the vocoder); Puckette 1995 (its loose phase locking); Salamon and Bello 2017,
    arXiv 1608.04363 (steps of ±1, ±2, ±2.5 and ±3.5 semitones on UrbanSound8K).

    Attributes:
        max_semitones: 0 to 12.
        step_semitones: 0.25 to 12, at most `max_semitones`: fewer steps make larger groups.
        probability: that a clip is shifted.
    """

    max_semitones: float = 2.0
    step_semitones: float = 0.5
    probability: float = 0.5

    def __post_init__(self) -> None:
        check_range("pitch_shift.max_semitones", self.max_semitones, 0, 12)
        check_range("pitch_shift.step_semitones", self.step_semitones, 0.25, 12)
        check_range("pitch_shift.probability", self.probability, 0, 1)
        if 0 < self.max_semitones < self.step_semitones:
            raise ConfigError(
                f"pitch_shift.step_semitones = {self.step_semitones!r} is above max_semitones = "
                f"{self.max_semitones!r}, which leaves no step: give at most that."
            )

    def __call__(
        self, wave: Tensor, lengths: Tensor, sample_rate_hz: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Wave (B, T) float32 and lengths (B,) int64 to the shifted wave and the same lengths."""
        steps = self.draw_steps(len(wave), generator)
        shifted = wave.clone()
        for step in sorted(set(steps.tolist()) - {0}):
            rows = torch.nonzero(steps == step)[:, 0].to(wave.device)
            higher = shift_pitch(wave[rows], step * self.step_semitones, sample_rate_hz)
            audio = within(lengths.to(wave.device)[rows], wave.shape[1])  # the vocoder spills into the padding
            shifted[rows] = torch.where(audio, higher, wave[rows])
        return shifted, lengths

    def draw_steps(self, clips: int, generator: torch.Generator) -> Tensor:
        """(B,) int64: how many times `step_semitones` each clip goes up; 0 where it stays."""
        most = math.floor(self.max_semitones / self.step_semitones + 1e-9)
        every = torch.tensor([step for step in range(-most, most + 1) if step] or [0], device=generator.device)
        index = whole_up_to(torch.full((clips,), len(every) - 1), generator)
        return torch.where(chosen(self.probability, clips, generator), every[index], 0)


def shift_pitch(wave: Tensor, semitones: float, sample_rate_hz: int) -> Tensor:
    """Wave (B, T) float32 higher by `semitones`, of the same length; within 5 cents of it."""
    ratio = Fraction(2 ** (semitones / 12)).limit_denominator(LARGEST_DENOMINATOR)
    if ratio == 1:
        return wave
    stretched = stretch_time(wave, float(ratio), round(math.log2(WINDOW_S * sample_rate_hz)))
    # As if it had been recorded at p and were wanted at q = p / ratio, then played at the old rate.
    return resample(stretched, ratio.numerator, ratio.denominator)[:, : wave.shape[1]]


def stretch_time(wave: Tensor, factor: float, log2_window: int) -> Tensor:
    """Wave (B, T) float32 to (B, ceil(T * factor)): slower by `factor`, of the same pitch."""
    n_fft = 2**log2_window
    hop = n_fft // 4
    window = torch.hann_window(n_fft, device=wave.device)
    spectrum = torch.stft(wave, n_fft, hop, window=window, pad_mode="constant", return_complex=True)
    # How far the phase at each bin's centre runs in one hop: bin k turns k times in n_fft samples.
    advance = torch.linspace(0, math.pi * hop, n_fft // 2 + 1, device=wave.device)[:, None]
    slower = lock_phases(phase_vocoder(spectrum, 1 / factor, advance))
    return torch.istft(slower, n_fft, hop, window=window, length=math.ceil(wave.shape[1] * factor))


def lock_phases(spectrum: Tensor) -> Tensor:
    """Spectrum (B, F, M) complex with each bin's magnitude and the phase of its sum with its neighbours.

    A steady tone's neighbouring bins have opposite signs, because a frame's phase is counted from the frame's beginning
    and the window is symmetric about its middle: hence minus.
    """
    total = spectrum.clone()
    total[:, 1:] -= spectrum[:, :-1]
    total[:, :-1] -= spectrum[:, 1:]
    return total * (spectrum.abs() / total.abs().clamp(min=1e-12))

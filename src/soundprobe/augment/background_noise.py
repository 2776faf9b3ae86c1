"""Background noise: another recording heard beside the clip, at a drawn ratio of their powers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from soundprobe.augment.draws import chosen, uniform, whole_up_to, within
from soundprobe.augment.noise_bank import NoiseBank, check_folder, read_noise_folder
from soundprobe.augment.settings import check_range
from soundprobe.base.errors import ConfigError

SILENCE_POWER = 1e-12
"""Mean power, -120 dB below full scale; a 16-bit sample's last bit lies at -90 dB. Quieter noise is none."""


@dataclass(frozen=True)
class BackgroundNoise:
    """Adds to each clip a noise of its own, at its own SNR, uniform in dB from `min_snr_db` to `max_snr_db`.

    Physics: sounds that don't know of each other add as pressures. The signal-to-noise ratio is that of the mean
    powers, SNR = 10 log10(P_clip / P_noise), taken over the clip's own length; 0 dB is as loud as the clip.
    The noise begins at a drawn place and goes on from its beginning when it ends. A silent clip stays silent, and
    a clip stays as it is where the drawn noise is silent or where all noises are of its own recording.

    Source: Salamon and Bello 2017, arXiv 1608.04363 (four street scenes, weights drawn for each clip).

    Attributes:
        min_snr_db, max_snr_db: -20 to 80.
        folder: audio files to draw from; "" draws from the training clips.
        probability: that a clip gets noise.
    """

    min_snr_db: float = 5.0
    max_snr_db: float = 30.0
    folder: str = ""
    probability: float = 0.5

    def __post_init__(self) -> None:
        check_range("background_noise.min_snr_db", self.min_snr_db, -20, 80)
        check_range("background_noise.max_snr_db", self.max_snr_db, -20, 80)
        if self.min_snr_db > self.max_snr_db:
            raise ConfigError(
                f"background_noise.min_snr_db = {self.min_snr_db!r} is above max_snr_db = {self.max_snr_db!r}: "
                "give the lower one first."
            )
        check_range("background_noise.probability", self.probability, 0, 1)
        if self.folder:
            check_folder(self.folder)

    def __call__(
        self,
        wave: Tensor,
        lengths: Tensor,
        sample_rate_hz: int,
        generator: torch.Generator,
        *,
        noise: NoiseBank | None = None,
        recordings: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Wave (B, T) float32 and lengths (B,) int64 to the wave with noise and the same lengths.

        Args:
            noise: training clips at `sample_rate_hz`; not needed with a folder.
            recordings: (B,) int64, the clips' source recordings, numbered as the bank's; not needed with a folder.

        Raises:
            ConfigError, AudioError: the folder can't be read.
        """
        if self.folder:
            noise = read_noise_folder(self.folder, sample_rate_hz)
            recordings = torch.zeros_like(lengths)
        assert noise is not None, "background noise needs training clips to draw from"
        assert recordings is not None, "and the recordings of the batch, to draw none of its own"
        snr_db = uniform(self.min_snr_db, self.max_snr_db, (len(wave),), generator)
        picked = chosen(self.probability, len(wave), generator)
        drawn, allowed = draw_noise(noise, recordings, wave.shape[1], generator)
        mixed = mix_at_snr(wave, lengths, drawn.to(wave), snr_db)
        return torch.where((picked & allowed).to(wave.device)[:, None], mixed, wave), lengths


def draw_noise(bank: NoiseBank, recordings: Tensor, samples: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A noise of another recording for each of B clips.

    Returns:
        noise (B, samples) float32 on the bank's device, and (B,) bool on the generator's: whether there was another
        recording; where there was none, the row is not to be used.
    """
    own = recordings.to(generator.device)[:, None] == bank.recordings.to(generator.device)[None]  # (B, K)
    allowed = ~own.all(dim=1)
    weights = torch.where(allowed[:, None], ~own, True).float()  # a row of zeros would have nothing to draw
    row = torch.multinomial(weights, 1, generator=generator)[:, 0].to(bank.waves.device)
    every = torch.full_like(bank.recordings, bank.waves.shape[1]) if bank.lengths is None else bank.lengths
    length = every.to(row.device)[row]
    start = whole_up_to(length - 1, generator).to(row.device)
    place = (start[:, None] + torch.arange(samples, device=row.device)) % length[:, None]  # (B, samples)
    return bank.waves[row[:, None], place], allowed


def mix_at_snr(wave: Tensor, lengths: Tensor, noise: Tensor, snr_db: Tensor) -> Tensor:
    """Wave (B, T) plus noise (B, T) at snr_db (B,) over each clip's own length; silence on either side adds nothing."""
    audio = within(lengths.to(wave.device), wave.shape[1])
    noise = noise.masked_fill(~audio, 0.0)
    samples = audio.sum(dim=1).clamp(min=1)
    clip_power = wave.masked_fill(~audio, 0.0).square().sum(dim=1) / samples
    noise_power = noise.square().sum(dim=1) / samples
    wanted_power = clip_power * 10 ** (-snr_db.to(wave) / 10)
    scale = torch.where(noise_power > SILENCE_POWER, (wanted_power / noise_power.clamp(min=SILENCE_POWER)).sqrt(), 0.0)
    return wave + scale[:, None] * noise

"""Statistics of a log-mel spectrogram: what a network must beat, since there is none here and nothing is learnt."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from soundprobe.backbones.melspectrogram import LogMel
from soundprobe.backbones.protocol import Backbone

SAMPLE_RATE_HZ = 22_050
N_FFT = 2048
HOP = 512
MEL_BANDS = 128


class LogMelStats(nn.Module, Backbone):
    """Mean, standard deviation and maximum of each mel band over a clip's frames, and its deltas' standard deviation.

    Letters: B clips, T samples, F = 128 mel bands, M frames, D = 4 F = 512.

    Frames that are centred beyond the clip's own samples are left out: padding is no part of a clip.

    Args:
        clip_seconds: nothing depends on it.
    """

    def __init__(self, *, clip_seconds: float | None = None) -> None:
        super().__init__()
        self.log_mel = LogMel(
            sample_rate_hz=SAMPLE_RATE_HZ, n_fft=N_FFT, hop=HOP, mel_bands=MEL_BANDS, mean_db=0.0, std_db=1.0
        )

    def embed(self, waves: Tensor, lengths: Tensor) -> Tensor:
        """Waves (B, T) float32 at 22,050 Hz, lengths (B,) to embeddings (B, D) float32."""
        spectrogram = self.log_mel(waves)  # (B, F, M) in dB
        frames = lengths.clamp(min=1).sub(1).div(HOP, rounding_mode="floor").add(1)[:, None, None]
        heard = torch.arange(spectrogram.shape[2], device=waves.device) < frames  # (B, 1, M)
        deltas = spectrogram.diff(dim=2)
        loudest = spectrogram.masked_fill(~heard, float("-inf")).amax(dim=2)
        mean, std = _mean_and_std(spectrogram, heard)
        return torch.cat([mean, std, loudest, _mean_and_std(deltas, heard[..., 1:])[1]], dim=1)

    def embed_frames(self, waves: Tensor, lengths: Tensor) -> Tensor:
        """The spectrogram itself, (B, M, F) in dB."""
        return self.log_mel(waves).transpose(1, 2)


def _mean_and_std(values: Tensor, counted: Tensor) -> tuple[Tensor, Tensor]:
    """(B, F) each, over those of the last dimension of `values` (B, F, M) that are `counted` (B, 1, M)."""
    count = counted.sum(dim=2).clamp(min=1)
    mean = (values * counted).sum(dim=2) / count
    variance = ((values - mean[..., None]).square() * counted).sum(dim=2) / count
    return mean, variance.sqrt()

"""What the backbones' spectrograms have in common: the power spectrum, always in full precision."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PowerSpectrogram(nn.Module):
    """Wave (B, T) float32 to power (B, n_fft // 2 + 1, M) float32, M = T // hop + 1 frames centred on every hop.

    Args:
        n_fft: samples of one transform.
        hop: samples between frames.
        window: (W,) float32 with W <= n_fft, centred in the frame.
        pad_mode: how the wave goes on beyond its ends, by n_fft // 2: "reflect" or "constant" (silence).
    """

    window: Tensor

    def __init__(self, *, n_fft: int, hop: int, window: Tensor, pad_mode: str) -> None:
        super().__init__()
        self.n_fft = n_fft
        self.hop = hop
        self.pad_mode = pad_mode
        self.register_buffer("window", window, persistent=False)

    def forward(self, wave: Tensor) -> Tensor:
        spectrum = torch.stft(
            wave,
            self.n_fft,
            hop_length=self.hop,
            win_length=len(self.window),
            window=self.window,
            center=True,
            pad_mode=self.pad_mode,
            return_complex=True,
        )
        return spectrum.real.square() + spectrum.imag.square()


def full_precision(wave: Tensor) -> torch.autocast:
    """A context that switches autocast off: half precision would drown quiet bands in the loud ones' rounding."""
    return torch.autocast(device_type=wave.device.type, enabled=False)

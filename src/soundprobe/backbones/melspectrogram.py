"""What the backbones' spectrograms have in common: the power spectrum and log-mel, always in full precision."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.functional import conv1d, pad
from torchaudio.functional import melscale_fbanks

POWER_FLOOR = 1e-10


class FramePower(nn.Module):
    """Wave (B, T) float32 to the power of what a linear map makes of each frame of W samples.

    In an exported graph, which has no complex numbers, the map is a convolution; its kernel is what the map makes of
    single samples.

    Args:
        width: W.
        hop: samples between frames.
    """

    kernel: Tensor | None

    def __init__(self, *, width: int, hop: int) -> None:
        super().__init__()
        self.width, self.hop = width, hop
        self.register_buffer("kernel", None, persistent=False)

    @abstractmethod
    def spectrum(self, frames: Tensor) -> Tensor:
        """(n, W) real to (n, K) complex, linear."""

    def as_convolution(self) -> None:
        """From now on the map is a convolution: the same numbers but for rounding, without complex ones between."""
        found = self.spectrum(torch.eye(self.width, dtype=torch.float64))  # (W, K)
        self.kernel = torch.cat([found.real, found.imag], dim=1).T.unsqueeze(1).float()  # (2 K, 1, W)

    def convolved(self, wave: Tensor) -> Tensor:
        """(B, T) to (B, K, M), M = (T - W) // hop + 1."""
        assert self.kernel is not None
        real, imag = conv1d(wave.unsqueeze(1), self.kernel, stride=self.hop).chunk(2, dim=1)
        return real.square() + imag.square()


class PowerSpectrogram(FramePower):
    """Wave (B, T) float32 to power (B, n_fft // 2 + 1, M) float32, M = T // hop + 1 frames centred on every hop.

    Args:
        n_fft: samples of one transform.
        hop: samples between frames.
        window: (W,) float32 with W <= n_fft, both even or W = n_fft, centred in the frame.
        pad_mode: how the wave goes on beyond its ends, by n_fft // 2: "reflect" or "constant" (silence).
    """

    window: Tensor

    def __init__(self, *, n_fft: int, hop: int, window: Tensor, pad_mode: str) -> None:
        super().__init__(width=len(window), hop=hop)
        self.n_fft = n_fft
        self.pad_mode = pad_mode
        self.register_buffer("window", window, persistent=False)

    def spectrum(self, frames: Tensor) -> Tensor:
        return torch.fft.rfft(frames * self.window, n=self.n_fft)

    def forward(self, wave: Tensor) -> Tensor:
        if self.kernel is not None:
            around = self.width // 2
            return self.convolved(pad(wave.unsqueeze(1), (around, around), mode=self.pad_mode).squeeze(1))
        if wave.device.type == "cpu" and len(wave) > 1:
            # A clip's spectrum fits the caches, a batch's is memory that the system has to hand out and clear first.
            return torch.cat([self._power(clip) for clip in wave.split(1)])
        return self._power(wave)

    def _power(self, wave: Tensor) -> Tensor:
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


class LogMel(nn.Module):
    """Wave (B, T) float32 to log-mel (B, F, M) float32, scaled to be near zero mean and unit variance.

    The bands are Slaney's, from 0 Hz to half the rate, as librosa's; the window is Hann's, as long as a transform.

    Args:
        sample_rate_hz, n_fft, hop, pad_mode: see `PowerSpectrogram`.
        mel_bands: F.
        mean_db, std_db: what is subtracted and divided by. Round figures near those of real clips; they are given and
            not taken from the data, so that no test clip has a part in them.
    """

    mel_basis: Tensor

    def __init__(
        self,
        *,
        sample_rate_hz: int,
        n_fft: int,
        hop: int,
        mel_bands: int,
        mean_db: float,
        std_db: float,
        pad_mode: str = "constant",
    ) -> None:
        super().__init__()
        self.mean_db = mean_db
        self.std_db = std_db
        self.power = PowerSpectrogram(n_fft=n_fft, hop=hop, window=torch.hann_window(n_fft), pad_mode=pad_mode)
        banks = melscale_fbanks(
            n_fft // 2 + 1, 0.0, sample_rate_hz / 2, mel_bands, sample_rate_hz, norm="slaney", mel_scale="slaney"
        )
        self.register_buffer("mel_basis", banks.T.contiguous(), persistent=False)  # (F, n_fft // 2 + 1)

    def forward(self, wave: Tensor) -> Tensor:
        with full_precision(wave):
            mel = self.mel_basis @ self.power(wave.float())
            return (10.0 * mel.clamp(min=POWER_FLOOR).log10() - self.mean_db) / self.std_db


def log_mel_64() -> LogMel:
    """What networks from scratch hear, `catalog.LOG_MEL_64`; 100 clips of UrbanSound8K have -27 dB on average, 19 dB
    its deviation.
    """
    return LogMel(sample_rate_hz=22_050, n_fft=1024, hop=512, mel_bands=64, mean_db=-25.0, std_db=20.0)


def full_precision(wave: Tensor) -> AbstractContextManager[object]:
    """A context that switches autocast off: half precision would drown quiet bands in the loud ones' rounding."""
    device = wave.device.type
    if not torch.amp.is_autocast_available(device):  # such as "meta", where operations are only counted
        return nullcontext()
    return torch.autocast(device_type=device, enabled=False)

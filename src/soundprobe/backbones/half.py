"""A backbone's network in a 16-bit type, by PyTorch's autocast. The front end stays float32.

Letters: B clips, T samples, F mel bands, M frames, D the embedding's dimension.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from soundprobe.backbones.protocol import SpectrogramBackbone
from soundprobe.base.errors import ConfigError
from soundprobe.base.machine import half_type

HALF_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
FAST_ON = {"bf16": "CPUs with AVX512-BF16 or AMX and on newer CUDA GPUs", "fp16": "CUDA GPUs"}


def check_fast(precision: str, device: torch.device) -> None:
    """Raises ConfigError where `device` is no faster in `precision`, a key of `HALF_TYPES`, than in float32."""
    fast = half_type(device)
    if HALF_TYPES[precision] == fast or (precision == "fp16" and device.type == "cuda"):
        return
    instead = [f"use --precision {name}" for name, kind in HALF_TYPES.items() if kind == fast]
    raise ConfigError(
        f"--precision {precision} is faster than fp32 on {FAST_ON[precision]} only, not on this device "
        f"({device.type}): {(instead or ['leave it out'])[0]}."
    )


class Half(SpectrogramBackbone):
    """A backbone whose second half runs under autocast, for inference; otherwise the same calls.

    Channels last, in which PyTorch's 16-bit convolutions are quicker: those of small networks up to three times.

    Args:
        full: the float32 backbone, which is copied; precision: a key of `HALF_TYPES`.
    """

    def __init__(self, full: SpectrogramBackbone, precision: str) -> None:
        super().__init__()
        self.autocast_type = HALF_TYPES[precision]
        self.network: SpectrogramBackbone = copy.deepcopy(full).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def spectrogram(self, wave: Tensor, lengths: Tensor | None = None) -> Tensor:
        """As the float32 backbone's."""
        return self.network.spectrogram(wave, lengths)

    def embed_spectrogram(self, spectrogram: Tensor) -> Tensor:
        """(B, F, M) float32 to (B, D) float32, rounded to the 16-bit type on the way."""
        with torch.autocast(spectrogram.device.type, self.autocast_type):
            embedded = self.network.embed_spectrogram(spectrogram)
        return embedded.float()

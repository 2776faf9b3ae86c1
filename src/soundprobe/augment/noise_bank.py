"""The recordings that background noise is taken from: the training loop's own, or those of a folder.

Letters: K noises of at most T samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from soundprobe.audio.decode import decode, fit_length
from soundprobe.audio.encoded import open_encoded
from soundprobe.audio.formats import AUDIO_ENDINGS
from soundprobe.base.errors import ConfigError
from soundprobe.data.listing import files_below, is_audio

LONGEST_S = 30.0
"""Of each file of a folder, this much is kept."""
NO_RECORDING = -1


@dataclass(frozen=True, eq=False)
class NoiseBank:
    """Noises to draw from. Whoever makes one of a data set's clips puts only training clips into it.

    Memory: 1,000 clips of 4 s at 32 kHz take 0.5 GB; some hundred are enough. The bank may stay on the CPU while
    batches are on another device: only the drawn noises are moved.

    Attributes:
        waves: (K, T) float32, padded with silence.
        recordings: (K,) int64, numbers of the source recordings: a clip never gets a noise with its own number.
        lengths: (K,) int64, the samples of each that are audio; None where all are.
    """

    waves: Tensor
    recordings: Tensor
    lengths: Tensor | None = None

    def __post_init__(self) -> None:
        assert self.waves.dim() == 2, "a noise bank holds waves (K, T)"
        assert self.waves.numel() > 0, "a noise bank holds at least one noise"
        assert self.recordings.shape == (len(self.waves),), "one recording for each noise"
        if self.lengths is not None:
            assert self.lengths.shape == self.recordings.shape, "one length for each noise"
            assert int(self.lengths.min()) >= 1, "noises have samples"


@lru_cache(maxsize=4)  # each batch asks for it again
def read_noise_folder(folder: str, sample_rate_hz: int) -> NoiseBank:
    """All audio files in `folder` and below, in the order of their names, as no clip's own recording.

    Raises:
        ConfigError: it is not a folder, or holds no audio file.
        AudioError: a file can't be decoded.
    """
    root = check_folder(folder)
    files = sorted(filter(is_audio, files_below(root)))
    if not files:
        raise ConfigError(f"background_noise.folder = {folder!r} holds no audio file ({' '.join(AUDIO_ENDINGS)}).")
    most = round(LONGEST_S * sample_rate_hz)
    waves = [decode(open_encoded(str(f)), sample_rate_hz=sample_rate_hz, name=str(f), samples=most) for f in files]
    longest = max(map(len, waves))
    return NoiseBank(
        waves=torch.stack([torch.from_numpy(fit_length(wave, longest)) for wave in waves]),
        recordings=torch.full((len(waves),), NO_RECORDING),
        lengths=torch.tensor([len(wave) for wave in waves]),
    )


def check_folder(folder: str) -> Path:
    """`folder` as a path.

    Raises:
        ConfigError: it is not a folder.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise ConfigError(f"background_noise.folder = {folder!r} is not a folder; leave it out to use training clips.")
    return root

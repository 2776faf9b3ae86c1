"""Draws docs/images/augment-*.png: what each augmentation does to a generated clip, as the log-mel that SimpleCNN sees.

.venv/bin/python docs/draw_augmentations.py            # all
.venv/bin/python docs/draw_augmentations.py pitch_shift
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchaudio.functional import melscale_fbanks

from soundprobe.audio.decode import fit_length
from soundprobe.augment.background_noise import mix_at_snr
from soundprobe.augment.gain import amplify
from soundprobe.augment.mixup import mix
from soundprobe.augment.pitch_shift import shift_pitch
from soundprobe.augment.spec_augment import SpecAugment
from soundprobe.augment.time_shift import shift_time
from soundprobe.backbones.simplecnn import HOP, MEL_BANDS, N_FFT, SAMPLE_RATE_HZ, SimpleCnn
from soundprobe.data.synth.generate import RECIPES, draw_recording, render_clip

FOLDER = Path(__file__).resolve().parent / "images"
SAMPLES = 4 * SAMPLE_RATE_HZ
LENGTHS = torch.tensor([SAMPLES])
RANGE_DB = 70.0
TICKS_KHZ = (0.5, 1, 2, 4, 8)

Panel = tuple[str, Tensor]
"""Its title, and a log-mel (F, M) in dB."""


def clip(class_name: str, fold: int = 1) -> Tensor:
    """(1, T) the first full 4 s of a foreground recording of that class with nothing else beside it."""
    for index in range(200):
        recording = draw_recording(0, list(RECIPES).index(class_name), fold, index)
        wave = render_clip(recording, 0)
        if recording.salience == 1 and recording.distractor is None and len(wave) == SAMPLES:
            return torch.from_numpy(fit_length(wave, SAMPLES))[None]
    raise LookupError(class_name)


def log_mel(wave: Tensor) -> Tensor:
    """Wave (1, T) to (F, M) in dB."""
    return SimpleCnn().spectrogram(wave)[0]


def time_shift() -> list[Panel]:
    wave, later = clip("dog_bark"), torch.tensor([SAMPLE_RATE_HZ])
    return [
        ("dog bark", log_mel(wave)),
        ("1 s later, roll", log_mel(shift_time(wave, LENGTHS, later, "roll"))),
        ("1 s later, silence", log_mel(shift_time(wave, LENGTHS, later, "silence"))),
    ]


def gain() -> list[Panel]:
    wave = clip("car_horn")
    return [
        ("car horn", log_mel(wave)),
        ("12 dB louder", log_mel(amplify(wave, torch.tensor([12.0])))),
        ("12 dB quieter", log_mel(amplify(wave, torch.tensor([-12.0])))),
    ]


def background_noise() -> list[Panel]:
    wave, noise = clip("dog_bark"), clip("street_music", fold=2)
    return [
        ("dog bark", log_mel(wave)),
        ("with street music at 15 dB SNR", log_mel(mix_at_snr(wave, LENGTHS, noise, torch.tensor([15.0])))),
        ("at 0 dB SNR", log_mel(mix_at_snr(wave, LENGTHS, noise, torch.tensor([0.0])))),
    ]


def pitch_shift() -> list[Panel]:
    wave = clip("siren")
    return [
        ("siren", log_mel(wave)),
        ("4 semitones up", log_mel(shift_pitch(wave, 4, SAMPLE_RATE_HZ))),
        ("4 semitones down", log_mel(shift_pitch(wave, -4, SAMPLE_RATE_HZ))),
    ]


def spec_augment() -> list[Panel]:
    before = log_mel(clip("street_music"))
    masks = SpecAugment(frequency_masks=2, max_bands=8, time_masks=2, max_frames=24)
    draws = [masks(before[None], torch.Generator().manual_seed(seed))[0] for seed in (2, 8)]
    return [("street music", before), ("one draw", draws[0]), ("another draw", draws[1])]


def mixup() -> list[Panel]:
    pair = torch.stack([log_mel(clip("siren")), log_mel(clip("dog_bark"))])
    both = mix(pair, torch.tensor([1, 0]), torch.tensor([0.6, 1.0]))
    return [("siren", pair[0]), ("dog bark", pair[1]), ("target: 0.6 siren, 0.4 dog bark", both[0])]


PICTURES: dict[str, Callable[[], list[Panel]]] = {
    "time_shift": time_shift,
    "gain": gain,
    "background_noise": background_noise,
    "pitch_shift": pitch_shift,
    "spec_augment": spec_augment,
    "mixup": mixup,
}


def band_of(frequency_khz: float) -> float:
    """The mel band, in fractions, whose centre lies there."""
    banks = melscale_fbanks(N_FFT // 2 + 1, 0.0, SAMPLE_RATE_HZ / 2, MEL_BANDS, SAMPLE_RATE_HZ, None, "slaney")
    centres_khz = banks.argmax(dim=0).numpy() * SAMPLE_RATE_HZ / N_FFT / 1000
    return float(np.interp(frequency_khz, centres_khz, np.arange(MEL_BANDS)))


def draw(name: str) -> Path:
    """Writes the picture of an augmentation; all its panels share one scale."""
    panels = PICTURES[name]()
    top_db = max(float(picture.max()) for _, picture in panels)
    figure, axes = plt.subplots(1, len(panels), figsize=(9.6, 2.5), sharey=True, layout="constrained")
    for axis, (title, picture) in zip(axes, panels, strict=True):
        image = axis.imshow(
            picture.numpy(),
            origin="lower",
            aspect="auto",
            cmap="magma",
            vmin=top_db - RANGE_DB,
            vmax=top_db,
            extent=(0, picture.shape[1] * HOP / SAMPLE_RATE_HZ, -0.5, MEL_BANDS - 0.5),
        )
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("s")
    axes[0].set_yticks([band_of(tick) for tick in TICKS_KHZ], [f"{tick:g}" for tick in TICKS_KHZ])
    axes[0].set_ylabel("kHz")
    figure.colorbar(image, ax=axes, label="dB", pad=0.01)
    path = FOLDER / f"augment-{name.replace('_', '-')}.png"
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=100)
    plt.close(figure)
    Image.open(drawn).convert("RGB").quantize(256).save(path, optimize=True)  # half the bytes
    return path


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for chosen in sys.argv[1:] or PICTURES:
        print(draw(chosen))

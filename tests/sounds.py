"""Generated clips for tests: small, and different enough to tell classes apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

RATE_HZ = 22_050


def tone(frequency_hz: float, seconds: float, seed: int = 0) -> np.ndarray:
    """(T,) float32: a tone with a little noise of its own."""
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    noise = np.random.default_rng(seed).normal(scale=0.05, size=len(time_s))
    return (0.4 * np.sin(2 * np.pi * frequency_hz * time_s) + noise).astype(np.float32)


def write_urbansound_layout(
    root: Path, *, folds: int = 3, recordings: int = 2, slices: int = 2, classes: int = 3, seconds: float = 1.0
) -> Path:
    """A data set in UrbanSound8K's layout: class c is a tone around 300 * 2**c Hz, detuned for each recording."""
    names = ["low <b>hum</b>", "middle", "high", "higher", "highest"][:classes]
    rows = ["slice_file_name,fsID,start,end,salience,fold,classID,class"]
    rng = np.random.default_rng(0)
    recording = 100
    for fold in range(1, folds + 1):
        folder = root / "audio" / f"fold{fold}"
        folder.mkdir(parents=True)
        for label, name in enumerate(names):
            for _ in range(recordings):
                recording += 1
                frequency_hz = 300 * 2**label * rng.uniform(0.8, 1.25)
                for piece in range(slices):
                    file = f"{recording}-{label}-0-{piece}.wav"
                    wave = tone(frequency_hz, seconds, seed=recording * 10 + piece)
                    soundfile.write(folder / file, wave, RATE_HZ, subtype="PCM_16")
                    rows.append(f"{file},{recording},0.0,{seconds},{1 + piece % 2},{fold},{label},{name}")
    (root / "metadata").mkdir()
    (root / "metadata" / "UrbanSound8K.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return root

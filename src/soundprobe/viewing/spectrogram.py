"""A log-mel spectrogram for eyes, not for networks: decibels below the loudest point, as a small coloured picture.

Letters: T samples, F mel bands (row 0 the lowest), M columns, K frequencies of the transform.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import numpy as np

BANDS = 96
LOWEST_HZ = 30.0
RANGE_DB = 70.0
"""What lies further below the loudest point is black."""
WINDOW_S = 0.04
COLUMNS = (240, 1600)
"""The fewest and the most columns of a picture: a gunshot of 50 ms still shows its course, an hour still fits."""
BLOCK_COLUMNS = 4096  # columns transformed at once, so that an hour's spectra are never held together

# From dark to light through the page's own teal. Lightness rises all the way, so it reads in grey and with any colour
# vision; the stops are our own choice.
COLOURS = ((9, 14, 22), (17, 42, 62), (10, 84, 92), (34, 132, 104), (120, 178, 82), (222, 208, 92), (255, 250, 214))


@dataclass(frozen=True, eq=False)
class Spectrogram:
    """levels: (F, M) float32 in [0, 1], 1 the loudest point; highest_hz: the upper edge of the top band."""

    levels: np.ndarray
    highest_hz: float

    def height_of(self, frequency_hz: float) -> float:
        """Where a frequency lies: 0 at the bottom, 1 at the top."""
        low, high = _mel(LOWEST_HZ), _mel(self.highest_hz)
        return float((_mel(frequency_hz) - low) / (high - low))


def spectrogram(wave: np.ndarray, sample_rate_hz: int) -> Spectrogram:
    """The log-mel spectrogram of wave (T,): Hann windows of 40 ms, triangular bands on O'Shaughnessy's mel scale."""
    window = max(16, round(WINDOW_S * sample_rate_hz))
    hop = max(1, min(window // 4, len(wave) // COLUMNS[0]))
    columns = 1 + len(wave) // hop
    highest_hz = min(sample_rate_hz / 2, 16_000.0)
    # Twice the window's length: the lowest bands are narrower than its own resolution and would come out empty.
    transform = 2 ** math.ceil(math.log2(2 * window))
    bands = _bands(transform, sample_rate_hz, highest_hz)  # (F, K)
    padded = np.pad(np.asarray(wave, dtype=np.float32), (window // 2, window))
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop][:columns]
    hann = np.hanning(window).astype(np.float32)
    together = math.ceil(columns / COLUMNS[1])
    block = max(1, BLOCK_COLUMNS // together) * together
    parts = []
    for start in range(0, columns, block):
        spectrum = np.fft.rfft(frames[start : start + block] * hann, transform)
        energy = np.square(np.abs(spectrum)).astype(np.float32) @ bands.T  # (columns, F)
        edges = np.arange(0, len(energy), together)
        parts.append(np.maximum.reduceat(energy, edges, axis=0))
    energies = np.concatenate(parts).T
    loudest = float(energies.max())
    if loudest <= 0:
        return Spectrogram(np.zeros(energies.shape, dtype=np.float32), highest_hz)
    below_db = 10 * np.log10(np.maximum(energies / loudest, 1e-12))
    return Spectrogram(np.clip(1 + below_db / RANGE_DB, 0, 1).astype(np.float32), highest_hz)


def picture(levels: np.ndarray) -> bytes:
    """Levels (F, M) as a WebP picture of M x F pixels, the lowest band at the bottom: 3 to 8 kB for a clip of 4 s."""
    from PIL import Image

    stops = np.linspace(0, 1, len(COLOURS))
    at = np.linspace(0, 1, 256)
    table = np.stack([np.interp(at, stops, channel) for channel in zip(*COLOURS, strict=True)], axis=1)
    pixels = np.round(table).astype(np.uint8)[np.round(255 * levels[::-1]).astype(np.uint8)]  # (F, M, 3)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", quality=55, method=4)
    return file.getvalue()


def _bands(transform: int, sample_rate_hz: int, highest_hz: float) -> np.ndarray:
    """(F, K) weights of the bands, each a triangle between its neighbours' centres."""
    edges = 700 * (10 ** (np.linspace(_mel(LOWEST_HZ), _mel(highest_hz), BANDS + 2) / 2595) - 1)
    frequencies = np.arange(transform // 2 + 1) * sample_rate_hz / transform
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (frequencies - low) / (centre - low), (high - frequencies) / (high - centre)
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


def _mel(frequency_hz: float) -> float:
    return 2595 * math.log10(1 + frequency_hz / 700)

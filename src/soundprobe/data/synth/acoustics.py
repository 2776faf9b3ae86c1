"""The physics that the recipes in `synth_sounds.py` are built from: sources, resonances, decays and rooms.

Letters: n samples of one clip at `RATE_HZ`, K harmonics or modes. Every wave is (n,) float64.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft, rfftfreq
from scipy.signal import butter, lfilter, oaconvolve, sosfilt

RATE_HZ = 22_050
TOP_HZ = 0.45 * RATE_HZ
"""Harmonics above this are left out, so that none folds back at half the rate."""

Wave = np.ndarray
Numbers = Sequence[float] | np.ndarray
Render = Callable[[np.random.Generator, int], Wave]
"""One recording: (a clip's own generator, n) -> wave (n,)."""


def samples(duration_s: float) -> int:
    """How many samples `duration_s` lasts, at least 1."""
    return max(1, round(duration_s * RATE_HZ))


def seconds(n: int) -> np.ndarray:
    """(n,) the time of every sample."""
    return np.arange(n) / RATE_HZ


def harmonics(f0_hz: np.ndarray, amplitudes: Numbers, phase: float = 0.0) -> Wave:
    """Sines at k f0(t) with amplitudes[k - 1], for a fundamental (n,) that may move.

    sin(k p) = 2 cos(p) sin((k - 1) p) - sin((k - 2) p) makes each further harmonic cost two products.
    """
    p = phase + 2 * np.pi * np.cumsum(f0_hz) / RATE_HZ
    twice_cosine, before, now = 2 * np.cos(p), np.zeros_like(p), np.sin(p)
    most = int(TOP_HZ / max(float(np.max(f0_hz)), 1.0))
    wave = np.zeros_like(p)
    for amplitude in list(amplitudes)[:most]:
        wave += amplitude * now
        before, now = now, twice_cosine * now - before
    return wave


def ring(n: int, modes_hz: np.ndarray, decays_s: np.ndarray, amplitudes: np.ndarray) -> Wave:
    """K modes struck at once, each a sine that decays by 1/e in its own time: a bell, a chisel, a string."""
    t = seconds(n)
    waves = np.sin(2 * np.pi * modes_hz[:, None] * t) * np.exp(-t / decays_s[:, None])
    return np.asarray((amplitudes[:, None] * waves).sum(axis=0))  # not a matrix product: BLAS rounds as it likes


def coloured_noise(rng: np.random.Generator, n: int, slope: float) -> Wave:
    """Gaussian noise whose power falls as 1 / f^slope above 20 Hz (0 white, 1 pink, 2 brown), with rms 1."""
    size = next_fast_len(n, real=True)
    spectrum = rfft(rng.standard_normal(size))
    spectrum *= np.maximum(rfftfreq(size, 1 / RATE_HZ), 20.0) ** (-slope / 2)
    return scaled(irfft(spectrum, size)[:n])


def band(wave: Wave, low_hz: float | None, high_hz: float | None, order: int = 2) -> Wave:
    """`wave` between two corner frequencies (Butterworth); None leaves that side open."""
    edges = [edge for edge in (low_hz, high_hz) if edge is not None]
    kind = "bandpass" if len(edges) == 2 else "highpass" if low_hz is not None else "lowpass"
    sections = butter(order, edges if len(edges) == 2 else edges[0], kind, fs=RATE_HZ, output="sos")
    return np.asarray(sosfilt(sections, wave))


def resonate(wave: Wave, centres_hz: Numbers, widths_hz: Numbers, gains: Numbers) -> Wave:
    """The sum of two-pole resonators, each with gain `gains[k]` at its centre: formants, pipes, plates."""
    total = np.zeros_like(wave)
    for centre_hz, width_hz, gain in zip(centres_hz, widths_hz, gains, strict=True):
        radius = np.exp(-np.pi * width_hz / RATE_HZ)
        angle = 2 * np.pi * min(centre_hz, TOP_HZ) / RATE_HZ
        peak = (1 - radius) * abs(1 - radius * np.exp(-2j * angle))
        total += lfilter([gain * peak], [1, -2 * radius * np.cos(angle), radius**2], wave)
    return total


def strikes(
    rng: np.random.Generator, n: int, rate_hz: float, *, timing: float, strength: float
) -> tuple[np.ndarray, np.ndarray]:
    """When a machine that works at `rate_hz` strikes, and how hard.

    Args:
        rng: draws the irregularity.
        n: the clip's samples.
        rate_hz: strikes a second.
        timing: standard deviation of the time between two, as a share of it.
        strength: standard deviation of the force, as a share of it.

    Returns:
        indices (M,) int64 into the clip, and forces (M,) around 1.
    """
    most = int(n / RATE_HZ * rate_hz * 1.5) + 8
    gaps_s = np.maximum(1 + timing * rng.standard_normal(most), 0.2) / rate_hz
    at = ((np.cumsum(gaps_s) - gaps_s[0] * rng.uniform()) * RATE_HZ).astype(np.int64)
    forces = np.maximum(1 + strength * rng.standard_normal(most), 0.05)
    return at[at < n], forces[at < n]


def train(n: int, at: np.ndarray, forces: np.ndarray) -> Wave:
    """(n,) zeros with `forces` at the samples `at`."""
    wave = np.zeros(n)
    np.add.at(wave, at, forces)
    return wave


def wander(rng: np.random.Generator, n: int, rate_hz: float) -> np.ndarray:
    """(n,) a random line with standard deviation about 1, that turns about `rate_hz` times a second."""
    points = rng.standard_normal(int(n / RATE_HZ * rate_hz) + 3)
    return np.interp(seconds(n) * rate_hz + rng.uniform(), np.arange(len(points)), points)


def swell(n: int, attack_s: float, release_s: float) -> np.ndarray:
    """(n,) from 0 to 1 in `attack_s` and back to 0 in the last `release_s`, both as a raised cosine."""
    rise = np.clip(np.arange(n) / samples(attack_s), 0, 1)
    fall = np.clip(np.arange(n)[::-1] / samples(release_s), 0, 1)
    return np.asarray(0.25 * (1 - np.cos(np.pi * rise)) * (1 - np.cos(np.pi * fall)))


def place(wave: Wave, piece: Wave, at: int) -> None:
    """Add `piece` to `wave` from sample `at`, which may lie before the start; what lies outside is cut."""
    if at < 0:
        piece, at = piece[-at:], 0
    room = wave[at : at + len(piece)]
    room += piece[: len(room)]


def room_response(rng: np.random.Generator, reverberation_s: float, wet: float) -> np.ndarray:
    """The impulse response of a room or a street: the direct sound, then noise that falls by 60 dB in that time.

    `wet` is the energy of the tail over that of the direct sound.
    """
    n = samples(reverberation_s)
    tail = band(rng.standard_normal(n), None, rng.uniform(2000, 6000), order=1) * 10 ** (-3 * np.arange(n) / n)
    tail[: min(n, samples(rng.uniform(0.003, 0.02)))] = 0  # the first reflection's way is longer
    energy = float(np.sum(tail**2))
    response = tail * np.sqrt(wet / energy) if energy > 0 else tail
    response[0] = 1.0
    return response


def in_room(wave: Wave, response: np.ndarray) -> Wave:
    """`wave` as heard through `response`, cut to its own length."""
    return np.asarray(oaconvolve(wave, response)[: len(wave)])


def scaled(wave: Wave, rms: float = 1.0) -> Wave:
    """`wave` at that root mean square; silence stays silence."""
    now = float(np.sqrt(np.mean(wave**2)))
    return wave * (rms / now) if now > 0 else wave


def db(level: float) -> float:
    """The amplitude ratio of a level in dB."""
    return float(10 ** (level / 20))

"""People, dogs, shots and music among the ten city sounds of `synth_sounds`.

Letters: n samples of a clip.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from soundprobe.data.synth import acoustics as a
from soundprobe.data.synth.acoustics import Render

VOWELS_HZ = np.array([[1030, 1750, 3300], [720, 2500, 3600], [430, 3200, 3900], [680, 1300, 3300], [500, 1150, 3400]])
"""First three formants of children's open, half-open and closed vowels, near Peterson and Barney's (1952) means."""


def children_playing(rng: Generator) -> Render:
    """Several high voices (250 to 500 Hz, shouts above) in overlapping calls of vowel-like formants, in a yard."""
    voices_hz = rng.uniform(250, 450, rng.integers(4, 9))
    calls_a_second, shouting, breath = rng.uniform(0.6, 1.5), rng.uniform(0.2, 0.6), rng.uniform(0.2, 0.5)
    size = rng.uniform(0.95, 1.2)  # a shorter throat moves all formants up
    yard = a.room_response(rng, rng.uniform(0.4, 1.2), rng.uniform(0.2, 1.0))

    def call(clip: Generator, pitch_hz: float) -> np.ndarray:
        n = a.samples(clip.uniform(0.12, 0.7))
        loud = clip.uniform() < shouting
        span = np.linspace(0, 1, n)
        glide = 1 + clip.uniform(-0.3, 0.5) * np.sin(np.pi * span) + clip.uniform(-0.4, 0.3) * span
        f0_hz = pitch_hz * (clip.uniform(1.5, 3.0) if loud else 1.0) * glide * (1 + 0.03 * a.wander(clip, n, 40))
        source = a.harmonics(f0_hz, np.arange(1, 25) ** (-0.6 if loud else -1.1))
        source += breath * clip.standard_normal(n)
        formants = VOWELS_HZ[clip.integers(len(VOWELS_HZ))] * size
        voice = a.resonate(source, formants, [110, 160, 260], [1.0, 0.8, 0.5])
        syllables = 0.6 + 0.4 * np.sin(2 * np.pi * clip.uniform(3, 6) * a.seconds(n) + clip.uniform(0, 6))
        return voice * syllables * a.swell(n, 0.03, 0.06) * (2.0 if loud else 1.0)

    def render(clip: Generator, n: int) -> np.ndarray:
        wave = np.zeros(n)
        for pitch_hz in voices_hz:
            distance = clip.uniform(0.15, 1.0)
            for _ in range(1 + clip.poisson(calls_a_second * n / a.RATE_HZ)):
                a.place(wave, distance * call(clip, pitch_hz), int(clip.uniform(-0.1, 0.95) * n))
        return a.in_room(wave, yard)

    return render


def dog_bark(rng: Generator) -> Render:
    """Bursts of 0.1 to 0.3 s whose pitch rises at once and falls, rough, through a throat's two formants."""
    pitch_hz, formant_hz = rng.uniform(220, 800), rng.uniform(600, 1500)
    rough, length_s, pause_s = rng.uniform(0.2, 0.9), rng.uniform(0.09, 0.25), rng.uniform(0.2, 0.8)
    yard = a.room_response(rng, rng.uniform(0.15, 0.8), rng.uniform(0.02, 0.4))

    def bark(clip: Generator) -> np.ndarray:
        n = a.samples(length_s * clip.uniform(0.8, 1.25))
        span = np.linspace(0, 1, n)
        f0_hz = pitch_hz * clip.uniform(0.92, 1.08) * (0.75 + 0.45 * np.sin(np.pi * span**0.6)) * (1 - 0.3 * span)
        f0_hz *= 1 + 0.06 * rough * a.wander(clip, n, 120)
        source = a.harmonics(f0_hz, np.arange(1, 21) ** -0.7) + rough * 1.2 * clip.standard_normal(n)
        voice = a.resonate(source, [formant_hz, formant_hz * 2.3], [200, 400], [1.0, 0.45])
        return (voice + 0.08 * source) * a.swell(n, 0.012, 0.6 * n / a.RATE_HZ)

    def render(clip: Generator, n: int) -> np.ndarray:
        wave, at = np.zeros(n), int(clip.uniform(0.01, 0.1) * n)
        while at < n:
            for _ in range(clip.integers(1, 4)):
                if at < n:
                    a.place(wave, clip.uniform(0.6, 1.0) * bark(clip), at)
                at += a.samples(length_s + pause_s * clip.uniform(0.3, 0.7))
            at += a.samples(pause_s * clip.uniform(0.5, 2.5))
        return a.in_room(wave, yard)

    return render


def gun_shot(rng: Generator) -> Render:
    """A blast of a few ms that decays exponentially, echoes, the street's long tail, and an overdriven microphone."""
    blast_s, corner_hz = rng.uniform(0.004, 0.03), rng.uniform(1200, 8000)
    shots = int(rng.choice([1, 1, 1, 2, 3]))
    gap_s = rng.uniform(0.09, 0.3)
    street = a.room_response(rng, rng.uniform(0.5, 2.0), rng.uniform(0.1, 1.0))
    echo_s, echo, overload = rng.uniform(0.05, 0.25), rng.uniform(0.0, 0.3), rng.uniform(1.5, 8.0)

    def render(clip: Generator, n: int) -> np.ndarray:
        wave, start = np.zeros(n), a.samples(clip.uniform(0.005, 0.06))
        for shot in range(shots):
            m = a.samples(8 * blast_s)
            t = a.seconds(m)
            blast = a.band(clip.standard_normal(m), None, corner_hz, order=1) * np.exp(-t / blast_s)
            blast[: a.samples(0.0006)] += 3.0  # the shock front: one step up in pressure, then suction
            blast[a.samples(0.0006) : a.samples(0.0030)] -= 1.0
            at = start + a.samples(shot * gap_s)
            a.place(wave, blast, at)
            a.place(wave, echo * blast, at + a.samples(echo_s))
        heard = a.in_room(wave, street)
        return np.tanh(overload * heard / max(float(np.abs(heard).max()), 1e-9))  # no microphone bears a muzzle blast

    return render


def street_music(rng: Generator) -> Render:
    """Plucked chords and a melody in one key over a beat, with or without drums: a busker on a square."""
    tonic_hz, beat_s = rng.uniform(98, 196), 60 / rng.uniform(80, 150)
    scale = np.array([0, 2, 4, 7, 9, 12, 14, 16] if rng.uniform() < 0.6 else [0, 3, 5, 7, 10, 12, 15, 17])
    roots = rng.permutation([0, 5, 7, 9])  # semitones above the tonic, one bar each
    k = np.arange(1, 15)
    timbre = k ** -rng.uniform(0.7, 1.6) * rng.uniform(0.4, 1.0, len(k))
    sustain_s, bows, drums = rng.uniform(0.15, 0.9), rng.uniform() < 0.35, rng.uniform(0, 1.0) * (rng.uniform() < 0.5)
    melody_octave = float(rng.choice([2.0, 4.0]))
    square = a.room_response(rng, rng.uniform(0.3, 1.2), rng.uniform(0.1, 0.6))

    def note(clip: Generator, semitones: float, octave: float, length_s: float) -> np.ndarray:
        n = a.samples(length_s)
        t = a.seconds(n)
        vibrato = 1 + 0.006 * np.sin(2 * np.pi * 5.5 * t) * bows
        tone = a.harmonics(tonic_hz * octave * 2 ** (semitones / 12) * vibrato, timbre, clip.uniform(0, 6))
        return tone * (a.swell(n, 0.06, 0.08) if bows else a.swell(n, 0.004, 0.02) * np.exp(-t / sustain_s))

    def render(clip: Generator, n: int) -> np.ndarray:
        wave, step = np.zeros(n), a.samples(beat_s / 2)
        first = int(clip.integers(32))  # where in the song the clip begins
        for i in range(n // step + 1):
            at, place_in_song = i * step, first + i
            root = roots[place_in_song // 8 % 4]
            if place_in_song % 4 == 0:
                for interval in (0, 7, 12, 16):
                    a.place(wave, 0.4 * note(clip, root + interval, 1.0, beat_s * 2), at)
            if clip.uniform() < 0.7:
                a.place(wave, note(clip, clip.choice(scale), melody_octave, beat_s * clip.choice([0.5, 1.0])), at)
            if drums:
                a.place(wave, drums * drum(clip, place_in_song), at)
        return a.in_room(wave, square)

    return render


def drum(clip: Generator, step: int) -> np.ndarray:
    """A bass drum on the beat's first half note, a snare-like burst on its second, a cymbal's tick between."""
    n = a.samples(0.15)
    t = a.seconds(n)
    if step % 4 == 0:
        return 2.5 * np.sin(2 * np.pi * (55 * t + 2.0 * (1 - np.exp(-t / 0.02)))) * np.exp(-t / 0.05)
    if step % 4 == 2:
        return 0.8 * a.band(clip.standard_normal(n), 300, 6000) * np.exp(-t / 0.04)
    return 0.5 * a.band(clip.standard_normal(n), 6000, None) * np.exp(-t / 0.015)

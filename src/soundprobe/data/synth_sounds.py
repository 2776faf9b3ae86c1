"""Ten city sounds, each from a stated acoustic recipe; the classes are UrbanSound8K's.

A recipe draws one *recording* (what stays the same: this drill, this dog, this square) and returns a function that
renders any number of clips of it. Ranges of kindred classes overlap on purpose (a hammer drill strikes like a slow
jackhammer's, a smooth engine hums like a fan), because real ones do.

Letters: n samples of a clip. Every clip is (n,) float64 at `acoustics.RATE_HZ`, at any level.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from soundprobe.data import acoustics as a

Render = Callable[[Generator, int], np.ndarray]
"""(the clip's own generator, n) -> wave (n,)."""


@dataclass(frozen=True)
class Recipe:
    """How a class sounds.

    Attributes:
        draw: a generator -> one recording, as a function that renders its clips.
        description: the recipe in one line.
        shortest_s, longest_s: the range that a clip's duration is drawn from before it is cut to 4 s; above 4 s most
            clips last the full 4 s, as in UrbanSound8K.
    """

    draw: Callable[[Generator], Render]
    description: str
    shortest_s: float = 2.0
    longest_s: float = 6.0


def air_conditioner(rng: Generator) -> Render:
    """Stationary turbulence below a corner frequency, the fan's blade tone, and the motor's mains hum."""
    slope, corner_hz = rng.uniform(0.6, 1.8), rng.uniform(600, 4000)
    mains_hz = float(rng.choice([100.0, 120.0]))  # a magnet pulls twice a cycle of 50 or 60 Hz
    hum = a.db(rng.uniform(-24, -3)) * rng.uniform(0.2, 1.0, 6) / np.arange(1, 7)
    blades_hz, blades = rng.uniform(40, 180), a.db(rng.uniform(-26, -6)) * 0.5 ** np.arange(4)
    rattle_hz, rattle = rng.uniform(250, 1200), a.db(rng.uniform(-25, -12))

    def render(clip: Generator, n: int) -> np.ndarray:
        air = a.band(a.coloured_noise(clip, n, slope), 40, corner_hz)
        air += rattle * a.resonate(air, [rattle_hz], [30], [8.0])
        steady = np.full(n, 1.0)
        tones = a.harmonics(mains_hz * steady, hum, clip.uniform(0, 6))
        tones += a.harmonics(blades_hz * (1 + 0.002 * a.wander(clip, n, 1.0)), blades, clip.uniform(0, 6))
        return a.scaled(air) + tones

    return render


def car_horn(rng: Generator) -> Render:
    """Two steel plates a third apart (about 420 and 500 Hz), rich in harmonics, pressed in one or more honks."""
    low_hz = rng.uniform(330, 470)
    pitches_hz = [low_hz, low_hz * rng.uniform(1.17, 1.28)][: 1 + (rng.uniform() < 0.85)]
    k = np.arange(1, 26)
    bell_hz, bell_width = rng.uniform(1500, 3500), rng.uniform(0.5, 0.9)
    amplitudes = [k**-0.8 * (0.25 + np.exp(-((np.log(k * f / bell_hz) / bell_width) ** 2))) for f in pitches_hz]
    longest_s, attack_s = rng.uniform(0.2, 3.0), rng.uniform(0.01, 0.05)

    def honk(clip: Generator, n: int) -> np.ndarray:
        onset = 1 - 0.03 * np.exp(-a.seconds(n) / 0.02)  # the plate reaches its pitch within some 20 ms
        wave = np.zeros(n)
        for pitch_hz, levels in zip(pitches_hz, amplitudes, strict=True):
            wave += a.harmonics(pitch_hz * onset, levels, clip.uniform(0, 6))
        return wave * a.swell(n, attack_s, 0.04)

    def render(clip: Generator, n: int) -> np.ndarray:
        wave, at = np.zeros(n), int(clip.uniform(0, 0.15) * n)
        while at < n:
            length = a.samples(clip.uniform(0.12, longest_s))
            a.place(wave, honk(clip, min(length, n - at)), at)
            at += length + a.samples(clip.uniform(0.08, 0.9))
        return wave

    return render


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


def drilling(rng: Generator) -> Render:
    """A motor's harmonics and its gears' whine, sagging under load, with grinding noise; some drills also hammer."""
    motor_hz, teeth = rng.uniform(70, 250), int(rng.integers(7, 14))
    motor = a.db(rng.uniform(-14, -4)) * rng.uniform(0.3, 1.0, 30) * np.arange(1, 31) ** -0.4
    whine = a.db(rng.uniform(-20, -8)) * np.array([1.0, 0.5, 0.2])
    low_hz = rng.uniform(400, 2000)
    grind, chatter = a.db(rng.uniform(-6, 6)), rng.uniform(0.3, 0.9)
    hammer_hz, hammers = rng.uniform(25, 60), 0.9 * (rng.uniform() < 0.45)
    stops = rng.uniform() < 0.4

    def render(clip: Generator, n: int) -> np.ndarray:
        load = np.clip(0.5 + 0.5 * a.wander(clip, n, 1.5), 0, 1.5)
        speed = 1 - 0.12 * load + 0.02 * a.wander(clip, n, 60)
        if stops and clip.uniform() < 0.6:  # the trigger is released: the motor runs down
            speed = speed * np.clip(4 * (1 - np.arange(n) / (n * clip.uniform(0.6, 1.0))), 0.02, 1)
        wave = a.harmonics(motor_hz * speed, motor, clip.uniform(0, 6))
        wave += a.harmonics(motor_hz * teeth * speed, whine, clip.uniform(0, 6))
        noise = a.scaled(a.band(clip.standard_normal(n), low_hz, min(low_hz * 4, 9500))) * grind
        at, forces = a.strikes(clip, n, hammer_hz, timing=0.03, strength=0.15)
        blows = a.resonate(a.train(n, at, forces), [0.0], [90], [1.0])  # a decaying envelope after each blow
        blows /= max(float(blows.max()), 1e-9)
        turns = a.harmonics(motor_hz / 5 * speed, [1.0, 0.5])  # behind the gear, the bit's edges catch once a turn
        noise *= (0.4 + 0.6 * load) * (1 + chatter * turns) * (1 - hammers + 2.5 * hammers * blows)
        return (wave + noise) * np.clip(speed * 1.5, 0, 1)

    return render


def engine_idling(rng: Generator) -> Render:
    """Combustion at 20 to 40 firings a second, none like the last, through an exhaust's low resonances."""
    firing_hz, cylinders = rng.uniform(19, 40), int(rng.choice([3, 4, 6]))
    uneven = 1 + rng.uniform(0.02, 0.25) * rng.standard_normal(cylinders)  # each cylinder has its own force
    pipes_hz = np.array([rng.uniform(45, 110), rng.uniform(120, 260), rng.uniform(300, 700), rng.uniform(900, 2200)])
    gains = np.array([1.0, rng.uniform(0.3, 1.0), rng.uniform(0.1, 0.5), rng.uniform(0.02, 0.25)])
    fan, clatter = a.db(rng.uniform(-22, -4)), a.db(rng.uniform(-24, -6))
    corner_hz = rng.uniform(800, 3500)

    def render(clip: Generator, n: int) -> np.ndarray:
        at, forces = a.strikes(clip, n, firing_hz, timing=0.025, strength=0.12)
        puffs = a.train(n, at, forces * np.resize(uneven, len(at)))
        exhaust = a.scaled(a.resonate(puffs, pipes_hz, pipes_hz * 0.35, gains))
        opening = a.resonate(puffs, [0.0], [60], [1.0])
        valves = a.scaled(a.band(clip.standard_normal(n), 1500, 6000) * opening)
        air = a.scaled(a.band(a.coloured_noise(clip, n, 1.0), 60, corner_hz))
        return (exhaust + clatter * valves + fan * air) * (1 + 0.05 * a.wander(clip, n, 0.7))

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


def jackhammer(rng: Generator) -> Render:
    """15 to 30 blows a second; each rings the steel's modes, bursts the paving, and thuds; exhaust air hisses."""
    rate_hz = rng.uniform(17, 30)
    modes_hz = np.sort(rng.uniform(700, 6500, 7))
    steel = a.ring(a.samples(0.12), modes_hz, rng.uniform(0.002, 0.012, 7), rng.uniform(0.3, 1.0, 7))
    thud_hz, thud = rng.uniform(60, 160), rng.uniform(0.2, 1.5)
    burst, burst_s, corner_hz = rng.uniform(0.5, 2.5), rng.uniform(0.004, 0.015), rng.uniform(3000, 9000)
    hiss = a.db(rng.uniform(-22, -8))

    def render(clip: Generator, n: int) -> np.ndarray:
        at, forces = a.strikes(clip, n, rate_hz, timing=0.02, strength=0.15)
        blows = a.train(n, at, forces)
        metal = a.scaled(a.in_room(blows, steel))
        low = a.scaled(a.resonate(blows, [thud_hz], [60], [1.0])) * thud
        fall = np.exp(-a.seconds(a.samples(8 * burst_s)) / burst_s)
        paving = a.scaled(a.in_room(blows, fall) * a.band(clip.standard_normal(n), 200, corner_hz)) * burst
        air = a.band(clip.standard_normal(n), 1000, 7000)
        return metal + low + paving + hiss * a.scaled(air)

    return render


def siren(rng: Generator) -> Render:
    """A harmonic tone that sweeps between about 600 and 1,500 Hz, slowly (wail) or 3 times a second (yelp)."""
    low_hz, high_hz = rng.uniform(480, 720), rng.uniform(1150, 1650)
    wail_s, yelp_s = rng.uniform(2.0, 4.5), rng.uniform(0.25, 0.5)
    yelps, rising = rng.uniform() < 0.4, rng.uniform(0.3, 0.6)  # the share of a cycle in which the pitch rises
    amplitudes = np.arange(1, 13) ** -rng.uniform(0.7, 1.8) * rng.uniform(0.5, 1.0, 12)
    horn_hz = rng.uniform(900, 2200)
    street = a.room_response(rng, rng.uniform(0.3, 1.5), rng.uniform(0.1, 0.8))

    def render(clip: Generator, n: int) -> np.ndarray:
        cycle = a.seconds(n) / (yelp_s if yelps else wail_s) + clip.uniform()
        cycle -= np.floor(cycle)
        height = np.where(cycle < rising, cycle / rising, (1 - cycle) / (1 - rising))
        doppler = 1 + clip.uniform(-0.03, 0.03) * np.linspace(-1, 1, n)
        f0_hz = low_hz * (high_hz / low_hz) ** height * doppler
        tone = a.harmonics(f0_hz, amplitudes, clip.uniform(0, 6))
        tone = 0.3 * tone + a.resonate(tone, [horn_hz], [horn_hz], [1.0])
        passing = 1 + clip.uniform(-0.5, 0.5) * np.linspace(-1, 1, n)
        return a.in_room(tone * passing, street)

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


RECIPES: dict[str, Recipe] = {
    "air_conditioner": Recipe(air_conditioner, "stationary low-passed noise, a blade tone and mains hum"),
    "car_horn": Recipe(car_horn, "two steady harmonic tones a third apart, near 420 and 500 Hz, on and off", 0.4, 5.0),
    "children_playing": Recipe(children_playing, "overlapping high voices with formants, in calls, in a yard"),
    "dog_bark": Recipe(dog_bark, "short rough bursts with formants and falling pitch, in groups", 0.4, 6.0),
    "drilling": Recipe(drilling, "motor harmonics and gear whine that sag under load, with grinding noise", 1.0, 7.0),
    "engine_idling": Recipe(engine_idling, "20 to 40 uneven firings a second through low exhaust resonances"),
    "gun_shot": Recipe(gun_shot, "a blast that decays within some 30 ms, echoes and a long tail", 0.6, 2.6),
    "jackhammer": Recipe(jackhammer, "17 to 30 blows a second: ringing steel, bursts of paving, thuds", 1.2, 7.0),
    "siren": Recipe(siren, "a harmonic tone that sweeps between about 600 and 1,500 Hz, wailing or yelping"),
    "street_music": Recipe(street_music, "plucked or bowed chords and a melody in one key, some with drums"),
}
"""The ten classes in the order of UrbanSound8K's class ids."""

"""The machines among the ten city sounds of `synth_sounds`: fans, horns, drills, engines, jackhammers, sirens.

Letters: n samples of a clip.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from soundprobe.data.synth import acoustics as a
from soundprobe.data.synth.acoustics import Render


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

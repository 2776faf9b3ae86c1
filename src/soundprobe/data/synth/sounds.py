"""Ten city sounds, each from a stated acoustic recipe; the classes are UrbanSound8K's.

A recipe draws one *recording* (what stays the same: this drill, this dog, this square) and returns a function that
renders any number of clips of it. Ranges of kindred classes overlap on purpose (a hammer drill strikes like a slow
jackhammer's, a smooth engine hums like a fan), because real ones do.

Letters: n samples of a clip. Every clip is (n,) float64 at `acoustics.RATE_HZ`, at any level.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from numpy.random import Generator

from soundprobe.data.synth.acoustics import Render
from soundprobe.data.synth.machines import air_conditioner, car_horn, drilling, engine_idling, jackhammer, siren
from soundprobe.data.synth.street import children_playing, dog_bark, gun_shot, street_music


@dataclass(frozen=True)
class SoundRecipe:
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


RECIPES: dict[str, SoundRecipe] = {
    "air_conditioner": SoundRecipe(air_conditioner, "stationary low-passed noise, a blade tone and mains hum"),
    "car_horn": SoundRecipe(
        car_horn, "two steady harmonic tones a third apart, near 420 and 500 Hz, on and off", 0.4, 5.0
    ),
    "children_playing": SoundRecipe(children_playing, "overlapping high voices with formants, in calls, in a yard"),
    "dog_bark": SoundRecipe(dog_bark, "short rough bursts with formants and falling pitch, in groups", 0.4, 6.0),
    "drilling": SoundRecipe(
        drilling, "motor harmonics and gear whine that sag under load, with grinding noise", 1.0, 7.0
    ),
    "engine_idling": SoundRecipe(engine_idling, "20 to 40 uneven firings a second through low exhaust resonances"),
    "gun_shot": SoundRecipe(gun_shot, "a blast that decays within some 30 ms, echoes and a long tail", 0.6, 2.6),
    "jackhammer": SoundRecipe(jackhammer, "17 to 30 blows a second: ringing steel, bursts of paving, thuds", 1.2, 7.0),
    "siren": SoundRecipe(siren, "a harmonic tone that sweeps between about 600 and 1,500 Hz, wailing or yelping"),
    "street_music": SoundRecipe(street_music, "plucked or bowed chords and a melody in one key, some with drums"),
}
"""The ten classes in the order of UrbanSound8K's class ids."""

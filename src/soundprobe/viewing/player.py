"""The player: a spectrogram with a playhead that moves over it while the sound plays. HTML, CSS and script.

Every page that has players includes `STYLE` and `SCRIPT` once. The script finds each `.player` itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import resources

import jinja2
from markupsafe import Markup

from soundprobe.base.errors import one_line
from soundprobe.base.files import printable
from soundprobe.viewing.sound import Playable
from soundprobe.viewing.spectrogram import Spectrogram
from soundprobe.viewing.strip import Block

FREQUENCIES_HZ = (100, 200, 500, 1000, 2000, 4000, 8000, 16_000)
LEAST_GAP = 9.0
"""Percent of the height between two labels, so that they don't touch on a phone."""
STEPS_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600)


def player(
    clip: Playable, label: str, *, ticks: bool = False, key: str = "", lanes: Sequence[Sequence[Block]] = ()
) -> Markup:
    """The HTML of a player.

    Args:
        label: what the clip is, for those who can't see it; escaped here.
        ticks: whether frequencies and times stand beside the picture, of a clip whose spectrogram is known.
        key: written as `data-clip`, for scripts that look for it.
        lanes: labelled segments to lay under the spectrogram.
    """
    return Markup(  # noqa: S704 - the template escapes
        templates()
        .get_template("player.html")
        .render(
            label=label,
            key=key,
            picture=clip.picture,
            sound=clip.sound,
            seconds=round(clip.duration_s, 4),
            frequencies=frequency_ticks(clip.spectrogram) if ticks and clip.spectrogram else (),
            times=time_ticks(clip.duration_s) if ticks else (),
            lanes=lanes,
        )
    )


def empty_player() -> Markup:
    """A player without a clip, which a script fills."""
    return Markup(  # noqa: S704 - our own template
        templates()
        .get_template("player.html")
        .render(label="", key="", picture=None, sound=None, seconds=0, frequencies=(), times=(), waits=True)
    )


def frequency_ticks(shown: Spectrogram) -> list[tuple[float, str]]:
    """Heights in percent with their labels."""
    ticks: list[tuple[float, str]] = []
    for frequency in FREQUENCIES_HZ:
        at = round(100 * shown.height_of(frequency), 2)
        if at > 95 or (ticks and at - ticks[-1][0] < LEAST_GAP):
            continue
        ticks.append((at, f"{frequency // 1000} kHz" if frequency >= 1000 else f"{frequency} Hz"))
    return ticks


def time_ticks(duration_s: float) -> list[tuple[float, str]]:
    """Positions in percent with their labels, at most nine."""
    step = next((step for step in STEPS_S if duration_s / step <= 8), 3600)
    return [
        (round(100 * number * step / duration_s, 2), clock(number * step))
        for number in range(int(duration_s / step * 0.97) + 1)
    ]


def clock(seconds: float) -> str:
    """ "0.5 s", "4 s", "2:05"."""
    return f"{seconds:g} s" if seconds < 60 else f"{seconds // 60:.0f}:{seconds % 60:02.0f}"


@cache
def templates() -> jinja2.Environment:
    """The templates of this room."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("soundprobe.viewing", "templates"),
        autoescape=True,
        finalize=lambda shown: one_line(printable(shown)) if type(shown) is str else shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def static(name: str) -> str:
    """A file of this room's `static` folder."""
    return resources.files("soundprobe.viewing").joinpath("static", name).read_text(encoding="utf-8")

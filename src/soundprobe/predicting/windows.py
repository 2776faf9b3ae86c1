"""A recording cut into windows while it is read, in memory that doesn't grow with its length.

Window number k begins k hops after the recording's beginning, to the nearest sample, wherever its blocks end; one more
ends with the recording, where that isn't a window's end already.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from soundprobe.base.errors import ConfigError

LEAST_REST_S = 1e-3
"""A shorter rest of a recording gets no window of its own: it may come from rounding to samples."""
NO_END = 2**62
LEAST_S = 1e-3
"""A shorter hop would take for ever: of a bundle that isn't one's own, it could be anything."""


def check_length(what: str, length_s: float) -> None:
    """Refuses what is no length of a window or hop, `what` of the two it is.

    Raises:
        ConfigError: it is shorter than `LEAST_S`, or endless.
    """
    if not LEAST_S <= length_s < math.inf:
        raise ConfigError(f"A {what} of {length_s} s is not valid: give {LEAST_S} or more, such as 0.5.")


@dataclass(frozen=True)
class Grid:
    """Windows of `window_s` seconds, one every `hop_s`.

    Raises:
        ConfigError: one is shorter than `LEAST_S`, or the hop is longer, so that something would not be heard.
    """

    window_s: float
    hop_s: float

    def __post_init__(self) -> None:
        check_length("window", self.window_s)
        check_length("hop", self.hop_s)
        if self.hop_s > self.window_s:
            raise ConfigError(
                f"A hop of {self.hop_s:g} s leaves out what lies between windows of {self.window_s:g} s: "
                f"give {self.window_s:g} or less."
            )


class Reel:
    """One recording at one rate: its samples, read on as they are asked for.

    Args:
        blocks: the samples, each block (n,) float32.
    """

    def __init__(self, blocks: Iterator[np.ndarray], rate_hz: int) -> None:
        self.rate_hz = rate_hz
        self.count = 0
        """How many samples were read so far."""
        self._blocks = blocks
        self._held = np.empty(0, dtype=np.float32)  # the last of them

    def reaches(self, end: int) -> bool:
        """Reads on to sample `end`; whether there are so many."""
        new = []
        while self.count < end and (block := next(self._blocks, None)) is not None:
            new.append(block)
            self.count += len(block)
        if new:
            self._held = np.concatenate([self._held, *new])
        return self.count >= end

    def take(self, start: int, end: int) -> np.ndarray:
        """Samples `start` to `end`, or to the recording's end."""
        self.reaches(end)
        begin = self.count - len(self._held)
        return self._held[start - begin : end - begin]

    def forget(self, before: int) -> None:
        """Samples before this one won't be asked for any more."""
        begin = self.count - len(self._held)
        self._held = self._held[max(0, before - begin) :]


@dataclass(frozen=True, eq=False)
class Window:
    """A stretch of a recording in seconds, and its samples (n,) float32 of each reel.

    `whole` is the recording itself, where it is no longer than a window.
    """

    start_s: float
    end_s: float
    waves: tuple[np.ndarray, ...]
    whole: bool = False


def windows(reels: Sequence[Reel], grid: Grid) -> Iterator[Window]:
    """The windows of one recording in their order, each as soon as its last sample is there.

    Args:
        reels: the same recording at the rates that are wanted; the first says how long it is.
    """
    lead = reels[0]

    def window(start_s: float, end_s: float) -> Window:
        waves = []
        for reel in reels:
            start = round(start_s * reel.rate_hz)
            waves.append(reel.take(start, start + max(1, round(grid.window_s * reel.rate_hz))))
        return Window(start_s, end_s, tuple(waves))

    number, least_rest = 0, math.ceil(LEAST_REST_S * lead.rate_hz)
    while lead.reaches(
        round(number * grid.hop_s * lead.rate_hz)
        + max(1, round(grid.window_s * lead.rate_hz))
        + (0 if number else least_rest)
    ):
        start_s = number * grid.hop_s
        yield window(start_s, start_s + grid.window_s)
        for reel in reels:  # the window that ends with the recording begins behind this one
            reel.forget(round(start_s * reel.rate_hz))
        number += 1
    duration_s = lead.count / lead.rate_hz
    if number == 0:
        yield Window(0.0, duration_s, tuple(reel.take(0, NO_END) for reel in reels), whole=True)
    elif duration_s - ((number - 1) * grid.hop_s + grid.window_s) > LEAST_REST_S:
        yield window(duration_s - grid.window_s, duration_s)

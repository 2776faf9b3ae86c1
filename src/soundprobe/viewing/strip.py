"""Labelled segments under a spectrogram: blocks at their place in time, and the list that a reader seeks by."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass

from soundprobe.base.records import Segment

COLOURS = 8
LANES = 4
"""So many segments may lie over each other in the strip; all stand in the list."""
LISTED = 200


@dataclass(frozen=True)
class Block:
    """One segment: where it lies in percent of the clip, its class's colour, and what the list says of it."""

    label: str
    left: float
    width: float
    colour: int
    start_s: float
    end_s: float
    when: str
    share: str


@dataclass(frozen=True)
class Strip:
    """A clip's segments: `lanes` of blocks that don't overlap, the `listed` ones, and how many are in neither."""

    lanes: tuple[tuple[Block, ...], ...] = ()
    listed: tuple[Block, ...] = ()
    unlisted: int = 0


def strip_of(segments: Iterable[Segment], duration_s: float) -> Strip:
    """The segments that begin within `duration_s`, ascending; the others count as unlisted."""
    ordered = sorted(segments, key=lambda one: (one.start_s, one.end_s, one.label))
    labels = {label: number for number, label in enumerate(sorted({one.label for one in ordered}))}
    within = itertools.islice((one for one in ordered if one.start_s < duration_s), LISTED)
    shown = [_block(one, labels[one.label], duration_s) for one in within]
    lanes: list[list[Block]] = []
    for block in shown:
        lane = next((lane for lane in lanes if lane[-1].end_s <= block.start_s + 1e-6), None)
        if lane is not None:
            lane.append(block)
        elif len(lanes) < LANES:
            lanes.append([block])
    return Strip(tuple(map(tuple, lanes)), tuple(shown), len(ordered) - len(shown))


def _block(one: Segment, number: int, duration_s: float) -> Block:
    end_s = min(one.end_s, duration_s)
    share = "" if math.isnan(one.probability) else f"{100 * one.probability:.0f}\N{NO-BREAK SPACE}%"
    return Block(
        label=one.label,
        left=round(100 * one.start_s / duration_s, 3),
        width=round(100 * (end_s - one.start_s) / duration_s, 3),
        colour=number % COLOURS,
        start_s=round(one.start_s, 3),
        end_s=round(end_s, 3),
        when=f"{_clock(one.start_s)}\N{EN DASH}{_clock(end_s)}",
        share=share,
    )


def _clock(seconds: float) -> str:
    tenths = round(10 * seconds)
    return f"{tenths // 600}:{tenths % 600 // 10:02}.{tenths % 10}"

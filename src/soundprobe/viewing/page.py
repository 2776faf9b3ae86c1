"""A page with the spectrogram of each clip, its sound, what it was taken for when, and a playhead that moves over them.

Letters: W windows, C classes.
"""

from __future__ import annotations

import base64
import hashlib
import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from soundprobe.audio.checks import Findings
from soundprobe.audio.decode import AudioInfo, decode, decode_checked, inspect
from soundprobe.audio.encoded import open_encoded, source_name
from soundprobe.base.display import table_html
from soundprobe.base.files import printable, write_text
from soundprobe.base.records import Segment, Source, Timeline
from soundprobe.viewing.player import clock, player, static, templates
from soundprobe.viewing.sound import FULL_RATE_HZ, PageClip, clip_of_wave
from soundprobe.viewing.strip import Strip, strip_of

if TYPE_CHECKING:
    from markupsafe import Markup

LONGEST_S = 600.0
CLASSES_SHOWN = 6
LEAST_PEAK = 0.05
"""A class that is nowhere more probable says nothing; it is counted, not drawn."""


@dataclass(frozen=True)
class Band:
    """One class under the spectrogram: its name, mean probability, and course as an SVG path in a 100 x 1 box."""

    name: str
    mean: float
    path: str


@dataclass(frozen=True, eq=False)
class ClipView:
    """One clip of the page.

    Attributes:
        bands: the most probable classes over time; others: how many are not drawn; segments: its labelled stretches.
        page_bytes: what its sound and picture take there; findings: see `audio.checks`.
    """

    name: str
    facts: str
    player: Markup
    bands: tuple[Band, ...]
    others: int
    segments: Strip
    page_bytes: int
    findings: Findings


@dataclass(frozen=True, eq=False)
class View:
    """Clips to look at and to hear. In a notebook it shows itself; `save` writes it as a page.

    Attributes:
        title: the page's heading; clips: what is on it; notes: what is not, and why, a sentence each.
        failed: how many clips can't be shown because their file is bad.
        table: a heading and then rows of texts, which stand above the clips.
    """

    title: str
    clips: tuple[ClipView, ...]
    notes: tuple[str, ...]
    failed: int = 0
    table: Sequence[Sequence[str]] = ()

    def html(self) -> str:
        """The whole page: opens from disk, asks no network, every name escaped."""
        script = static("player.js")
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        style = "\n".join([static("view.css"), static("player.css")])
        page = templates().get_template("view.html")
        return printable(
            page.render(view=self, table=table_html(self.table), style=style, script=script, script_digest=digest)
        )

    def save(self, path: str | Path) -> Path:
        """Writes the page, whole or not at all.

        Raises:
            StoreError: the folder can't be written.
        """
        target = Path(path)
        write_text(target, self.html())
        return target

    def _repr_html_(self) -> str:
        # A frame of its own, so that neither the notebook's styles nor its script reach into the page.
        height = 90 + 30 * min(len(self.table), 12)
        for clip in self.clips[:3]:
            height += (
                400 + 44 * len(clip.bands) + 24 * len(clip.segments.lanes) + 36 * min(len(clip.segments.listed), 6)
            )
        return (
            f'<iframe srcdoc="{html.escape(self.html(), quote=True)}" sandbox="allow-scripts" '
            f'style="width:100%;height:{height}px;border:0" title="{html.escape(self.title, quote=True)}"></iframe>'
        )


def clip_view(
    source: Source, *, channels: str = "mean", timeline: Timeline | None = None, segments: Iterable[Segment] = ()
) -> ClipView:
    """What the page shows of one clip.

    Args:
        channels: what becomes of the clip's, see `audio.decode.CHANNELS`.
        timeline: its classes' probabilities over time; segments: its labelled stretches.

    Raises:
        AudioError: it can't be decoded.
    """
    name, audio = source_name(source), open_encoded(source)
    told = inspect(audio, name)

    def most(rate_hz: int) -> dict[str, Any]:
        samples = round(LONGEST_S * rate_hz)
        return {"sample_rate_hz": rate_hz, "name": name, "channels": channels, "samples": samples}

    wave, findings = decode_checked(audio, **most(FULL_RATE_HZ))
    shown_name = Path(name).name or name
    clip = clip_of_wave(wave, FULL_RATE_HZ, shown_name)
    # What the file can't hold is not drawn as silence: 16 kHz audio ends at 8 kHz.
    if told.sample_rate_hz < FULL_RATE_HZ and told.sample_rate_hz >= 2000:
        own = decode(audio, **most(told.sample_rate_hz))
        drawn = clip_of_wave(own, told.sample_rate_hz, "", with_sound=False)
        clip = replace(clip, picture=drawn.picture, spectrogram=drawn.spectrogram)
    bands, others = _bands(timeline, clip) if timeline is not None else ((), 0)
    strip = strip_of(segments, clip.duration_s)
    shown = clip.inline()
    return ClipView(
        name=shown_name,
        facts=_facts(told, told.duration_s > LONGEST_S),
        player=player(shown, shown_name, ticks=True, lanes=strip.lanes),
        bands=bands,
        others=others,
        segments=strip,
        page_bytes=shown.taken_bytes,
        findings=findings,
    )


def _facts(told: AudioInfo, cut: bool) -> str:
    channels = {1: "mono", 2: "stereo"}.get(told.channels, f"{told.channels} channels")
    length = f"{told.duration_s:.2f} s" if told.duration_s < 60 else clock(round(told.duration_s))
    mixed = "" if told.channels == 1 else ", shown and played as mono"
    ending = f"; only the first {LONGEST_S / 60:g} minutes are shown" if cut else ""
    return f"{length}, {told.sample_rate_hz:,} Hz, {channels}{mixed}{ending}"


def _bands(timeline: Timeline, clip: PageClip) -> tuple[tuple[Band, ...], int]:
    """The classes that are most probable somewhere, one to six of them, and how many are left out."""
    peaks = timeline.proba.max(axis=0)
    chosen = [int(c) for c in np.argsort(-peaks, kind="stable")[:CLASSES_SHOWN]]
    chosen = [c for c in chosen if peaks[c] >= LEAST_PEAK] or chosen[:1]
    chosen.sort(key=lambda c: -float(timeline.proba[:, c].mean()))
    middles = (timeline.starts_s + timeline.ends_s) / 2
    edges = np.concatenate([[0.0], (middles[1:] + middles[:-1]) / 2, [clip.duration_s]])
    edges = np.minimum(100 * edges / clip.duration_s, 100)
    bands = tuple(
        Band(timeline.class_names[c], float(timeline.proba[:, c].mean()), _course(edges, timeline.proba[:, c]))
        for c in chosen
    )
    return bands, len(timeline.class_names) - len(bands)


def _course(edges: np.ndarray, values: np.ndarray) -> str:
    """A stepped area over (W + 1,) edges in percent, as high as the (W,) values."""
    steps = "".join(
        f"V{1 - value:.3f}H{edge:.2f}" for edge, value in zip(edges[1:], values, strict=True) if math.isfinite(value)
    )
    return f"M0 1{steps}V1z"

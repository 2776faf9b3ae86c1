"""`soundprobe view`: one page with the spectrogram of each clip, its sound, and a playhead that moves over both.

Letters: W windows, C classes.
"""

from __future__ import annotations

import base64
import hashlib
import html
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from soundprobe.audio.checks import Findings
from soundprobe.audio.checks import notes as sound_notes
from soundprobe.audio.decode import AudioInfo, check_channels, decode, decode_checked, inspect
from soundprobe.audio.encoded import read_bytes
from soundprobe.base.errors import AudioError, ConfigError, DataError
from soundprobe.base.files import atomic_path, printable
from soundprobe.data.listing import audio_files
from soundprobe.viewing.player import clock, player, static, templates
from soundprobe.viewing.sound import FULL_RATE_HZ, PageClip, clip_of_wave

if TYPE_CHECKING:
    from markupsafe import Markup

    from soundprobe.predicting.prediction import Timeline
    from soundprobe.predicting.predictor import Predictor

MOST_CLIPS = 50
MOST_MB = 50.0
BYTES_OF_MB = 1_000_000
NAMES_SHOWN = 5
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
    """One clip of the page; page_bytes: what its sound and picture take there; findings: see `audio.checks`."""

    name: str
    facts: str
    player: Markup
    bands: tuple[Band, ...]
    others: int
    page_bytes: int
    findings: Findings


@dataclass(frozen=True, eq=False)
class View:
    """Clips to look at and to hear. In a notebook it shows itself; `save` writes it as a page.

    Attributes:
        title: the page's heading; clips: what is on it; notes: what is not, and why, a sentence each.
        failed: how many clips can't be shown because their file is bad.
    """

    title: str
    clips: tuple[ClipView, ...]
    notes: tuple[str, ...]
    failed: int = 0

    def html(self) -> str:
        """The whole page: opens from disk, asks no network, every name escaped."""
        script = static("player.js")
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        style = "\n".join([static("view.css"), static("player.css")])
        page = templates().get_template("view.html")
        return printable(page.render(view=self, style=style, script=script, script_digest=digest))

    def save(self, path: str | Path) -> Path:
        """Writes the page, whole or not at all.

        Raises:
            StoreError: the folder can't be written.
        """
        target = Path(path)
        with atomic_path(target) as temporary:
            temporary.write_text(self.html(), encoding="utf-8", newline="\n")
        return target

    def _repr_html_(self) -> str:
        # A frame of its own, so that neither the notebook's styles nor its script reach into the page.
        height = 90 + sum(400 + 44 * len(clip.bands) for clip in self.clips[:3])
        return (
            f'<iframe srcdoc="{html.escape(self.html(), quote=True)}" sandbox="allow-scripts" '
            f'style="width:100%;height:{height}px;border:0" title="{html.escape(self.title, quote=True)}"></iframe>'
        )


def view(
    clips: str | Path | Sequence[str | Path],
    *,
    run: str | Path | None = None,
    head: str | Path | None = None,
    heads: str | Path = "heads",
    dataset: str | None = None,
    weights: str | Path | None = None,
    window_s: float = 1.0,
    hop_s: float = 0.5,
    limit: int = MOST_CLIPS,
    max_mb: float = MOST_MB,
    channels: str | None = None,
    device: str = "auto",
    progress: bool = True,
) -> View:
    """The spectrogram with a moving playhead of a clip, of several, or of every clip in a folder.

    Args:
        clips: an audio file, a folder (looked through with its subfolders), or several of either.
        run, head, heads, dataset: whose heads, see `predict`; then class probabilities over time stand under each
            spectrogram, the mean over the heads of all folds, in windows of `window_s` every `hop_s`.
        weights, device: of the heads' backbone, see `load_predictor`.
        limit: at most so many clips of what is named; a note says how many are left out.
        max_mb: how many million bytes sounds and pictures may take; a clip that doesn't fit any more is left out, and
            a note names it.
        channels: what becomes of a clip's: "mean" (what is shown by default), "first" or "loudest". None takes for the
            probabilities what the head's embeddings were made of.

    Raises:
        DataError: there is no audio in the folder. AudioError: a clip that was named can't be decoded.
        ConfigError: `limit`, `max_mb`, a window or a hop is not valid; the run is not one of a probe.
    """
    if limit < 1:
        raise ConfigError(f"--limit {limit} is not valid: give 1 or more.")
    if channels is not None:
        check_channels(channels)
    if not 0 < max_mb < math.inf:
        raise ConfigError(f"--max-mb {max_mb:g} is not valid: give more than 0, such as {MOST_MB:g}.")
    named = [clips] if isinstance(clips, str | Path) else list(clips)
    found = [(path, Path(place).is_dir()) for place in named for path in audio_files(Path(place))]
    if not found:
        raise DataError("No clip given. Name an audio file or a folder of them.")
    predictor = None
    run = head if run is None else run
    if run is not None:
        from soundprobe.predicting.load import find_heads, load_predictor

        folder = find_heads(run, heads=heads, dataset=dataset)
        predictor = load_predictor(folder, weights=weights, channels=channels, device=device, progress=progress)
    shown: list[ClipView] = []
    too_large: list[ClipView] = []
    notes, failed, taken = [], 0, 0
    for path, from_folder in found[:limit]:
        try:
            clip = _clip_view(path, predictor, window_s, hop_s, channels or "mean")
        except AudioError as error:
            if not from_folder:
                raise
            failed += 1
            notes.append(f"{error.name} is not shown: {error.reason}.")
            continue
        if taken + clip.page_bytes > max_mb * BYTES_OF_MB:
            too_large.append(clip)
        else:
            taken += clip.page_bytes
            shown.append(clip)
    if too_large:
        notes.append(_too_large_note(too_large, taken, max_mb))
    if not shown and too_large:
        raise DataError(f"No clip of {named[0]} fits on the page. {notes[-1]}")
    if not shown:
        raise DataError(f"None of the {len(notes)} clips in {named[0]} can be shown. {notes[0]}")
    notes += sound_notes({clip.name: clip.findings for clip in shown})
    if len(found) > limit:
        notes.append(f"The first {limit} of {len(found)} clips; --limit {len(found)} shows all.")
    if predictor is not None:
        notes.append(
            f"The probabilities are the mean of {len(predictor.heads)} heads, one of each fold, in windows of "
            f"{window_s:g} s every {hop_s:g} s: new audio was in no fold. A clip of the training data was seen by some."
        )
    title = Path(named[0]).name or str(named[0])
    return View(title if len(named) == 1 else f"{len(shown)} clips", tuple(shown), tuple(notes), failed)


def _too_large_note(clips: Sequence[ClipView], taken: int, max_mb: float) -> str:
    names = ", ".join(clip.name for clip in clips[:NAMES_SHOWN])
    more = f" and {len(clips) - NAMES_SHOWN} more" if len(clips) > NAMES_SHOWN else ""
    # Rounded up to 2 digits, so that what the note asks for is enough.
    needed = math.ceil(100 * (taken + sum(clip.page_bytes for clip in clips)) / BYTES_OF_MB) / 100
    return f"Left out, beyond {max_mb:g} MB: {names}{more}; --max-mb {needed:.2f} shows all."


def _clip_view(path: Path, predictor: Predictor | None, window_s: float, hop_s: float, channels: str) -> ClipView:
    audio = read_bytes(path)
    told = inspect(audio, str(path))
    wave, findings = decode_checked(audio, sample_rate_hz=FULL_RATE_HZ, name=str(path), channels=channels)
    kept = wave[: round(LONGEST_S * FULL_RATE_HZ)]
    clip = clip_of_wave(kept, FULL_RATE_HZ, path.name)
    # What the file can't hold is not drawn as silence: 16 kHz audio ends at 8 kHz.
    if told.sample_rate_hz < FULL_RATE_HZ and told.sample_rate_hz >= 2000:
        own = decode(audio, sample_rate_hz=told.sample_rate_hz, name=str(path), channels=channels)
        drawn = clip_of_wave(own[: round(LONGEST_S * told.sample_rate_hz)], told.sample_rate_hz, "", with_sound=False)
        clip = replace(clip, picture=drawn.picture, spectrogram=drawn.spectrogram)
    bands: tuple[Band, ...] = ()
    others = 0
    if predictor is not None:
        bands, others = _bands(predictor.timeline(path, window_s=window_s, hop_s=hop_s), clip)
    facts = _facts(told, len(kept) < len(wave))
    shown = clip.inline()
    return ClipView(path.name, facts, player(shown, path.name, ticks=True), bands, others, shown.taken_bytes, findings)


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

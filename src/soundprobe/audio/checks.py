"""Is what came out of a clip the sound that was meant? Checks on decoded samples, in one pass and on a sample of them.

Letters: T samples, C channels.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

Findings = Mapping[str, float]
"""What is conspicuous about a clip, and by how much: a key of `NOTES`, and the number that its text names."""

CANCELLED = 0.1
"""Channels cancel where their mean has less than a tenth of the power that it has of channels without likeness."""
SILENT = 1.5 / 2**15
"""A larger peak than one step of 16 bits is a sound."""
FAR_BEYOND = 10.0
"""Lossy codecs and loud mixes reach 2; samples on the scale of 8-bit integers reach 128."""
NEAR_FULL_SCALE = 0.99
CLIPPED_SHARE = 1e-3
CLIPPED_RUN = 3
"""So many equal samples in a row, at the clip's own extreme, are cut off."""
OFF_CENTRE = 0.05
SAMPLED = 4096
"""So many of a clip's frames show whether it is worth looking at all of them."""

NOTES = {
    "cancelled": "{clips} all but silent when the channels are mixed ({names}): --channels first, or loudest",
    "far_beyond": "{clips} far beyond full scale, up to {most:,.0f} ({names}): written as integers? Divide by 32768",
    "silent": "{clips} digital silence ({names})",
    "constant": "{clips} one constant value throughout ({names})",
    "off_centre": "{clips} off centre, with a DC of up to {most:.2g} of full scale ({names})",
    "clipped": "{clips} clipped, up to {most:.1%} of the samples ({names})",
}
NAMES_SHOWN = 3


def findings(frames: np.ndarray, wave: np.ndarray, lowest: float, highest: float) -> dict[str, float]:
    """What is conspicuous about one clip, mostly nothing.

    Args:
        frames: (T, C) float32 before its channels were mixed, or (T,).
        wave: (T,) float32 of it, finite; lowest, highest: its extremes.
    """
    found: dict[str, float] = {}
    peak = max(-lowest, highest)
    if frames.ndim == 2 and (share := _power_kept(frames, wave, peak)) < CANCELLED:
        return {"cancelled": share}
    if peak < SILENT:
        return {"silent": peak}
    if lowest == highest:
        return {"constant": highest}
    if peak >= FAR_BEYOND:
        return {"far_beyond": peak}
    if abs(_mean(wave[:: _step(wave)])) > OFF_CENTRE / 2 and (offset := abs(_mean(wave))) > OFF_CENTRE:
        found["off_centre"] = offset
    if peak >= NEAR_FULL_SCALE:
        share = sum(_share_of_runs(wave, extreme) for extreme in (lowest, highest) if abs(extreme) >= NEAR_FULL_SCALE)
        if share >= CLIPPED_SHARE:
            found["clipped"] = share
    return found


def in_both(first: Findings, second: Findings) -> dict[str, float]:
    """What two parts of one clip have in common, by its mean; what is far beyond in one of them."""
    both = {kind: (first[kind] + second[kind]) / 2 for kind in first if kind in second}
    peaks = [part["far_beyond"] for part in (first, second) if "far_beyond" in part]
    return {**both, "far_beyond": max(peaks)} if peaks else both


def notes(found: Mapping[str, Findings], leave_out: Collection[str] = ()) -> list[str]:
    """A line for each kind of finding: how many clips, the first names, what helps.

    Args:
        found: clip -> its findings; leave_out: kinds that somebody else speaks of.
    """
    lines = []
    for kind, text in NOTES.items():
        clips = [clip for clip, each in found.items() if kind in each]
        if clips and kind not in leave_out:
            shown = ", ".join(clips[:NAMES_SHOWN]) + (", ..." if len(clips) > NAMES_SHOWN else "")
            count = "1 clip is" if len(clips) == 1 else f"{len(clips):,} clips are"
            most = max(abs(found[clip][kind]) for clip in clips)
            lines.append(text.format(clips=count, names=shown, most=most) + ".")
    return lines


def _power_kept(frames: np.ndarray, wave: np.ndarray, peak: float) -> float:
    """The power of the channels' mean `wave`, as a share of what it would be if the channels had no likeness.

    Where nothing sounds in any channel it is 1.
    """
    step = _step(wave)
    share = _share_of_power(frames[::step], wave[::step]) if peak >= SILENT else 0.0
    return _share_of_power(frames, wave) if share < 2 * CANCELLED else share


def _share_of_power(frames: np.ndarray, wave: np.ndarray) -> float:
    powers = [_power(frames[:, channel]) for channel in range(frames.shape[1])]
    if max(powers) < SILENT**2:
        return 1.0
    return _power(wave) * len(powers) ** 2 / sum(powers)


def _power(wave: np.ndarray) -> float:
    return float(np.square(wave, dtype=np.float64).mean())


def _mean(wave: np.ndarray) -> float:
    return float(wave.mean(dtype=np.float64))


def _step(wave: np.ndarray) -> int:
    return max(1, len(wave) // SAMPLED) | 1  # odd: a tone is hardly ever met at one phase only


def _share_of_runs(wave: np.ndarray, extreme: float) -> float:
    """The share of samples that stand `CLIPPED_RUN` or more in a row at `extreme`."""
    at = wave == np.float32(extreme)
    if np.count_nonzero(at) < CLIPPED_SHARE * len(wave) / 2:
        return 0.0
    edges = np.flatnonzero(np.diff(at.astype(np.int8), prepend=0, append=0)).reshape(-1, 2)
    runs = edges[:, 1] - edges[:, 0]
    return float(runs[runs >= CLIPPED_RUN].sum() / len(wave))

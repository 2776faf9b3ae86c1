"""The worst mistakes: the clips that the best run is most sure about and wrong, to look at and to hear.

An imported run may not say how sure it is; the best one that does is then asked.

Letters: N clips, C classes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from soundprobe.reporting.compared.comparison import Comparison
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.elements import Element, Interactive, Text, code, on_page
from soundprobe.reporting.sections.section import Section
from soundprobe.reporting.sections.shown_rows import run_name
from soundprobe.reporting.wording import one_line, plural
from soundprobe.viewing.player import player
from soundprobe.viewing.sound import PageClip

SHOWN = 24
OF_ONE_RECORDING = 2
"""Slices of one recording sound alike; more of them would crowd out other mistakes."""


@dataclass(frozen=True, eq=False)
class Judgements:
    """What a row's runs say of each clip, as one: the mean of their probabilities.

    Attributes:
        ids: (N,) str, sorted; fold, label, predicted: (N,) int64; proba: (N, C) float32.
    """

    ids: np.ndarray
    fold: np.ndarray
    label: np.ndarray
    predicted: np.ndarray
    proba: np.ndarray

    @property
    def confidence(self) -> np.ndarray:
        """(N,) the probability of the predicted class."""
        return self.proba.max(axis=1)


def judgements_of(row: Row) -> Judgements:
    """Of the clips that all seeds' runs of `row`, which has probabilities, predicted."""
    ids = reduce(np.intersect1d, [run.ids for run in row.runs])
    aligned = []
    for run in row.runs:
        order = np.argsort(run.ids)
        aligned.append(order[np.searchsorted(run.ids, ids, sorter=order)])
    told = [run.proba for run in row.runs if run.proba is not None]
    proba = np.mean([one[rows] for one, rows in zip(told, aligned, strict=True)], axis=0)
    first, rows = row.first, aligned[0]
    predicted = first.predicted[rows] if len(row.runs) == 1 else proba.argmax(axis=1)
    return Judgements(ids, first.fold[rows], first.y_true[rows], predicted, proba)


def worst(judged: Judgements, groups: dict[str, str], limit: int = SHOWN) -> list[int]:
    """The rows of the most confident mistakes, at most `OF_ONE_RECORDING` of a recording."""
    wrong = np.flatnonzero(judged.predicted != judged.label)
    order = wrong[np.lexsort([judged.ids[wrong], -judged.confidence[wrong]])]
    taken: Counter[str] = Counter()
    chosen = []
    for row in order:
        group = groups.get(str(judged.ids[row]), str(judged.ids[row]))
        if taken[group] < OF_ONE_RECORDING:
            taken[group] += 1
            chosen.append(int(row))
        if len(chosen) == limit:
            break
    return chosen


def _show(comparison: Comparison) -> Iterator[Element]:
    sure = (row for row in (*comparison.contenders, *comparison.ranked) if row.has_probabilities)
    best, media = next(sure, None), comparison.media
    if best is None or media is None:
        return
    judged = judgements_of(best)
    rows = worst(judged, dict(media.groups))
    if not rows:
        yield Text("It made no mistake.")
        return
    clips = media.fetch([str(judged.ids[row]) for row in rows], silent_too=True)
    mistakes = [_mistake(judged, row, comparison.class_names, clips) for row in rows]
    wrong = int((judged.predicted != judged.label).sum())
    yield _what(best, len(rows), wrong, not media.reason and media.options.audio)
    missing = 0 if media.reason else len(rows) - len(clips)
    is_ = "is" if missing == 1 else "are"
    if media.reason:
        yield Text(on_page(one_line(media.reason)), role="caveat")
    elif missing:
        told = f"{plural(missing, 'clip')} of these {is_} no longer the file that the run heard, or can't be read"
        yield Text(on_page(f"{told}, and {is_} not played."), role="caveat")
    if not media.options.audio:
        yield Text(on_page("The sounds were left out with ", code("--no-audio"), "."), role="how")
    elif any(clip.sound is None for clip in clips.values()):
        some = "Some stand without sound, because the page has room for so much only: raise "
        yield Text(on_page(some, code("--max-audio-mb"), "."), role="how")
    yield Interactive("gallery.html", "The clips are in report.html, to look at and to hear.", {"mistakes": mistakes})


def _what(best: Row, shown: int, wrong: int, can_be_heard: bool) -> Text:
    of_all = f", of {plural(wrong, 'mistake')} in all; at most {OF_ONE_RECORDING} of one recording"
    seeds = f", the mean of {len(best.runs)} seeds" if len(best.runs) > 1 else ""
    listen = (
        " Click into a spectrogram to hear the clip from there; with the keyboard, Space plays and the arrows move."
    )
    return Text(
        f"The {shown} clips that " if shown < wrong else "The clips that ",
        run_name(best),
        f" is most sure about and wrong{of_all if shown < wrong else ''}.",
        on_page(f" The percentages are its probabilities{seeds}.{listen if can_be_heard else ''}"),
        role="how",
    )


def _mistake(judged: Judgements, row: int, names: tuple[str, ...], clips: Mapping[str, PageClip]) -> dict[str, Any]:
    """One clip of the gallery; it has no player where it was not found."""
    clip, label, taken_for = str(judged.ids[row]), judged.label[row], judged.predicted[row]
    true, predicted = one_line(names[label]), one_line(names[taken_for])
    title = f"{true} taken for {predicted}, clip {one_line(clip)}"
    return {
        "clip": clip,
        "fold": judged.fold[row],
        "true": true,
        "predicted": predicted,
        "true_share": float(judged.proba[row, label]),
        "predicted_share": float(judged.proba[row, taken_for]),
        "player": player(clips[clip], title, key=clip) if clip in clips else None,
    }


SECTION = Section("gallery", "The worst mistakes", _show)

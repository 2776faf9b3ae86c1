"""Every clip, to look at and to hear: a map, a list and a player that share one selection, the worst mistakes first.

Other sections point at clips with `elements.pick`, and name sets of clips with `Section.clip_sets`.

Letters: N clips.
"""

from __future__ import annotations

import base64
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from soundprobe.reporting.compared.comparison import Comparison
from soundprobe.reporting.compared.judgements import Judgements, judgements_of
from soundprobe.reporting.compared.media import Media
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.elements import Column, Element, Fold, Interactive, Table, Text, code, name, on_page
from soundprobe.reporting.sections.confusion import chosen_from
from soundprobe.reporting.sections.embedding_map import Map, maps_of, symbols_of
from soundprobe.reporting.sections.section import ClipSet, Section
from soundprobe.reporting.sections.shown_rows import run_name
from soundprobe.reporting.wording import MISSING, count, one_line, percent, plural
from soundprobe.viewing.sound import Playable

SHOWN = 24
OF_ONE_RECORDING = 2
"""Slices of one recording sound alike; more of them would crowd out other mistakes."""
JUDGEMENTS = 300_000
"""How many predictions the page holds, 4 bytes each: those of 30 runs on 8,732 clips."""
NONE_SURE, NONE_SAID = 255, 65_535
"""For a run without probabilities, and for a clip that a run did not test."""
SEED = 0


def worst(judged: Judgements, groups: dict[str, str], limit: int = SHOWN) -> list[int]:
    """The rows of the most confident mistakes, at most `OF_ONE_RECORDING` of a recording."""
    taken: Counter[str] = Counter()
    chosen = []
    for row in judged.surest(np.flatnonzero(judged.wrong)):
        group = groups.get(str(judged.ids[row]), str(judged.ids[row]))
        if taken[group] < OF_ONE_RECORDING:
            taken[group] += 1
            chosen.append(int(row))
        if len(chosen) == limit:
            break
    return chosen


def _show(comparison: Comparison) -> Iterator[Element]:
    from soundprobe.reporting.sections import sections

    best, media = comparison.best, comparison.media
    if best is None or media is None:
        return
    judged = judgements_of(best)
    named = [ClipSet("the worst mistakes", judged.ids[worst(judged, dict(media.groups))].tolist())]
    named += [one for section in sections() for one in section.clip_sets(comparison)]
    maps, no_map = maps_of(comparison, judged.ids)
    clips = _heard(judged, named, media)
    wrong = int(judged.wrong.sum())
    yield Text(
        run_name(best),
        f" takes {count(wrong)} of {plural(len(judged.ids), 'clip')} for another class"
        f"{f', by the mean of {len(best.runs)} seeds' if len(best.runs) > 1 else ''}.",
        on_page(" What is chosen here, in the confusion matrix or in a table is chosen everywhere on this page."),
        role="how",
    )
    for one in maps:
        yield Text(on_page(one.what), role="how")
    if no_map:
        yield Text(on_page(one_line(no_map)), role="caveat")
    yield from _silence(media, sum(clip.sound is not None for clip in clips.values()), len(judged.ids))
    values = {
        "symbols": symbols_of(comparison.class_names),
        "maps": maps,
        "runs": [row.full_name for row in _runs(comparison, best)],
        "sets": named,
        "with_sound": any(clip.sound for clip in clips.values()),
        "data": _data(comparison, judged, named, maps, clips),
    }
    yield Interactive("clips.html", "All clips are in report.html, to look at and to hear.", values)
    if wrong:
        yield Fold("The worst mistakes as a table", [_table(judged, named[0].ids, comparison.class_names)])


def _silence(media: Media, heard: int, clips: int) -> Iterator[Element]:
    """Why some or all clips make no sound; nothing where all do."""
    if heard == clips:
        return
    if not media.options.audio:
        yield Text(on_page("The sounds were left out with ", code("--no-audio"), "."), role="how")
    elif media.reason:
        yield Text(on_page(one_line(media.reason)), role="caveat")
    elif media.left_bytes <= 0:
        room = f"{count(heard)} of them can be heard, the mistakes first: there was room for so much only ("
        yield Text(on_page(room, code(f"--max-audio-mb {media.options.max_audio_mb:g}"), ")."), role="how")
    else:
        missing = plural(clips - heard, "clip")
        told = f"{missing} can't be read any more, or {'is' if clips - heard == 1 else 'are'} no longer what was heard."
        yield Text(on_page(told), role="caveat")


def _heard(judged: Judgements, named: Sequence[ClipSet], media: Media) -> dict[str, Playable]:
    """Clips that there is room for: the named sets', with pictures at least, then mistakes and right ones in turn."""
    mistakes = judged.surest(np.flatnonzero(judged.wrong))
    right = np.random.default_rng(SEED).permutation(np.flatnonzero(~judged.wrong))
    turns = itertools.chain.from_iterable(itertools.zip_longest(mistakes, right))
    order = [str(judged.ids[row]) for row in turns if row is not None]
    return media.fetch([clip for one in named for clip in one.ids], silent_too=True) | media.fetch(order)


def _runs(comparison: Comparison, best: Row) -> list[Row]:
    """The rows whose predictions the page holds, in the order of the confusion matrices."""
    return list(chosen_from(comparison))[: max(1, JUDGEMENTS // len(best.first.ids))]


def _data(
    comparison: Comparison,
    judged: Judgements,
    named: Sequence[ClipSet],
    maps: Sequence[Map],
    clips: dict[str, Playable],
) -> dict[str, Any]:
    """What the script needs, by the clips' places in `judged.ids`."""
    best, ids = comparison.best, judged.ids.tolist()
    assert best is not None
    place = {clip: number for number, clip in enumerate(ids)}
    recordings, recording = np.empty(0, dtype=np.str_), np.zeros(len(ids), dtype=np.int64)
    if best.first.recordings_known and best.first.groups is not None:
        group_of = dict(zip(best.first.ids.tolist(), best.first.groups.tolist(), strict=True))
        recordings, recording = np.unique([group_of[clip] for clip in ids], return_inverse=True)
    return {
        "classes": [one_line(one) for one in comparison.class_names],
        "clips": ids,
        "folds": judged.fold.tolist(),
        "labels": packed(judged.label, np.uint16),
        "recordings": recordings.tolist(),
        "recording": packed(recording, np.uint16 if len(recordings) <= NONE_SAID else np.uint32),
        "runs": [_told(judgements_of(row), judged.ids) for row in _runs(comparison, best)],
        "maps": [[packed(one.x, np.uint16), packed(one.y, np.uint16)] for one in maps],
        "sets": [[place[clip] for clip in one.ids if clip in place] for one in named],
        "media": {
            place[clip]: [one.sound, one.picture, round(one.duration_s, 3)]
            for clip, one in clips.items()
            if clip in place
        },
    }


def _told(judged: Judgements, ids: np.ndarray) -> list[str]:
    """What a run says of each of `ids` (N,), and how sure it is in percent."""
    _, own, theirs = np.intersect1d(ids, judged.ids, return_indices=True)
    said, sure = np.full(len(ids), NONE_SAID), np.full(len(ids), NONE_SURE)
    said[own] = judged.predicted[theirs]
    sure[own] = np.nan_to_num(np.round(100 * judged.confidence[theirs].astype(np.float64)), nan=NONE_SURE)
    return [packed(said, np.uint16), packed(sure, np.uint8)]


def packed(values: np.ndarray, kind: type) -> str:
    """Whole numbers (N,) as base64 of little-endian `kind`."""
    return base64.b64encode(values.astype(np.dtype(kind).newbyteorder("<")).tobytes()).decode()


def _table(judged: Judgements, ids: Sequence[str], class_names: Sequence[str]) -> Table:
    rows = np.searchsorted(judged.ids, ids).tolist()

    def share(row: int, label: int) -> str:
        value = float(judged.proba[row, label])
        return MISSING if np.isnan(value) else percent(value, 0)

    columns = [
        Column("Clip", lambda row: one_line(judged.ids[row]), name, text=True),
        Column("Fold", lambda row: int(judged.fold[row])),
        Column("Is", lambda row: one_line(class_names[judged.label[row]]), name, text=True),
        Column("its probability, %", lambda row: share(row, judged.label[row])),
        Column("Heard as", lambda row: one_line(class_names[judged.predicted[row]]), name, text=True),
        Column("probability, %", lambda row: share(row, judged.predicted[row]), lead=True),
    ]
    return Table(columns, rows, "The worst mistakes", "roomy")


SECTION = Section("gallery", "Listen to the clips", _show)

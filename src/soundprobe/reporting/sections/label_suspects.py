"""Clips that may be labelled wrongly, to look at and to hear."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from soundprobe.reporting.compared.comparison import Comparison
from soundprobe.reporting.compared.pairs import place_of
from soundprobe.reporting.compared.suspects import Suspects
from soundprobe.reporting.elements import Element, Interactive, Text, Words, code, on_page
from soundprobe.reporting.sections.section import Section
from soundprobe.reporting.sections.shown_rows import run_name
from soundprobe.reporting.wording import count, one_line, plural
from soundprobe.viewing.player import player

SHOWN = 25
OF_ONE_RECORDING = 2


def _show(comparison: Comparison) -> Iterator[Element]:
    suspects, media = comparison.suspects, comparison.media
    if suspects is None:
        return
    if not suspects.found:
        yield Text(run_name(suspects.row), " contradicts no label clearly enough to doubt it.")
        return
    places = [(one, row) for one in suspects.found for row in one.rows[:OF_ONE_RECORDING]]
    shown = places[:SHOWN]
    yield Text(*_what(suspects, len(shown)), role="how")
    yield Text(
        "Listen before you correct: where the run is sure and wrong, it looks the same, and a label that is wrong all "
        "over the training data isn't here. Write the right class into the column correction of ",
        code(comparison.suspects_file),
        " beside this report, and extract again with ",
        code(f"--corrections {comparison.suspects_file}"),
        ".",
        role="how",
    )
    if media is None:
        return
    judged, names = suspects.judged, comparison.class_names
    clips = media.fetch([str(judged.ids[row]) for _, row in shown], silent_too=True)
    items = []
    for one, row in shown:
        clip, given, suggested = str(judged.ids[row]), one_line(names[one.given]), one_line(names[one.suggested])
        title = f"labelled {given}, sounds like {suggested}, clip {one_line(clip)}"
        items.append(
            {
                "clip": clip,
                "fold": judged.fold[row],
                "recording": suspects.recording_of(row),
                "given": given,
                "suggested": suggested,
                "given_share": float(judged.proba[row, one.given]),
                "suggested_share": float(judged.proba[row, one.suggested]),
                "player": player(clips[clip], title, key=clip) if clip in clips else None,
            }
        )
    yield Interactive("label_suspects.html", "The clips are in report.html, to look at and to hear.", {"items": items})


def _what(suspects: Suspects, shown: int) -> Iterator[Words]:
    clips, known = len(suspects.ids), suspects.recordings is not None
    wrong = int((suspects.judged.predicted != suspects.judged.label).sum())
    yield plural(clips, "clip") + (f" of {plural(len(suspects.found), 'recording')}" if known else "") + " whose label "
    yield run_name(suspects.row)
    yield f" contradicts as surely as it knows right ones (confident learning), of {count(wrong)} that it gets wrong."
    if known:
        yield " A recording's clips are judged as one."
    if shown < clips:
        yield on_page(f" The {shown} most contradicted are shown, at most {OF_ONE_RECORDING} of one recording.")


def _facts(comparison: Comparison) -> dict[str, Any]:
    suspects = comparison.suspects
    if suspects is None:
        return {"label_suspects": None}
    judged, names = suspects.judged, comparison.class_names
    return {
        "label_suspects": {
            "row": place_of(suspects.row, comparison.rows),
            "clips": [
                {
                    "clip": judged.ids[row],
                    "fold": judged.fold[row],
                    "recording": suspects.recording_of(row) or None,
                    "given": names[one.given],
                    "suggested": names[one.suggested],
                    "probability": judged.proba[row, one.suggested],
                }
                for one in suspects.found
                for row in one.rows
            ],
        }
    }


SECTION = Section("suspects", "Label suspects", _show, _facts)

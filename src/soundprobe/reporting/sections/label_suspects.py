"""Clips that may be labelled wrongly, to be heard where all clips are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from soundprobe.reporting.compared.comparison import Comparison
from soundprobe.reporting.compared.pairs import place_of
from soundprobe.reporting.compared.suspects import Suspects
from soundprobe.reporting.elements import Column, Element, Table, Text, Words, code, name, on_page, pick
from soundprobe.reporting.sections.section import ClipSet, Section
from soundprobe.reporting.sections.shown_rows import run_name
from soundprobe.reporting.wording import count, one_line, percent, plural

SHOWN = 25
OF_ONE_RECORDING = 2
SET = "label suspects"


def _show(comparison: Comparison) -> Iterator[Element]:
    suspects = comparison.suspects
    if suspects is None:
        return
    if not suspects.found:
        yield Text(run_name(suspects.row), " contradicts no label clearly enough to doubt it.")
        return
    places = [(one, row) for one in suspects.found for row in one.rows[:OF_ONE_RECORDING]]
    yield Text(*_what(suspects, min(len(places), SHOWN)), role="how")
    yield Text(
        on_page(pick("Listen to them", set=SET), " before you correct. "),
        "Where the run is sure and wrong, it looks the same, and a label that is wrong all over the training data "
        "isn't here. Write the right class into the column correction of ",
        code(comparison.suspects_file),
        " beside this report, and extract again with ",
        code(f"--corrections {comparison.suspects_file}"),
        ".",
        role="how",
    )
    judged = suspects.judged

    def share(label: int, row: int) -> str:
        return percent(float(judged.proba[row, label]), 0)

    columns = [
        Column("Clip", lambda at: one_line(judged.ids[at[1]]), name, text=True),
        Column("Labelled", lambda at: one_line(comparison.class_names[at[0].given]), name, text=True),
        Column("its probability, %", lambda at: share(at[0].given, at[1])),
        Column("Sounds like", lambda at: one_line(comparison.class_names[at[0].suggested]), name, text=True),
        Column("probability, %", lambda at: share(at[0].suggested, at[1]), lead=True),
        Column("Fold", lambda at: int(judged.fold[at[1]])),
    ]
    if suspects.recordings is not None:
        columns.append(Column("Recording", lambda at: suspects.recording_of(at[1]), _recording, text=True))
    yield Table(columns, places[:SHOWN], "Label suspects", "roomy")


def _recording(recording: str) -> Words:
    return pick(name(recording), recording=recording)


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


def _clip_sets(comparison: Comparison) -> Iterator[ClipSet]:
    if comparison.suspects is not None and comparison.suspects.found:
        yield ClipSet(SET, comparison.suspects.ids)


SECTION = Section("suspects", "Label suspects", _show, _facts, clip_sets=_clip_sets)

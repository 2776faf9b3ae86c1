"""Labels corrected by a table: the report's `label-suspects.csv` with its last column filled in, or one like it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from soundprobe.base.errors import DataError, unknown
from soundprobe.base.records import Clips
from soundprobe.base.remote import local
from soundprobe.data.readers.table import read_table

COLUMNS = ("clip", "file", "recording", "given", "suggested", "probability", "correction")
"""Of the table, which is written for people."""
READ = ("clip", "given", "correction")
"""What is read of it: a clip's id, its label when the table was made, and the right one; "" says nothing."""
BEFORE = "label_before_correction"
"""The column of `Clips` that keeps what was corrected, "" elsewhere: so runs know it, and never mix with older ones."""
BLANKS = r"\s\x00-\x1f\xad\u200b-\u200f\u2060\ufeff"
FORMULA = re.compile(rf"'*(?:[\t\r\n]|[{BLANKS}]*[=+\-@\uff1d\uff0b\uff0d\uff20\u2212\ufe62\ufe63\ufe66\ufe6b])")
"""How a cell begins that a spreadsheet may take for a formula, and run: in full width too, and behind blanks."""


def to_cell(text: str) -> str:
    """`text` for a spreadsheet: an apostrophe stands before what may be a formula."""
    return f"'{text}" if FORMULA.match(text) else text


def from_cell(text: str) -> str:
    """What `to_cell` was given."""
    return text[1:] if text.startswith("'") and FORMULA.match(text) else text


def correct_labels(clips: Clips, path: str | Path) -> Clips:
    """The clips with the labels of the table at `path`, whose rows without a correction say nothing.

    Raises:
        DataError: the table can't be read or lacks a column, corrects nothing at all, names a clip twice or one that
            isn't there, a class that isn't there, or a given label that the clip doesn't have.
    """
    table = read_table(local(path))
    table.require(("clip", "given", "correction"))
    cells = {
        name: [from_cell(text.strip()) for text in table.columns[name]] for name in ("clip", "given", "correction")
    }
    filled = [row for row, text in enumerate(cells["correction"]) if text]
    if not filled:
        raise DataError(
            f"{path} corrects nothing: its column correction is empty. Write a class there for each clip whose label "
            "is wrong, or leave --corrections out."
        )
    rows = {clip.strip(): row for row, clip in enumerate(clips.ids.tolist())}
    classes = {name.strip(): label for label, name in enumerate(clips.class_names)}
    labels, before = clips.labels.copy(), np.full(len(clips), "", dtype=object)
    seen: dict[str, int] = {}
    for row in filled:
        clip, given, correction = (cells[name][row] for name in READ)
        if clip not in rows:
            raise table.error(row, f"{clips.name} has no clip {clip!r}.{_nearest(clip, list(rows))}")
        if seen.setdefault(clip, row) != row:
            raise table.error(row, f"clip {clip!r} stands at {table.rows[seen[clip]]} already; drop one of the two.")
        if correction not in classes:
            raise table.error(row, unknown("class", correction, classes))
        now = clips.class_names[clips.labels[rows[clip]]].strip()
        if given != now:
            raise table.error(
                row,
                f"clip {clip!r} is labelled {now!r}, not {given!r} as this row says: it is of other labels. Empty the "
                f"row's correction, or write {now!r} as given.",
            )
        if correction != now:
            labels[rows[clip]] = classes[correction]
            before[rows[clip]] = clips.class_names[clips.labels[rows[clip]]]
    if not before.any():
        return clips  # every row says that the label is right
    return replace(clips, labels=labels, columns={**clips.columns, BEFORE: before.astype(np.str_)})


def _nearest(clip: str, known: Sequence[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(clip, known, n=1)
    return f" Did you mean {near[0]!r}?" if near else " Give the table that was made of these clips."


def corrected(columns: Mapping[str, np.ndarray]) -> int:
    """How many of the clips whose `columns` these are had their label corrected."""
    return int((np.asarray(columns[BEFORE]) != "").sum()) if BEFORE in columns else 0

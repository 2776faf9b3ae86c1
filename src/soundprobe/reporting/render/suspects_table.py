"""Label suspects -> label-suspects.csv, whose last column a user fills in and gives back with --corrections."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from soundprobe.base.errors import DataError, note
from soundprobe.base.files import atomic_file, printable, remove_file
from soundprobe.base.records import EncodedAudio
from soundprobe.data.corrections import COLUMNS, READ, from_cell, to_cell
from soundprobe.data.readers.table import read_table
from soundprobe.reporting.compared.comparison import Comparison

CORRECTION = COLUMNS[-1]


def write_suspects(comparisons: Sequence[Comparison], folder: Path) -> None:
    """Writes the table of each data set; where nothing is suspected, there is none.

    Rows that a user has filled in stay as they are, whatever is suspected now: the data may be opened with them. A
    table that can't be read any more is left alone, and a warning says so.
    """
    tables: dict[str, dict[str, dict[str, str]]] = {}
    for comparison in comparisons:
        rows = tables.setdefault(comparison.suspects_file, {})
        for row in suspect_rows(comparison):
            rows.setdefault(row["clip"], row)
    for name, rows in tables.items():
        try:
            filled = _filled(folder / name)
        except DataError as error:
            note(f"{folder / name} is left as it is: {error}")
            continue
        _write(folder / name, [*{**rows, **filled}.values()])


def suspect_rows(comparison: Comparison) -> list[dict[str, str]]:
    """A row for each clip that is suspected, by the names of `COLUMNS`; a recording's clips stand together."""
    suspects = comparison.suspects
    if suspects is None:
        return []
    names, judged = comparison.class_names, suspects.judged
    sources = {} if comparison.media is None else comparison.media.sources
    found = []
    for one in suspects.found:
        for row in one.rows:
            clip = str(judged.ids[row])
            source = sources.get(clip, "")
            file = source.name if isinstance(source, EncodedAudio) else str(source)
            texts = (clip, file, suspects.recording_of(row), names[one.given], names[one.suggested])
            share = f"{judged.proba[row, one.suggested]:.3f}"
            found.append(dict(zip(COLUMNS, [*(to_cell(printable(text)) for text in texts), share, ""], strict=True)))
    return found


def _filled(path: Path) -> dict[str, dict[str, str]]:
    """The rows of the table at `path` that have a correction, by their clip as this table writes it."""
    if not path.exists():
        return {}
    table = read_table(path)
    table.require(READ)
    rows = [dict(zip(table.columns, cells, strict=True)) for cells in zip(*table.columns.values(), strict=True)]
    return {to_cell(from_cell(row["clip"].strip())): row for row in rows if row[CORRECTION].strip()}


def _write(path: Path, rows: Sequence[dict[str, str]]) -> None:
    if not rows:
        remove_file(path)
        return
    names = list(dict.fromkeys([*COLUMNS, *(name for row in rows for name in row)]))
    # With a byte order mark: without one Excel takes UTF-8 for the system's own encoding.
    with atomic_file(path) as raw, io.TextIOWrapper(raw, encoding="utf-8-sig", newline="", write_through=True) as file:
        table = csv.DictWriter(file, names, restval="", lineterminator="\n")
        table.writeheader()
        table.writerows(rows)

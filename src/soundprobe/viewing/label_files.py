"""Anybody's labels over time: CSV or TSV with a heading, JSON lines, Audacity label tracks, Raven selection tables."""

from __future__ import annotations

import csv
import io
import json
import math
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PureWindowsPath

from soundprobe.base.errors import DataError
from soundprobe.base.records import Segment

NAMES: Mapping[str, tuple[str, ...]] = {
    "start": ("start", "start_s", "start_time", "start (s)", "begin", "begin_s", "onset", "begin time (s)"),
    "end": ("end", "end_s", "end_time", "end (s)", "offset", "end time (s)"),
    "label": ("label", "class", "event_label", "category", "tag", "species", "annotation", "common name"),
    "probability": ("probability", "proba", "confidence", "score"),
    "clip": ("clip", "file", "filename", "file_name", "filepath", "path", "recording", "begin file", "begin path"),
    "in_file": ("file offset (s)",),
    "selection": ("selection",),
}
"""What columns are called, in lower case; the last two are Raven's alone."""
MOST_BYTES = 64 * 2**20


def read_segments(path: str | Path) -> dict[str, list[Segment]]:
    """The segments in a file of labels, by the path of the recording that they are of, with "/"; "" where the file
    names none. A probability that nobody said is NaN.

    Raises:
        DataError: it can't be read, has no segments, lacks a column, or a line has no valid times or probability.
    """
    place = Path(path)
    try:
        if place.stat().st_size > MOST_BYTES:
            raise DataError(f"{place} is larger than {MOST_BYTES // 2**20} MiB, too much for labels. Split it.")
        text = place.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{place} is not UTF-8 text. Save it as CSV in UTF-8.") from None
    except OSError as error:
        raise DataError(
            f"Can't read the segments in {place}: {error.strerror or error}. Give a file's path."
        ) from error
    found: dict[str, list[Segment]] = {}
    try:
        for clip, segment in _segments(text, place):
            found.setdefault(clip, []).append(segment)
    except csv.Error as error:
        raise DataError(f"{place} can't be read as a table ({error}). Save it as CSV in UTF-8.") from None
    if not found:
        raise DataError(f"{place} has no segments. Give lines of start, end and label, in seconds.")
    return found


def _segments(text: str, place: Path) -> Iterator[tuple[str, Segment]]:
    first = next((line for line in text.splitlines() if line.strip()), "")
    if first.lstrip().startswith("{"):
        yield from _objects(text, place)
        return
    delimiter = max("\t;,", key=first.count)
    rows = csv.reader(io.StringIO(text), delimiter=delimiter)
    columns: Mapping[str, int] | None = None
    seen: set[str] = set()
    for cells in rows:
        where = f"{place}, line {rows.line_num}"
        if not any(cell.strip() for cell in cells) or cells[0].startswith("\\"):
            continue  # Audacity's frequencies of the label above
        if columns is None:
            is_audacity = delimiter == "\t" and _number(cells[0]) is not None
            columns = {"start": 0, "end": 1, "label": 2} if is_audacity else _columns(cells, place)
            if not is_audacity:
                continue
        told = {name: cells[at].strip() for name, at in columns.items() if at < len(cells)}
        if "selection" in columns:  # Raven writes a line for each view of a selection
            if told.get("selection") in seen:
                continue
            seen.add(told.get("selection", ""))
        yield _clip(told.get("clip", "")), _segment(told, where)


def _objects(text: str, place: Path) -> Iterator[tuple[str, Segment]]:
    """Of JSON lines, as `soundprobe predict --format jsonl` writes them."""
    for number, line in enumerate(text.split("\n"), 1):  # not `splitlines`: names may hold what that splits at
        where = f"{place}, line {number}"
        try:
            told = json.loads(line) if line.strip() else None
        except (ValueError, RecursionError):
            told = line
        if told is None:
            continue
        if not isinstance(told, dict):
            raise DataError(f"{where} is no JSON object. Give one a line, with start_s, end_s and label.")
        texts = {name: str(value) for name, value in told.items() if isinstance(value, str | int | float)}
        columns = _columns(list(texts), place)
        values = list(texts.values())
        told = {name: values[at] for name, at in columns.items()}
        yield _clip(told.get("clip", "")), _segment(told, where)


def _columns(heading: Sequence[str], place: Path) -> dict[str, int]:
    """Where each of `NAMES` stands."""
    cells = [cell.strip().lower() for cell in heading]
    found = {
        meaning: min(cells.index(name) for name in names if name in cells)
        for meaning, names in NAMES.items()
        if any(name in cells for name in names)
    }
    lacking = [name for name in ("start", "end", "label") if name not in found]
    if lacking:
        there = repr(", ".join(heading)[:100])
        raise DataError(
            f"{place} has no column {' or '.join(lacking)} (its first line: {there}). Give start, end and label in "
            "seconds with that heading, Audacity's labels or Raven's selections."
        )
    return found


def _segment(told: Mapping[str, str], where: str) -> Segment:
    start_s, end_s = (_number(told.get(name, "")) for name in ("start", "end"))
    if start_s is None or end_s is None or not 0 <= start_s <= end_s:
        shown = " to ".join(reprlib.repr(told.get(name, "")) for name in ("start", "end"))
        raise DataError(f"{where}: {shown} is no stretch of time. Give seconds, the end not before the start.")
    in_file = _number(told.get("in_file", ""))
    if in_file is not None:  # Raven counts from the first of several files
        start_s, end_s = in_file, in_file + end_s - start_s
    said = told.get("probability", "")
    probability = _number(said) if said else math.nan
    if probability is None or not (math.isnan(probability) or 0 <= probability <= 1):
        raise DataError(f"{where}: {reprlib.repr(said)} is no probability. Give 0 to 1, or leave it out.")
    return Segment(start_s, end_s, told.get("label", ""), probability)


def _number(text: str) -> float | None:
    try:
        number = float(text.replace(",", "."))  # as Audacity writes it in some countries
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _clip(text: str) -> str:
    """A recording's path with "/", of any system."""
    return PureWindowsPath(text).as_posix() if text else ""

"""Segments in the formats of other tools: a spreadsheet's, a script's, Audacity's, Raven's.

Sources: Audacity's manual (importing and exporting labels); Raven Pro's user manual (selection tables).
"""

from __future__ import annotations

import csv
import io
import json
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from soundprobe.base.errors import ConfigError, unknown
from soundprobe.data.corrections import to_cell
from soundprobe.predicting.prediction import Prediction


class Writer:
    """What is written of recordings, one after the other: `head()`, then `rows(prediction)` of each.

    Attributes:
        ending: of files; holds_several: whether several recordings can be told apart in one file.
        highest_hz: the highest frequency that the network hears.
    """

    ending: str
    holds_several = True
    highest_hz = 0.0

    def head(self) -> str:
        return ""

    @abstractmethod
    def rows(self, done: Prediction) -> str:
        """The lines of one recording."""


class Csv(Writer):
    """A table for spreadsheets."""

    ending = ".csv"

    def head(self) -> str:
        return _csv([["clip", "start_s", "end_s", "label", "probability"]])

    def rows(self, done: Prediction) -> str:
        return _csv(
            [to_cell(done.name), *_times(one), to_cell(one.label), f"{one.probability:.4f}"] for one in done.segments
        )


class JsonLines(Writer):
    """An object a line."""

    ending = ".jsonl"

    def rows(self, done: Prediction) -> str:
        return "".join(json_line({"clip": done.name, **segment_facts(one)}) for one in done.segments)


class Audacity(Writer):
    """A label track, for File > Import > Labels; of one recording, since it has no column for a name."""

    ending = ".txt"
    holds_several = False

    def rows(self, done: Prediction) -> str:
        return "".join("\t".join([*_times(one), _cell(one.label)]) + "\n" for one in done.segments)


class Raven(Writer):
    """A selection table. Those of several recordings follow each other in time, as Raven opens a list of files."""

    ending = ".Table.1.selections.txt"
    COLUMNS = (
        *("Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)"),
        *("Begin Path", "File Offset (s)", "Annotation", "Confidence"),
    )
    _number, _began_s = 0, 0.0

    def head(self) -> str:
        self._number, self._began_s = 0, 0.0
        return "\t".join(self.COLUMNS) + "\n"

    def rows(self, done: Prediction) -> str:
        lines = []
        for one in done.segments:
            self._number += 1
            times = [f"{self._began_s + at:.3f}" for at in (one.start_s, one.end_s)]
            place = [str(self._number), "Spectrogram 1", "1", *times, "0", f"{self.highest_hz:g}"]
            what = [_cell(done.name), f"{one.start_s:.3f}", _cell(one.label), f"{one.probability:.4f}"]
            lines.append("\t".join([*place, *what]) + "\n")
        self._began_s += done.duration_s
        return "".join(lines)


FORMATS: dict[str, type[Writer]] = {"csv": Csv, "jsonl": JsonLines, "audacity": Audacity, "raven": Raven}


def check_format(name: str) -> None:
    """Raises ConfigError where `name` is none of `FORMATS`."""
    if name not in FORMATS:
        raise ConfigError(unknown("format", name, FORMATS))


def format_of(file: Path) -> str:
    """The format that a file's name asks for.

    Raises:
        ConfigError: none.
    """
    name = file.name.lower()
    for form, ending in (("raven", ".selections.txt"), ("audacity", ".txt"), ("csv", ".csv"), ("jsonl", ".jsonl")):
        if name.endswith(ending):
            return form
    raise ConfigError(f"{file} doesn't say which format it should have: give --format {', '.join(FORMATS)}.")


def segment_facts(one: Any) -> dict[str, Any]:
    """A segment for JSON: seconds to the millisecond."""
    return {
        "start_s": round(one.start_s, 3),
        "end_s": round(one.end_s, 3),
        "label": one.label,
        "probability": round(one.probability, 6),
    }


FACTS = {
    *("clip", "predicted", "proba", "heads", "duration_s", "heard_s", "findings"),
    *("trained_on", "unknown", "novelty", "windows", "segments"),
}
"""The keys of `prediction_facts`."""


def prediction_facts(done: Prediction) -> dict[str, Any]:
    """A prediction for JSON, but for the windows' own probabilities."""
    return {
        "clip": done.name,
        "predicted": done.predicted,
        "proba": {name: round(float(p), 6) for name, p in zip(done.class_names, done.proba, strict=True)},
        "heads": done.heads,
        "duration_s": round(done.duration_s, 4),
        "heard_s": round(done.heard_s, 4),
        "findings": dict(done.findings),
        "trained_on": done.trained_on,
        "unknown": done.is_unknown,
        "novelty": done.novelty,
        "windows": 0 if done.timeline is None else len(done.timeline.starts_s),
        "segments": [segment_facts(one) for one in done.segments],
    }


def json_line(content: dict[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False, allow_nan=False) + "\n"


def _times(one: Any) -> list[str]:
    return [f"{one.start_s:.3f}", f"{one.end_s:.3f}"]


def _cell(text: str) -> str:
    """`text` in a table whose cells tabs and line breaks end."""
    return " ".join(text.split())


def _csv(rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()

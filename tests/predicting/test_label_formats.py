from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from soundprobe.base.errors import ConfigError
from soundprobe.predicting.label_formats import FORMATS, check_format, format_of
from soundprobe.predicting.prediction import Prediction, Segment
from soundprobe.viewing.label_files import read_segments


def prediction(name: str = "dawn.wav", *found: Segment) -> Prediction:
    found = found or (Segment(0.0, 2.5, "siren", 0.91234567), Segment(2.5, 4.0004, "dog bark", 1.0))
    return Prediction(name, ("siren", "dog bark"), np.array([0.6, 0.4]), 3, 4.0004, 4.0004, segments=found)


def written(form: str, *predictions: Prediction) -> str:
    writer = FORMATS[form]()
    writer.highest_hz = 16_000
    return writer.head() + "".join(map(writer.rows, predictions))


def test_csv_has_a_row_for_each_segment_and_no_formula():
    rows = list(csv.DictReader(io.StringIO(written("csv", prediction("=cmd.wav")))))
    assert rows[0] == {
        "clip": "'=cmd.wav",
        "start_s": "0.000",
        "end_s": "2.500",
        "label": "siren",
        "probability": "0.9123",
    }
    assert len(rows) == 2
    (odd,) = csv.DictReader(io.StringIO(written("csv", prediction("a.wav", Segment(0.0, 1.0, "=cmd", 0.5)))))
    assert odd["label"] == "'=cmd"


def test_json_lines_are_an_object_for_each_segment():
    lines = [json.loads(line) for line in written("jsonl", prediction("a\nb.wav")).splitlines()]
    assert lines[1] == {"clip": "a\nb.wav", "start_s": 2.5, "end_s": 4.0, "label": "dog bark", "probability": 1.0}


def test_audacity_labels_are_start_end_and_text_between_tabs():
    odd = prediction("a.wav", Segment(1.0, 2.0, "a\tb\nc", 0.5))
    assert written("audacity", prediction()) == "0.000\t2.500\tsiren\n2.500\t4.000\tdog bark\n"
    assert written("audacity", odd) == "1.000\t2.000\ta b c\n"


def test_raven_table_has_its_columns_and_several_recordings_follow_in_time():
    rows = list(csv.DictReader(io.StringIO(written("raven", prediction("a.wav"), prediction("b.wav"))), delimiter="\t"))
    assert list(rows[0])[:7] == [
        "Selection",
        "View",
        "Channel",
        "Begin Time (s)",
        "End Time (s)",
        "Low Freq (Hz)",
        "High Freq (Hz)",
    ]
    assert [row["Selection"] for row in rows] == ["1", "2", "3", "4"]
    assert (rows[2]["Begin Time (s)"], rows[2]["File Offset (s)"], rows[2]["Begin Path"]) == ("4.000", "0.000", "b.wav")
    assert (rows[0]["High Freq (Hz)"], rows[0]["Annotation"], rows[0]["Confidence"]) == ("16000", "siren", "0.9123")


@pytest.mark.parametrize(
    ("name", "form"),
    [("a.csv", "csv"), ("a.jsonl", "jsonl"), ("a.txt", "audacity"), ("a.Table.1.selections.txt", "raven")],
)
def test_format_of_a_file_is_told_by_its_name(name, form):
    assert format_of(Path(name)) == form


def test_format_that_is_unknown_or_untold_is_refused():
    with pytest.raises(ConfigError, match="Did you mean 'raven'"):
        check_format("ravn")
    with pytest.raises(ConfigError, match=r"a\.doc doesn't say .* --format"):
        format_of(Path("a.doc"))


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_written_in_any_format_is_read_back_by_view(tmp_path, form):
    path = tmp_path / "labels.txt"
    path.write_text(written(form, prediction()), encoding="utf-8")
    ((clip, found),) = read_segments(path).items()
    assert clip == ("" if form == "audacity" else "dawn.wav")
    assert [(one.label, one.start_s, one.end_s) for one in found] == [("siren", 0.0, 2.5), ("dog bark", 2.5, 4.0)]
    assert found[0].probability == pytest.approx(np.nan if form == "audacity" else 0.9123, abs=1e-4, nan_ok=True)

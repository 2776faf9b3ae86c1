"""Labels corrected by a table: what changes, and that a table of other clips, classes or labels is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from soundprobe.base.errors import DataError
from soundprobe.base.records import Clips
from soundprobe.data.catalog import open_data
from soundprobe.data.corrections import BEFORE, correct_labels, corrected, from_cell, to_cell
from soundprobe.data.scan import Scan, fingerprint

NAMES = ("dog", "=cmd|' /C calc'!A0", "<script>")
HEAD = "clip,file,recording,given,suggested,probability,correction\n"


@pytest.fixture
def clips() -> Clips:
    ids = np.array(["a.wav", "-b.wav", "c;1.wav"])
    return Clips("made", ids, ["x"] * 3, np.array([0, 1, 2]), np.array([1, 2, 1]), ids, NAMES)


def table(folder: Path, text: str, encoding: str = "utf-8-sig") -> Path:
    path = folder / "label-suspects.csv"
    path.write_text(text, encoding=encoding)
    return path


def test_filled_rows_change_labels_and_empty_ones_do_not(clips, tmp_path):
    found = correct_labels(clips, table(tmp_path, HEAD + "a.wav,,,dog,x,.9,<script>\n'-b.wav,,,dog,x,.9,\n"))
    assert found.labels.tolist() == [2, 1, 2]
    assert found.columns[BEFORE].tolist() == ["dog", "", ""]
    assert corrected(found.columns) == 1
    assert clips.labels.tolist() == [0, 1, 2]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_table_that_a_spreadsheet_saved_with_semicolons_is_read(clips, tmp_path, encoding):
    text = (
        HEAD.replace(",", ";") + "\"c;1.wav\";;;<script>;dog;0,9;dog\r\n'-b.wav;;;'=cmd|' /C calc'!A0;dog;0,8; dog \r\n"
    )
    found = correct_labels(clips, table(tmp_path, text, encoding))
    assert found.labels.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    "text",
    [
        "dog",
        "=1+1",
        "-b",
        "+x",
        "@x",
        "'=1",
        "''-x",
        "'tis",
        "",
        "\tx",
        " =1",
        "\u00a0\u200b@x",
        "\uff1d1",
        "\ufeff\uff0bx",
    ],
)
def test_cells_come_back_and_none_begins_as_a_formula(text):
    assert from_cell(to_cell(text)) == text
    assert to_cell(text).lstrip("\u200b\ufeff \u00a0")[:1] not in ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b")
    assert from_cell(text) == (
        text[1:] if text.startswith(("'=", "''-")) else text
    )  # as a spreadsheet may give it back


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a.wav,,,dog,x,.9,\n", r"corrects nothing: its column correction is empty.*leave --corrections out"),
        ("A.wav,,,dog,x,.9,dog\n", r"line 2: made has no clip 'A\.wav'\. Did you mean 'a\.wav'\?"),
        ("zzzz,,,dog,x,.9,dog\n", "line 2: made has no clip 'zzzz'. Give the table"),
        ("a.wav,,,dog,x,.9,dogs\n", "line 2: Unknown class 'dogs'. Did you mean 'dog'"),
        ("a.wav,,,<script>,x,.9,dog\n", "line 2: clip 'a.wav' is labelled 'dog', not '<script>' as this row says"),
        ("a.wav,,,dog,x,.9,dog\na.wav,,,dog,x,.9,<script>\n", "line 3: clip 'a.wav' stands at line 2 already"),
    ],
)
def test_a_table_of_other_clips_or_labels_is_refused_in_one_line(clips, tmp_path, rows, message):
    with pytest.raises(DataError, match=message) as caught:
        correct_labels(clips, table(tmp_path, HEAD + rows))
    assert "\n" not in str(caught.value)


def test_a_table_without_its_columns_is_refused(clips, tmp_path):
    with pytest.raises(DataError, match=r"has no column 'given', 'correction'.*needed are clip, given, correction"):
        correct_labels(clips, table(tmp_path, "clip,label\na.wav,dog\n"))


def test_corrections_change_the_fingerprint_and_confirmations_do_not(clips, tmp_path):
    def digest(of: Clips) -> str:
        texts = np.array(["s"] * 3)
        return fingerprint(of, Scan(texts, np.ones(3), np.ones(3), np.ones(3), texts))

    confirmed = correct_labels(clips, table(tmp_path, HEAD + "a.wav,,,dog,x,.9,dog\n"))
    changed = correct_labels(clips, table(tmp_path, HEAD + "a.wav,,,dog,x,.9,<script>\n"))
    assert digest(confirmed) == digest(clips) != digest(changed)


def test_any_layout_is_opened_with_corrections(tmp_path):
    manifest = tmp_path / "clips.csv"
    manifest.write_text("path,label,fold\na.wav,dog,1\nb.wav,cat,1\nc.wav,dog,2\nd.wav,cat,2\n")
    path = table(tmp_path, HEAD + "b.wav,,,cat,dog,.9,dog\n")
    assert open_data(manifest, corrections=path).labels.tolist() == [1, 1, 1, 0]
    assert open_data(manifest, corrections=path, limit=4).labels.tolist() == [1, 1, 1, 0]

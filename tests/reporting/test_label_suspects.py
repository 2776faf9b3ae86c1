"""Label suspects: found by recording, on what the best-calibrated run says, and corrected by a table."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from pages import Page

from result_folders import ESC10, Data, scores, write_predictions, write_result, write_run
from soundprobe.base.errors import SoundprobeWarning
from soundprobe.data.catalog import open_data
from soundprobe.reporting.compared.comparison import Comparison, comparisons_of
from soundprobe.reporting.compared.judgements import Judgements
from soundprobe.reporting.compared.rows import Row
from soundprobe.reporting.compared.suspects import find_suspects, suspects_of
from soundprobe.reporting.runs.collect import collect_runs
from soundprobe.reporting.write import write_report
from soundprobe.verbs.extract import extract
from soundprobe.verbs.probe import probe
from sounds import write_urbansound_layout

HOSTILE = replace(ESC10, class_names=("=1+1", '"><script>alert(1)</script>', *ESC10.class_names[2:]))
RECORDING = "1-0-0"
"""Five clips of class 0, which `write_mislabelled` labels as class 1."""


def write_mislabelled(heads: Path, data: Data = HOSTILE, *, sure: float = 0.9, head: str = "linear") -> Path:
    """A run that knows every clip, `sure` of each, and one recording whose clips have a wrong label."""
    folder = write_run(heads, data, head=head, accuracy=1.5)
    table = pq.read_table(folder / "predictions.parquet")
    label = table["label"].to_numpy().copy()
    label[np.array(table["group"].to_pylist()) == RECORDING] = 1
    ids, fold, predicted = (np.array(table[name].to_pylist()) for name in ("clip_id", "fold", "predicted"))
    proba = np.full((len(label), len(data.class_names)), (1 - sure) / (len(data.class_names) - 1))
    proba[np.arange(len(label)), predicted] = sure
    further = {name: table[name].to_pylist() for name in table.column_names if name == "group" or "." in name}
    write_predictions(folder, ids, fold, label, predicted, proba, further)
    tested = list(data.fold_clips)
    parts = [tuple(one[fold == number] for one in (ids, fold, label, predicted, proba)) for number in tested]
    info = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    write_result(folder, {**info, **scores(data, tested, parts, head)})
    return folder


def comparison_of(heads: Path) -> Comparison:
    (comparison,) = comparisons_of(collect_runs(heads).by_dataset())
    return comparison


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_a_recording_counts_once_and_a_lone_wrong_clip_in_it_is_its_own_mistake():
    said = [("r1", 0, 0.9), ("r1", 0, 0.8), ("r1", 0, 0.45), ("r2", 0, 0.1), ("r2", 0, 0.05), ("r2", 0, 0.6)]
    said += [("r3", 1, 0.3), ("r3", 1, 0.3), ("r4", 1, 0.3), ("r5", 0, 0.9), ("r6", 0, 0.8)]
    groups, labels, first = (np.array(column) for column in zip(*said, strict=True))
    proba = np.stack([first, 1 - first], axis=1)
    ids = np.array([f"c{number:02d}" for number in range(len(said))])
    judged = Judgements(ids, np.ones(len(ids)), labels, proba.argmax(axis=1), proba)
    (found,) = find_suspects(judged, groups)  # r2: its mean is .25; of r1 a clip is wrong, and its mean is not
    assert [str(ids[row]) for row in found.rows] == ["c04", "c03"]  # the clip that is heard as labelled is left out
    assert (found.given, found.suggested) == (0, 1)
    alone = [str(ids[row]) for one in find_suspects(judged, ids) for row in one.rows]
    assert alone == ["c04", "c03"]


def test_a_clip_whose_recording_is_labelled_otherwise_comes_before_one_that_only_the_head_doubts():
    groups = np.repeat([f"r{number}" for number in range(20)], 2)
    labels = np.repeat(np.arange(20) % 2, 2)
    first = np.where(labels == 0, 0.9, 0.1)
    first[:2] = 0.1  # both clips of r0 sound otherwise than they are labelled
    labels[8], first[9] = 1, 0.8  # a clip of r4 is labelled otherwise than it and the other sound
    proba = np.stack([first, 1 - first], axis=1)
    ids = np.array([f"c{number:02d}" for number in range(len(groups))])
    judged = Judgements(ids, np.ones(len(ids)), labels, proba.argmax(axis=1), proba)
    found = [[str(ids[row]) for row in one.rows] for one in find_suspects(judged, groups)]
    assert found == [["c08"], ["c00", "c01"]]
    assert [str(ids[row]) for one in find_suspects(judged, ids) for row in one.rows] == ["c00", "c01", "c08"]


@pytest.mark.parametrize(
    ("linear", "knn", "asked"), [(0.9, 0.9, "linear"), (0.9, 0.92, "linear"), (0.9, 0.5, "linear"), (0.5, 0.9, "knn")]
)
def test_a_linear_head_is_asked_unless_another_is_much_better_calibrated(tmp_path, linear, knn, asked):
    write_mislabelled(tmp_path, sure=linear)
    write_mislabelled(tmp_path, sure=knn, head="knn")
    suspects = comparison_of(tmp_path).suspects
    assert suspects.row.first.head["name"] == asked
    assert suspects.recording_of(suspects.found[0].rows[0]) == RECORDING


def test_controls_are_not_asked(tmp_path):
    write_run(tmp_path, ESC10, accuracy=0.4, weights="random")
    assert comparison_of(tmp_path).suspects is None


def test_report_shows_suspects_and_writes_the_table(tmp_path):
    write_mislabelled(tmp_path / "heads")
    written = write_report(tmp_path / "heads", tmp_path)
    rows = rows_of(tmp_path / "label-suspects.csv")
    assert {row["recording"] for row in rows} == {RECORDING}
    assert {(row["given"], row["suggested"]) for row in rows} == {(HOSTILE.class_names[1], "'=1+1")}
    assert {(row["probability"], row["correction"], row["file"]) for row in rows} == {("0.900", "", "")}
    facts = json.loads(written.json.read_text(encoding="utf-8"))["datasets"][0]["label_suspects"]
    assert [one["clip"] for one in facts["clips"]] == [row["clip"] for row in rows]
    assert facts["row"] == 0
    page = Page(written.html)
    shown = [block for block in page.blocks if block.startswith("clip-") and block.endswith(RECORDING)]
    two = [f"{row['clip']} {HOSTILE.class_names[1]} 1 =1+1 90 1 {RECORDING}" for row in rows[:2]]  # of one recording
    assert shown == two
    assert "5 clips of 1 recording whose label mn04 · linear contradicts" in page.text
    assert "5 clips of 1 recording whose label mn04 · linear contradicts" in written.markdown.read_text(
        encoding="utf-8"
    )


def test_report_without_suspects_says_so_and_takes_an_old_table_away(tmp_path):
    write_run(tmp_path / "heads", ESC10, accuracy=1.5)
    old = tmp_path / "label-suspects.csv"
    old.write_text("clip,given,correction\nclip-1-0,dog,\n", encoding="utf-8")
    written = write_report(tmp_path / "heads", tmp_path)
    assert not old.exists()
    assert "contradicts no label clearly enough to doubt it" in Page(written.html).text


def test_tables_of_several_data_sets_are_told_apart(tmp_path):
    write_mislabelled(tmp_path / "heads")
    write_mislabelled(tmp_path / "heads", replace(HOSTILE, name="other", fingerprint="0"))
    write_report(tmp_path / "heads", tmp_path)
    assert sorted(path.name for path in tmp_path.glob("*.csv")) == [
        "label-suspects-esc10.csv",
        "label-suspects-other.csv",
    ]


@pytest.mark.parametrize(
    ("sounds", "tables"),
    [
        ("same", ["label-suspects.csv"]),
        ("other", ["label-suspects-esc10-0.csv", "label-suspects-esc10-e5c10.csv"]),
    ],
)
def test_tables_of_one_name_are_told_apart_where_their_clips_are_other_sounds(tmp_path, sounds, tables):
    write_mislabelled(tmp_path / "heads")
    folder = write_mislabelled(tmp_path / "second", replace(HOSTILE, fingerprint="0"))
    table = pq.read_table(folder / "predictions.parquet")
    if sounds == "other":
        place = table.column_names.index("clip.audio_sha256")
        table = table.set_column(place, "clip.audio_sha256", [[f"{n:064x}" for n in range(table.num_rows)]])
        pq.write_table(table, folder / "predictions.parquet")
    folder.parent.rename(tmp_path / "heads" / HOSTILE.name / "second")
    written = write_report(tmp_path / "heads", tmp_path)
    assert sorted(path.name for path in tmp_path.glob("*.csv")) == tables
    assert all(table in Page(written.html).text for table in tables)


def test_what_a_user_filled_in_outlives_the_next_report(tmp_path):
    write_mislabelled(tmp_path / "heads")
    write_report(tmp_path / "heads", tmp_path)
    path = tmp_path / "label-suspects.csv"
    clips = [row["clip"] for row in rows_of(path)]
    given = HOSTILE.class_names[1].replace('"', '""')
    lines = ["clip;given;correction;note", f'{clips[2]};"{given}";\'=1+1;', "gone.wav;dog;rain;my own", ""]
    path.write_text(
        "\n".join(lines), encoding="utf-8-sig"
    )  # as a spreadsheet saves it where a comma is the decimal point
    write_report(tmp_path / "heads", tmp_path)
    rows = {row["clip"]: row for row in rows_of(path)}
    assert list(rows) == [*clips, "gone.wav"]
    assert {clip: row["correction"] for clip, row in rows.items() if row["correction"]} == {
        clips[2]: "'=1+1",
        "gone.wav": "rain",
    }
    assert rows["gone.wav"]["note"] == "my own"


def test_a_table_that_cannot_be_read_is_left_alone(tmp_path):
    write_mislabelled(tmp_path / "heads")
    path = tmp_path / "label-suspects.csv"
    path.write_bytes(b"clip,given,correction\n\xff\xfe,a,b\n")
    with pytest.warns(SoundprobeWarning, match="is left as it is: .* is not UTF-8 text"):
        write_report(tmp_path / "heads", tmp_path)
    assert path.read_bytes().startswith(b"clip,given,correction\n\xff")


def test_a_wrong_label_is_found_heard_corrected_and_said(tmp_path):
    """From sounds to the page and back: a recording with a wrong label, by way of the very table that corrects it."""
    data = write_urbansound_layout(tmp_path / "clips", folds=3, recordings=3, slices=2)
    clips = open_data(data)
    victims = clips.ids[clips.groups == clips.groups[0]].tolist()
    names = [clips.class_names[0], clips.class_names[2]]
    spoilt = tmp_path / "spoilt.csv"
    with spoilt.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["clip", "given", "correction"], *([clip, *names] for clip in victims)])
    places = {"embeddings": tmp_path / "embeddings", "progress": False}
    extract(data, backbone="logmel-stats", corrections=spoilt, **places)
    probe(head="linear", heads=tmp_path / "heads", **places)
    written = write_report(tmp_path / "heads", tmp_path / "reports", embeddings=tmp_path / "embeddings")
    (found,) = json.loads(written.json.read_text(encoding="utf-8"))["datasets"]
    assert {one["clip"] for one in found["label_suspects"]["clips"]} == set(victims)
    assert {(one["given"], one["suggested"]) for one in found["label_suspects"]["clips"]} == {(names[1], names[0])}
    page = Page(written.html)
    assert "2 by spoilt.csv" in page.blocks
    (data,) = [json.loads(text) for text in page.styles if text.startswith('{"classes"')]
    assert "label suspects" in [one.get("value") for one in page.of("option")]
    suspects = next(one for one in data["sets"] if {data["clips"][clip] for clip in one} == set(victims))
    assert all(sound for sound, _, _ in (data["media"][str(clip)] for clip in suspects))
    assert {row["file"] for row in rows_of(tmp_path / "reports" / "label-suspects.csv")} == {
        str(source) for clip, source in zip(clips.ids, clips.sources, strict=True) if clip in victims
    }


def test_runs_that_name_a_class_alone_are_not_asked(tmp_path):
    write_mislabelled(tmp_path)
    (row,) = comparison_of(tmp_path).contenders
    bare = Row((replace(row.first, proba=None),))
    assert suspects_of([bare]) is None
    assert suspects_of([bare, row]).row is row

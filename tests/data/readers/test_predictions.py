"""Tables of predictions against the clips that they are of: which clip, which class, which probabilities."""

from __future__ import annotations

import csv
import json
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from soundprobe.base.errors import DataError, SoundprobeWarning
from soundprobe.base.records import Clips
from soundprobe.data.readers.predictions import Predictions, match_predictions
from soundprobe.data.readers.table import read_table

IDS = ("a/dog-1.wav", "a/cat-1.wav", "b/dog-2.wav", "b/Bär-2.wav")
CLASSES = ("dog", "wild cat")
LABELS = (0, 1, 0, 1)
NAMES = [CLASSES[label] for label in LABELS]


def clips() -> Clips:
    return Clips(
        name="pets",
        ids=np.array(IDS),
        sources=[f"/data/pets/{clip}" for clip in IDS],
        labels=np.array(LABELS),
        folds=np.array([1, 1, 2, 2]),
        groups=np.array(IDS),
        class_names=CLASSES,
    )


def read(folder: Path, columns: Mapping[str, Sequence[object]], given: str | None = None, **how: bool) -> Predictions:
    path = folder / "predictions.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([columns, *zip(*columns.values(), strict=True)])
    return match_predictions(read_table(path), clips(), given, **how)


@pytest.mark.parametrize(
    "names",
    [
        IDS,
        [f"/data/pets/{clip}" for clip in IDS],
        [f"C:\\Users\\me\\pets\\{clip}".replace("/", "\\") for clip in IDS],
        [clip.split("/")[1] for clip in IDS],
        [clip.removesuffix(".wav") for clip in IDS],
        [unicodedata.normalize("NFD", clip).upper() for clip in IDS],
    ],
)
def test_clips_are_found_as_other_systems_write_them_in_any_order(tmp_path, names):
    order = [2, 0, 3, 1]
    columns = {"clip": [names[row] for row in order], "predicted": [NAMES[row] for row in order]}
    found = read(tmp_path, columns)
    assert found.rows.tolist() == [0, 1, 2, 3]
    assert found.predicted.tolist() == list(LABELS)
    assert (found.proba, found.folds) == (None, None)


def test_every_kind_of_file_says_the_same(tmp_path):
    shares = [[0.75, 0.25], [0.1, 0.9], [0.6, 0.4], [0.0, 1.0]]
    rows = [{"file": clip, "dog": p, "wild_cat": q} for clip, (p, q) in zip(IDS, shares, strict=True)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    (tmp_path / "a.tsv").write_text(
        "\n".join("\t".join(map(str, row.values())) for row in [dict.fromkeys(rows[0]), *rows])
    )
    (tmp_path / "a.tsv").write_text(
        "\n".join(["file\tdog\twild_cat", *("\t".join(map(str, r.values())) for r in rows)])
    )
    for ending in ("jsonl", "parquet", "tsv"):
        found = match_predictions(read_table(tmp_path / f"a.{ending}"), clips())
        assert found.predicted.tolist() == list(LABELS)
        np.testing.assert_allclose(found.proba, shares)


def test_numbers_of_classes_are_taken_where_labels_in_the_same_numbers_prove_them(tmp_path):
    coded = [7, 3, 7, 3]
    found = read(
        tmp_path, {"id": IDS, "y_true": coded, "y_pred": [7, 3, 3, 3], "7": [0.9, 0, 0.5, 0], "3": [0.1, 1, 0.5, 1]}
    )
    assert found.predicted.tolist() == [0, 1, 1, 1]
    np.testing.assert_allclose(found.proba[0], [0.9, 0.1])


def test_lists_of_probabilities_in_parquet_are_columns(tmp_path):
    table = {"clip_id": IDS, "label": list(LABELS), "proba": [[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.4, 0.6]]}
    pq.write_table(pa.table(table), tmp_path / "p.parquet")
    assert match_predictions(read_table(tmp_path / "p.parquet"), clips()).predicted.tolist() == list(LABELS)


def test_rounded_probabilities_are_taken_and_sum_to_1(tmp_path):
    found = read(tmp_path, {"clip": IDS, "dog": [".51", ".3", "0.99", ".0"], "wild cat": [".5", ".7", "0", "1."]})
    np.testing.assert_allclose(found.proba.sum(axis=1), 1)


def test_logits_are_taken_as_such_only_when_said(tmp_path):
    columns = {"clip": IDS, "logit_dog": [3, -1, 2, 1000], "logit_wild cat": [0, 1, -2, 1001]}
    with pytest.raises(DataError, match=r"line 2: 3 is no probability \(4 rows have such\).*--logits"):
        read(tmp_path, columns)
    found = read(tmp_path, columns, logits=True)
    np.testing.assert_allclose(found.proba[3], [1 / (1 + np.e), np.e / (1 + np.e)])


def test_columns_of_other_names_are_taken_as_they_are_said(tmp_path):
    columns = {"which": IDS, "guess": NAMES, "part": ["fold1", "Fold 01", "2.0", "2"]}
    found = read(tmp_path, columns, "clip=which,predicted=guess,fold=part")
    assert found.folds.tolist() == ["1", "1", "2", "2"]


def test_rows_that_are_no_clips_are_left_out_and_said(tmp_path):
    columns = {"clip": [*IDS, "x.wav"], "predicted": [*NAMES, "a class of elsewhere"]}
    with pytest.warns(SoundprobeWarning, match=r"1 of its 5 rows are no clips of pets and are left out: x\.wav"):
        found = read(tmp_path, columns)
    assert len(found.rows) == 4


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"predicted": NAMES}, "has no clip column"),
        ({"clip": IDS}, "neither a column predicted nor one for each class.*--columns predicted=COLUMN"),
        ({"clip": ["1", "2", "3", "4"], "predicted": NAMES}, "none of its 4 rows is a clip of pets"),
        (
            {"clip": [*IDS[:3], "dog-1.wav"], "predicted": NAMES},
            "1 rows name a clip that stands above already: a/dog-1",
        ),
        ({"clip": [*IDS[:3], ""], "predicted": NAMES}, "line 5: clip is empty"),
        (
            {"clip": IDS, "predicted": ["dog", "1", "dog", "1"]},
            "line 3: predicted '1' is no class.*dog, wild cat.*names",
        ),
        (
            {"clip": IDS, "label": [0, 1, 1, 1], "predicted": [0, 1, 0, 1]},
            "label disagrees with the labels of pets in 1 of 4 rows: line 4",
        ),
        (
            {"clip": IDS, "label": ["dog"] * 4, "predicted": NAMES},
            "in 2 of 4 rows: line 3 has 'dog' for a clip of 'wild",
        ),
        (
            {"clip": IDS, "label": [0, 1, 2, 1], "predicted": [0, 1, 2, 1]},
            "label disagrees with the labels of pets in 2",
        ),
        ({"clip": IDS, "dog": [1, 0, 1, 0]}, "a column for 1 of 2 classes, and none for wild cat"),
        ({"clip": IDS, "dog": [1] * 4, "p_dog": [1] * 4, "wild cat": [0] * 4}, "dog and p_dog are both of the class"),
        ({"clip": IDS, "dog": [0.9] * 4, "wild cat": [0.3] * 4}, r"sum to 1\.2, not 1 \(4 rows do\)"),
        ({"clip": IDS, "dog": ["nan"] * 4, "wild cat": [0.3] * 4}, "dog 'nan' is not a number"),
        ({"clip": IDS, "predicted": ["dog"] * 4, "dog": [0] * 4, "wild cat": [1] * 4}, "'wild cat' is more probable"),
        ({"clip": IDS, "predicted": NAMES, "fold": ["1", "", "2", "2"]}, "line 3: fold is empty"),
    ],
)
def test_tables_that_can_t_be_taken_are_refused_in_one_line(tmp_path, columns, message):
    with pytest.raises(DataError, match=message) as error:
        read(tmp_path, columns)
    assert "\n" not in str(error.value)


def test_file_of_another_folder_of_the_data_is_no_clip(tmp_path):
    names = ["b/dog-1.wav", "/other/a/cat-1.wav", "else/dog-2.wav"]
    with pytest.warns(SoundprobeWarning, match=r"1 of its 3 rows are no clips of pets and are left out: b/dog-1\.wav"):
        found = read(tmp_path, {"clip": names, "predicted": ["dog"] * 3})
    assert found.rows.tolist() == [1, 2]


def test_name_of_several_clips_is_refused(tmp_path):
    twins = Clips("t", ["a/1.wav", "b/1.wav"], ["", ""], [0, 1], [1, 2], ["x", "y"], CLASSES)
    (tmp_path / "p.csv").write_text("clip,predicted\na/1.wav,dog\n1.wav,dog\n")
    with pytest.raises(DataError, match="line 3: clip '1.wav' may be several clips"):
        match_predictions(read_table(tmp_path / "p.csv"), twins)


def test_probabilities_by_number_without_labels_are_not_guessed(tmp_path):
    with pytest.raises(DataError, match="neither a column predicted nor one for each class"):
        read(tmp_path, {"clip": IDS, "0": [1, 0, 1, 0], "1": [0, 1, 0, 1]})

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from result_folders import ESC10, SAMPLE, write_predictions, write_result, write_run
from soundprobe.base.errors import StoreError
from soundprobe.reporting.render.terminal import format_summary
from soundprobe.reporting.runs.collect import collect_runs


def change(folder: Path, *path: str | int, to: object) -> None:
    info = json.loads((folder / "result.json").read_text())
    place = info
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = to
    write_result(folder, info)


def reason_of(heads: Path) -> str:
    """Why the one broken run beside a sound one can't be read."""
    (unreadable,) = collect_runs(heads).unreadable
    return unreadable.reason


@pytest.fixture
def heads(tmp_path: Path) -> Path:
    """A folder with one sound run."""
    write_run(tmp_path / "heads", SAMPLE, "mn04", "linear", 0.8)
    return tmp_path / "heads"


@pytest.fixture
def broken(heads: Path) -> Path:
    """A second run's folder, for a test to damage."""
    return write_run(heads, SAMPLE, "ast", "knn", 0.7)


def test_collect_reads_every_figure_from_the_predictions(heads):
    (run,) = collect_runs(heads).runs
    table = pq.read_table(heads / run.path / "predictions.parquet").to_pandas()
    right = (table["label"] == table["predicted"]).groupby(table["fold"]).mean()
    assert [scores.fold for scores in run.folds] == [1, 2, 3, 10]
    np.testing.assert_allclose([scores.accuracy for scores in run.folds], right.loc[[1, 2, 3, 10]])
    assert run.confusion.sum() == len(table) == 397
    c = 3
    hits = ((table["label"] == c) & (table["predicted"] == c)).sum()
    expected = 2 * hits / ((table["label"] == c).sum() + (table["predicted"] == c).sum())
    assert run.per_class_f1[c] == pytest.approx(expected)


def test_collect_puts_data_sets_of_one_name_and_other_fingerprints_apart(heads):
    write_run(heads, SAMPLE.__class__("urbansound8k", {1: 20, 2: 20}, fingerprint="other"), "panns")
    write_run(heads, ESC10)
    groups = collect_runs(heads).by_dataset()
    assert [(runs[0].dataset["name"], runs[0].dataset["fingerprint"]) for runs in groups] == [
        ("esc10", "e5c10"),
        ("urbansound8k", "77aa"),
        ("urbansound8k", "other"),
    ]


def test_collect_of_nothing_says_what_to_run_first(tmp_path):
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(StoreError, match="soundprobe extract` and then `soundprobe probe") as error:
            collect_runs(folder)
        assert "\n" not in str(error.value)
        assert str(folder) in str(error.value)


def test_collect_of_damaged_runs_only_names_one_and_its_reason(broken, heads):
    for path in heads.glob("*/*/*/predictions.parquet"):
        path.unlink()
    with pytest.raises(StoreError, match=r"2 can't be read, such as .*ast.*no predictions\.parquet"):
        collect_runs(heads)


def test_collect_leaves_plain_files_and_hidden_folders_alone(heads):
    (heads / "README.md").write_text("what this folder is")
    (heads / ".cache" / "a" / "b").mkdir(parents=True)
    (heads / "urbansound8k" / ".lock").write_text("")
    assert collect_runs(heads).unreadable == ()


def test_collect_lists_a_run_that_stopped_before_its_end(broken, heads):
    (broken / "result.json").unlink()
    (broken / "fold-01.safetensors").write_bytes(b"x")
    assert reason_of(heads) == "no result.json: the run is still going, or stopped before its end"


def test_collect_lists_a_run_with_half_a_result(broken, heads):
    text = (broken / "result.json").read_text()
    (broken / "result.json").write_text(text[: len(text) // 2])
    assert reason_of(heads).startswith("result.json is damaged: it is not a whole JSON object")


def test_collect_lists_a_run_of_an_unknown_format(broken, heads):
    change(broken, "format", to=99)
    assert reason_of(heads) == "result.json has format 99; this version reads format 1"


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (("kind",), "guess", "'kind' ('guess')"),
        (("backbone", "key"), None, "'backbone.key'"),
        (("dataset",), "urbansound8k", "'dataset'"),
        (("dataset", "class_names"), [], "'dataset.class_names'"),
        (("dataset", "folds"), [[1]], "'dataset.folds.0'"),
        (("folds", 0, "accuracy"), "high", "'folds.0.accuracy'"),
        (("folds", 1, "fold"), 1, "a fold more than once"),
        (("head", "seed"), "0", "'head.seed'"),
        (("summary", "accuracy"), None, "'summary.accuracy'"),
    ],
)
def test_collect_lists_a_run_whose_result_has_a_wrong_field(broken, heads, path, value, reason):
    change(broken, *path, to=value)
    assert reason in reason_of(heads)


def test_collect_lists_a_run_without_predictions(broken, heads):
    (broken / "predictions.parquet").unlink()
    again = "soundprobe probe --backbone ast --head knn --seed 0"
    assert reason_of(heads) == f"no predictions.parquet beside result.json; run again: {again}"


def test_collect_lists_a_run_with_half_its_predictions(broken, heads):
    content = (broken / "predictions.parquet").read_bytes()
    (broken / "predictions.parquet").write_bytes(content[: len(content) // 2])
    assert "damaged" in reason_of(heads)


def damaged_table(folder: Path, **columns: object) -> None:
    table = pq.read_table(folder / "predictions.parquet")
    for name, values in columns.items():
        place = table.column_names.index(name)
        table = table.set_column(place, name, values) if values is not None else table.remove_column(place)
    pq.write_table(table, folder / "predictions.parquet")


def test_collect_lists_a_run_whose_predictions_lack_a_column(broken, heads):
    damaged_table(broken, proba=None)
    assert reason_of(heads) == "predictions.parquet has no column 'proba'"


def test_collect_lists_a_run_that_predicts_a_clip_twice(broken, heads):
    damaged_table(broken, clip_id=pa.array(["same"] * 397))
    assert "more than once" in reason_of(heads)


def test_collect_lists_a_run_with_labels_that_have_no_class(broken, heads):
    damaged_table(broken, label=pa.array([10] * 397))
    assert "label outside 0 to 9" in reason_of(heads)


def test_collect_lists_a_run_with_missing_labels(broken, heads):
    damaged_table(broken, label=pa.array([None] + [0] * 396, pa.int64()))
    assert "'label' that is not of whole numbers" in reason_of(heads)


def test_collect_lists_a_run_with_nan_among_its_probabilities(broken, heads):
    damaged_table(broken, proba=pa.array([[float("nan")] * 10] + [[0.1] * 10] * 396))
    assert "not a number" in reason_of(heads)


def test_collect_lists_a_run_with_rows_of_uneven_width(broken, heads):
    damaged_table(broken, proba=pa.array([[0.1] * 10, [0.1] * 9, [0.1] * 11] + [[0.1] * 10] * 394))
    assert "does not hold 10 probabilities for each clip" in reason_of(heads)


def test_collect_lists_a_run_whose_predicted_class_is_not_the_most_probable(broken, heads):
    damaged_table(broken, predicted=pa.array([0] * 397))
    assert "not the most probable" in reason_of(heads)


def test_collect_lists_a_run_of_no_predictions(broken, heads):
    empty = np.array([], dtype=np.int64)
    write_predictions(broken, empty, empty, empty, empty, np.zeros((0, 10)))
    assert reason_of(heads) == "predictions.parquet holds no predictions"


@pytest.mark.parametrize(
    ("path", "value", "what"),
    [
        (("folds", 2, "accuracy"), 0.99, "fold 3: accuracy is 0.99"),
        (("folds", 2, "macro_f1"), float("nan"), "fold 3: macro_f1 is nan"),
        (("folds", 0, "test_clips"), 99, "fold 1: test_clips is 99"),
        (("summary", "accuracy", "mean"), 0.99, "summary: accuracy mean is 0.99"),
        (("summary", "macro_f1", "std_sample"), 0.5, "summary: macro_f1 std_sample is 0.5"),
        (("complete",), False, "complete is False"),
        (("dataset", "folds"), [1, 2, 3, 4, 10], "complete is True"),
        (("dataset", "clips"), 8732, "dataset: clips is 8732"),
    ],
)
def test_collect_lists_a_run_whose_result_disagrees_with_its_predictions(broken, heads, path, value, what):
    change(broken, *path, to=value)
    collection = collect_runs(heads)
    (unreadable,) = collection.unreadable
    assert [run.backbone["name"] for run in collection.runs] == ["mn04"]
    assert unreadable.path == broken.relative_to(heads).as_posix()
    assert f"result.json says {what}" in unreadable.reason
    assert "soundprobe probe --backbone ast" in unreadable.reason
    assert "\n" not in unreadable.reason


@pytest.mark.parametrize("name", ["learning-curve.json", "shots.json", "peeking.json"])
@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"format": 1, "fol', "is not a whole JSON object"),
        ("[]", "is not a whole JSON object"),
        ('{"format": 1, "shares": [1], "shots": [1], "draws": 1}', "lacks the field 'folds'"),
        (
            '{"format": 1, "shares": [1], "shots": [1], "draws": 1, "honest": 1, "folds": [{}]}',
            "lacks the field 'folds.0.fold'",
        ),
    ],
)
def test_collect_lists_a_malformed_measurement_and_keeps_its_run(heads, name, text, why):
    (run,) = collect_runs(heads).runs
    (heads / run.path / name).write_text(text)
    collection = collect_runs(heads)
    (unreadable,) = collection.unreadable
    assert unreadable.path == f"{run.path}/{name}"
    assert why in unreadable.reason
    assert (collection.runs[0].learning_curve, collection.runs[0].peeking) == (None, None)
    assert f"{name}" in str(format_summary(collection))


def test_collect_takes_figures_rounded_to_four_digits_as_agreeing(broken, heads):
    info = json.loads((broken / "result.json").read_text())
    for entry in info["folds"]:
        entry["accuracy"], entry["macro_f1"] = round(entry["accuracy"], 4), round(entry["macro_f1"], 4)
    write_result(broken, info)
    assert len(collect_runs(heads).runs) == 2


def test_collect_takes_a_run_of_one_fold_without_sample_deviation(heads):
    write_run(heads, SAMPLE, "panns", folds=[3])
    assert len(collect_runs(heads).runs) == 2


def test_collect_of_a_data_set_that_has_no_runs_suggests_the_near_one(heads):
    with pytest.raises(StoreError, match=r"'urbansound'\. Did you mean 'urbansound8k'\?"):
        collect_runs(heads).of_dataset("urbansound")


def test_collect_changes_nothing_in_the_heads_folder(heads, broken):
    def state() -> dict[str, tuple[int, int]]:
        return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in heads.rglob("*")}

    before = state()
    collect_runs(heads)
    assert state() == before

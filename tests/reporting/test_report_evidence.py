"""Intervals, paired tests, controls and the audit, as the report shows them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from pages import Page

from result_folders import (
    SAMPLE,
    URBAN,
    Data,
    further_columns,
    macro_f1_by_hand,
    write_predictions,
    write_result,
    write_run,
)
from soundprobe.reporting.compared.comparison import Comparison, comparisons_of
from soundprobe.reporting.compared.pairs import pair_all, with_holm
from soundprobe.reporting.render.terminal import format_summary
from soundprobe.reporting.runs.collect import collect_runs
from soundprobe.reporting.sections.chart import chart_of
from soundprobe.reporting.sections.controls import peeked_of, shuffled_of
from soundprobe.reporting.sections.statistics import UNKNOWN_RECORDINGS, against_published, doubts_of
from soundprobe.reporting.sections.verdict import verdict_of
from soundprobe.reporting.wording import between, p_value, percent, points_between
from soundprobe.reporting.write import write_report
from soundprobe.scoring.bootstrap import resample
from soundprobe.scoring.intervals import Interval
from soundprobe.scoring.paired_tests import corrected_t_test, sign_test
from soundprobe.scoring.results import FinishedRun

TEN_FOLDS = Data("ten", dict.fromkeys(range(1, 11), 60), fingerprint="10")
SHUFFLED = {"control": "shuffled-labels", "shuffled_by": "recording"}
HOSTILE = "<img src=x onerror=alert(1)>"


def only_comparison(heads: Path) -> Comparison:
    (comparison,) = comparisons_of(collect_runs(heads).by_dataset())
    return comparison


def change_settings(folder: Path, **settings: object) -> None:
    info = json.loads((folder / "result.json").read_text())
    info["head"]["settings"] = settings
    info["head"]["key"] = f"{abs(hash(str(settings))):012x}"[:12]
    write_result(folder, info)


def write_variant(heads: Path, accuracy: float, data: Data = SAMPLE, **settings: object) -> Path:
    """A run of mn04 and linear with head settings of its own, in a folder of its own."""
    folder = write_run(heads, data, accuracy=accuracy, seed=7)
    target = folder.with_name(f"linear-{'-'.join(settings)}")
    folder.rename(target)
    info = json.loads((target / "result.json").read_text())
    info["head"]["seed"] = 0
    write_result(target, info)
    change_settings(target, **settings)
    return target


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    heads = tmp_path_factory.mktemp("three") / "heads"
    write_run(heads, TEN_FOLDS, "mn04", "linear", 0.84)
    write_run(heads, TEN_FOLDS, "mn04", "knn", 0.82)
    write_run(heads, TEN_FOLDS, "panns", "linear", 0.55)
    write_run(heads, TEN_FOLDS, "mn04", "linear", 0.4, weights="random")
    return heads


def test_row_intervals_are_those_of_the_bootstrap_over_recordings(three):
    for row in only_comparison(three).rows:
        interval = row.scores.interval()
        expected = resample(row.predictions[0]).interval()
        assert (interval.low, interval.high) == (expected.low, expected.high)
        assert interval.low < row.accuracy.mean < interval.high
        assert interval.value == pytest.approx(row.accuracy.mean)


def test_pairs_hold_fold_differences_and_both_tests_by_hand(three):
    comparison = only_comparison(three)
    best = comparison.best
    for pair in comparison.against_best:
        differences = pair.row.fold_accuracy - best.fold_accuracy
        np.testing.assert_allclose(pair.accuracy.differences, differences)
        assert pair.accuracy.mean.value == pytest.approx(differences.mean())
        expected = corrected_t_test(differences, test_train_ratio=1 / 9)
        assert pair.accuracy.t_test.p == pytest.approx(expected.p)
        assert pair.accuracy.sign_test == sign_test(differences)
    assert len(comparison.against_best) == 2
    p = sorted(pair.accuracy.t_test.p for pair in comparison.against_best)
    assert min(pair.accuracy.p_holm for pair in comparison.against_best) == pytest.approx(min(1, 2 * p[0]))


def test_far_worse_run_is_clearly_behind_and_a_close_one_is_not(three):
    verdicts = {pair.row.name: pair.verdict for pair in only_comparison(three).against_best}
    assert verdicts == {"mn04 · knn": "not clear", "panns · linear": "behind"}


def test_controls_are_no_contenders_but_paired_with_their_own_run(three):
    comparison = only_comparison(three)
    assert [row.is_control for row in comparison.contenders] == [False] * 3
    pairs = comparison.against_controls
    assert [(pair.row.name, pair.other.tag) for pair in pairs] == [
        ("mn04 · linear", "random weights: control"),
    ]
    assert all(pair.verdict == "ahead" for pair in pairs)


def test_json_page_and_markdown_show_the_same_interval_and_p(three, tmp_path):
    report = write_report(three, tmp_path)
    (data,) = json.loads(report.json.read_text(), parse_constant=pytest.fail)["datasets"]
    page, text = Page(report.html).text, report.markdown.read_text()
    for row in data["rows"]:
        ends = row["intervals"]["accuracy"]
        shown = between(Interval(ends["value"], ends["low"], ends["high"], ends["method"]))
        assert shown in page
        assert shown in text
        if row["against_best"]:
            pair = row["against_best"]
            assert pair["other"] == data["best"]
            wider, mean = pair["accuracy"]["interval"], pair["accuracy"]["mean"]
            assert wider["low"] <= mean["low"] < mean["high"] <= wider["high"]
            shown = points_between(Interval(wider["value"], wider["low"], wider["high"], wider["method"]))
            assert shown in page
            assert shown in text
            assert p_value(pair["accuracy"]["p_holm"]) in page


def test_runs_that_tested_other_clips_are_compared_on_the_shared_ones(tmp_path):
    write_run(tmp_path, SAMPLE, "mn04", accuracy=0.84)
    folder = write_run(tmp_path, SAMPLE, "panns", accuracy=0.6)
    drop_clips(folder, 30)
    (pair,) = only_comparison(tmp_path).against_best
    assert (pair.clips, pair.same_clips) == (397 - 30, False)


def drop_clips(folder: Path, count: int) -> None:
    """Takes the first clips of fold 1 out of a run, as if they could not be read."""
    table = pq.read_table(folder / "predictions.parquet")
    pq.write_table(table.slice(count), folder / "predictions.parquet")
    frame = table.slice(count).to_pandas()
    info = json.loads((folder / "result.json").read_text())
    info["dataset"]["failed"] = count
    right = frame.label == frame.predicted
    for entry in info["folds"]:
        here = frame.fold == entry["fold"]
        entry["test_clips"] = int(here.sum())
        entry["accuracy"] = float(right[here].mean())
        entry["macro_f1"] = macro_f1_by_hand(frame.label[here].to_numpy(), frame.predicted[here].to_numpy())
    for name in ("accuracy", "macro_f1"):
        values = [entry[name] for entry in info["folds"]]
        info["summary"][name] = {
            "mean": float(np.mean(values)),
            "std_population": float(np.std(values)),
            "std_sample": float(np.std(values, ddof=1)),
        }
    write_result(folder, info)


def test_run_without_recordings_takes_them_from_another_or_says_that_intervals_are_too_narrow(tmp_path):
    write_run(tmp_path / "both", SAMPLE, "mn04", accuracy=0.8)
    write_run(tmp_path / "both", SAMPLE, "panns", accuracy=0.7, recordings=False)
    for row in only_comparison(tmp_path / "both").rows:
        assert len(np.unique(row.predictions[0].groups)) < 397
        assert UNKNOWN_RECORDINGS not in doubts_of(row)
    write_run(tmp_path / "alone", SAMPLE, "panns", accuracy=0.7, recordings=False)
    comparison = only_comparison(tmp_path / "alone")
    assert UNKNOWN_RECORDINGS in doubts_of(comparison.rows[0])
    assert comparison.audit is None
    report = write_report(tmp_path / "alone", tmp_path / "reports")
    assert UNKNOWN_RECORDINGS in Page(report.html).text


def test_fold_1_is_compared_with_the_notes_on_the_official_clips_only(urban_heads, three):
    comparison = only_comparison(urban_heads)
    found = against_published(comparison, comparison.published[0])
    assert {against.clips for _, against in found} == {873}
    row, against = found[0]
    assert against.by_clip.published.value == pytest.approx(0.7056, abs=1e-4)
    assert against.by_recording.run.value == pytest.approx(row.accuracy_on(1), abs=1e-3)
    assert against.design_effect >= 1
    assert not any(row.is_control for row, _ in found)
    assert only_comparison(three).published == ()


def test_shuffled_labels_have_no_rank_and_are_marked_everywhere(tmp_path):
    write_run(tmp_path / "heads", SAMPLE, accuracy=0.8)
    write_variant(tmp_path / "heads", 0.95, **SHUFFLED)  # it must not win for it
    comparison = only_comparison(tmp_path / "heads")
    assert [row.tag for row in comparison.rows] == ["", "shuffled labels: control"]
    assert comparison.rank_of(comparison.rows[1]) is None
    assert comparison.best is comparison.rows[0]
    assert comparison.control_of(comparison.best) is None
    (shuffled,) = shuffled_of(comparison)
    assert shuffled.chance == pytest.approx(0.1, abs=0.01)
    assert not shuffled.near_chance
    report = write_report(tmp_path / "heads", tmp_path / "reports")
    page = Page(report.html)
    rows = [block for block in page.blocks if "mn04 · linear" in block and "shuffled labels: control" in block]
    assert len(rows) >= 6
    assert "above chance: something leaks" in page.text
    assert "above chance: something leaks" in report.markdown.read_text()


def test_shuffled_labels_at_chance_are_said_to_be(tmp_path):
    write_run(tmp_path, SAMPLE, accuracy=0.8)
    write_variant(tmp_path, 0.06, **SHUFFLED)
    (shuffled,) = shuffled_of(only_comparison(tmp_path))
    assert shuffled.near_chance
    assert shuffled.chance_low < 0.1 < shuffled.chance_high


def test_carried_over_networks_have_no_rank_and_are_called_contaminated(tmp_path):
    write_run(tmp_path / "heads", SAMPLE, accuracy=0.7)
    write_variant(tmp_path / "heads", 0.97, carry_over=True)
    comparison = only_comparison(tmp_path / "heads")
    assert comparison.best.tag == ""
    assert [comparison.rank_of(row) for row in comparison.rows] == [1, None]
    report = write_report(tmp_path / "heads", tmp_path / "reports")
    row = json.loads(report.json.read_text())["datasets"][0]["rows"][1]
    assert (row["contaminated"], row["rank"]) == (True, None)
    assert "carried over from fold to fold: contaminated" in Page(report.html).text


def test_verdict_on_runs_without_a_rank_only_says_so(tmp_path):
    write_variant(tmp_path, 0.97, carry_over=True)
    comparison = only_comparison(tmp_path)
    assert comparison.best is None
    assert "only runs whose scores are no test results" in verdict_of(comparison).headline


def test_page_of_shuffled_labels_only_says_why_nothing_is_ranked_and_names_the_control(tmp_path):
    write_variant(tmp_path / "heads", 0.1, **SHUFFLED)
    text = Page(write_report(tmp_path / "heads", tmp_path / "reports").html).text
    assert "not ranked: the runs that tested every fold are no test results" in text
    assert "no run has tested every fold" not in text.lower()
    assert "random weights: control" not in text


def test_legend_names_each_kind_of_control(three):
    comparison = only_comparison(three)
    assert chart_of(comparison).controls == "random weights"


def test_page_and_markdown_say_that_the_reference_was_chosen_by_the_same_scores(three, tmp_path):
    report = write_report(three, tmp_path)
    for text in (Page(report.html).text, report.markdown.read_text()):
        assert "by these same scores, so each p against it is a little too small" in text
        assert "guarantee does not cover that choice" in text


def test_run_without_leaks_is_set_beside_the_one_with_them_and_has_no_rank(tmp_path):
    write_run(tmp_path / "heads", SAMPLE, accuracy=0.8)
    folder = write_variant(tmp_path / "heads", 0.83, exclude_leaks=True)
    info = json.loads((folder / "result.json").read_text())
    for entry in info["folds"]:
        entry["chosen"]["excluded_clips"] = 4 if entry["fold"] == 1 else 0
    write_result(folder, info)
    comparison = only_comparison(tmp_path / "heads")
    (pair,) = comparison.without_leaks
    assert (pair.row.tag, pair.other.tag) == ("leaking training clips left out", "")
    assert comparison.best.tag == ""
    assert comparison.rank_of(pair.row) is None
    assert "4 in 1 fold" in Page(write_report(tmp_path / "heads", tmp_path / "reports").html).text


@pytest.mark.parametrize(("seed", "seeds"), [(0, (0,)), (1, (0, 1))])
def test_run_that_found_no_leaks_to_leave_out_is_the_run_that_kept_them(tmp_path, seed, seeds):
    write_run(tmp_path / "heads", SAMPLE, accuracy=0.8)
    folder = write_variant(tmp_path / "heads", 0.83, exclude_leaks=True)
    info = json.loads((folder / "result.json").read_text())
    info["head"]["seed"] = seed
    for entry in info["folds"]:
        entry["chosen"]["excluded_clips"] = 0
    write_result(folder, info)
    comparison = only_comparison(tmp_path / "heads")
    (row,) = comparison.rows
    assert (row.name, row.tag, row.seeds, comparison.without_leaks) == ("mn04 · linear", "", seeds, ())
    text = Page(write_report(tmp_path / "heads", tmp_path / "reports").html).text
    assert "--exclude-leaks" not in text  # nothing to leave out, so nothing to measure
    assert "leaking training clips left out" not in text


def test_reshuffled_folds_have_no_rank_and_are_set_beside_the_given_folds(tmp_path):
    write_run(tmp_path / "heads", URBAN, accuracy=0.8)
    write_variant(tmp_path / "heads", 0.95, data=URBAN, control="reshuffled-folds")
    comparison = only_comparison(tmp_path / "heads")
    honest, row = comparison.rows
    assert (row.tag, row.role, comparison.rank_of(row)) == ("reshuffled folds: control", "control", None)
    assert comparison.best is honest
    assert (honest.accuracy_on(1) is None, row.accuracy_on(1)) == (False, None)  # its fold 1 holds other clips
    assert chart_of(comparison).folds(row, True) == chart_of(comparison).folds(row, False) == []
    assert [pair.row for pair in comparison.over_control] == []
    report = write_report(tmp_path / "heads", tmp_path / "reports")
    (told,) = json.loads(report.json.read_text())["datasets"][0]["optimistic"]
    assert (told["row"], told["honest"]) == (1, 0)
    assert told["gap"] == pytest.approx(row.accuracy.mean - honest.accuracy.mean)
    (line,) = [line for line in report.markdown.read_text().splitlines() if "folds drawn clip by clip" in line]
    assert f"~~{percent(row.accuracy.mean)}~~" in line
    assert percent(honest.accuracy.mean) in line
    assert "pieces of one recording are trained on and tested" in Page(report.html).text


def test_run_without_leaks_alone_is_ranked(tmp_path):
    write_variant(tmp_path, 0.83, exclude_leaks=True)
    comparison = only_comparison(tmp_path)
    assert comparison.rank_of(comparison.rows[0]) == 1


def test_peeking_is_shown_struck_out_with_its_gap(tmp_path):
    folder = write_run(tmp_path / "heads", SAMPLE, accuracy=0.8)
    content = {
        "format": 1,
        "folds": [
            {
                "fold": 1,
                "honest": {"setting": {"strength": 0.1}, "accuracy": 0.8},
                "candidates": [{"setting": {"strength": 1.0}, "accuracy": 0.9}],
            }
        ],
        "honest": 0.8012,
        "peeked_by_fold": 0.8234,
        "peeked_overall": 0.8123,
    }
    (folder / "peeking.json").write_text(json.dumps(content))
    (one,) = peeked_of(only_comparison(tmp_path / "heads"))
    assert (one.gap, one.overall_gap) == (pytest.approx(0.0222), pytest.approx(0.0111))
    report = write_report(tmp_path / "heads", tmp_path / "reports")
    assert '<s title="chosen on the test folds">82.3</s>' in report.html.read_text()
    assert "~~82.3~~" in report.markdown.read_text()


def test_extras_of_another_version_are_not_shown(tmp_path):
    folder = write_run(tmp_path, SAMPLE, accuracy=0.8)
    for name in ("peeking.json", "learning-curve.json"):
        (folder / name).write_text('{"format": 99}')
    (run,) = collect_runs(tmp_path).runs
    assert (run.peeking, run.learning_curve) == (None, None)


def test_audit_names_recordings_and_bytes_that_folds_share(tmp_path):
    data = Data("leaky", {1: 30, 2: 30}, (HOSTILE, "b", "c"), fingerprint="leaky")
    folder = write_run(tmp_path / "heads", data, accuracy=0.7)
    rewrite_columns(folder, data, group={0: "shared <b>", 30: "shared <b>"}, digest={1: "aa" * 32, 31: "aa" * 32})
    audit = only_comparison(tmp_path / "heads").audit
    assert [(one.group, one.folds) for one in audit.shared_recordings] == [("shared <b>", (1, 2))]
    assert [one.across_folds for one in audit.identical] == [True]
    report = write_report(tmp_path / "heads", tmp_path / "reports")
    assert "shared <b>" in Page(report.html).text
    assert "shared <b>" not in report.html.read_text()
    assert "in another fold (near copies were not looked for)" in Page(report.html).text
    assert "it keeps near copies in training" in Page(report.html).text
    content = json.loads(report.json.read_text())["datasets"][0]["audit"]
    assert content["shared_recordings"][0]["group"] == "shared <b>"


def test_audit_shows_what_was_noted_of_the_sound_and_when_the_clips_were_read(tmp_path):
    data = Data("noted", {1: 30, 2: 30}, (HOSTILE, "b", "c"), fingerprint="noted")
    folder = write_run(tmp_path / "heads", data, accuracy=0.7)
    assert "Noted" not in write_report(tmp_path / "heads", tmp_path / "reports").html.read_text()
    info = json.loads((folder / "result.json").read_text())
    info["dataset"] |= {"notes": ["2 files are <left> out."], "sound_notes": ["1 clip is clipped (a.wav)."]}
    write_result(folder, info)
    report = write_report(tmp_path / "heads", tmp_path / "reports")
    page = report.html.read_text()
    for said in (
        "Noted of the sound",
        "1 clip is clipped (a.wav).",
        "Noted when they were read",
        "2 files are &lt;left",
    ):
        assert said in page
    content = json.loads(report.json.read_text())["datasets"][0]["audit"]
    assert content["reading_notes"] == ["2 files are <left> out."]


def rewrite_columns(folder: Path, data: Data, *, group: dict[int, str], digest: dict[int, str]) -> None:
    table = pq.read_table(folder / "predictions.parquet").to_pydict()
    columns = further_columns(data, list(data.fold_clips))
    for row, name in group.items():
        columns["group"][row] = name
    for row, name in digest.items():
        columns["clip.audio_sha256"][row] = name
    arrays = {name: np.array(table[name]) for name in ("clip_id", "fold", "label", "predicted", "proba")}
    write_predictions(folder, *arrays.values(), further=columns)


@pytest.mark.parametrize(
    ("p", "shown"), [(None, "–"), (0.00004, "< .001"), (0.0317, ".032"), (0.5, ".500"), (1.0, "1")]
)
def test_p_values_are_written_short(p, shown):
    assert p_value(p) == shown


def test_holms_correction_counts_only_the_pairs_that_have_a_p_value(tmp_path):
    write_run(tmp_path, SAMPLE, accuracy=0.8)
    write_run(tmp_path, SAMPLE, head="knn", accuracy=0.7)
    write_run(tmp_path, SAMPLE, head="mlp", accuracy=0.7, folds=(1,))
    best, whole, partial = only_comparison(tmp_path).rows
    tested, untested = with_holm(pair_all([(whole, best), (partial, best)]))
    assert (untested.accuracy.t_test.p, untested.accuracy.p_holm) == (None, None)
    assert tested.accuracy.p_holm == tested.accuracy.t_test.p
    assert tested.accuracy.comparisons == 1


def test_run_on_one_fold_has_no_spread_between_folds_in_any_output(tmp_path):
    folder = write_run(tmp_path / "heads", Data("split", {1: 100}))
    comparison = only_comparison(tmp_path / "heads")
    sure = verdict_of(comparison).sure[0]
    assert sure.startswith("mn04 · linear: mean over 1 fold, 95 % interval ")
    assert "between folds" not in sure
    report = write_report(tmp_path / "heads", tmp_path / "reports")
    outputs = [Page(report.html).text, report.markdown.read_text(), str(format_summary(report))]
    for text in outputs:
        assert percent(comparison.best.accuracy.mean) in text
        assert "± 0.0" not in text
        assert "0.0 / " not in text
    described = FinishedRun(folder, comparison.best.first.record, reused=False).describe()
    assert described.endswith(" over 1 fold")
    assert "+-" not in described

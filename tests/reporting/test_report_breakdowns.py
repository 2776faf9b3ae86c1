"""Where runs fail: conditions, calibration, recordings, curves, and the charts that show them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from pages import Page
from scipy import stats

from result_folders import OFFICIAL, SAMPLE, Data, write_result, write_run
from soundprobe.reporting.compared.comparison import Comparison, comparisons_of
from soundprobe.reporting.elements import Plotted
from soundprobe.reporting.plots import Plot, Variant, label
from soundprobe.reporting.render.html import plotly_script
from soundprobe.reporting.runs.collect import collect_runs
from soundprobe.reporting.sections.calibration import calibrate, calibration_of
from soundprobe.reporting.sections.classes import class_figures
from soundprobe.reporting.sections.conditions import breakdowns_of, conditions_of_length
from soundprobe.reporting.sections.learning import learning_curve_of, shots_of
from soundprobe.reporting.sections.recordings import hardest_recordings
from soundprobe.reporting.sections.shown_rows import shown_rows
from soundprobe.reporting.sections.training_curves import SECTION as TRAINING
from soundprobe.reporting.sections.training_curves import last_epochs
from soundprobe.reporting.write import write_report

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "<b>bold</b>",
    "%{x}",
    "1e3",
    "a&amp;b",
    "</script><script>alert(1)</script>",
)


def only_comparison(heads: Path) -> Comparison:
    (comparison,) = comparisons_of(collect_runs(heads).by_dataset())
    return comparison


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    heads = tmp_path_factory.mktemp("breakdowns") / "heads"
    write_run(heads, SAMPLE, "mn04", "linear", 0.82)
    write_run(heads, SAMPLE, "mn04", "knn", 0.7)
    write_run(heads, SAMPLE, "mn04", "linear", 0.4, weights="random")
    return heads


def figures_of(page: Page) -> list[dict]:
    return [json.loads(text) for text in page.styles if text.startswith('{"layout"')]


def test_conditions_are_pooled_accuracies_of_their_clips(heads):
    comparison = only_comparison(heads)
    salience, length = breakdowns_of(comparison.rows)
    run = comparison.rows[0].first
    right = run.y_true == run.predicted
    for column, value in enumerate((1, 2)):
        here = run.columns["salience"] == value
        assert salience.counts[column][0] == here.sum()
        assert salience.cells[0][1][column].value == pytest.approx(right[here].mean())
        assert salience.cells[0][1][column].low < right[here].mean() < salience.cells[0][1][column].high
    assert salience.conditions == ("foreground", "background")
    assert sum(clips for clips, _ in length.counts) == 397
    assert length.conditions[-1] == "the full 4 s"
    full = run.columns["duration_s"] >= 3.98
    assert length.cells[0][1][-1].value == pytest.approx(right[full].mean())


@pytest.mark.parametrize(
    ("lengths", "names"),
    [
        ([5.0] * 40 + [7.24], ["0 s or more"]),  # one condition alone is left out
        ([1.5] * 30 + [5.0] * 40 + [7.24], ["under 2 s", "2 s or more"]),
        ([1.5] * 30 + [4.0] * 20, ["under 4 s", "the full 4 s"]),
    ],
)
def test_longest_clips_stand_alone_only_where_they_are_enough(lengths, names):
    assert [name for name, _, _ in conditions_of_length(np.array(lengths))] == names


def test_conditions_are_left_out_where_clips_do_not_differ(tmp_path):
    write_run(tmp_path, SAMPLE, accuracy=0.8, recordings=False)
    assert breakdowns_of(only_comparison(tmp_path).rows) == ()


def test_shown_rows_are_the_best_contenders_and_the_bests_control(heads):
    assert [row.tag for row in shown_rows(only_comparison(heads))] == ["", "", "random weights: control"]


def test_calibration_error_by_hand(heads):
    for row in only_comparison(heads).rows:
        run = row.first
        sure, right = run.proba.max(axis=1).astype(float), run.y_true == run.predicted
        # Every prediction of the made runs has the probability .73, so all are in one bin.
        (only,) = calibrate(row).bins
        assert (only.low, only.high, only.clips) == (0.7, 0.8, len(sure))
        assert calibrate(row).ece == pytest.approx(abs(right.mean() - 0.73), abs=1e-6)
    best, *_, control = map(calibrate, only_comparison(heads).rows)
    assert control.verdict == "too sure"
    assert 0 < best.by_luck < best.by_luck_high < 0.1


def drawn_predictions(rng: np.random.Generator, n: int, clips: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(n,) how sure a perfectly calibrated head is, whether it is right, and the recording, each of `clips`."""
    recording = np.arange(n) // clips
    sure = rng.beta(6, 1.5, n)
    together = rng.random(recording.max() + 1)[recording]
    return sure, together < sure, recording


def test_calibrated_head_is_called_so_in_95_of_100_cases_and_its_error_is_that_by_luck():
    rng = np.random.default_rng(0)
    found = [calibration_of(*drawn_predictions(rng, 397)) for _ in range(200)]
    share = np.mean([one.verdict == "calibrated, within luck" for one in found])
    assert 0.895 < share < 0.99  # a true 95 % leaves this in fewer than one of 1,000 sets of 200
    assert np.mean([one.ece for one in found]) == pytest.approx(np.mean([one.by_luck for one in found]), rel=0.05)
    assert 0.03 < found[0].by_luck < 0.045  # a fixed 3 % would call most of them wrong
    bins = [one for each in found for one in each.bins if one.clips >= 10]
    inside = [one.by_luck_low <= one.accuracy <= one.by_luck_high for one in bins]
    assert 0.93 < np.mean(inside) <= 1


def test_calibrated_head_whose_recordings_are_right_or_wrong_whole_is_called_so():
    rng = np.random.default_rng(1)
    found = [calibration_of(*drawn_predictions(rng, 400, clips=8)) for _ in range(100)]
    assert np.mean([one.verdict == "calibrated, within luck" for one in found]) > 0.88


@pytest.mark.parametrize(("power", "verdict"), [(1.8, "too sure"), (0.4, "not sure enough")])
def test_head_that_is_too_sure_or_not_sure_enough_is_noticed(power, verdict):
    rng = np.random.default_rng(2)
    found = []
    for _ in range(50):
        sure, _, recording = drawn_predictions(rng, 397)
        found.append(calibration_of(sure, rng.random(397) < sure**power, recording).verdict)
    assert found.count(verdict) >= 45


def test_class_figures_are_precision_recall_and_f1_by_hand(heads):
    row = only_comparison(heads).rows[0]
    run = row.first
    figures = {name: cells for name, _, cells in class_figures(row)}
    for c, name in enumerate(run.class_names):
        hits = ((run.y_true == c) & (run.predicted == c)).sum()
        assert figures[name]["recall"].value == pytest.approx(hits / (run.y_true == c).sum())
        assert figures[name]["precision"].value == pytest.approx(hits / (run.predicted == c).sum())
        assert figures[name]["f1"].value == pytest.approx(run.per_class_f1[c])
    f1s = [cells["f1"].value for _, _, cells in class_figures(row)]
    assert f1s == sorted(f1s)


def test_hardest_recordings_count_wrong_clips_over_contenders(heads):
    comparison = only_comparison(heads)
    found = hardest_recordings(comparison)
    wrong = [one.wrong for one in found]
    assert wrong == sorted(wrong, reverse=True)
    first, runs = found[0], [row.first for row in comparison.contenders]
    by_hand = [(run.y_true != run.predicted)[run.groups == first.group].sum() for run in runs]
    assert first.wrong == pytest.approx(np.mean(by_hand))
    assert first.best_wrong == by_hand[0]
    assert first.clips == (runs[0].groups == first.group).sum()


def test_learning_curve_is_averaged_over_folds(tmp_path):
    folder = write_run(tmp_path / "heads", SAMPLE, accuracy=0.8)
    points = [
        [
            {"share": 0.5, "recordings": 10, "clips": 50, "accuracy": 0.6, "macro_f1": 0.5},
            {"share": 1.0, "recordings": 20, "clips": 99, "accuracy": 0.8, "macro_f1": 0.7},
        ],
        [{"share": 1.0, "recordings": 22, "clips": 101, "accuracy": 0.9, "macro_f1": 0.8}],
    ]
    folds = [{"fold": fold, "points": own} for fold, own in enumerate(points, start=1)]
    content = {"format": 1, "shares": [0.5, 1.0], "folds": folds}
    (folder / "learning-curve.json").write_text(json.dumps(content))
    half, whole = learning_curve_of(only_comparison(tmp_path / "heads").rows[0])
    assert (half.recordings, half.accuracy, half.folds, half.spread) == (10, 0.6, 1, 0.0)
    assert (whole.recordings, whole.accuracy, whole.folds) == (21, pytest.approx(0.85), 2)
    assert whole.spread == pytest.approx(np.std([0.8, 0.9], ddof=1))
    page = Page(write_report(tmp_path / "heads", tmp_path / "reports").html)
    assert "learning-1" in [attributes.get("id") for _, attributes in page.tags]


def test_shots_are_averaged_over_draws_and_folds(tmp_path):
    folder = write_run(tmp_path / "heads", SAMPLE, accuracy=0.8)
    accuracies = {1: [0.4, 0.6], 2: [0.5, 0.9], 3: [0.5, 0.7]}  # fold -> of each draw
    folds = [
        {
            "fold": fold,
            "points": [
                {"shots": 4, "draw": draw, "recordings": 20, "clips": 39 + draw, "accuracy": one, "macro_f1": one / 2}
                for draw, one in enumerate(own)
            ],
        }
        for fold, own in accuracies.items()
    ]
    (folder / "shots.json").write_text(json.dumps({"format": 1, "shots": [1, 4], "draws": 2, "folds": folds}))
    comparison = only_comparison(tmp_path / "heads")
    (four,) = shots_of(comparison.rows[0])
    assert (four.shots, four.clips, four.draws, four.folds) == (4, 39.5, 2, 3)
    assert (four.accuracy, four.macro_f1) == (pytest.approx(0.6), pytest.approx(0.3))
    assert four.spread == pytest.approx(np.std([1.4 / 3, 2.2 / 3], ddof=1))
    by_hand = np.array([0.5, 0.7, 0.6])
    reach = stats.t.isf(0.025, 2) * np.std(by_hand, ddof=1) * np.sqrt(1 / 3 + 1 / 2)
    assert (four.interval.low, four.interval.high) == (pytest.approx(0.6 - reach), pytest.approx(0.6 + reach))
    assert learning_curve_of(comparison.rows[0]) == ()
    report = write_report(tmp_path / "heads", tmp_path / "reports")
    assert "| 4 | 20 | 60.0 |" in report.markdown.read_text()
    (row,) = [row for row in json.loads(report.json.read_text())["datasets"][0]["rows"] if row["shots"]]
    assert row["shots"][0]["interval"]["low"] == pytest.approx(0.6 - reach)


def test_training_curves_are_of_fine_tuned_runs_and_bear_missing_validation(tmp_path):
    history = [
        {"epoch": e, "train_loss": 2.0 / e, "train_loss_eval": 1.8 / e, "validation_loss": None, "lr": 1e-3}
        for e in (1, 2, 3)
    ]
    write_run(tmp_path, SAMPLE, "mn04", "linear", 0.8)
    assert list(TRAINING.show(only_comparison(tmp_path))) == []
    write_run(tmp_path, SAMPLE, "simplecnn", "finetune", 0.6, kind="finetune", weights="random", history=history)
    comparison = only_comparison(tmp_path)
    (row,) = [row for row in comparison.rows if row.first.info["kind"] == "finetune"]
    last = last_epochs(row)
    (plot,) = [one.plot for one in TRAINING.show(comparison) if isinstance(one, Plotted)]
    assert (last["train_loss"], last["validation_loss"]) == (pytest.approx(2 / 3), None)
    bold = [trace for trace in plot.variants[0].data if trace["line"]["width"] == 3]
    assert [trace["name"] for trace in bold] == ["training loss, measured again", "training loss"]
    assert len(plot.variants[0].data) == 2 * (1 + 4)
    assert (last["as_trained_percent"], last["remeasured_percent"]) == (None, None)


def test_report_gives_the_notes_overfitting_on_both_training_losses(tmp_path):
    line = {"epoch": 1, "train_loss": 0.8, "train_loss_eval": 0.5, "validation_loss": 1.0, "validation_accuracy": 0.7}
    how = {"kind": "finetune", "weights": "random", "history": [line]}
    write_run(tmp_path / "heads", SAMPLE, "simplecnn", "finetune", 0.6, **how)
    report = write_report(tmp_path / "heads", tmp_path / "reports")
    (row,) = json.loads(report.json.read_text())["datasets"][0]["rows"]
    assert row["training"]["as_trained_percent"] == pytest.approx(25.0)
    assert row["training"]["remeasured_percent"] == pytest.approx(100.0)
    assert "| 0.800 | 0.500 | 1.000 | 70.0 | +25.0 | +100.0 |" in report.markdown.read_text()
    assert re.search(r"<td>\+25\.0</td>\s*<td>\+100\.0</td>", report.html.read_text())


def test_history_of_text_gives_no_overfitting_and_stops_no_report(tmp_path):
    line = {"epoch": 1, "train_loss": 0.8, "train_loss_eval": "x", "validation_loss": "1.0"}
    how = {"kind": "finetune", "weights": "random", "history": [line]}
    write_run(tmp_path, SAMPLE, "simplecnn", "finetune", 0.6, **how)
    last = last_epochs(only_comparison(tmp_path).rows[0])
    assert (last["as_trained_percent"], last["remeasured_percent"]) == (None, None)


def test_page_holds_plotly_once_and_every_chart_has_a_table(heads, tmp_path):
    report = write_report(heads, tmp_path)
    text, page = report.html.read_text(encoding="utf-8"), Page(report.html)
    assert page.styles.count(plotly_script()) == 1
    assert text.count('<figure class="plotted"') == text.count('<details class="as-table" open>') >= 8
    policy = next(meta["content"] for meta in page.of("meta") if meta.get("http-equiv"))
    assert policy.count("'sha256-") == 2
    assert "unsafe-eval" not in policy
    for figure in figures_of(page):
        assert set(figure) == {"layout", "variants", "height"}
        assert figure["variants"]


def test_charts_show_hostile_names_as_text(tmp_path):
    write_run(tmp_path / "heads", Data("hostile", {1: 60, 2: 60}, HOSTILE), accuracy=0.6)
    report = write_report(tmp_path / "heads", tmp_path / "reports")
    page = Page(report.html)  # the parser would see the tags that a name opened
    assert page.of("img") == []
    text = report.html.read_text(encoding="utf-8")
    assert "onerror=alert(1)>" not in text.replace("&gt;", "")
    ticks = [
        tick
        for figure in figures_of(page)
        for one in figure["variants"]
        for axis in ("xaxis", "yaxis")
        for tick in {**figure["layout"].get(axis, {}), **one["layout"].get(axis, {})}.get("ticktext", [])
    ]
    assert label(HOSTILE[0]) in ticks
    assert label("a&amp;b") == "a&amp;amp;b"
    assert not [tick for tick in ticks if isinstance(tick, str) and "<" in tick.replace("<br>", "")]


def test_figures_can_not_end_their_element_and_hold_no_nan():
    trace = {"name": "</script><!--", "y": [float("nan"), np.float64(0.123456789), np.int64(3)]}
    text = Plot("key", "title", [Variant("", [trace])], {}).to_json()
    assert "<" not in text
    assert json.loads(text)["variants"][0]["data"][0] == {"name": "</script><!--", "y": [None, 0.12346, 3]}


def test_label_is_cut_and_keeps_to_one_line():
    assert label("a\nb") == "a b"
    assert label("x" * 100) == "x" * 43 + "…"
    assert label("<" * 3) == "&lt;&lt;&lt;"


def test_report_of_thirty_runs_on_the_official_clips_stays_small(tmp_path):
    data = Data("urbansound8k", dict(enumerate(OFFICIAL, start=1)))
    first = write_run(tmp_path / "heads", data, "b00", accuracy=0.9)
    for number in range(1, 30):  # copies, since what counts is how much the page holds of each
        folder = first.parent.parent / f"b{number:02d}-k{number:02d}" / first.name
        folder.mkdir(parents=True)
        (folder / "predictions.parquet").write_bytes((first / "predictions.parquet").read_bytes())
        info = json.loads((first / "result.json").read_text())
        info["backbone"] |= {"name": f"b{number:02d}", "key": f"k{number:02d}"}
        write_result(folder, info)
    report = write_report(tmp_path / "heads", tmp_path / "reports", audio=False)
    assert report.html.stat().st_size < 25_000_000
    assert len(json.loads(report.json.read_text())["datasets"][0]["rows"]) == 30

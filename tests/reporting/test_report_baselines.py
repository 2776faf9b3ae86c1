"""Backbones in which nothing is learnt (weights "none"): ranked like any run, and neither pretrained nor a control."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pages import Page
from rich.console import Console

from result_folders import ESC10, SAMPLE, URBAN, write_result, write_run
from soundprobe.base.errors import ConfigError
from soundprobe.reporting.compared.comparison import Comparison, comparisons_of
from soundprobe.reporting.render.terminal import format_summary
from soundprobe.reporting.runs.collect import collect_runs
from soundprobe.reporting.sections.chart import chart_of
from soundprobe.reporting.sections.next_steps import steps_of
from soundprobe.reporting.sections.shown_rows import row_trace
from soundprobe.reporting.sections.verdict import verdict_of
from soundprobe.reporting.write import write_report
from soundprobe.scoring import notes
from soundprobe.scoring.published import PublishedRecord

MARK = "baseline: nothing learnt"


def only_comparison(heads: Path, baseline: str | None = None) -> Comparison:
    (comparison,) = comparisons_of(collect_runs(heads).by_dataset(), baseline=baseline)
    return comparison


def write_baseline(heads: Path, accuracy: float = 0.6, head: str = "linear") -> Path:
    return write_run(heads, SAMPLE, "logmel-stats", head, accuracy, weights="none")


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pretrained network, its control and a baseline between them."""
    heads = tmp_path_factory.mktemp("baselines") / "heads"
    write_run(heads, SAMPLE, accuracy=0.83)
    write_baseline(heads)
    write_run(heads, SAMPLE, accuracy=0.4, weights="random")
    return heads


def test_baseline_is_ranked_and_is_no_control(heads):
    comparison = only_comparison(heads)
    best, baseline, control = comparison.rows
    assert (baseline.tag, baseline.is_baseline, baseline.is_control, baseline.control) == (MARK, True, False, "")
    assert [comparison.rank_of(row) for row in comparison.rows] == [1, 2, None]
    assert comparison.controls == (control,)
    assert comparison.control_of(baseline) is None
    assert [pair.row for pair in comparison.against_best] == [baseline]
    assert [pair.row for pair in comparison.against_controls] == [best]
    assert baseline.title == "logmel-stats; logistic regression"
    assert "the best without pretraining, logmel-stats, " in verdict_of(comparison).headline


def test_every_output_shows_the_mark_and_none_calls_a_baseline_pretrained_or_random(heads, tmp_path):
    report = write_report(heads, tmp_path)
    page, markdown = Page(report.html), report.markdown.read_text()
    summary = Console(width=300, color_system=None)
    with summary.capture() as capture:
        summary.print(format_summary(report))
    rows = [block for block in page.blocks if block.startswith("logmel-stats · linear")]
    assert len(rows) >= 6
    lines = [line for line in markdown.splitlines() if line.startswith(("| logmel-stats", "| 2 | logmel-stats"))]
    assert len(lines) >= 6
    for shown in (*rows, *lines, *(line for line in capture.get().splitlines() if "│ logmel-stats" in line)):
        assert MARK in shown
        assert not any(word in shown for word in ("pretrained", "random", "frozen"))
    assert "baseline: nothing learnt before the head" in page.text  # the legend
    row = json.loads(report.json.read_text())["datasets"][0]["rows"][1]
    facts = {name: row[name] for name in ("tag", "is_control", "control_of", "rank", "control", "over_control")}
    assert facts == {
        "tag": MARK,
        "is_control": False,
        "control_of": "",
        "rank": 2,
        "control": None,
        "over_control": None,
    }
    assert row["backbone"]["weights"] == "none"


def test_charts_draw_baselines_as_squares(heads):
    comparison = only_comparison(heads)
    assert [style for _, style in chart_of(comparison).rows] == ["run", "baseline", "control"]
    symbols = [row_trace(0, row, [], [], "")["marker"]["symbol"] for row in comparison.rows]
    assert symbols == ["circle", "square", "circle-open"]


def test_baseline_that_no_data_set_has_is_refused_with_the_runs_of_each(tmp_path):
    write_run(tmp_path / "heads", SAMPLE, accuracy=0.8)
    write_run(tmp_path / "heads", ESC10, "panns", accuracy=0.8)
    with pytest.raises(ConfigError) as refused:
        write_report(tmp_path / "heads", tmp_path / "reports", baseline="mine")
    for data, run in (("urbansound8k", "mn04 · linear"), ("esc10", "panns · linear")):
        assert f"On {data}, --baseline: Unknown run 'mine'. Available: " in str(refused.value)
        assert run in str(refused.value)


def test_page_without_a_baseline_says_nothing_of_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # whose name has the word, and which the page's commands would name
    write_run(Path("heads"), SAMPLE, accuracy=0.8)
    assert "baseline" not in Page(write_report("heads", "reports").html).text


def test_verdict_on_a_baseline_that_is_best_claims_no_pretraining(tmp_path):
    write_baseline(tmp_path, 0.9)
    write_run(tmp_path, SAMPLE, accuracy=0.7)
    write_run(tmp_path, SAMPLE, accuracy=0.4, weights="random")
    headline, _, pretraining = verdict_of(only_comparison(tmp_path)).sentences
    assert re.fullmatch(r"Logmel-stats gets \d+ of 100 clips right\. Pretrained mn04 gets \d+\.", headline)
    assert pretraining.startswith("The best frozen pretrained run, mn04 · linear, is ")
    assert "behind the best run without pretraining, logmel-stats · linear (no network, " in pretraining


@pytest.mark.parametrize("others", [(), ("random",)])
def test_verdict_on_baselines_without_a_pretrained_run_has_no_figure_and_says_how_to_get_one(tmp_path, others):
    write_baseline(tmp_path, 0.9)
    for weights in others:
        write_run(tmp_path, SAMPLE, accuracy=0.7, weights=weights)
    verdict = verdict_of(only_comparison(tmp_path))
    assert verdict.headline.startswith("Logmel-stats gets ")
    assert "pretrain" not in " ".join((verdict.headline, *(one.what for one in verdict.figures)))
    assert "soundprobe backbones" in [step.command for step in steps_of(only_comparison(tmp_path))]


def test_statistics_beside_a_network_are_part_of_its_run_and_of_its_control(tmp_path):
    write_run(tmp_path, SAMPLE, "mn04+logmel-stats", accuracy=0.85, weights="pretrained+none")
    write_run(tmp_path, SAMPLE, "mn04+logmel-stats", accuracy=0.5, weights="random+none", key="0123456789ab")
    write_baseline(tmp_path)
    comparison = only_comparison(tmp_path)
    assert [row.tag for row in comparison.rows] == ["", MARK, "random weights: control"]
    assert [row.is_baseline for row in comparison.rows] == [False, True, False]
    assert comparison.control_of(comparison.rows[0]) is comparison.rows[2]
    assert [(one.kind.key, one.row) for one in comparison.baselines] == [
        ("no_network", comparison.rows[1]),
        ("untrained", comparison.rows[2]),
    ]


def write_scratch(heads: Path, accuracy: float, recipe: str = "notes-simplecnn", **settings: object) -> Path:
    how = {"weights": "random", "kind": "finetune", "head_settings": {"recipe": recipe, **settings}}
    key = hashlib.sha256(f"{recipe}{settings}".encode()).hexdigest()[:12]
    return write_run(heads, SAMPLE, "simplecnn", "finetune", accuracy, key=key, **how)


def test_pretraining_is_worth_the_lead_over_the_best_of_all_kinds_that_do_without(tmp_path):
    write_run(tmp_path / "heads", SAMPLE, head="mlp", accuracy=0.85)
    write_run(tmp_path / "heads", SAMPLE, head="linear", accuracy=0.8)
    write_baseline(tmp_path / "heads", 0.5)
    write_baseline(tmp_path / "heads", 0.62, head="knn")
    write_run(tmp_path / "heads", SAMPLE, head="mlp", accuracy=0.38, weights="random")
    write_run(tmp_path / "heads", SAMPLE, "mn04+panns", accuracy=0.75, weights="pretrained+random")  # half of it learnt
    write_scratch(tmp_path / "heads", 0.48)
    write_scratch(tmp_path / "heads", 0.55, "finetune-vgg")
    write_scratch(tmp_path / "heads", 0.99, carry_over=True)  # no test result
    comparison = only_comparison(tmp_path / "heads")
    assert [(one.kind.key, one.row.first.head["name"]) for one in comparison.baselines] == [
        ("no_network", "knn"),
        ("from_scratch", "finetune"),
        ("own", "finetune"),
        ("untrained", "mlp"),
    ]
    best, yardstick = comparison.best, comparison.baselines[0].row
    pairs = comparison.over_baselines
    assert [pair.other for pair in pairs] == [one.row for one in comparison.baselines]
    assert all(pair.row is best for pair in pairs)
    assert [pair.accuracy.comparisons for pair in pairs] == [4] * 4
    figure = verdict_of(comparison).figures[1]
    lead = 100 * (best.accuracy.mean - yardstick.accuracy.mean)
    assert (figure.figure, figure.unit) == (f"{lead:+.1f}", "points")
    assert figure.what.startswith("over logmel-stats · knn, the best without pretraining: ")
    report = write_report(tmp_path / "heads", tmp_path / "reports")
    (data,) = json.loads(report.json.read_text())["datasets"]
    assert [one["kind"] for one in data["baselines"]] == ["no_network", "from_scratch", "own", "untrained"]
    assert data["rows"][data["over_baselines"][0]["other"]]["name"] == "logmel-stats · knn"
    assert "| logmel-stats · knn (**baseline: nothing learnt**)  (No network) | " in report.markdown.read_text()


def test_verdict_with_a_random_control_alone_says_so_and_gives_the_command_for_what_is_missing(tmp_path):
    folder = write_run(tmp_path, SAMPLE, accuracy=0.8)
    info = json.loads((folder / "result.json").read_text())
    info["dataset"]["opened_as"] = {"data": "My clips/", "folds": 10, "group_prefix": "-", "limit": None}
    write_result(folder, info)
    write_run(tmp_path, SAMPLE, accuracy=0.4, weights="random")
    comparison = only_comparison(tmp_path)
    assert "; the best without pretraining, untrained mn04, " in verdict_of(comparison).headline
    assert (
        "soundprobe extract --backbone logmel-stats --data 'My clips/' --group-prefix - && "
        "soundprobe probe -b logmel-stats"
    ) in [step.command for step in steps_of(comparison)]


def test_random_weights_of_several_seeds_are_one_row_with_the_spread_between_them(tmp_path):
    write_run(tmp_path / "heads", SAMPLE, accuracy=0.8)
    for seed, accuracy in enumerate((0.36, 0.41, 0.39)):
        folder = write_run(tmp_path / "heads", SAMPLE, accuracy=accuracy, weights="random", key=f"00000000000{seed}")
        info = json.loads((folder / "result.json").read_text())
        info["backbone"]["weights_label"] = f"random (seed {seed})"
        write_result(folder, info)
    comparison = only_comparison(tmp_path / "heads")
    _, row = comparison.rows
    assert (row.name, row.tag, len(row.runs)) == ("mn04 · linear", "random weights: control", 3)
    means = [run.record.summary.accuracy.mean for run in row.runs]
    assert row.accuracy.mean == pytest.approx(np.mean(means))
    between_seeds = row.over_seeds("accuracy").std_population
    assert between_seeds == pytest.approx(np.std(means))
    assert between_seeds != pytest.approx(row.accuracy.std_population, abs=1e-3)
    report = write_report(tmp_path / "heads", tmp_path / "reports")
    page, markdown = Page(report.html).text, report.markdown.read_text()
    assert f"± {100 * between_seeds:.1f} of 3" in page
    assert f"± {100 * between_seeds:.1f} (of 3)" in markdown
    (data,) = json.loads(report.json.read_text())["datasets"]
    labels = [run["weights_label"] for run in data["rows"][1]["runs"]]
    assert labels == [f"random (seed {seed})" for seed in range(3)]


def test_third_card_compares_with_the_run_that_is_named_the_baseline(tmp_path):
    write_run(tmp_path / "heads", ESC10, accuracy=0.9)
    assert len(verdict_of(only_comparison(tmp_path / "heads")).figures) == 2
    for seed in (0, 1):
        how = {"weights": "random", "kind": "finetune", "head_settings": {"recipe": "notes-simplecnn"}, "seed": seed}
        write_run(tmp_path / "heads", ESC10, "simplecnn", "finetune", 0.55, key=f"00000000000{seed}", **how)
    comparison = only_comparison(tmp_path / "heads", "simplecnn")
    best, own = comparison.rows
    verdict = verdict_of(comparison)
    assert verdict.figures[1].figure == f"{100 * (best.accuracy.mean - own.accuracy.mean):+.1f}"
    (pair,) = comparison.over_own
    assert pair.other is own
    assert f"({100 * own.accuracy.mean:.1f} %, mean of 2 seeds)" in verdict.sure[2]
    assert "in all 5 folds: a clear difference" in verdict.sure[2]
    report = write_report(tmp_path / "heads", tmp_path / "reports", baseline="simplecnn")
    (data,) = json.loads(report.json.read_text())["datasets"]
    assert data["over_own"][0]["accuracy"]["clear"] is True
    assert (data["own"]["name"], data["own"]["lead"]["clear"]) == ("simplecnn · finetune", True)


def test_third_card_on_the_official_folds_stays_with_fold_1_and_adds_the_network_trained_again(tmp_path):
    write_run(tmp_path, URBAN, accuracy=0.85)
    how = {"weights": "random", "kind": "finetune", "head_settings": {"recipe": "notes-simplecnn"}}
    write_run(tmp_path, URBAN, "simplecnn", "finetune", 0.65, **how)
    comparison = only_comparison(tmp_path)
    verdict = verdict_of(comparison)
    assert (verdict.figures[2].figure, verdict.figures[2].unit) == (
        f"{100 * (comparison.best.accuracy_on(1) - 0.7056):+.1f}",
        "points on fold 1",
    )
    assert "ahead of the notes' CNN, trained on these clips fresh in each fold" in verdict.sure[-1]


def write_import(heads: Path, accuracy: float, **told: object) -> Path:
    folder = write_run(heads, SAMPLE, "my-cnn", "import", accuracy, weights="imported", kind="import")
    info = json.loads((folder / "result.json").read_text())
    info["imported"] = {"file": "p.csv", "sha256": "", "probabilities": True, "folds": "same", **told}
    write_result(folder, info)
    return folder


def test_ring_of_an_imported_model_on_other_folds_stands_in_the_charts_legend(tmp_path):
    write_run(tmp_path / "heads", SAMPLE, accuracy=0.8)
    write_import(tmp_path / "heads", 0.7, folds="other")
    page = write_report(tmp_path / "heads", tmp_path / "reports").html.read_text()
    legend = page.partition('<p class="legend">')[2].partition("</p>")[0]
    assert "no equal: on other folds" in legend
    assert 'class="contaminated"' in legend


def test_imported_model_takes_the_place_of_the_notes_network_and_not_of_what_needs_no_pretraining(tmp_path):
    write_run(tmp_path, SAMPLE, accuracy=0.8)
    write_scratch(tmp_path, 0.48)
    write_import(tmp_path, 0.6)
    comparison = only_comparison(tmp_path)
    best, own, scratch = comparison.rows
    assert (comparison.own.row, comparison.lead_over_own.pair.other) == (own, own)
    assert [(one.kind.key, one.row) for one in comparison.baselines] == [("from_scratch", scratch)]
    assert [here.published.name for here in comparison.published] == ["the notes' CNN"]
    assert only_comparison(tmp_path, "the notes' CNN").own.row.first.path == scratch.first.path
    assert only_comparison(tmp_path, best.name).lead_over_own.is_itself


@pytest.mark.parametrize(("folds", "equal"), [("same", True), ("other", False), ("unknown", False)])
def test_pair_with_a_model_on_other_folds_has_no_p_and_counts_in_no_correction(tmp_path, folds, equal):
    write_run(tmp_path, SAMPLE, accuracy=0.8)
    write_import(tmp_path, 0.5, folds=folds)
    (pair,) = only_comparison(tmp_path).over_own
    assert pair.accuracy.mean.low > 0.1
    assert (pair.is_clear, pair.accuracy.p_holm is not None) == (equal, equal)


def test_users_network_that_is_the_best_run_is_not_compared_with_itself(tmp_path):
    write_scratch(tmp_path, 0.9)
    write_run(tmp_path, SAMPLE, accuracy=0.7)
    verdict = verdict_of(only_comparison(tmp_path))
    assert verdict.headline.startswith("The notes' CNN gets ")
    assert not any("the notes' CNN" in one.what for one in verdict.figures[:1])


def test_precision_of_a_network_beside_statistics_is_not_said_to_be_in_part(tmp_path):
    settings = {"mn04": {"precision": "int8"}, "logmel-stats": {}}
    how = {"weights": "pretrained+none", "backbone_settings": settings}
    write_run(tmp_path, SAMPLE, "mn04+logmel-stats", accuracy=0.85, **how)
    assert only_comparison(tmp_path).rows[0].tag == "network in int8"


def test_shuffled_labels_on_a_baseline_are_a_control_and_no_baseline(tmp_path):
    folder = write_baseline(tmp_path, 0.1)
    info = json.loads((folder / "result.json").read_text())
    info["head"]["settings"] = {"control": "shuffled-labels", "shuffled_by": "recording"}
    write_result(folder, info)
    (row,) = only_comparison(tmp_path).rows
    assert (row.tag, row.is_baseline, row.tag_kind) == ("shuffled labels: control", False, "control")


def test_best_run_that_shares_no_clip_with_the_users_network_is_not_called_it(tmp_path):
    write_scratch(tmp_path, 0.5)
    folder = write_run(tmp_path, SAMPLE, accuracy=0.7)
    table = pq.read_table(folder / "predictions.parquet")
    others = pa.array([f"other-{clip}" for clip in table["clip_id"].to_pylist()])
    pq.write_table(table.set_column(0, "clip_id", others), folder / "predictions.parquet")
    verdict = verdict_of(only_comparison(tmp_path))
    assert not any("over " in one.what for one in verdict.figures)
    assert len(verdict.sure) == 1


@pytest.mark.parametrize(
    "change", [{"training.epochs": 1}, {"training.optimiser": "sgd"}, {"augment.mixup.alpha": 0.3}]
)
def test_notes_recipe_with_a_changed_setting_is_another_network_from_scratch(tmp_path, change):
    write_scratch(tmp_path, 0.5, **{**notes.TRAINING, **change})
    write_scratch(tmp_path, 0.4, **notes.TRAINING)
    comparison = only_comparison(tmp_path)
    changed, own = comparison.rows
    assert [(one.kind.key, one.row) for one in comparison.baselines] == [
        ("from_scratch", changed),
        ("own", own),
    ]


@pytest.mark.parametrize(("carry_over", "lead"), [(True, None), (False, pytest.approx(0.35, abs=0.05))])
def test_carried_over_network_leads_no_published_model(tmp_path, carry_over, lead):
    folds = ESC10.fold_clips if carry_over else (1, 2, 3, 4)
    settings = {"carry_over": True} if carry_over else {}
    folder = write_run(
        tmp_path, ESC10, "simplecnn", "finetune", 0.95, kind="finetune", folds=folds, head_settings=settings
    )
    dataset = json.loads((folder / "result.json").read_text())["dataset"]
    told = {"format": 1, "name": "paper", "dataset": dataset, "key": "", "command": "", "versions": {}, "created": ""}
    scores = [{"fold": fold, "clips": 80, "accuracy": 0.6, "macro_f1": None} for fold in folds]
    path = tmp_path / ESC10.name / "paper" / "published" / PublishedRecord.FILE
    path.parent.mkdir(parents=True)
    PublishedRecord.of({**told, "folds": scores}, path).write(path)
    collection = collect_runs(tmp_path)
    (comparison,) = comparisons_of(collection.by_dataset(), collection.published)
    assert comparison.lead_over_own.difference == lead
    assert [figure.what for figure in verdict_of(comparison).figures] == (
        [] if carry_over else ["over paper, as published: a clear difference"]
    )

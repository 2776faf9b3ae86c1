"""Backbones in which nothing is learnt (weights "none"): ranked like any run, and neither pretrained nor a control."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pages import Page
from result_folders import SAMPLE, write_result, write_run
from rich.console import Console

from soundprobe.reporting.compared.comparison import Comparison, comparisons_of
from soundprobe.reporting.render.terminal import format_summary
from soundprobe.reporting.runs.collect import collect_runs
from soundprobe.reporting.sections.chart import chart_of
from soundprobe.reporting.sections.shown_rows import row_trace
from soundprobe.reporting.sections.verdict import verdict_of
from soundprobe.reporting.write import write_report

MARK = "baseline: nothing learnt"


def only_comparison(heads: Path) -> Comparison:
    (comparison,) = comparisons_of(collect_runs(heads).by_dataset())
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
    assert "best of 2 set-ups, besides 1 control" in verdict_of(comparison).headline


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
    for shown in (*rows, *lines, *(line for line in capture.get().splitlines() if "logmel-stats" in line)):
        assert MARK in shown
        assert not any(word in shown for word in ("pretrained", "random", "frozen"))
    assert "baseline: nothing learnt before the head" in page.text  # the legend
    assert any(line.endswith("| baseline | 1 |") for line in lines)
    assert "A baseline has no weights that could be random." in markdown
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


def test_page_without_a_baseline_says_nothing_of_them(tmp_path):
    write_run(tmp_path / "heads", SAMPLE, accuracy=0.8)
    assert "baseline" not in Page(write_report(tmp_path / "heads", tmp_path / "reports").html).text


def test_verdict_on_a_baseline_that_is_best_claims_no_pretraining(tmp_path):
    write_baseline(tmp_path, 0.9)
    write_run(tmp_path, SAMPLE, accuracy=0.7)
    write_run(tmp_path, SAMPLE, accuracy=0.4, weights="random")
    headline, _, pretraining, _ = verdict_of(only_comparison(tmp_path)).sentences
    assert headline.endswith("It is a baseline: nothing was learnt before its head.")
    assert pretraining.startswith("The best run owes nothing to pretraining: logmel-stats · linear is a baseline. mn04")
    assert "ahead of the same network with random weights" in pretraining


@pytest.mark.parametrize("others", [(), ("random",), ("pretrained",)])
def test_verdict_on_a_baseline_without_a_pretrained_run_and_its_control_has_no_figure(tmp_path, others):
    write_baseline(tmp_path, 0.9)
    for weights in others:
        write_run(tmp_path, SAMPLE, accuracy=0.7, weights=weights)
    verdict = verdict_of(only_comparison(tmp_path))
    assert "It is a baseline" in verdict.headline
    assert "Only controls" not in verdict.headline
    assert verdict.findings[1].figure == ""
    assert "owes nothing to pretraining" in verdict.findings[1].meaning
    assert "with both --weights" in verdict.findings[1].meaning


def test_statistics_beside_a_network_are_part_of_its_run_and_of_its_control(tmp_path):
    write_run(tmp_path, SAMPLE, "mn04+logmel-stats", accuracy=0.85, weights="pretrained+none")
    write_run(tmp_path, SAMPLE, "mn04+logmel-stats", accuracy=0.5, weights="random+none", key="0123456789ab")
    write_baseline(tmp_path)
    comparison = only_comparison(tmp_path)
    assert [row.tag for row in comparison.rows] == ["", MARK, "random weights: control"]
    assert [row.is_baseline for row in comparison.rows] == [False, True, False]
    assert comparison.control_of(comparison.rows[0]) is comparison.rows[2]
    assert "ahead of the same network with random weights" in verdict_of(comparison).findings[1].meaning


def test_verdict_without_a_control_names_the_network_to_extract_and_not_the_statistics(tmp_path):
    write_run(tmp_path, SAMPLE, "mn04+logmel-stats", accuracy=0.85, weights="pretrained+none")
    meaning = verdict_of(only_comparison(tmp_path)).findings[1].meaning
    assert "Extract mn04 again with --weights random" in meaning


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

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from result_folders import ESC10, SAMPLE, URBAN, Data, write_result, write_run
from soundprobe.reporting.compared.baselines import Standing
from soundprobe.reporting.compared.comparison import Comparison, comparisons_of
from soundprobe.reporting.compared.grouping import rows_of
from soundprobe.reporting.elements import Text
from soundprobe.reporting.plots import percent_axis
from soundprobe.reporting.runs.collect import collect_runs
from soundprobe.reporting.sections.chart import axis_over, chart_of
from soundprobe.reporting.sections.chosen import SECTION as CHOSEN
from soundprobe.reporting.sections.confusion import cell_texts, most_frequent
from soundprobe.reporting.sections.next_steps import steps_of
from soundprobe.reporting.sections.verdict import verdict_of
from soundprobe.reporting.wording import percent
from soundprobe.reporting.write import write_report


def only_comparison(heads: Path) -> Comparison:
    (comparison,) = comparisons_of(collect_runs(heads).by_dataset())
    return comparison


def test_rows_join_runs_that_differ_in_their_seed_only(tmp_path):
    for seed in (2, 0, 1):
        write_run(tmp_path, SAMPLE, head="mlp", accuracy=0.8, seed=seed)
    runs = collect_runs(tmp_path).runs
    (row,) = rows_of(runs)
    assert row.seeds == (0, 1, 2)
    by_hand = np.array([[scores.accuracy for scores in run.folds] for run in row.runs])
    np.testing.assert_allclose(row.fold_accuracy, by_hand.mean(axis=0))
    assert row.accuracy.mean == pytest.approx(by_hand.mean())
    assert row.accuracy.std_population == pytest.approx(by_hand.mean(axis=0).std())
    assert row.accuracy.std_sample == pytest.approx(by_hand.mean(axis=0).std(ddof=1))
    assert row.over_seeds("accuracy").std_population == pytest.approx(by_hand.mean(axis=1).std())
    assert row.confusion.sum() == 3 * 397


def test_rows_keep_runs_of_one_seed_apart_and_name_what_differs(tmp_path):
    write_run(tmp_path, SAMPLE, "ast", accuracy=0.8, backbone_settings={"clip_seconds": 10.24})
    write_run(tmp_path, SAMPLE, "ast", accuracy=0.7, key="0123456789ab", backbone_settings={"clip_seconds": 5.0})
    first, second = rows_of(collect_runs(tmp_path).runs)
    assert first.name == "ast · linear · clip_seconds 10.24"
    assert second.name == "ast · linear · clip_seconds 5"


def test_rows_of_equal_settings_but_other_keys_are_told_apart_by_the_keys(tmp_path):
    write_run(tmp_path, SAMPLE, accuracy=0.8)
    write_run(tmp_path, SAMPLE, accuracy=0.7, key="0123456789ab")
    names = {row.name for row in rows_of(collect_runs(tmp_path).runs)}
    assert len(names) == 2
    assert any("key 0123456789ab/" in name for name in names)


def test_seeds_that_two_devices_trained_are_a_row_of_each_device(tmp_path):
    for place, (seed, device) in enumerate([(0, "cpu"), (0, "cuda"), (1, "cuda"), (1, "cpu")]):
        folder = write_run(tmp_path, SAMPLE, seed=seed)
        path = folder / "result.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "device": device}))
        folder.rename(folder.with_name(f"linear-{place}"))
    rows = rows_of(collect_runs(tmp_path).runs)
    assert {row.name.rpartition(" · ")[2]: row.seeds for row in rows} == {"on cpu": (0, 1), "on cuda": (0, 1)}
    assert all(len({run.info["device"] for run in row.runs}) == 1 for row in rows)


def test_random_weights_of_one_seed_but_another_key_are_told_apart(tmp_path):
    for key in ("000000000000", "000000000001"):  # made by two versions
        write_run(tmp_path, SAMPLE, accuracy=0.4, weights="random", key=key)
    assert [len(row.runs) for row in rows_of(collect_runs(tmp_path).runs)] == [1, 1]


def test_seeds_of_a_network_from_scratch_are_one_row_though_each_draws_its_own_weights(tmp_path):
    for seed in (0, 1):
        how = {"weights": "random", "kind": "finetune", "head_settings": {"recipe": "finetune-vgg"}}
        write_run(tmp_path, SAMPLE, "vgg", "finetune", 0.5, seed=seed, key=f"00000000000{seed}", **how)
    (row,) = rows_of(collect_runs(tmp_path).runs)
    assert (row.seeds, row.name) == ((0, 1), "vgg · finetune")


def test_two_recipes_of_one_network_are_told_apart_by_their_names(tmp_path):
    for recipe, accuracy, clip_norm in (("finetune-simplecnn", 0.6, 1.0), ("notes-simplecnn", 0.5, 0.0)):
        settings = {"recipe": recipe, "training.clip_norm": clip_norm, "training.epochs": int(10 * accuracy)}
        how = {"weights": "random", "kind": "finetune", "head_settings": settings, "key": f"{recipe:.12s}"}
        write_run(tmp_path, SAMPLE, "simplecnn", "finetune", accuracy, **how)
    names = [row.name for row in rows_of(collect_runs(tmp_path).runs)]
    assert names == ["simplecnn · finetune · finetune-simplecnn", "simplecnn · finetune · notes-simplecnn"]


def test_chosen_settings_are_counted_over_folds_and_cut_short_for_tables(tmp_path):
    folder = write_run(tmp_path, Data("many", dict.fromkeys(range(1, 9), 20)))
    info = json.loads((folder / "result.json").read_text())
    for number, entry in enumerate(info["folds"]):
        entry["chosen"] = {"strength": 0.1, "epochs": max(number, 1), "nesterov": True}
    write_result(folder, info)
    (row,) = rows_of(collect_runs(tmp_path).runs)
    assert row.chosen["strength"] == {"0.1": 8}
    assert row.chosen["nesterov"] == {"yes": 8}
    assert len(row.chosen["epochs"]) == 7
    assert row.chosen_briefly["epochs"] == {"1": 2, "2": 1, "3": 1, "4": 1, "others": 3}


def test_learnt_weights_of_layers_are_shown_as_bars_of_their_means_over_folds(tmp_path):
    folder = write_run(tmp_path, SAMPLE)
    info = json.loads((folder / "result.json").read_text())
    for entry, first in zip(info["folds"], (0.2, 0.4, 0.2, 0.4), strict=True):
        entry["chosen"] = {"layers": "weighted", "layer_weights": {"0": first, "last": 1 - first}}
    write_result(folder, info)
    report = write_report(tmp_path, tmp_path / "reports", audio=False)
    row = json.loads(report.json.read_text())["datasets"][0]["rows"][0]
    assert row["layer_weights"] == {"0": pytest.approx(0.3), "last": pytest.approx(0.7)}
    assert row["chosen"] == {"layers": {"weighted": 4}}
    assert "| ▄█ | last | 70.0 |" in report.markdown.read_text()
    assert 'title="0 0.3, last 0.7">▄█<' in report.html.read_text()


def test_rows_say_which_layers_their_embeddings_are_of(tmp_path):
    write_run(tmp_path, SAMPLE, accuracy=0.8)
    write_run(tmp_path, SAMPLE, accuracy=0.7, key="0123456789ab", backbone_settings={"layers": "both"})
    assert [row.tag for row in rows_of(collect_runs(tmp_path).runs)] == ["", "layers: both"]


def test_fine_tuning_says_whether_it_beat_the_frozen_head_beside_what_was_chosen(tmp_path):
    folder = write_run(tmp_path, SAMPLE, "mn04", "finetune", kind="finetune")
    info = json.loads((folder / "result.json").read_text())
    for entry in info["folds"]:
        entry["chosen"] = {"interpolate": 0.5}
        scored = [
            {"settings": settings, "log_loss": loss, "accuracy": accuracy}
            for settings, loss, accuracy in (({}, 0.5, 0.80), ({"interpolate": 0.5}, 0.4, 0.82))
        ]
        seen = {"by": "log-loss", "splits": 2, "clips": 300, "trainings": 2, "seconds": 9.0}
        frozen, *candidates = scored
        entry["tuning"] = {**seen, "frozen": frozen, "candidates": candidates, "frozen_test_accuracy": 0.7}
    write_result(folder, info)
    comparison = only_comparison(tmp_path)
    said = " ".join(str(element.words) for element in CHOSEN.show(comparison) if isinstance(element, Text))
    folds = len(info["folds"])
    assert f"Inside the training folds fine-tuning was ahead in {folds} of {folds} folds (+2.0" in said


def test_rows_rank_complete_runs_first_and_mark_weights(urban_heads):
    comparison = only_comparison(urban_heads)
    assert [(row.name, row.tag) for row in comparison.rows] == [
        ("mn04 · mlp", ""),
        ("mn04 · linear", ""),
        ("mn04+simplecnn · linear", "random weights in part: control"),
        ("simplecnn · finetune", "random start: trained from scratch"),
        ("mn04 · mlp", "random weights: control"),
        ("panns · finetune", ""),
    ]
    assert [row.complete for row in comparison.rows] == [True] * 5 + [False]
    assert comparison.best is comparison.rows[0]


def test_best_is_never_a_control_where_there_is_anything_else(tmp_path):
    write_run(tmp_path, SAMPLE, accuracy=0.5)
    write_run(tmp_path, SAMPLE, accuracy=0.7, weights="random")
    assert only_comparison(tmp_path).best.tag == ""


def test_control_is_the_one_of_the_same_backbone_and_head_first(tmp_path):
    write_run(tmp_path, SAMPLE, "mn04", "mlp", 0.85)
    write_run(tmp_path, SAMPLE, "mn04", "knn", 0.6, weights="random")
    write_run(tmp_path, SAMPLE, "mn04", "mlp", 0.4, weights="random")
    write_run(tmp_path, SAMPLE, "ast", "mlp", 0.5, weights="random")
    comparison = only_comparison(tmp_path)
    control = comparison.control_of(comparison.best)
    assert (control.first.backbone["name"], control.first.head["name"]) == ("mn04", "mlp")
    assert comparison.best.matches(control)
    mean = np.mean(comparison.best.fold_accuracy - control.fold_accuracy)
    assert comparison.over_control[0].accuracy.mean.value == pytest.approx(mean)


def test_control_of_another_head_or_kind_of_run_is_no_control(tmp_path):
    write_run(tmp_path, SAMPLE, "mn04", "mlp", 0.85)
    write_run(tmp_path, SAMPLE, "mn04", "finetune", 0.9, kind="finetune")
    write_run(tmp_path, SAMPLE, "mn04", "knn", 0.4, weights="random")
    comparison = only_comparison(tmp_path)
    assert [comparison.control_of(row) for row in comparison.rows] == [None, None, None]
    assert comparison.pretrained is comparison.rows[1]  # a fine-tuned network's lead would be the fine-tuning's as well


def test_network_trained_from_scratch_has_no_control_and_is_not_counted_among_the_pretrained(tmp_path):
    write_run(tmp_path, SAMPLE, "mn04", "linear", 0.7)
    write_run(tmp_path, SAMPLE, "mn04", "linear", 0.4, weights="random")
    write_run(tmp_path, SAMPLE, "mn04", "finetune", 0.9, weights="random", kind="finetune")
    comparison = only_comparison(tmp_path)
    assert comparison.best.first.info["kind"] == "finetune"
    assert comparison.control_of(comparison.best) is None
    assert [pair.row.first.head["name"] for pair in comparison.against_controls] == ["linear"]
    assert comparison.against_controls[0].accuracy.comparisons == 1
    assert verdict_of(comparison).sure[1].startswith("The best frozen pretrained run, mn04 · linear, is ")


@pytest.mark.parametrize(
    ("data", "standing"),
    [
        (URBAN, [Standing.SAME]),
        (SAMPLE, [Standing.SAMPLE]),
        (Data("urbansound8k", dict.fromkeys(range(1, 11), 20)), [Standing.SAMPLE]),
        (ESC10, []),
        (Data("synth", dict.fromkeys(range(1, 11), 20)), []),
    ],
)
def test_standing_to_the_notes_follows_name_folds_and_count(tmp_path, data, standing):
    write_run(tmp_path, data)
    assert [here.standing for here in only_comparison(tmp_path).published] == standing


def test_verdict_on_the_official_folds_compares_fold_1_only(urban_heads):
    comparison = only_comparison(urban_heads)
    verdict = verdict_of(comparison)
    best, scratch = comparison.rows[0], comparison.rows[3]
    fold_1 = best.accuracy_on(1)
    assert [comparison.rank_of(row) for row in comparison.rows] == [1, 2, None, 3, None, None]
    accuracy, pretraining, own = verdict.figures
    assert (accuracy.figure, accuracy.unit) == (f"{100 * best.accuracy.mean:.1f}", "%")
    assert pretraining.figure == f"{100 * (best.accuracy.mean - scratch.accuracy.mean):+.1f}"
    assert pretraining.what.endswith("the best without pretraining: a clear difference")
    assert own.figure == f"{100 * (fold_1 - 0.7056):+.1f}"
    assert own.unit == "points on fold 1"
    assert own.what.startswith("over the notes' CNN, as published: ")
    assert "in all 10 folds" in verdict.sure[1]
    assert verdict.sure[-1].startswith("On fold 1, the only one that can be compared, ")


def test_sample_of_the_notes_clips_gives_the_command_that_trains_their_network_on_these(tmp_path):
    write_run(tmp_path, SAMPLE)
    commands = [step.command for step in steps_of(only_comparison(tmp_path))]
    assert "soundprobe finetune --config notes-simplecnn" in commands


def test_no_figure_stands_without_content(tmp_path):
    write_run(tmp_path, ESC10)
    comparison = only_comparison(tmp_path)
    accuracy, hardest = verdict_of(comparison).figures
    assert accuracy.figure == f"{100 * comparison.best.accuracy.mean:.1f}"
    assert hardest.what.endswith("clips found, the hardest class")


def test_verdict_of_controls_only_says_so(tmp_path):
    write_run(tmp_path, ESC10, weights="random", accuracy=0.4)
    comparison = only_comparison(tmp_path)
    here = f"{100 * comparison.best.accuracy.mean:.0f}"
    said = verdict_of(comparison).headline
    assert said == f"Only controls have been run: untrained mn04 gets {here} of 100 clips right."


def test_verdict_of_unfinished_runs_ranks_nothing(tmp_path):
    write_run(tmp_path, URBAN, folds=[1, 2])
    comparison = only_comparison(tmp_path)
    verdict = verdict_of(comparison)
    assert "nothing is ranked" in verdict.headline
    assert comparison.best is None
    (own,) = verdict.figures
    assert own.figure == f"{100 * (comparison.rows[0].accuracy_on(1) - 0.7056):+.1f}".replace("-", "−")


def test_cells_of_the_chart_round_as_the_list_of_mistakes_does():
    assert cell_texts(np.array([[0.025, 0.975, 0.0, 0.001]]))["text"] == [
        [percent(0.025, 0), percent(0.975, 0), "", "&lt;1"]
    ]


def test_most_frequent_mistakes_are_counted_by_hand(tmp_path):
    write_run(tmp_path, SAMPLE, accuracy=0.6)
    (row,) = only_comparison(tmp_path).rows
    found = most_frequent(row, limit=3)
    pairs = list(zip(row.first.y_true, row.first.predicted, strict=True))
    names = row.first.class_names
    counts = sorted((pairs.count((i, j)) for i in range(10) for j in range(10) if i != j), reverse=True)
    assert [mistake.count for mistake in found] == counts[:3]
    worst = found[0]
    true, predicted = names.index(worst.true), names.index(worst.predicted)
    assert pairs.count((true, predicted)) == worst.count
    assert worst.share == pytest.approx(worst.count / sum(label == true for label, _ in pairs))


def test_chart_places_marks_on_its_axis(urban_heads):
    comparison = only_comparison(urban_heads)
    chart = chart_of(comparison)
    axis = axis_over([0.4])
    assert (axis.x(axis.low), axis.x(1.0), axis.x(2.0)) == (0.0, 100.0, 100.0)
    assert [style for _, style in chart.rows] == ["run", "run", "control", "run", "control", "partial"]
    assert [one.here.published.name for one in chart.published] == ["the notes' CNN"]
    for row, _ in chart.rows:
        low, high = chart.whisker(row.scores.interval(), row.accuracy.mean)
        assert 0 <= low <= chart.axis.x(row.accuracy.mean) <= high <= 100
        assert (len(chart.folds(row, clean=True)), len(chart.folds(row, clean=False))) == (1, len(row.folds) - 1)


def test_chart_of_clips_that_are_all_right_holds_the_whole_interval(tmp_path):
    write_run(tmp_path, Data("mine", dict.fromkeys((1, 2, 3, 4), 9), ("a", "b", "c")), accuracy=2.0)
    chart = chart_of(only_comparison(tmp_path))
    ((row, _),) = chart.rows
    assert row.accuracy.mean == 1.0
    assert chart.axis.low < row.scores.interval().low < 0.9


@pytest.mark.parametrize("shares", [[0.0], [0.04], [0.5], [0.9999], [1.0]])
def test_axis_holds_every_share_with_a_few_ticks(shares):
    axis = axis_over(shares)
    assert 0 <= axis.low <= min(shares)
    assert 3 <= len(axis.ticks()) <= 11
    assert axis.ticks()[-1] == (100.0, "100")


def test_runs_of_the_same_accuracy_are_level_at_the_top_and_share_their_rank(tmp_path):
    for key, accuracy in (("000000000001", 0.7), ("000000000002", 0.7), ("000000000003", 0.5)):
        write_run(tmp_path, SAMPLE, accuracy=accuracy, key=key)
    comparison = only_comparison(tmp_path)
    first, second, last = comparison.rows
    assert first.accuracy.mean == second.accuracy.mean
    assert [comparison.rank_of(row) for row in comparison.rows] == [1, 1, 3]
    assert comparison.front == (first, second)
    headline, sure, *_ = verdict_of(comparison).sentences
    assert headline.startswith(f"Pretrained mn04 gets {100 * first.accuracy.mean:.0f} of 100 clips right")
    assert "level with it" in sure


@pytest.mark.parametrize(("share", "ends"), [(100.0, (90, 100)), (0.0, (0, 10)), (50.0, (40, 60))])
def test_axis_of_one_value_in_percent_is_no_wider_than_can_be_read(share, ends):
    axis = percent_axis("accuracy", [{"y": [share, share]}])
    low, high = axis["range"]
    assert (round(low), round(high)) == pytest.approx(ends, abs=1)
    assert low < share < high
    assert axis["dtick"] >= 2

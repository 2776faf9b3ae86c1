"""The first screen: the answer in plain words, the checks that the scores rest on, and what to do next."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pages import Page

from result_folders import ESC10, SAMPLE, Data, labels_of, scores, write_predictions, write_result, write_run
from soundprobe.reporting.compared.comparison import Comparison, comparisons_of
from soundprobe.reporting.render.terminal import format_summary
from soundprobe.reporting.runs.collect import collect_runs
from soundprobe.reporting.sections.confusion import chosen_from
from soundprobe.reporting.sections.next_steps import steps_of
from soundprobe.reporting.sections.trust import checks_of
from soundprobe.reporting.sections.verdict import verdict_of
from soundprobe.reporting.wording import of_100, percent, points
from soundprobe.reporting.write import write_report

ALL_RIGHT = Data("mine", dict.fromkeys((1, 2, 3, 4), 9), ("a", "b", "c"), fingerprint="36")
OWN = {"weights": "random", "kind": "finetune", "head_settings": {"recipe": "notes-simplecnn"}}


def only_comparison(heads: Path) -> Comparison:
    (comparison,) = comparisons_of(collect_runs(heads).by_dataset())
    return comparison


def whole(comparison: Comparison, place: int) -> str:
    return of_100([comparison.rows[place].accuracy.mean])[0]


def test_answer_says_in_plain_words_what_the_best_gets_right_and_what_others_do(tmp_path):
    write_run(tmp_path, SAMPLE, accuracy=0.84)
    write_run(tmp_path, SAMPLE, "logmel-stats", accuracy=0.6, weights="none")
    write_run(tmp_path, SAMPLE, "simplecnn", "finetune", 0.45, **OWN)
    comparison = only_comparison(tmp_path)
    best, stats, own = (whole(comparison, place) for place in range(3))
    assert verdict_of(comparison).headline == (
        f"Pretrained mn04 gets {best} of 100 clips right; the best without pretraining, logmel-stats, {stats}. "
        f"The notes' CNN gets {own}."
    )


def test_answer_names_no_winner_where_no_lead_is_clear(tmp_path):
    for backbone, accuracy in (("mn04", 0.72), ("panns", 0.71), ("ast", 0.7), ("logmel-stats", 0.7)):
        write_run(tmp_path, SAMPLE, backbone, accuracy=accuracy, weights="none" if "-" in backbone else "pretrained")
    comparison = only_comparison(tmp_path)
    verdict = verdict_of(comparison)
    assert len(comparison.front) == 4
    assert verdict.headline.startswith("No clear winner among ")
    assert all(name in verdict.headline for name in ("pretrained mn04", "pretrained panns", "pretrained ast"))
    assert "best" not in verdict.headline
    assert "not a clear difference" in verdict.figures[1].what


def test_heads_of_one_network_are_one_name_in_the_answer(tmp_path):
    write_run(tmp_path, SAMPLE, head="linear", accuracy=0.8)
    write_run(tmp_path, SAMPLE, head="knn", accuracy=0.79)
    comparison = only_comparison(tmp_path)
    assert len(comparison.front) == 2
    assert verdict_of(comparison).headline.startswith(f"Pretrained mn04 gets {whole(comparison, 0)} of 100 clips right")


def test_clips_that_are_all_right_are_counted_and_need_no_listening(tmp_path):
    for backbone in ("mn04", "panns"):
        write_run(tmp_path, ALL_RIGHT, backbone, accuracy=2.0)
    comparison = only_comparison(tmp_path)
    verdict = verdict_of(comparison)
    assert verdict.headline == (
        "No clear winner among pretrained mn04 and pretrained panns: they get all 36 clips right."
    )
    assert "at least" in verdict.figures[0].what
    assert not any("hardest" in one.what for one in verdict.figures)
    assert not any(step.section == "gallery" for step in steps_of(comparison))


def test_one_run_has_nothing_to_compare_with_and_says_so(tmp_path):
    write_run(tmp_path, ESC10, accuracy=0.8)
    assert verdict_of(only_comparison(tmp_path)).headline.endswith("There is nothing to compare it with yet.")


def test_controls_alone_are_said_to_be_all_only_where_they_are(tmp_path):
    write_run(tmp_path, SAMPLE, accuracy=0.4, weights="random")
    assert verdict_of(only_comparison(tmp_path)).headline.startswith("Only controls have been run: untrained mn04")
    write_run(tmp_path, SAMPLE, "panns", accuracy=0.9, folds=[1, 2])
    assert verdict_of(only_comparison(tmp_path)).headline.startswith("Only controls can be ranked yet: untrained mn04")


def test_classes_that_are_equally_hard_and_mistakes_equally_frequent_are_not_called_the_one(tmp_path):
    folder = write_run(tmp_path, ALL_RIGHT, accuracy=2.0)
    labels = np.concatenate([labels_of(ALL_RIGHT, fold) for fold in (1, 2, 3, 4)])
    folds = np.repeat([1, 2, 3, 4], 9)
    ids = np.array([f"clip-{fold}-{number}" for fold in (1, 2, 3, 4) for number in range(9)])
    predicted = labels.copy()
    for label in (0, 1):  # one clip of a and one of b
        predicted[np.flatnonzero(labels == label)[0]] = 2
    parts = [(ids[folds == fold], fold, labels[folds == fold], predicted[folds == fold], None) for fold in (1, 2, 3, 4)]
    write_predictions(folder, ids, folds, labels, predicted, np.eye(3)[predicted])
    info = json.loads((folder / "result.json").read_text())
    write_result(folder, {**info, **scores(ALL_RIGHT, (1, 2, 3, 4), parts, "linear")})
    comparison = only_comparison(tmp_path)
    assert verdict_of(comparison).figures[-1].what == "of a and b clips found, the hardest classes"
    (heard,) = [step.said for step in steps_of(comparison) if step.section == "gallery"]
    assert heard == "Listen to its 2 mistakes."


def test_one_mistake_is_no_most_frequent_one_and_one_difference_is_no_two_figures(tmp_path):
    write_run(tmp_path / "one", ALL_RIGHT, accuracy=0.97)
    comparison = only_comparison(tmp_path / "one")
    assert comparison.best.confusion.trace() == 35
    (heard,) = [step.said for step in steps_of(comparison) if step.section == "gallery"]
    assert heard == "Listen to its 1 mistake."
    write_run(tmp_path / "two", ALL_RIGHT, accuracy=2.0)
    write_run(tmp_path / "two", ALL_RIGHT, "logmel-stats", accuracy=2.0, weights="none")
    figures = [one.what for one in verdict_of(only_comparison(tmp_path / "two")).figures]
    assert len([what for what in figures if "over" in what]) == 1


def test_what_needs_a_probe_is_not_advised_without_one(tmp_path):
    write_run(tmp_path, SAMPLE, "simplecnn", "finetune", 0.6, **OWN)
    assert not any("probe --" in step.command for step in steps_of(only_comparison(tmp_path)))


def test_data_sets_of_one_name_are_told_apart_in_every_output(tmp_path):
    write_run(tmp_path / "heads", SAMPLE, accuracy=0.8)
    write_run(tmp_path / "heads", replace(SAMPLE, fingerprint="88bbccdd"), accuracy=0.7, key="00ff")
    report = write_report(tmp_path / "heads", tmp_path / "reports")
    page, markdown, summary = report.html.read_text(), report.markdown.read_text(), str(format_summary(report))
    for label in ("urbansound8k@77aa", "urbansound8k@88bbcc"):
        assert page.count(label) == 3  # to go there, the heading, and the contents
        assert f"## {label}" in markdown
        assert f"{label}: percent" in summary


def test_next_steps_name_the_data_set_where_there_are_results_on_others(tmp_path):
    write_run(tmp_path / "heads", SAMPLE, accuracy=0.8)
    alone = write_report(tmp_path / "heads", tmp_path / "reports").markdown.read_text()
    assert "--dataset" not in alone
    write_run(tmp_path / "heads", ESC10, accuracy=0.8)
    one = write_report(tmp_path / "heads", tmp_path / "reports", dataset="esc10").markdown.read_text()
    assert "soundprobe probe -b mn04 --head linear --dataset esc10 --learning-curve" in one
    assert "&& soundprobe probe -b logmel-stats --dataset esc10" in one


def test_commands_name_the_heads_and_embeddings_where_these_are_not_in_their_usual_places(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_run(Path("heads"), SAMPLE, accuracy=0.8)
    usual = write_report("heads", "reports").markdown.read_text()
    assert not any(option in usual for option in ("--heads", "--embeddings"))
    write_run(Path("my demo/heads"), SAMPLE, accuracy=0.8)
    text = write_report("my demo/heads", "reports", embeddings="demo/embeddings").markdown.read_text()
    both = "--embeddings demo/embeddings --heads 'my demo/heads'"
    assert f"soundprobe probe -b mn04 --head linear --learning-curve {both}" in text
    assert f"logmel-stats --embeddings demo/embeddings && soundprobe probe -b logmel-stats {both}" in text
    assert f"soundprobe probe --control shuffled-labels {both}" in text
    assert "soundprobe finetune --config notes-simplecnn --heads 'my demo/heads'" in text


def test_runs_of_shuffled_labels_are_not_chosen_from_as_their_classes_are_no_clips(tmp_path):
    write_run(tmp_path, SAMPLE, accuracy=0.8)
    write_run(tmp_path, SAMPLE, "panns", accuracy=0.7)
    write_run(tmp_path, SAMPLE, accuracy=0.3, key="00ff", head_settings={"control": "shuffled-labels"})
    comparison = only_comparison(tmp_path)
    assert len(comparison.rows) == 3
    assert [row.name for row in chosen_from(comparison)] == ["mn04 · linear", "panns · linear"]


def test_shares_of_numpy_are_rounded_as_pythons():
    # numpy rounds 1000 x .0345 = 34.5 to the even 34, Python what is stored, a little above .0345, to .035.
    assert [percent(share) for share in (0.0345, np.float64(0.0345))] == ["3.5", "3.5"]
    assert of_100([np.float64(0.8345)]) == of_100([0.8345])
    assert points(np.float64(0.0345)) == points(0.0345)


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ([0.836, 0.615], ["84", "62"]),
        ([0.836, 0.842], ["83.6", "84.2"]),
        ([0.836, 0.836], ["84", "84"]),
        ([0.997], ["99.7"]),
        ([0.99989], ["more than 99.9"]),
        ([1.0, 0.5], ["100", "50"]),
        ([0.0001], ["0"]),
    ],
)
def test_shares_of_100_tell_apart_what_differs(shares, said):
    assert of_100(shares) == said


def states(comparison: Comparison) -> dict[str, bool]:
    return {one.said: one.passed for one in checks_of(comparison)}


def test_checks_warn_of_unknown_recordings_and_pass_known_ones(tmp_path):
    write_run(tmp_path / "known", SAMPLE, accuracy=0.8)
    known = states(only_comparison(tmp_path / "known"))
    assert any(said.endswith("recordings known") and passed for said, passed in known.items())
    write_run(tmp_path / "unknown", SAMPLE, accuracy=0.8, recordings=False)
    unknown = only_comparison(tmp_path / "unknown")
    assert states(unknown)["recordings unknown"] is False
    assert steps_of(unknown)[0].command == "soundprobe data check"


def test_recordings_that_controls_alone_were_run_on_are_not_called_unknown(tmp_path):
    write_run(tmp_path, SAMPLE, head_settings={"control": "shuffled-labels", "shuffled_by": "recording"})
    said = states(only_comparison(tmp_path))
    assert said["folds not checked"] is False
    assert "recordings unknown" not in said


def test_checks_warn_of_failed_clips_and_of_single_seeds(tmp_path):
    folder = write_run(tmp_path, SAMPLE, head="mlp", accuracy=0.8)
    info = json.loads((folder / "result.json").read_text())
    info["dataset"]["failed"] = 2
    write_result(folder, info)
    found = states(only_comparison(tmp_path))
    assert found["2 clips failed"] is False
    assert found["fewer than 3 seeds: mn04 · mlp"] is False
    for seed in (1, 2):
        write_run(tmp_path, SAMPLE, head="mlp", accuracy=0.8, seed=seed)
    assert states(only_comparison(tmp_path))["3 seeds"] is True


def test_next_steps_ask_for_what_was_not_measured_and_go_once_it_was(tmp_path):
    folder = write_run(tmp_path, SAMPLE, accuracy=0.8)
    commands = [step.command for step in steps_of(only_comparison(tmp_path))]
    assert "soundprobe extract --backbone logmel-stats && soundprobe probe -b logmel-stats" in commands
    assert "soundprobe probe -b mn04 --head linear --learning-curve" in commands
    write_run(tmp_path, SAMPLE, "logmel-stats", accuracy=0.5, weights="none")
    points = [
        {"share": share, "recordings": 10, "clips": 50, "accuracy": accuracy, "macro_f1": 0.5}
        for share, accuracy in ((0.7, 0.75), (1.0, 0.8))
    ]
    content = {"format": 1, "shares": [0.7, 1.0], "folds": [{"fold": 1, "points": points}]}
    (folder / "learning-curve.json").write_text(json.dumps(content))
    steps = steps_of(only_comparison(tmp_path))
    assert "logmel" not in " ".join(step.command for step in steps)
    assert any(step.said == "Record more: the last step to all recordings still gained +5.0 points." for step in steps)


def test_checks_and_steps_lead_to_sections_that_are_there(tmp_path):
    write_run(tmp_path / "heads", SAMPLE, accuracy=0.8)
    report = write_report(tmp_path / "heads", tmp_path / "reports")
    (data,) = json.loads(report.json.read_text())["datasets"]
    links = {link["href"] for link in Page(report.html).of("a")}
    assert {f"#{one['section']}-1" for one in data["checks"]} <= links
    assert "gallery" in {one["section"] for one in data["next"]}
    markdown = report.markdown.read_text()
    for said in (*data["verdict"], *(one["said"] for one in data["next"])):
        assert said.split(":")[0] in markdown.replace("\\", "")

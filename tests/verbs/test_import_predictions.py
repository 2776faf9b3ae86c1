"""Imported predictions: a run like any other where its folds are the data's, marked and without a rank where not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import soundprobe
from command_line import soundprobe_here as command
from damage import damage
from soundprobe.base.errors import ConfigError, DataError, SoundprobeError, SoundprobeWarning
from soundprobe.cli.main import app
from soundprobe.data.catalog import open_data
from soundprobe.reporting.compared.comparison import Comparison, comparisons_of
from soundprobe.reporting.runs.collect import collect_runs
from soundprobe.reporting.sections.verdict import verdict_of
from soundprobe.reporting.write import write_report
from soundprobe.scoring.results import FinishedRun
from soundprobe.scoring.run_names import named_runs
from soundprobe.verbs.disk_check import verify
from soundprobe.verbs.import_predictions import import_fold_scores, import_predictions
from sounds import write_urbansound_layout

Change = Callable[[pd.DataFrame], pd.DataFrame]


@dataclass(frozen=True)
class Probed:
    """A data set, and a probe on it with its predictions as a table by class names."""

    data: Path
    heads: Path
    run: FinishedRun
    table: pd.DataFrame


@pytest.fixture(scope="module")
def probed(tmp_path_factory: pytest.TempPathFactory) -> Probed:
    root = tmp_path_factory.mktemp("import")
    data = write_urbansound_layout(root / "clips", folds=4)
    soundprobe.extract(data, backbone="logmel-stats", embeddings=root / "embeddings", progress=False)
    (run,) = soundprobe.probe(head="linear", embeddings=root / "embeddings", heads=root / "heads", progress=False)
    names = run.record.dataset.class_names
    told = pd.read_parquet(run.folder / "predictions.parquet")
    table = pd.DataFrame({"clip": told["clip_id"], "fold": told["fold"]})
    table["label"], table["predicted"] = (told[column].map(names.__getitem__) for column in ("label", "predicted"))
    for number, name in enumerate(names):
        table[name] = [float(row[number]) for row in told["proba"]]
    return Probed(data, root / "heads", run, table)


@pytest.fixture
def heads(probed: Probed, tmp_path: Path) -> Path:
    """The probe's heads, in a folder of the test's own."""
    folder = tmp_path / "heads" / probed.run.folder.relative_to(probed.heads)
    folder.parent.mkdir(parents=True)
    folder.symlink_to(probed.run.folder)
    return tmp_path / "heads"


def bring(probed: Probed, heads: Path, table: pd.DataFrame, name: str = "my-cnn", **how: object) -> FinishedRun:
    path = heads.parent / "predictions.csv"
    table.to_csv(path, index=False)
    return import_predictions(path, name=name, data=probed.data, heads=heads, progress=False, **how)


def compared(heads: Path, baseline: str | None = None) -> Comparison:
    collection = collect_runs(heads)
    (comparison,) = comparisons_of(collection.by_dataset(), collection.published, baseline)
    return comparison


def other_folds(table: pd.DataFrame) -> pd.DataFrame:
    """Folds drawn clip by clip: every recording lies in two."""
    return table.assign(fold=1 + np.arange(len(table)) % 4)


def test_predictions_of_a_run_are_that_run_whatever_the_order_of_rows(probed, heads):
    done = bring(probed, heads, probed.table.sample(frac=1, random_state=1))
    assert not done.reused
    assert done.record.summary == probed.run.record.summary
    assert done.record.dataset.identity == probed.run.record.dataset.identity
    assert (done.record.imported.folds, done.record.has_probabilities, done.verdict) == ("same", True, "")
    comparison = compared(heads)
    assert [row.tag for row in comparison.rows if row.is_ranked] == ["baseline: nothing learnt", "imported"]
    lead = comparison.lead_over_own
    assert (lead.name, lead.difference, lead.pair.accuracy.differences) == ("my-cnn", 0.0, (0.0, 0.0, 0.0, 0.0))
    assert not lead.is_clear
    assert (lead.gained, lead.lost) == ((), ())
    again = bring(probed, heads, probed.table)
    assert again.reused
    assert again.folder == done.folder


def test_lead_names_the_classes_and_is_the_difference_of_the_means(probed, heads):
    names = sorted(set(probed.table["label"]))
    weaker = probed.table.drop(columns=names)
    weaker["predicted"] = np.where(weaker["label"] == names[0], names[1], weaker["predicted"])
    bring(probed, heads, weaker)
    lead = compared(heads).lead_over_own
    right = probed.table["predicted"] == probed.table["label"]
    theirs = weaker["predicted"] == weaker["label"]
    folds = probed.table["fold"]
    assert lead.difference == pytest.approx(right.groupby(folds).mean().mean() - theirs.groupby(folds).mean().mean())
    found = right[weaker["label"] == names[0]].mean()
    assert [(one.name, one.difference, one.own) for one in lead.gained] == [(names[0], pytest.approx(found), 0.0)]
    assert lead.lost == ()


def test_run_without_probabilities_is_reported_without_them(probed, heads, tmp_path):
    done = bring(probed, heads, probed.table[["clip", "fold", "predicted"]])
    assert not done.record.has_probabilities
    assert "proba" not in pd.read_parquet(done.folder / "predictions.parquet")
    report = write_report(heads, tmp_path / "reports", data=probed.data)
    data = json.loads(report.json.read_text(), parse_constant=pytest.fail)["datasets"][0]
    rows = {row["kind"]: row for row in data["rows"]}
    assert rows["import"]["calibration"] is None
    assert rows["probe"]["calibration"]["ece"] >= 0
    assert rows["import"]["seconds"] is None
    (only,) = [run for run in collect_runs(heads).runs if run.record.kind == "import"]
    assert only.proba is None
    alone = tmp_path / "alone"
    alone.mkdir()
    bring(probed, alone / "heads", probed.table[["clip", "fold", "predicted"]])
    text = write_report(alone / "heads", alone / "reports", data=probed.data).markdown.read_text()
    assert "How far probabilities can be believed" not in text
    assert "The worst mistakes" not in text
    assert not re.search(r"\bnan\b", text)


@pytest.mark.parametrize(
    ("change", "tag", "why"),
    [
        (other_folds, "its folds are not the data's", "clips were tested by a model that had been trained on another"),
        (lambda table: table.drop(columns="fold"), "its folds are not known", "nothing tells in which fold"),
    ],
)
def test_run_on_other_folds_is_marked_has_no_rank_and_is_never_clear(probed, heads, change: Change, tag, why, tmp_path):
    wrong = probed.table.assign(predicted=probed.table["label"].iloc[0])[["clip", "fold", "label", "predicted"]]
    assert "no rank" in bring(probed, heads, change(wrong)).verdict
    comparison = compared(heads)
    (row,) = [row for row in comparison.rows if row.first.record.kind == "import"]
    assert tag in row.tag
    assert not row.is_ranked
    assert comparison.rank_of(row) is None
    assert [pair.row for pair in comparison.against_best] == []
    lead = comparison.lead_over_own
    assert lead.difference > 0.3
    assert (lead.is_clear, lead.p) == (False, None)
    assert why in lead.caution
    assert f", but on {'other' if 'data' in tag else 'unknown'} folds" in verdict_of(comparison).headline
    report = write_report(heads, tmp_path / "reports", audio=False)
    text = report.markdown.read_text()
    assert why in text
    assert re.search(r"\*\*\+[\d.]+ points\*\* over my-cnn: no fair comparison\n", text)
    assert re.search(r"\*\*Predictions\*\*: predictions\.csv \(sha256 `[0-9a-f]{64}`\)", text)
    assert not json.loads(report.json.read_text())["datasets"][0]["over_own"][0]["accuracy"]["clear"]


def test_other_folds_say_how_many_clips_moved_and_how_many_met_their_recording(probed, heads):
    table = probed.table.copy()
    one = table.index[table["fold"] == 1][0]
    table.loc[one, "fold"] = 2
    imported = bring(probed, heads, table).record.imported
    recording = table["clip"].str.split("-").str[0]
    assert (imported.folds, imported.moved) == ("other", 1)
    assert imported.in_training_too == (recording == recording[one]).sum()


def test_same_folds_by_other_numbers_are_the_same(probed, heads):
    assert bring(probed, heads, probed.table.assign(fold=probed.table["fold"] - 1)).record.imported.folds == "same"


def test_missing_clips_are_named_and_taken_without_a_rank_when_allowed(probed, heads):
    fewer = probed.table.drop(index=probed.table.index[:7])
    with pytest.raises(
        DataError, match=r"no prediction for 7 of the 48 clips of .*: 1.* and 2 more\. .*--allow-missing"
    ):
        bring(probed, heads, fewer)
    done = bring(probed, heads, fewer, allow_missing=True)
    assert (done.record.imported.missing, len(done.record.dataset.left_out)) == (7, 7)
    comparison = compared(heads)
    assert comparison.failed == 0
    (row,) = [row for row in comparison.rows if row.first.record.kind == "import"]
    assert (row.is_ranked, row.tag) == (False, "imported; without 7 clips")
    lead = comparison.lead_over_own.pair
    assert (lead.clips, lead.is_clear, lead.accuracy.p_holm) == (41, False, None)  # clips that the importer chose
    assert re.search(r"Your my-cnn gets \d+, but on 41 clips alone\.", verdict_of(comparison).headline)


def test_other_predictions_of_a_name_are_refused_and_kept_when_replaced(probed, heads):
    first = bring(probed, heads, probed.table)
    classes = probed.table[["clip", "fold", "predicted"]]
    with pytest.raises(ConfigError, match="Other predictions of my-cnn, seed 0, were imported before"):
        bring(probed, heads, classes)
    second = bring(probed, heads, classes, force=True)
    assert (first.folder.exists(), second.folder.exists()) == (False, True)
    assert (first.folder.parent / f".{first.folder.name}" / "predictions.parquet").exists()


def test_predictions_replace_each_other_as_often_as_asked(probed, heads):
    classes = probed.table[["clip", "fold", "predicted"]]
    for table in (probed.table, classes, probed.table, classes):
        last = bring(probed, heads, table, force=True)
    assert [run.folder for run in named_runs(heads).found if run.record.kind == "import"] == [last.folder]
    for share in (0.5, 0.6, 0.5, 0.6):
        told = {"name": "paper", "data": probed.data, "heads": heads, "force": True, "progress": False}
        published = import_fold_scores([share] * 4, **told)
    assert [str(one.published.accuracy.mean) for one in collect_runs(heads).published] == ["0.6"]
    assert published.folder.exists()


def test_replacement_that_stops_half_way_leaves_no_second_run_of_the_name(probed, heads, monkeypatch):
    bring(probed, heads, probed.table)
    with monkeypatch.context() as stopped, pytest.raises(OSError, match="No space left"):
        stopped.setattr("soundprobe.scoring.results.write_result", _no_space)
        bring(probed, heads, probed.table[["clip", "fold", "predicted"]], force=True)
    assert [run.record.kind for run in collect_runs(heads).runs] == ["probe"]
    assert not bring(probed, heads, probed.table[["clip", "fold", "predicted"]]).record.has_probabilities


def _no_space(*_: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("change", [lambda table: table.drop(columns="fold"), lambda table: table.iloc[5:]])
def test_seed_with_other_folds_or_fewer_clips_takes_the_rank_of_the_whole_row(probed, heads, change: Change):
    bring(probed, heads, probed.table)
    bring(probed, heads, change(probed.table), seed=1, allow_missing=True)
    comparison = compared(heads)
    (row,) = [row for row in comparison.rows if row.first.record.kind == "import"]
    assert (row.seeds, row.is_ranked, comparison.rank_of(row)) == ((0, 1), False, None)
    assert row.tag != "imported"


def test_several_seeds_are_one_row_and_the_baseline_of_the_page(probed, heads):
    for seed in (0, 1):
        bring(probed, heads, probed.table, seed=seed)
    comparison = compared(heads)
    (row,) = [row for row in comparison.rows if row.first.record.kind == "import"]
    assert (row.name, row.seeds) == ("my-cnn", (0, 1))
    assert comparison.own.row is row


def test_one_of_several_imports_is_the_baseline_only_by_its_name(probed, heads):
    for name in ("one", "two"):
        bring(probed, heads, probed.table, name)
    assert compared(heads).own is None
    with pytest.warns(SoundprobeWarning, match="one, two were imported on clips; --baseline NAME"):
        write_report(heads, heads.parent / "reports", audio=False)
    assert compared(heads, "two").own.name == "two"
    assert compared(heads, "logmel-stats").own.row.first.record.kind == "probe"
    with pytest.raises(ConfigError, match="--baseline: Unknown run 'three'"):
        compared(heads, "three")


def test_published_folds_stand_beside_the_runs_and_are_compared_with_the_best(probed, heads, tmp_path):
    published = {"name": "paper", "data": probed.data, "heads": heads, "progress": False}
    done = import_fold_scores([0.5, 0.25, 0.75, 0.5], **published)
    assert done.describe() == "paper (as published): accuracy 50.0 % over 4 folds"
    assert import_fold_scores([0.5, 0.25, 0.75, 0.5], **published).reused
    with pytest.raises(ConfigError, match="published with other scores before"):
        import_fold_scores([0.5, 0.25, 0.75, 0.6], **published)
    comparison = compared(heads)
    lead = comparison.lead_over_own
    right = (probed.table["predicted"] == probed.table["label"]).mean()
    assert (lead.name, lead.unit, lead.p) == ("paper", "points over 4 folds", None)
    assert lead.difference == pytest.approx(right - 0.5)
    report = write_report(heads, tmp_path / "reports", audio=False)
    text = report.markdown.read_text()
    assert "| – | paper (**as published, without predictions**) | 50.0 |" in text
    assert "Against paper, on 4 folds" in text
    assert "struck-out" not in text
    (data,) = json.loads(report.json.read_text())["datasets"]
    assert data["published"][0]["tests"] == [1, 2, 3, 4]
    assert data["rows"][0]["against_published"]["paper"]["clips"] == 48


def test_predictions_of_a_published_model_are_what_it_is_compared_by(probed, heads):
    import_fold_scores([0.5] * 4, name="paper", data=probed.data, heads=heads, progress=False)
    bring(probed, heads, probed.table, "paper")
    comparison = compared(heads)
    assert (len(comparison.published), comparison.lead_over_own.is_paired) == (1, True)
    assert compared(heads, "paper").own.row is not None


def test_import_on_other_folds_alone_is_not_ranked(probed, tmp_path):
    heads = tmp_path / "heads"
    bring(probed, heads, other_folds(probed.table))
    assert compared(heads).best is None
    text = write_report(heads, tmp_path / "reports", audio=False).markdown.read_text()
    assert "its folds are not the data's" in text


@pytest.mark.parametrize("how", ["flipped", "cut", "lost"])
@pytest.mark.parametrize("name", ["predictions.parquet", "result.json"])
def test_import_again_mends_what_is_damaged(probed, heads, name, how):
    done = bring(probed, heads, probed.table)
    content = (done.folder / "predictions.parquet").read_bytes()
    damage(done.folder / name, how)
    with nullcontext() if how == "lost" else pytest.warns(SoundprobeWarning, match=f"{name} is damaged"):
        again = bring(probed, heads, probed.table)
    assert (again.folder, again.reused) == (done.folder, False)
    assert (done.folder / "predictions.parquet").read_bytes() == content
    assert bring(probed, heads, probed.table).reused


def test_published_scores_that_are_damaged_are_imported_again(probed, heads):
    given = {"name": "paper", "data": probed.data, "heads": heads, "progress": False}
    done = import_fold_scores([0.5] * 4, **given)
    damage(done.folder / "published.json")
    with pytest.warns(SoundprobeWarning, match=r"published.json is damaged"):
        assert not import_fold_scores([0.5] * 4, **given).reused
    assert import_fold_scores([0.5] * 4, **given).record.folds == done.record.folds


def test_damaged_published_scores_are_listed_and_stop_nothing(probed, heads):
    done = import_fold_scores([0.5] * 4, name="paper", data=probed.data, heads=heads, progress=False)
    (done.folder / "published.json").write_text("{}")
    (unreadable,) = collect_runs(heads).unreadable
    assert unreadable.path.endswith("published.json")
    assert compared(heads).published == ()


@pytest.mark.parametrize("name", ["", " ", ".", "..", "a\nb", "x" * 300, " my-cnn", "\u202ecnn"])
def test_names_that_can_t_be_shown_are_refused(probed, heads, name):
    with pytest.raises(ConfigError, match="--name .*such as my-cnn"):
        bring(probed, heads, probed.table, name)


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "../../my/cnn", "🐶", "my cnn + mixup", "import"])
def test_odd_names_stay_below_the_heads_folder_and_are_shown_as_text(probed, heads, name, tmp_path):
    done = bring(probed, heads, probed.table[["clip", "fold", "predicted"]], name)
    assert done.folder.resolve().is_relative_to(heads.resolve())
    assert len(done.folder.relative_to(heads).parts) == 3
    page = write_report(heads, tmp_path / "reports", audio=False).html.read_text()
    assert "<script>alert(1)" not in page
    assert compared(heads).own.name == name


def test_runs_on_other_clips_are_said_to_stand_apart(probed, heads, tmp_path):
    other = write_urbansound_layout(tmp_path / "clips", folds=4, seconds=0.5)
    with pytest.warns(SoundprobeWarning, match="The 1 runs on clips in .* are on other clips"):
        import_fold_scores([0.5] * 4, name="paper", data=other, heads=heads, progress=False)


def test_clips_as_open_data_gives_them_are_taken(probed, heads):
    path = heads.parent / "p.jsonl"
    probed.table.to_json(path, orient="records", lines=True)
    done = import_predictions(path, name="mine", data=open_data(probed.data), heads=heads, progress=False)
    assert done.record.summary == probed.run.record.summary


def test_test_split_needs_no_folds_and_leaves_predictions_of_the_training_split_out(probed, heads):
    clips = replace(open_data(probed.data), tested_folds=(2,))
    path = heads.parent / "p.csv"
    probed.table.drop(columns="fold").to_csv(path, index=False)
    done = import_predictions(path, name="mine", data=clips, heads=heads.parent / "alone", progress=False)
    assert (done.record.imported.folds, done.record.tested, done.record.complete) == ("same", [2], True)
    assert done.record.folds[0].test_clips == (probed.table["fold"] == 2).sum()
    assert collect_runs(heads.parent / "alone").unreadable == ()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("nothing.csv", "No such file"),
        ("clips", "its name must end in"),
        ("p.csv --columns clip=nothing", "has no such column"),
        ("p.csv --data nowhere", "nowhere"),
        ("", "Give a file of predictions"),
        ("p.csv --per-fold .5", "--per-fold takes scores alone"),
        ("--per-fold .5,.6", "--per-fold has 2 scores, and clips has 4 folds: 1, 2, 3, 4"),
        ("--per-fold .5,.6,.7,84", "84 is not valid: give shares"),
        ("--per-fold .5,.6,.7,x", "is not valid: give numbers joined by commas"),
        ("--per-fold-f1 .5", "stands beside --per-fold"),
    ],
)
def test_command_answers_a_mistake_in_one_line(probed, tmp_path, monkeypatch, given, message):
    probed.table.to_csv(tmp_path / "p.csv", index=False)
    (tmp_path / "clips").symlink_to(probed.data)
    monkeypatch.chdir(tmp_path)
    data = () if "--data" in given else ("--data", "clips")
    with pytest.raises(SoundprobeError, match=message) as error:
        app(["import", *given.split(), "--name", "my-cnn", *data, "-q"], standalone_mode=False)
    assert "\n" not in str(error.value)


def test_command_imports_and_other_commands_say_that_there_is_no_head(probed, tmp_path):
    probed.table.rename(columns={"clip": "file"}).to_csv(tmp_path / "p.csv", index=False)
    columns = ("--columns", "clip=file", "--seed", "3")
    done = command("import", "p.csv", "--name", "my-cnn", "--data", str(probed.data), *columns, "-q", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "my-cnn (imported), seed 3: accuracy" in done.stdout
    run = done.stdout.rpartition("-> ")[2].strip()
    clip = next((probed.data / "audio").rglob("*.wav"))
    for arguments in (("predict", str(clip), "--head", run), ("extract", "--finetuned", run)):
        refused = command(*arguments, cwd=tmp_path)
        assert refused.returncode == 1
        assert "holds predictions, and neither heads nor networks" in refused.stderr
        assert len(refused.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("damaged", [["predictions.parquet"], ["predictions.parquet", "result.json"]])
def test_verify_names_damaged_predictions_that_were_imported_and_keeps_them(probed, heads, damaged):
    folder = bring(probed, heads, probed.table).folder
    for name in damaged:
        damage(folder / name)
    found = verify([heads / folder.relative_to(heads)], progress=False).findings
    assert {finding.path.name for finding in found if finding.state == "damaged"} == set(damaged)
    assert not any(finding.removed for finding in found)
    assert (folder / "predictions.parquet").exists()

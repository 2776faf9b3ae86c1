"""Sets, runs, networks and a checkpoint that version 0.1.0 left on disk are read, reused and gone on with."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open

from samples_of_0_1_0 import unpacked
from soundprobe.base.errors import StoreError
from soundprobe.base.stored import Record
from soundprobe.embeddings import store
from soundprobe.embeddings.quantising import QuantisedRecord
from soundprobe.embeddings.sets import find_feature_sets, read_features
from soundprobe.reporting.runs.collect import collect_runs
from soundprobe.reporting.write import write_report
from soundprobe.scoring import results
from soundprobe.scoring.measured import LearningCurveRecord, PeekingRecord
from soundprobe.scoring.results import FinishedRun
from soundprobe.scoring.run_records import FoldRecord, NetworkRecord, RunRecord
from soundprobe.training.inputs import InputsRecord
from soundprobe.training.state import load_checkpoint, save_checkpoint
from soundprobe.verbs.extract import extract
from soundprobe.verbs.finetune import finetune
from soundprobe.verbs.predict import predict
from soundprobe.verbs.probe import probe

NAMES = {
    "meta.json": store.SetRecord,
    "result.json": RunRecord,
    "learning-curve.json": LearningCurveRecord,
    "peeking.json": PeekingRecord,
    "network.json": QuantisedRecord,
    "inputs.json": InputsRecord,
}


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The samples, for tests that change nothing among them."""
    return unpacked(tmp_path_factory.mktemp("samples"))


@pytest.fixture
def own(samples: Path, tmp_path: Path) -> Path:
    """The samples, for a test that writes among them."""
    return shutil.copytree(samples, tmp_path / "own")


def modified(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("fold-*.safetensors")}


@pytest.mark.parametrize("name", NAMES)
def test_record_read_and_written_again_has_the_same_bytes(samples, tmp_path, name):
    found = sorted(samples.rglob(name))
    assert found
    for path in found:
        record: Record = NAMES[name].read(path)
        record.write(tmp_path / name)
        signed = (tmp_path / name).read_bytes()
        digest, text = signed.split(b"\n", 2)[1:]
        assert digest.startswith(b' "digest": "xxh3-128:')
        assert b"{\n" + text == path.read_bytes()
        assert NAMES[name].read(tmp_path / name) == record


def test_metadata_of_heads_and_networks_are_read_and_kept_as_they_stand(samples):
    heads, networks = set(samples.rglob("fold-??.safetensors")), set(samples.rglob("fold-??-network.safetensors"))
    assert heads
    assert networks
    for path in heads | networks:
        with safe_open(path, framework="numpy") as file:
            text = file.metadata()["soundprobe"]
        kind = NetworkRecord if path in networks else FoldRecord
        record = kind.of(json.loads(text), path)
        assert json.dumps(record.content) == text
        assert record.fold == int(path.name[5:7])


def test_sets_are_found_and_read(samples):
    found, unusable = store.find_sets(samples / "embeddings")
    assert unusable == {}
    assert {part.backbone for part in found} == {"mn04", "crnn", "crnn-finetuned"}
    for part in found:
        embeddings = store.read_embeddings(part)
        assert len(embeddings) == part.record.embedded == 36
        assert [failure.clip_id for failure in part.record.failures] == ["broken.wav"]
        assert part.precision == "fp32"
    (tuned,) = find_feature_sets(samples / "embeddings", backbone="crnn-finetuned")
    assert (tuned.folds, tuned.lacking) == ([1, 2], [])
    assert read_features(tuned)[0].features_of(2).shape == (36, 256)
    (int8,), _ = store.find_sets(samples / "embeddings-int8")
    assert int8.precision == "int8"


@pytest.mark.parametrize(
    ("backbone", "options"),
    [
        ("mn04", {"head": "linear", "learning_curve": True, "measure_peeking": True}),
        ("mn04", {"head": "linear", "seeds": [1], "exclude_leaks": True}),
        ("mn04", {"head": "knn", "only_folds": [1]}),
        ("crnn", {"head": "knn", "learning_curve": True, "measure_peeking": True}),
        ("crnn", {"head": "mlp", "settings": {"widths": [8], "max_epochs": 4}, "measure_peeking": True}),
        ("mn04+crnn", {"head": "linear"}),
        ("crnn-finetuned", {"head": "linear"}),
    ],
)
def test_probe_takes_a_run_that_is_there_as_it_is(own, backbone, options):
    before = modified(own)
    folders = {"embeddings": own / "embeddings", "heads": own / "heads"}
    (done,) = probe(backbone=backbone, **options, **folders, progress=False)
    assert done.reused
    assert done.result["summary"]["accuracy"]["mean"] == done.record.summary.accuracy.mean
    assert modified(own) == before


def test_probe_takes_shuffled_labels_judged_by_true_ones_for_no_control(own, tmp_path):
    folders = {"embeddings": own / "embeddings", "heads": own / "heads"}
    (done,) = probe(backbone="mn04", head="linear", control="shuffled-labels", **folders, progress=False)
    assert not done.reused
    text = write_report(own / "heads", tmp_path).markdown.read_text()
    assert "judged by the true labels: it could not fail. Run again" in text
    assert text.count("at chance, as it must be") + text.count("above chance: something leaks") == 1


def test_probe_of_the_other_fold_goes_on_from_the_one_that_is_there(own):
    folders = {"embeddings": own / "embeddings", "heads": own / "heads"}
    (path,) = own.glob("heads/clips/mn04-*/knn-*/fold-01.safetensors")
    before = path.stat().st_mtime_ns
    (done,) = probe(backbone="mn04", head="knn", **folders, progress=False)
    assert (done.reused, done.record.tested, done.record.complete) == (False, [1, 2], True)
    assert path.stat().st_mtime_ns == before


def test_report_shows_every_run(samples, tmp_path):
    collection = collect_runs(samples / "heads")
    assert collection.unreadable == ()
    assert len(collection.runs) == 9
    assert sum(run.learning_curve is not None for run in collection.runs) == 2
    assert sum(run.peeking is not None for run in collection.runs) == 3
    written = write_report(samples / "heads", tmp_path, trials=True)
    rows = json.loads(written.json.read_text())["datasets"][0]["rows"]
    assert {run["path"] for row in rows for run in row["runs"]} == {run.path for run in collection.runs}
    assert {row["tag"] for row in rows} == {
        "random weights: control",
        "shuffled labels: control that could not fail; random weights: control",
        "random start: trained from scratch",
        "trained from scratch in each fold",
    }


def test_extract_takes_a_set_that_is_there_as_it_is(own):
    (outcome,) = extract(
        own / "clips" / "clips.csv",
        backbone="mn04",
        weights="random",
        embeddings=own / "embeddings",
        device="cpu",
        progress=False,
    )
    assert (outcome.reused, outcome.clips) == (36, 36)


def test_predict_with_heads_on_random_weights_gives_what_they_gave(samples):
    (folder,) = samples.glob("heads/clips/crnn-0*/knn-*")
    result, _, _ = results.read_fold(folder / "fold-02.safetensors")
    clips = [samples / "clips" / str(name) for name in result.ids[:3]]
    said = predict(clips, head=folder, device="cpu", progress=False)
    assert [one.heads for one in said] == [2, 2, 2]
    assert [one.predicted for one in said] == [one.name.split("/")[-1].split("-")[0] for one in said]


def test_predict_with_heads_on_finetuned_networks_takes_the_run_where_it_is_now(samples):
    (folder,) = samples.glob("heads/clips/crnn-finetuned-*/linear-*")
    (run,) = samples.glob("heads/clips/crnn-0*/finetune-*")
    (said,) = predict(samples / "clips" / "hum-20-0.wav", head=folder, weights=run, device="cpu", progress=False)
    assert (said.heads, said.predicted) == (2, "hum")


def test_extract_of_finetuned_networks_gives_the_embeddings_that_are_there(samples, tmp_path):
    (run,) = samples.glob("heads/clips/crnn-0*/finetune-*")
    made = extract(samples / "clips" / "clips.csv", finetuned=run, embeddings=tmp_path, device="cpu", progress=False)
    for outcome in made:
        there = store.open_set(samples / "embeddings" / "clips" / outcome.folder.name)  # so the key is the same, too
        ours, theirs = (
            store.read_embeddings(part).features_of(outcome.fold) for part in (store.open_set(outcome.folder), there)
        )
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
        assert store.read_embeddings(there).paths is None  # parts have them since


ADDED_SINCE = ("digest", "batch_size", "threads", "clip_s", "audio_root", "asked")


def outline(content: Any) -> Any:
    """The fields of a JSON value in their order, with the kinds of their values; of a list those of its first item."""
    if isinstance(content, dict):
        return [(name, outline(value)) for name, value in content.items() if name not in ADDED_SINCE]
    if isinstance(content, list):
        return [outline(value) for value in content[:1]]
    return type(content).__name__


def outline_of(path: Path) -> Any:
    """Of a JSON file, or of the metadata of a safetensors file; without what differs by machine and number of folds."""
    if path.suffix == ".json":
        content = json.loads(path.read_text())
    else:
        with safe_open(path, framework="numpy") as file:
            content = json.loads(file.metadata()["soundprobe"])
    return [(name, kinds) for name, kinds in outline(content) if name not in ("versions", "summary")]


def test_this_version_writes_the_same_fields_in_the_same_order(samples, tmp_path):
    clips, folders = samples / "clips" / "clips.csv", {"embeddings": samples / "embeddings", "heads": tmp_path}
    probe(backbone="mn04+crnn,crnn-finetuned", **folders, progress=False)
    probe(backbone="crnn", head="knn", **folders, progress=False)
    probe(backbone="mn04", learning_curve=True, measure_peeking=True, **folders, progress=False)
    extract(clips, backbone="crnn", weights="random", embeddings=tmp_path, device="cpu", progress=False)
    made = [*tmp_path.rglob("*.json"), *tmp_path.rglob("fold-*.safetensors")]
    assert len(made) == 4 * 3 + 2 + 1  # runs, what one was measured beside, and a set
    for path in made:
        (old,) = samples.glob(f"[eh]*/{path.relative_to(tmp_path)}")  # so the keys are the same, too
        assert outline_of(path) == outline_of(old), old


def go_on(samples: Path) -> FinishedRun:
    """The command that was interrupted, once more."""
    return finetune(
        samples / "clips" / "clips.csv",
        backbone="crnn",
        weights="random",
        overrides=[
            "augment={}",
            "training.mixed_precision=false",
            "validation.kind=share",
            "validation.share=0.4",
            "training.epochs=6",
            'training.freeze="backbone"',
        ],
        only_folds=[1],
        heads=samples / "interrupted",
        device="cpu",
        progress=False,
    )


def test_finetune_goes_on_from_a_checkpoint(own):
    (checkpoint,) = own.glob("interrupted/clips/*/*/checkpoints/fold-01-selection.pt")
    trained = load_checkpoint(checkpoint)["course"]["history"]
    done = go_on(own)
    assert done.folder == checkpoint.parent.parent
    (fold,) = done.record.folds
    assert [line["epoch"] for line in fold.history] == [1, 2, 3, 4, 5, 6]
    assert fold.history[: len(trained)] == trained  # their times, too: they were not trained again
    (finished,) = own.glob("heads/clips/crnn-0*/finetune-*")
    for name in ("result.json", "fold-01.safetensors", "fold-01-network.safetensors"):
        assert outline_of(done.folder / name) == outline_of(finished / name), name


def test_checkpoint_that_lacks_something_is_named_with_the_remedy(own):
    (checkpoint,) = own.glob("interrupted/clips/*/*/checkpoints/fold-01-selection.pt")
    saved = load_checkpoint(checkpoint)
    save_checkpoint(checkpoint, {name: value for name, value in saved.items() if name != "course"})
    with pytest.raises(StoreError) as error:
        go_on(own)
    assert str(error.value).startswith(f"{checkpoint} is no checkpoint of this run")
    assert "\n" not in str(error.value)

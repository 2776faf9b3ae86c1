"""Our backbones in MTEB, checked by MTEB: its mock tasks, and its own task classes on a small data set."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path

import datasets
import numpy as np
import pytest
from torch.utils.data import DataLoader

from optional import needed
from soundprobe.base.errors import ConfigError
from soundprobe.embeddings.store import open_set, read_embeddings
from soundprobe.verbs.extract import extract
from sounds import write_urbansound_layout


@pytest.fixture(scope="module")
def mteb():  # imported here and not above: it takes seconds, also of a process that runs other tests
    return needed("mteb")


@pytest.fixture(scope="module")
def encoder(mteb):
    return import_module("soundprobe.adapters.mteb").BackboneEncoder("logmel-stats", device="cpu")


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    """72 clips of 0.5 s in 3 classes, in UrbanSound8K's layout."""
    return write_urbansound_layout(tmp_path_factory.mktemp("mteb") / "toy", recordings=4, seconds=0.5)


@pytest.fixture(scope="module")
def rows(toy) -> datasets.Dataset:
    """The same clips as MTEB's data sets on the Hub hold them: encoded, in a column of `datasets.Audio`."""
    files = sorted(toy.rglob("*.wav"))
    labels = [int(file.name.split("-")[1]) for file in files]
    audio = [{"bytes": file.read_bytes(), "path": file.name} for file in files]
    columns = {"audio": audio, "classID": labels, "target": labels}
    return datasets.Dataset.from_dict(columns).cast_column("audio", datasets.Audio())


@pytest.fixture
def score(mteb, encoder):
    """From the name of one of MTEB's tasks and its clips to its main score."""

    def evaluate(name: str, rows: datasets.Dataset) -> float:
        (task,) = mteb.get_tasks(tasks=[name])
        task.dataset, task.data_loaded = datasets.DatasetDict(train=rows), True
        (result,) = mteb.evaluate(encoder, task, cache=None, show_progress_bar=False).task_results
        return result.get_score()

    return evaluate


def test_mteb_mock_run_passes_all_its_audio_tasks(mteb, encoder):
    try:
        import torchcodec.encoders  # noqa: F401  (its import fails where FFmpeg lacks)
    except (ImportError, RuntimeError) as error:
        reason = f"MTEB's mock tasks write sounds with torchcodec, which needs Debian's FFmpeg: {str(error)[:60]}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    run = mteb.mock_run(encoder)
    done = {name: outcome for name, outcome in run.items() if outcome is not None}
    assert len(done) >= 7
    assert [name for name, outcome in done.items() if not hasattr(outcome, "get_score")] == [], run.to_markdown()


@pytest.mark.parametrize("name", ["UrbanSound8k", "ESC50"])
def test_mteb_own_task_class_on_tones_that_differ_scores_high(score, rows, name):
    assert score(name, rows) > 0.9


def test_mteb_own_task_class_on_labels_dealt_out_by_chance_scores_low(score, rows):
    dealt = np.random.default_rng(0).integers(0, 3, len(rows)).tolist()
    assert score("UrbanSound8k", rows.remove_columns("classID").add_column("classID", dealt)) < 0.7


def test_mteb_embeddings_are_those_of_extract(encoder, rows, toy, tmp_path):
    (made,) = extract(toy, backbone="logmel-stats", embeddings=tmp_path, device="cpu", progress=False)
    ours = read_embeddings(open_set(made.folder))
    order = np.argsort(ours.ids)
    theirs = encoder.encode(DataLoader(rows, batch_size=5))
    np.testing.assert_array_equal(theirs, ours.features[order])


def test_mteb_model_meta_names_backbone_and_digest_of_its_weights(encoder):
    other = type(encoder)("simplecnn", weights="random", device="cpu")
    assert other.mteb_model_meta.name == "soundprobe/simplecnn"
    assert other.mteb_model_meta.revision == other.model.weights.sha256 != encoder.mteb_model_meta.revision
    assert other.mteb_model_meta.embed_dim == 128


def test_mteb_task_without_sound_is_refused(encoder):
    with pytest.raises(ConfigError, match="hears only: it needs a column 'audio', and there are text"):
        encoder.encode(DataLoader(datasets.Dataset.from_dict({"text": ["a"]})))


def test_mteb_adapter_without_mteb_names_the_extra(monkeypatch):
    monkeypatch.delitem(sys.modules, "soundprobe.adapters.mteb")
    monkeypatch.setitem(sys.modules, "mteb.models", None)
    with pytest.raises(ConfigError, match=r"pip install 'soundprobe\[mteb\]'"):
        import_module("soundprobe.adapters.mteb")

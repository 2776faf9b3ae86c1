"""`ClipEmbedder`: scikit-learn's contract, and the embeddings that `extract` gives."""

from __future__ import annotations

import doctest
import importlib
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
from safetensors.torch import save_file
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

import soundprobe
import soundprobe.sklearn
from soundprobe.backbones.load import load_backbone
from soundprobe.base.errors import AudioError, ConfigError, SoundprobeError
from soundprobe.heads import LinearHead
from soundprobe.sklearn import ClipEmbedder
from sounds import write_urbansound_layout

ANY_LENGTH = "clips of any length are taken, so that of the first ones fixes none"
EXPECTED_TO_FAIL = {
    "check_n_features_in": ANY_LENGTH,
    "check_n_features_in_after_fitting": ANY_LENGTH,
    "check_estimators_dtypes": "integers are refused: what full scale is, the array doesn't say",
    "check_dtype_object": "an array of objects holds clips, and no numbers",
    "check_transformer_data_not_an_array": "a list holds clips, and no lists of numbers",
}
ON_NOISE = ClipEmbedder("logmel-stats", sample_rate_hz=16_000)


@parametrize_with_checks([ON_NOISE], expected_failed_checks=lambda _: EXPECTED_TO_FAIL)
def test_clip_embedder_meets_scikit_learns_contract(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_urbansound_layout(tmp_path_factory.mktemp("clips"), folds=2, classes=2)


@pytest.fixture(scope="module")
def clips(layout: Path) -> pd.DataFrame:
    """path, label and recording of 16 clips of 8 recordings."""
    table = pd.read_csv(layout / "metadata" / "UrbanSound8K.csv")
    paths = [str(layout / "audio" / f"fold{row.fold}" / row.slice_file_name) for row in table.itertuples()]
    return pd.DataFrame({"path": paths, "label": table["classID"], "recording": table["fsID"]})


@pytest.mark.parametrize(("backbone", "weights"), [("logmel-stats", None), ("crnn", "random")])
def test_clip_embedder_gives_extracts_embeddings(layout, clips, tmp_path, backbone, weights) -> None:
    how = {"backbone": backbone, "weights": weights, "clip_seconds": 0.7, "seed": 3}
    soundprobe.extract(layout, **how, embeddings=tmp_path, progress=False)
    (found,), _ = soundprobe.find_sets(tmp_path)
    kept = soundprobe.read_embeddings(found)
    of_path = dict(zip(kept.ids.tolist(), kept.features, strict=True))
    found = ClipEmbedder(**how).transform(clips["path"])
    assert found.dtype == np.float32
    expected = np.stack([of_path[Path(path).name] for path in clips["path"]])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_clip_embedder_takes_paths_and_arrays_alike_and_any_lengths(clips) -> None:
    paths = clips["path"].tolist()[:3]
    waves = [soundfile.read(path, dtype="float32")[0] for path in paths]
    rate_hz = soundfile.info(paths[0]).samplerate
    embedder = ClipEmbedder("logmel-stats", sample_rate_hz=rate_hz)
    expected = embedder.transform(paths)
    for same in (np.stack(waves), waves, np.stack(waves)[:, None], np.array(paths), pd.Series(paths), tuple(paths)):
        np.testing.assert_array_equal(embedder.transform(same), expected)
    mixed = embedder.transform([waves[0][:9_000], paths[1], waves[2]])
    np.testing.assert_array_equal(mixed[1:], expected[1:])
    assert not np.array_equal(mixed[0], expected[0])


def test_clip_embedder_in_pipelines_is_searched_and_scored_by_recording(clips) -> None:
    paths, labels, recordings = (clips[name].to_numpy() for name in ("path", "label", "recording"))
    model = make_pipeline(ClipEmbedder("logmel-stats"), LinearHead(strengths=(0.01, 1.0), inner_splits=2))
    groups = {"linearhead__groups": recordings}
    scores = cross_val_score(model, paths, labels, groups=recordings, cv=GroupKFold(2), params=groups)
    assert scores.mean() > 0.8
    grid = {"clipembedder__clip_seconds": [0.5, None], "linearhead__class_weight": [None, "balanced"]}
    search = GridSearchCV(model, grid, cv=GroupKFold(2), error_score="raise")
    search.fit(paths, labels, groups=recordings, **groups)
    assert (search.predict(paths) == labels).mean() > 0.8
    assert search.best_estimator_[0].get_params() == clone(search.best_estimator_[0]).get_params()


def test_clip_embedder_hears_the_channels_that_are_asked_for() -> None:
    stereo = np.random.default_rng(0).normal(scale=0.1, size=(2, 16_000)).astype(np.float32)
    embedded = {
        channels: ClipEmbedder("logmel-stats", channels=channels, sample_rate_hz=16_000).fit_transform([stereo])
        for channels in ("first", "mean")
    }
    plain = ClipEmbedder("logmel-stats", sample_rate_hz=16_000)
    np.testing.assert_array_equal(embedded["first"], plain.fit_transform([stereo[0]]))
    np.testing.assert_allclose(embedded["mean"], plain.fit_transform([stereo.mean(axis=0)]), atol=1e-4)
    assert not np.array_equal(embedded["first"], embedded["mean"])


def test_clip_embedder_is_pickled_as_its_settings(clips) -> None:
    embedder = ClipEmbedder("crnn", "random", seed=1)
    found = embedder.fit_transform(clips["path"])
    packed = pickle.dumps(embedder)
    assert len(packed) < 1000  # its network has 1.2 MB
    np.testing.assert_array_equal(pickle.loads(packed).transform(clips["path"]), found)
    assert not np.array_equal(clone(embedder).set_params(seed=2).transform(clips["path"]), found)


def test_clip_embedder_takes_the_layers_that_are_asked_for(clips) -> None:
    paths = clips["path"][:2]
    middle, both = (ClipEmbedder("mn04", "random", layers=layers).transform(paths) for layers in ("middle", "all"))
    assert middle.shape == (2, 224)
    np.testing.assert_allclose(both[:, 384:], middle, rtol=1e-5)


def test_clip_embedder_takes_weights_that_were_written_anew_under_the_same_name(clips, tmp_path) -> None:
    file, paths, found = tmp_path / "weights.safetensors", clips["path"][:2], []
    for seed in (1, 2):
        save_file(dict(load_backbone("crnn", weights="random", seed=seed).network.state_dict()), file)
        found.append(ClipEmbedder("crnn", file).transform(paths))
    np.testing.assert_array_equal(found[1], ClipEmbedder("crnn", "random", seed=2).transform(paths))
    assert not np.array_equal(*found)


def test_clip_embedder_takes_a_class_that_was_imported_anew(tmp_path, monkeypatch) -> None:
    text = (
        "from soundprobe.backbones.protocol import Backbone\n"
        "from soundprobe.backbones.spec import BackboneSpec\n"
        "class Own(Backbone):\n"
        "    spec = BackboneSpec('own', embedding_dim=1, sample_rate_hz=16_000)\n"
        "    def __init__(self, clip_seconds=None): pass\n"
        "    def embed(self, waves, lengths): return 0 * waves[:, :1] + 1\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    embedder, found = ClipEmbedder("edited_own:Own", sample_rate_hz=16_000), []
    for number in ("1", "23"):  # of another length: files of one size and second count as the same to Python
        (tmp_path / "edited_own.py").write_text(text.replace("+ 1", f"+ {number}"))
        importlib.reload(importlib.import_module("edited_own"))
        found.append(float(embedder.transform(np.zeros((1, 800)))[0, 0]))
    assert found == [1, 23]


@pytest.mark.parametrize("container", ["pandas", "polars"])
def test_clip_embedder_gives_tables_with_names(clips, container: str) -> None:
    embedder = clone(ON_NOISE).set_output(transform=container)
    table = embedder.fit_transform(clips["path"])
    assert type(table).__module__.startswith(container)
    assert list(table.columns) == list(embedder.get_feature_names_out()) == [f"clipembedder{i}" for i in range(512)]


@pytest.mark.parametrize(
    ("settings", "X", "message"),
    [
        ({"backbone": "mn4"}, [], "Unknown backbone 'mn4'. Did you mean 'mn04'"),
        ({"backbone": "logmel-stats+crnn"}, [], "several backbones.*extract --backbone logmel-stats,crnn"),
        ({"clip_seconds": -1.0}, [], "-1"),
        ({"channels": "left"}, [], "'left'"),
        ({"layers": "middle"}, [], "logmel-stats"),
        ({}, [], "X is empty"),
        ({}, "a.wav", "'a.wav' is one clip"),
        ({}, [np.zeros(100)], "doesn't say its rate. Give sample_rate_hz"),
        ({"sample_rate_hz": 8000}, [np.zeros((100, 2))], "shape .100, 2.: give .channels, T."),
    ],
)
def test_clip_embedder_with_a_bad_setting_or_clip_says_what_is_valid(settings, X, message) -> None:
    with pytest.raises(SoundprobeError, match=message) as caught:
        ClipEmbedder(**{"backbone": "logmel-stats", **settings}).fit(X)
    assert isinstance(caught.value, ConfigError) or not settings or "sample_rate_hz" in settings


def test_clip_embedder_names_a_file_that_is_not_there() -> None:
    with pytest.raises(AudioError, match=r"gone\.wav: "):
        ClipEmbedder("logmel-stats").transform(["gone.wav"])


def test_example_in_clip_embedders_docstring_gives_what_it_shows() -> None:
    (found,) = doctest.DocTestFinder(recurse=False).find(ClipEmbedder, globs={}, module=soundprobe.sklearn)
    assert doctest.DocTestRunner().run(found).attempted == 4
    assert doctest.DocTestRunner().run(found).failed == 0


def test_sklearn_from_inside_the_packages_folder_is_refused_in_one_line() -> None:
    folder = Path(soundprobe.__file__).parent
    where = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run([sys.executable, "-c", "import sklearn"], env=where, capture_output=True, text=True)
    assert "ImportError: soundprobe's own folder stands before scikit-learn" in done.stderr.splitlines()[-1]

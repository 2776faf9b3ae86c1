"""A run in a folder of its own: what its card's example says is what `predict` says, and what is not ours stays."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from soundprobe.audio.decode import decode
from soundprobe.base.errors import ConfigError, ExportError, SoundprobeError, StoreError
from soundprobe.base.files import parse_json, write_json
from soundprobe.cli.main import app
from soundprobe.predicting.loading import load_predictor
from soundprobe.predicting.predictor import Listening
from soundprobe.verbs.export import check_format, export
from soundprobe.verbs.extract import extract
from soundprobe.verbs.fit import fit
from soundprobe.verbs.predict import predict
from soundprobe.verbs.probe import probe
from sounds import write_urbansound_layout

RATE_HZ = 22_050
QUIET = {"progress": False}
FORMATS = ("onnx", "torch", "bundle")


@dataclass(frozen=True)
class Trained:
    """Linear heads on a small network with random weights beside statistics of the clip, on three tones."""

    root: Path
    run: Path
    clip: Path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    root = tmp_path_factory.mktemp("export")
    data = write_urbansound_layout(root / "clips")
    for backbone, weights in (("simplecnn", "random"), ("logmel-stats", None)):
        extract(data, backbone=backbone, weights=weights, embeddings=root / "embeddings", **QUIET)
    name = "simplecnn+logmel-stats"
    (done,) = probe(head="linear", backbone=name, embeddings=root / "embeddings", heads=root / "heads", **QUIET)
    return Trained(root, done.folder, sorted(data.glob("audio/*/*.wav"))[7])


@pytest.fixture(scope="module")
def exported(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of the run in a format, written once."""
    folder, done = tmp_path_factory.mktemp("exported"), {}

    def of(kind: str) -> Path:
        if kind == "onnx":
            pytest.importorskip("onnxruntime")
            pytest.importorskip("onnxscript")
        if kind not in done:
            done[kind] = export(trained.run, to=folder / kind, format=kind, heads=trained.root / "heads", **QUIET)
        return done[kind].folder

    return of


@pytest.mark.parametrize("kind", FORMATS)
def test_example_of_an_exports_card_says_what_predict_says(kind, trained, exported, monkeypatch, capsys):
    folder = exported(kind)
    (example,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    assert len(example.splitlines()) <= 10
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.argv", ["example.py", str(trained.clip)])
    capsys.readouterr()
    exec(compile(example, "README.md", "exec"), {})
    said = capsys.readouterr().out.strip()
    (here,) = predict(trained.clip, run=trained.run, device="cpu", **QUIET)
    assert said.startswith(f"{here.predicted} ")
    assert float(said.rpartition(" ")[2]) == pytest.approx(here.proba.max(), abs=1e-4)


def test_onnx_takes_any_batch_and_length_and_gives_the_runs_numbers(trained, exported, tmp_path):
    folder = exported("onnx")
    import onnxruntime

    session = onnxruntime.InferenceSession(folder / "model.onnx")
    predictor, whole = load_predictor(trained.run, device="cpu", **QUIET), Listening(window_s=4.0)
    clip = decode(trained.clip.read_bytes(), sample_rate_hz=RATE_HZ, name="clip")
    for samples in (len(clip), 300, RATE_HZ, 3 * RATE_HZ + 1):
        wave = np.resize(clip, samples)
        proba, embedding = session.run(["probabilities", "embedding"], {"waveform": np.stack([wave, -wave / 2])})
        soundfile.write(tmp_path / "clip.wav", wave, RATE_HZ, subtype="FLOAT")
        np.testing.assert_allclose(proba[0], predictor.predict(str(tmp_path / "clip.wav"), whole).proba, atol=1e-4)
        assert embedding.shape == (2, sum(backbone.spec.embedding_dim for backbone in predictor.backbones))


@pytest.mark.parametrize("kind", ["onnx", "torch"])
def test_export_states_how_near_its_numbers_are_and_how_long_a_clip_takes(kind, exported):
    told = json.loads((exported(kind) / "export.json").read_text())["checked"]
    assert 0 <= told["proba_differs"] < 1e-4
    assert 0 < told["embedding_differs"] < 1e-4
    assert told["milliseconds"] > 0
    assert f"takes {told['milliseconds']:g} ms" in (exported(kind) / "README.md").read_text()


@pytest.mark.parametrize("kind", FORMATS)
def test_export_holds_no_pickle_and_no_path_of_this_machine(kind, trained, exported):
    for path in exported(kind).iterdir():
        content = path.read_bytes()
        assert str(trained.root).encode() not in content, path.name
        assert b"data.pkl" not in content
    assert (exported(kind) / "model.pt2").exists() == (kind == "torch")


def test_card_says_data_score_interval_controls_and_licences(exported):
    text = (exported("bundle") / "README.md").read_text()
    record = json.loads((exported("bundle") / "export.json").read_text())
    score = record["accuracy"]
    assert score["low"] < score["mean"] <= score["high"]
    interval = f"(95 % interval {100 * score['low']:.1f} to {100 * score['high']:.1f})"
    for told in (
        interval,
        "36 clips of 18 recordings",
        "controls | none were run",
        "not known: find out",
        "model-index",
    ):
        assert told in text
    assert "low &lt;b&gt;hum&lt;/b&gt;" in text


def test_bundle_predicts_without_heads_cache_or_network(trained, exported, tmp_path, monkeypatch):
    shutil.copytree(exported("bundle"), tmp_path / "bundle")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOUNDPROBE_OFFLINE", "1")
    (here,) = predict(trained.clip, run=trained.run, device="cpu", **QUIET)
    (said,) = predict(trained.clip, run="bundle", heads="none", device="cpu", **QUIET)
    np.testing.assert_array_equal(said.proba, here.proba)
    assert said.class_names == here.class_names


def test_bundle_of_a_fit_brings_thresholds_distance_and_known_clips_and_no_score_of_its_own(trained, tmp_path):
    where = {"heads": trained.root / "heads", **QUIET}
    fitted = fit(run=trained.run, precision=0.9, embeddings=trained.root / "embeddings", **where)
    folder = export(fitted.folder, to=tmp_path / "bundle", format="bundle", **where).folder
    soundfile.write(tmp_path / "noise.wav", np.random.default_rng(0).uniform(-1, 1, RATE_HZ), RATE_HZ)
    for clip in (trained.clip, tmp_path / "noise.wav"):
        (here,), (said,) = (predict(clip, run=run, device="cpu", **QUIET) for run in (fitted.folder, folder))
        np.testing.assert_array_equal(said.proba, here.proba)
        assert (said.novelty, said.is_unknown, said.trained_on) == (here.novelty, here.is_unknown, here.trained_on)
    assert here.novelty is not None
    first, second = (load_predictor(place, device="cpu") for place in (fitted.folder, folder))
    assert first.thresholds == second.thresholds
    np.testing.assert_array_equal(first.known, second.known)
    card = (folder / "README.md").read_text()
    assert "it has no score of its own" in card


def test_bundle_of_a_bundle_keeps_its_numbers_and_its_score(exported, tmp_path):
    again = export(exported("bundle"), to=tmp_path / "again", format="bundle", data_licence="CC0", **QUIET)
    first, second = (
        json.loads((folder / "export.json").read_text()) for folder in (exported("bundle"), tmp_path / "again")
    )
    assert first["files"] == second["files"]
    assert first["accuracy"] == second["accuracy"]
    assert again.record.data_licence == "CC0"


def test_second_export_replaces_its_own_and_nothing_else(trained, exported, tmp_path, monkeypatch):
    place = tmp_path / "place"
    shutil.copytree(exported("bundle"), place)
    (place / "README.md").write_text("old")
    export(trained.run, to=place, format="bundle", heads=trained.root / "heads", **QUIET)
    assert "model-index" in (place / "README.md").read_text()
    (place / "mine.txt").write_text("mine")
    with pytest.raises(StoreError, match=r"more than an export: mine\.txt"):
        export(trained.run, to=place, format="bundle", heads=trained.root / "heads", **QUIET)
    monkeypatch.chdir(place)
    with pytest.raises(StoreError, match="the folder that you are in"):
        export(trained.run, to=".", format="bundle", heads=trained.root / "heads", **QUIET)
    monkeypatch.chdir(tmp_path)
    (place / "export.json").unlink()
    with pytest.raises(StoreError, match="something else than an export"):
        export(trained.run, to=place, format="bundle", heads=trained.root / "heads", **QUIET)


def test_export_that_fails_leaves_the_earlier_one_and_no_leftovers(trained, exported, tmp_path):
    shutil.copytree(exported("bundle"), tmp_path / "place")
    shutil.copytree(trained.run, tmp_path / "run")
    before = (tmp_path / "place" / "export.json").read_bytes()
    next((tmp_path / "run").glob("fold-*.safetensors")).write_bytes(b"half")
    with pytest.raises(StoreError, match="is damaged"):
        export(tmp_path / "run", to=tmp_path / "place", format="bundle", heads=trained.root / "heads", **QUIET)
    assert (tmp_path / "place" / "export.json").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["place", "run"]


@pytest.mark.parametrize("here", ["2.6.0", "2.10.1+cpu"])
def test_graph_with_an_older_torch_is_one_line_and_a_bundle_is_not_refused(here, monkeypatch):
    monkeypatch.setattr("soundprobe.verbs.export.version", lambda _: here)
    with pytest.raises(
        ConfigError, match=r"needs torch 2\.11 or newer, and .* is installed: .*or give --format bundle"
    ):
        check_format("torch")
    check_format("bundle")


def test_graph_of_backbones_at_different_rates_is_refused_by_name(trained, tmp_path):
    where = {"embeddings": trained.root / "embeddings", **QUIET}
    extract(trained.root / "clips", backbone="mn04", weights="random", **where)
    (done,) = probe(head="knn", backbone="mn04+logmel-stats", heads=tmp_path / "heads", **where)
    with pytest.raises(ExportError, match="22050 and 32000 Hz"):
        export(done.folder, to=tmp_path / "out", format="torch", heads=tmp_path / "heads", **QUIET)
    assert not (tmp_path / "out").exists()
    folder = export(done.folder, to=tmp_path / "out", format="bundle", heads=tmp_path / "heads", **QUIET).folder
    (here,), (said,) = (predict(trained.clip, run=run, device="cpu", **QUIET) for run in (done.folder, folder))
    np.testing.assert_array_equal(said.proba, here.proba)


def _set(*path: str | int, value: object) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        inner: Any = content
        for part in path[:-1]:
            inner = inner[part]
        inner[path[-1]] = value

    return change


BACKBONE = ("members", 0, "backbones", 0)
HOSTILE = {
    "a head that is an address": (_set("head", value="os:system"), "names the head os:system, which is neither"),
    "a backbone that is an address": (
        _set(*BACKBONE, "name", value="antigravity:Class"),
        "names the backbone antigravity:Class",
    ),
    "a backbone without a name": (_set(*BACKBONE, "name", value=7), "no valid field 'members.0.backbones.0.name'"),
    "a method for a setting": (
        _set("members", 0, "heads", 0, "params", "settings", "predict_proba", value=1),
        "no saved",
    ),
    "classes that are not there": (_set("members", 0, "heads", 0, "params", "classes", value=[0, 1, 9]), "doesn't fit"),
    "classes of another kind": (_set("members", 0, "heads", 0, "params", "classes", value=["a", 1, 2]), "doesn't fit"),
    "fewer class names": (_set("dataset", "class_names", value=["one"]), "doesn't fit"),
    "other settings": (_set(*BACKBONE, "settings", "pooling", value="other"), "with another pooling"),
    "an endless clip": (_set(*BACKBONE, "settings", "clip_seconds", value=1e300), "can't be used with it"),
    "a length that is none": (_set(*BACKBONE, "settings", "clip_seconds", value=["4"]), "no valid settings"),
    "channels that are none": (_set(*BACKBONE, "settings", "channels", value="all"), "all"),
    "another backbone's weights": (_set(*BACKBONE, "name", value="crnn"), "crnn"),
    "windows without end": (_set("trained_s", value=1e-9), "no valid field 'trained_s'"),
    "a threshold that is none": (_set("thresholds", value={"low": 2}), "no valid field 'thresholds.low"),
    "a distance that is none": (_set("novelty", value=-1), "no valid field 'novelty'"),
    "no members": (_set("members", value=[]), "members"),
    "a member without tensors": (
        lambda content: content["members"].append(content["members"][0]),
        "holds no simplecnn: .* missing",
    ),
    "another digest": (_set("files", "model.safetensors", value="ab" * 32), "not the file that export.json"),
    "a future format": (_set("format", value=99), "has format 99"),
    "an export for others": (_set("kind", value="onnx"), "export with --format bundle"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_bundle_is_one_line_and_runs_nothing(case, exported, tmp_path):
    change, message = HOSTILE[case]
    shutil.copytree(exported("bundle"), tmp_path / "bundle")
    path = tmp_path / "bundle" / "export.json"
    content = parse_json(path.read_text())
    del content["digest"]
    change(content)
    write_json(path, content)  # and signs it, as anybody can
    with pytest.raises(SoundprobeError, match=message) as raised:
        load_predictor(tmp_path / "bundle", device="cpu")
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b'{"a": ' * 5000, b"\xff\xfe", b'{"format": 1}'])
def test_bundle_whose_record_is_no_record_is_one_line(content, exported, tmp_path):
    shutil.copytree(exported("bundle"), tmp_path / "bundle")
    (tmp_path / "bundle" / "export.json").write_bytes(content)
    with pytest.raises(StoreError):
        load_predictor(tmp_path / "bundle", device="cpu")


def test_command_exports_and_says_where_in_json(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    how = ["--to", "out", "--format", "bundle", "--heads", str(trained.root / "heads"), "--json"]
    none = CliRunner().invoke(app, ["export", "best", *how])
    assert "none that will do here" in str(none.exception)  # an untrained network's is a control
    done = CliRunner().invoke(app, ["export", str(trained.run), *how])
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["folder"], told["kind"], told["head"]) == ("out", "bundle", "linear")
    assert (tmp_path / "out" / "labels.json").exists()
    modes = {path.stat().st_mode for path in (tmp_path / "out").iterdir()}
    assert len(modes) == 1, "who may read one of them may read all"


def test_format_whose_package_is_missing_names_the_extra(trained, tmp_path, monkeypatch):
    monkeypatch.setattr("soundprobe.verbs.export.MODULES", {"onnx": ("onnx_of_nobody",)})
    with pytest.raises(ConfigError, match=r"onnx_of_nobody.*pip install 'soundprobe\[export\]'"):
        export(trained.run, to=tmp_path / "out", **QUIET)

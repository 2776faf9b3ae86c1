"""A trained head on new audio, from clips to probabilities, on generated sounds."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors import safe_open
from safetensors.numpy import save_file

import soundprobe as soundprobe_package
from command_line import soundprobe_here as soundprobe
from damage import damage, sign_again
from made_sets import rewrite_about
from soundprobe.backbones.load import load_backbone
from soundprobe.base.errors import AudioError, ConfigError, DamagedError, StoreError, WeightsError
from soundprobe.embeddings.sets import find_feature_sets, read_features
from soundprobe.heads.catalog import load_head
from soundprobe.predicting.loading import check_weights, load_predictor
from soundprobe.scoring.results import read_fold
from soundprobe.verbs.extract import extract
from soundprobe.verbs.predict import predict
from soundprobe.verbs.probe import probe
from soundprobe.verbs.view import view
from sounds import RATE_HZ, tone, write_urbansound_layout
from tiny_transformers import save_tiny


@dataclass(frozen=True)
class Trained:
    root: Path
    head: Path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A linear head on a small network with random weights, on three tones in three folds."""
    root = tmp_path_factory.mktemp("prediction")
    data = write_urbansound_layout(root / "clips")
    extract(data, backbone="simplecnn", weights="random", seed=3, embeddings=root / "embeddings", progress=False)
    where = {"embeddings": root / "embeddings", "heads": root / "heads"}
    (done,) = probe(head="linear", progress=False, command="soundprobe probe", **where)
    return Trained(root, done.folder)


def test_prediction_is_the_mean_of_the_folds_heads_on_the_stored_embedding(trained):
    (features,) = find_feature_sets(trained.root / "embeddings")
    embeddings, _ = read_features(features)
    clip = str(embeddings.ids[7])
    (path,) = (trained.root / "clips").glob(f"audio/*/{clip}")
    expected = []
    for file in sorted(trained.head.glob("fold-*.safetensors")):
        _, arrays, record = read_fold(file)
        expected.append(load_head("linear", arrays, record.params).predict_proba(embeddings.features[7:8])[0])
    (said,) = predict(path, head=trained.head, device="cpu", progress=False)
    assert said.heads == len(expected) == 3
    np.testing.assert_allclose(said.proba, np.mean(expected, axis=0), atol=1e-4)
    assert said.proba.sum() == pytest.approx(1)
    assert said.class_names == embeddings.class_names


def test_predict_of_a_run_on_a_models_folder_works_from_anywhere(trained, tmp_path, monkeypatch):
    save_tiny("Wav2Vec2", tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    extract(trained.root / "clips", backbone="hf:./model,logmel-stats", progress=False)
    (run,) = probe(head="knn", backbone="hf:./model+logmel-stats", progress=False)
    assert run.record.backbone.folders == {"hf:./model": str(tmp_path / "model")}
    clip = next((trained.root / "clips").rglob("*.wav"))
    (here,) = predict(clip, head=run.folder, device="cpu", progress=False)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    (there,) = predict(clip, head=tmp_path / run.folder, device="cpu", progress=False)
    np.testing.assert_array_equal(there.proba, here.proba)
    assert [one.spec.name for one in load_predictor(tmp_path / run.folder).backbones] == ["hf:./model", "logmel-stats"]
    (tmp_path / "model").rename(tmp_path / "elsewhere" / "model")  # where the name leads from here
    (moved,) = predict(clip, head=tmp_path / run.folder, device="cpu", progress=False)
    np.testing.assert_array_equal(moved.proba, here.proba)


@pytest.mark.parametrize("backbone", ["mn04", "hf:"])
def test_prediction_by_heads_on_chosen_layers_is_that_of_the_stored_embedding(trained, tmp_path, backbone):
    where = {"embeddings": tmp_path / "embeddings", "progress": False}
    how, columns = {"layers": "both"}, {"last": 384, "middle": 224}
    if backbone == "hf:":
        backbone += str(save_tiny("Wav2Vec2", tmp_path / "model"))
        how, columns = {"layers": "all", "pool": "mean+std"}, {"last": 32, "0": 32, "1": 32}
    extract(trained.root / "clips", backbone=backbone, weights="random", **how, **where)
    runs = [*probe(head="linear,mlp,knn", heads=tmp_path / "heads", **where)]
    if backbone != "mn04":  # whose layers are of several widths
        runs += probe(head="linear", settings={"layers": "weighted"}, heads=tmp_path / "heads", **where)
    (features,) = find_feature_sets(tmp_path / "embeddings")
    embeddings, _ = read_features(features)
    (path,) = (trained.root / "clips").glob(f"audio/*/{embeddings.ids[7]}")
    for done in runs:
        assert {fold["chosen"]["layers"] for fold in done.result["folds"]} <= {
            *columns,
            *(["both"] if len(columns) == 2 else ["weighted"]),
        }
        assert done.result["backbone"]["layers"] == columns
        expected = []
        for file in sorted(done.folder.glob("fold-*.safetensors")):
            _, arrays, record = read_fold(file)
            head = load_head(record.about.head, arrays, record.params)
            expected.append(head.predict_proba(embeddings.features[7:8])[0])
        (said,) = predict(path, head=done.folder, device="cpu", progress=False)
        np.testing.assert_allclose(said.proba, np.mean(expected, axis=0), atol=1e-3)


def test_timeline_has_a_window_every_hop_and_ends_with_the_clip(trained, tmp_path):
    soundfile.write(tmp_path / "two.wav", np.concatenate([tone(330, 2.0), tone(1200, 2.0)]), RATE_HZ)
    timeline = load_predictor(trained.head, device="cpu").timeline(str(tmp_path / "two.wav"))
    assert timeline.starts_s.tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 3]
    assert timeline.ends_s[-1] == pytest.approx(4.0)
    np.testing.assert_allclose(timeline.proba.sum(axis=1), 1)
    assert not np.allclose(timeline.proba[0], timeline.proba[-1], atol=0.01)


def test_timeline_hears_the_end_of_a_clip_that_no_hop_reaches(trained, tmp_path):
    quiet = tone(330, 4.4)
    burst = quiet.copy()
    burst[-round(0.4 * RATE_HZ) :] = np.random.default_rng(0).uniform(-0.9, 0.9, round(0.4 * RATE_HZ))
    predictor, found = load_predictor(trained.head, device="cpu"), []
    for name, wave in (("quiet.wav", quiet), ("burst.wav", burst)):
        soundfile.write(tmp_path / name, wave, RATE_HZ)
        found.append(predictor.timeline(str(tmp_path / name)))
    assert found[1].starts_s.tolist() == pytest.approx([0, 0.5, 1, 1.5, 2, 2.5, 3, 3.4])
    assert found[1].ends_s[-1] == pytest.approx(4.4)
    assert not np.allclose(found[0].proba[-1], found[1].proba[-1], atol=0.01)


def test_clip_shorter_than_a_window_is_one_window(trained, tmp_path):
    soundfile.write(tmp_path / "short.wav", tone(330, 0.03), RATE_HZ)
    predictor = load_predictor(trained.head, device="cpu")
    timeline = predictor.timeline(str(tmp_path / "short.wav"))
    assert (len(timeline.starts_s), timeline.ends_s[0]) == (1, pytest.approx(0.03, abs=0.001))
    assert np.isfinite(predictor.predict(str(tmp_path / "short.wav")).proba).all()


def test_view_with_a_head_draws_the_probable_classes_and_says_whose_heads(trained, tmp_path):
    soundfile.write(tmp_path / "new.wav", tone(330, 2.0), RATE_HZ)
    shown = view(tmp_path / "new.wav", head=trained.head, device="cpu", progress=False)
    (clip,) = shown.clips
    assert 1 <= len(clip.bands) <= 3
    assert len(clip.bands) + clip.others == 3
    assert any("mean of 3 heads" in note for note in shown.notes)
    assert "low &lt;b&gt;hum&lt;/b&gt;" in shown.html() or "low <b>hum</b>" not in [band.name for band in clip.bands]
    assert "<b>hum</b>" not in shown.html()


def test_command_prints_a_table_or_json(trained, tmp_path):
    soundfile.write(tmp_path / "new.wav", tone(330, 1.0), RATE_HZ)
    table = soundprobe("predict", "new.wav", "--head", str(trained.head), cwd=tmp_path)
    assert table.returncode == 0, table.stderr
    assert "new.wav" in table.stdout
    assert " %" in table.stdout
    told = soundprobe("predict", "new.wav", "--head", str(trained.head), "--json", cwd=tmp_path)
    (clip,) = json.loads(told.stdout)["clips"]
    assert sum(clip["proba"].values()) == pytest.approx(1, abs=1e-4)
    assert clip["predicted"] == max(clip["proba"], key=clip["proba"].get)


def test_command_predicts_the_good_clips_and_names_the_bad_ones(trained, tmp_path):
    clips = tmp_path / "clips"
    clips.mkdir()
    soundfile.write(clips / "ok.wav", tone(330, 1.0), RATE_HZ)
    (clips / "bad.wav").write_bytes(b"")
    for named in (["clips/bad.wav", "clips/ok.wav"], ["clips"]):
        some = soundprobe("predict", *named, "--head", str(trained.head), "--json", cwd=tmp_path)
        assert some.returncode == 3, some.stderr
        assert [Path(clip["clip"]).name for clip in json.loads(some.stdout)["clips"]] == ["ok.wav"]
        assert "bad.wav: empty file" in some.stderr
    none = soundprobe("predict", "clips/bad.wav", "gone.wav", "--head", str(trained.head), cwd=tmp_path)
    assert (none.returncode, none.stdout) == (1, "")
    assert "bad.wav: empty file" in none.stderr
    assert "gone.wav: missing file" in none.stderr
    assert len(predict(clips / "ok.wav", head=trained.head, device="cpu", progress=False)) == 1


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"weights_sha256": "ab" * 32}, ConfigError, "belong to simplecnn with weights abababababab"),
        ({"settings": {"clip_seconds": 4.0, "pooling": "other"}}, ConfigError, "with another .*pooling"),
        ({"weights": "file", "weights_label": "file mine.pt"}, ConfigError, "give it with --weights FILE"),
        ({"name": "simplecn"}, ConfigError, "Did you mean 'simplecnn'"),
    ],
)
def test_head_of_another_embedding_is_refused(trained, tmp_path, changes, error, message):
    copy = tmp_path / "copy"
    shutil.copytree(trained.head, copy)
    rewrite_about(copy, **changes)
    with pytest.raises(error, match=message):
        load_predictor(copy, device="cpu", progress=False)


def test_heads_that_take_fewer_numbers_than_the_backbone_gives_are_refused(trained, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(trained.head, copy)
    for path in copy.glob("fold-*.safetensors"):
        with safe_open(path, framework="numpy") as file:
            told = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        for name in ("head.mean", "head.scale", "head.weights"):
            tensors[name] = tensors[name][:-1].copy()
        save_file(tensors, path, metadata=told)
        sign_again(path)
    with pytest.raises(ConfigError, match="take embeddings of 127 numbers, but simplecnn gives 128"):
        load_predictor(copy, device="cpu", progress=False)


def test_heads_of_other_code_than_the_class_has_now_are_refused(trained, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(trained.head, copy)
    for path in copy.glob("fold-*.safetensors"):
        with safe_open(path, framework="numpy") as file:
            told = json.loads(file.metadata()["soundprobe"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        told["about"]["code_sha256"] = "ab" * 32
        save_file(tensors, path, metadata={"soundprobe": json.dumps(told)})
        sign_again(path)
    with pytest.raises(ConfigError, match="other code than linear has now"):
        load_predictor(copy, device="cpu", progress=False)


def test_backbone_that_only_the_head_names_is_not_imported(trained, tmp_path, monkeypatch):
    copy = tmp_path / "copy"
    shutil.copytree(trained.head, copy)
    rewrite_about(copy, name="hostile:Net")
    (tmp_path / "hostile.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for opened in (load_predictor, check_weights):
        with pytest.raises(ConfigError, match="names the backbone hostile:Net.*--allow hostile:Net"):
            opened(copy, weights=None)
    assert not (tmp_path / "ran").exists()


def test_networks_outside_the_heads_folder_are_not_read_because_a_head_names_them(trained, tmp_path):
    copy = tmp_path / "heads" / "toy" / "simplecnn-0" / "linear-0"
    shutil.copytree(trained.head, copy)
    networks = {"run": "0", "path": str(tmp_path / "elsewhere"), "backbone": "simplecnn", "backbone_key": "0"}
    networks |= {
        "key": "0",
        "fold": 1,
        "network_sha256": "",
        "start": "",
        "seed": 0,
        "recipe": {},
        "folds": [1],
        "networks_sha256": "",
        "networks": {},
    }
    rewrite_about(copy, finetuned=networks)
    with pytest.raises(ConfigError, match="elsewhere, which lies outside the heads' folder.*--weights"):
        load_predictor(copy, device="cpu")


def test_heads_own_weights_file_that_is_missing_is_named(trained, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(trained.head, copy)
    rewrite_about(copy, weights="file", weights_label="file mine.pt")
    with pytest.raises(WeightsError, match="none.pt"):
        load_predictor(copy, weights="none.pt", device="cpu")


def test_folder_without_heads_and_a_damaged_head_are_one_clear_line(trained, tmp_path):
    with pytest.raises(StoreError, match="No trained heads in"):
        load_predictor(tmp_path)
    copy = tmp_path / "copy"
    shutil.copytree(trained.head, copy)
    path = next(copy.glob("fold-*.safetensors"))
    for how in ("flipped", "cut"):
        damage(path, how)
        with pytest.raises(DamagedError, match=r"fold-\d+.safetensors is damaged: .*Run again: soundprobe probe"):
            load_predictor(copy)


@pytest.mark.parametrize("content", [b"", b"no sound at all"])
def test_bad_audio_is_one_clear_line(trained, tmp_path, content):
    (tmp_path / "bad.wav").write_bytes(content)
    with pytest.raises(AudioError, match="bad.wav: (empty file|not audio)"):
        predict(tmp_path / "bad.wav", head=trained.head, device="cpu", progress=False)


@pytest.mark.parametrize("option", ["window_s", "hop_s"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_window_that_is_no_length_is_refused(trained, tmp_path, option, value):
    soundfile.write(tmp_path / "new.wav", tone(330, 1.0), RATE_HZ)
    with pytest.raises(ConfigError, match="is not valid"):
        load_predictor(trained.head, device="cpu").timeline(str(tmp_path / "new.wav"), **{option: value})


def test_published_file_from_anywhere_serves_extract_predict_and_view_without_a_network(shared, tmp_path, monkeypatch):
    monkeypatch.setenv("SOUNDPROBE_OFFLINE", "1")  # the cache is empty, too
    file = shared / "weights" / "mn04_as_mAP_432.pt"
    write_urbansound_layout(tmp_path / "clips", folds=2, recordings=2, slices=1)
    store, quiet = tmp_path / "embeddings", {"progress": False}
    extract(tmp_path / "clips", backbone="mn04", weights=file, embeddings=store, **quiet)
    extract(tmp_path / "clips", backbone="logmel-stats", embeddings=store, **quiet)
    clip = next((tmp_path / "clips" / "audio").glob("*/*.wav"))
    for backbone in ("mn04", "mn04+logmel-stats"):
        (done,) = probe(head="knn", backbone=backbone, embeddings=store, heads=tmp_path / "heads", **quiet)
        (said,) = predict(clip, head=done.folder, weights=file, device="cpu", **quiet)
        assert said.proba.sum() == pytest.approx(1)
        assert len(view(clip, head=done.folder, weights=file, device="cpu", **quiet).clips) == 1
        with pytest.raises(WeightsError, match="forbids to fetch it"):
            predict(clip, head=done.folder, device="cpu", **quiet)


def test_predict_of_a_prefixed_backbone_beside_a_weights_file_with_a_plus_in_its_name(tmp_path):
    write_urbansound_layout(tmp_path / "clips", folds=2, recordings=2, slices=1)
    file, store, quiet = tmp_path / "mine+new.pt", tmp_path / "embeddings", {"progress": False}
    torch.save(load_backbone("crnn", weights="random", seed=5).network.state_dict(), file)
    extract(tmp_path / "clips", backbone="crnn", weights=file, embeddings=store, **quiet)
    extract(tmp_path / "clips", backbone="timm:test_resnet", weights="random", embeddings=store, **quiet)
    (done,) = probe(head="knn", backbone="crnn+timm:test_resnet", embeddings=store, heads=tmp_path / "heads", **quiet)
    assert done.record.backbone.weights_label == "file mine_new.pt+random (seed 0)"
    clip = next((tmp_path / "clips" / "audio").glob("*/*.wav"))
    (said,) = predict(clip, head=done.folder, weights=file, device="cpu", **quiet)
    assert said.proba.sum() == pytest.approx(1)


def test_predict_of_a_folder_passes_hidden_files_over_and_counts_what_is_no_audio(trained, tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(330, 1.0), RATE_HZ)
    (tmp_path / "._a.wav").write_bytes(b"AppleDouble")
    (tmp_path / "b.mid").write_bytes(b"MThd")
    done = soundprobe("predict", str(tmp_path), "--head", str(trained.head), "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [Path(one["clip"]).name for one in json.loads(done.stdout)["clips"]] == ["a.wav"]
    assert "1 file below" in done.stderr
    assert ".mid: 1" in done.stderr
    assert "._a.wav" not in done.stderr


def opposite(path: Path) -> Path:
    wave = tone(600, 1.0)
    soundfile.write(path, np.stack([wave, -wave], axis=1), RATE_HZ)
    return path


def test_prediction_of_channels_that_cancel_says_so_and_one_channel_is_heard_as_mono(trained, tmp_path):
    clip = opposite(tmp_path / "apart.wav")
    soundfile.write(tmp_path / "mono.wav", tone(600, 1.0), RATE_HZ)
    (mixed,) = predict(clip, head=trained.head, device="cpu", progress=False)
    assert list(mixed.findings) == ["cancelled"]
    (first,) = predict(clip, head=trained.head, channels="first", device="cpu", progress=False)
    (mono,) = predict(tmp_path / "mono.wav", head=trained.head, device="cpu", progress=False)
    assert first.findings == mono.findings == {}
    np.testing.assert_array_equal(first.proba, mono.proba)
    assert np.abs(mixed.proba - mono.proba).max() > 0.1


def test_command_notes_channels_that_cancel_beside_its_table(trained, tmp_path):
    clip = opposite(tmp_path / "apart.wav")
    done = soundprobe("predict", str(clip), "--head", str(trained.head), "--device", "cpu", cwd=tmp_path)
    assert done.returncode == 0
    assert f"1 clip is all but silent when the channels are mixed ({clip})" in done.stderr
    assert "--channels first" in done.stderr


def test_command_shows_names_with_line_breaks_and_terminal_codes_on_one_line(trained, tmp_path):
    opposite(tmp_path / "a\nb\x1b[31m.wav")
    (tmp_path / "c\rd\x1b[2J.wav").write_bytes(b"")
    done = soundprobe("predict", ".", "--head", str(trained.head), "--device", "cpu", cwd=tmp_path)
    assert done.returncode == 3
    assert "a b [31m.wav" in done.stdout
    lines = done.stderr.splitlines()
    assert "c d [2J.wav: empty file" in lines
    said = "1 clip is all but silent when the channels are mixed (a b [31m.wav)"
    assert any(line.startswith(said) for line in lines)
    assert "\x1b" not in done.stdout + done.stderr


def test_heads_on_one_channel_hear_that_channel_of_new_audio(trained, tmp_path):
    extract(
        trained.root / "clips",
        backbone="simplecnn",
        weights="random",
        seed=3,
        channels="first",
        embeddings=tmp_path / "embeddings",
        progress=False,
    )
    (done,) = probe(head="linear", embeddings=tmp_path / "embeddings", heads=tmp_path / "heads", progress=False)
    clip = opposite(tmp_path / "apart.wav")
    (said,) = predict(clip, head=done.folder, device="cpu", progress=False)
    (told,) = predict(clip, head=trained.head, channels="first", device="cpu", progress=False)
    assert said.findings == {}
    np.testing.assert_allclose(said.proba, told.proba, atol=1e-6)


def test_predictions_of_an_array_a_file_and_a_loaded_predictor_asked_twice_are_the_same(trained, tmp_path):
    wave = tone(330, 1.0)
    soundfile.write(tmp_path / "a.wav", wave, RATE_HZ, subtype="FLOAT")
    (of_file,) = predict(tmp_path, head=trained.head, device="cpu", progress=False)
    predictor = soundprobe_package.load_predictor(trained.head, device="cpu", progress=False)
    stereo = np.stack([wave, wave])
    for said in (*predictor([wave, stereo], sample_rate_hz=RATE_HZ), *predictor((tmp_path / "a.wav").read_bytes())):
        np.testing.assert_array_equal(said.proba, of_file.proba)
    assert "data:audio/mpeg" in predictor(wave, sample_rate_hz=RATE_HZ)._repr_html_()
    with pytest.raises(ConfigError, match="array doesn't say its rate"):
        predict(wave, head="no such run")  # before anything is loaded

"""Clips x backbone -> store: once each, resumable, in any order, with bad clips named."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from command_line import soundprobe_here as soundprobe
from damage import damage, make_read_only
from soundprobe.backbones.catalog import BACKBONES
from soundprobe.base.errors import ConfigError, DamagedError, DataError, SoundprobeWarning, StoreError, WeightsError
from soundprobe.base.locks import locked
from soundprobe.embeddings import embed as pipeline
from soundprobe.embeddings import store
from soundprobe.embeddings.there_before import embedding_key, known_sha256
from soundprobe.verbs.extract import extract
from soundprobe.verbs.probe import probe
from sounds import RATE_HZ, tone, write_urbansound_layout


def embed(data: Path, out: Path, **options: object) -> list:
    return extract(data, embeddings=out, progress=False, **{"backbone": "simplecnn", "weights": "random", **options})


def read(folder: Path):
    return store.read_embeddings(store.open_set(folder))


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """36 clips of 1 s, 3 classes, 3 folds."""
    return write_urbansound_layout(tmp_path_factory.mktemp("data") / "toy")


def test_extract_embeds_every_clip_with_its_columns(toy, tmp_path):
    (outcome,) = embed(toy, tmp_path)
    assert (outcome.clips, outcome.reused, dict(outcome.failures)) == (36, 0, {})
    found = read(outcome.folder)
    assert found.features.shape == (36, 128)
    assert sorted(set(found.folds.tolist())) == [1, 2, 3]
    assert set(found.columns["salience"].tolist()) == {1, 2}
    np.testing.assert_allclose(found.columns["duration_s"], 1.0, atol=1e-3)
    assert found.meta["backbone"]["weights"] == "random"
    assert found.meta["backbone"]["weights_label"] == "random (seed 0)"


def test_extract_with_several_seeds_makes_a_set_of_each_draw_of_random_weights(toy, tmp_path):
    found = embed(toy, tmp_path, seed=[0, 2, 2])
    assert [one.weights_label for one in found] == ["random (seed 0)", "random (seed 2)"]
    first, second = (read(one.folder).features for one in found)
    assert not np.allclose(first, second)
    (alone,) = embed(toy, tmp_path, seed=2)
    assert (alone.folder, alone.reused) == (found[1].folder, 36)
    with pytest.raises(ConfigError, match=r"--seed 0,1: only random weights are drawn. Add --weights random."):
        embed(toy, tmp_path, seed=[0, 1], weights="pretrained")


NOTHING_LEARNT = {"backbone": "logmel-stats", "weights": None}
"""Whose key needs no set that was made before, as that of random weights does."""


@pytest.mark.parametrize("options", [{}, NOTHING_LEARNT, {**NOTHING_LEARNT, "channels": "first"}])
def test_extract_again_embeds_nothing_and_changes_no_byte(toy, tmp_path, options):
    def files(folder):  # without the lock, which some versions of filelock touch
        kept = [path for path in folder.iterdir() if path.name != ".lock"]
        return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in kept}

    (first,) = embed(toy, tmp_path, **options)
    before = files(first.folder)
    (second,) = embed(toy, tmp_path, **options)
    assert replace(second, seconds=first.seconds) == replace(first, reused=36)
    assert files(first.folder) == before


def move_to_cuda(folder: Path, by: Callable[..., object] = Path.rename) -> Path:
    """A CPU's set of logmel-stats as CUDA would have made it: where it is now."""
    record = store.open_set(folder).record
    spec, of, settings = BACKBONES["logmel-stats"], record.backbone, record.backbone.settings
    key = embedding_key(spec, settings, of.weights_sha256, record.dataset.fingerprint, device="cuda")
    there = store.set_folder(folder.parents[1], record.dataset.name, spec.name, key)
    assert there != folder
    by(folder, there)
    store.write_meta(there, {**record.content, "key": key, "device": "cuda"})
    return there


def test_extract_takes_a_set_of_any_device_unless_one_is_named(toy, tmp_path):
    (here,) = embed(toy, tmp_path, **NOTHING_LEARNT, device="cpu")
    there = move_to_cuda(here.folder)
    (auto,) = embed(toy, tmp_path, **NOTHING_LEARNT)
    assert (auto.folder, auto.reused) == (there, 36)
    (named,) = embed(toy, tmp_path, **NOTHING_LEARNT, device="cpu")
    assert (named.folder, named.reused) == (here.folder, 0)


@pytest.mark.filterwarnings("ignore:.*It is made again")
@pytest.mark.parametrize("name", ["part-00000.parquet", "meta.json"])
def test_extract_mends_the_damaged_set_of_one_device_though_that_of_another_is_whole(toy, tmp_path, name):
    (here,) = embed(toy, tmp_path, **NOTHING_LEARNT, device="cpu")
    move_to_cuda(here.folder, shutil.copytree)
    damage(here.folder / name)
    assert embed(toy, tmp_path, **NOTHING_LEARNT)[0].folder == here.folder
    store.check_parts(store.open_set(here.folder))


@pytest.mark.skipif(torch.cuda.is_available(), reason="where there is CUDA, its damaged set is mended instead")
def test_extract_takes_the_whole_set_where_the_damaged_one_is_of_a_device_that_is_not_here(toy, tmp_path):
    (here,) = embed(toy, tmp_path, **NOTHING_LEARNT, device="cpu")
    there = move_to_cuda(here.folder, shutil.copytree)
    damage(there / "part-00000.parquet")
    (auto,) = embed(toy, tmp_path, **NOTHING_LEARNT)
    assert (auto.folder, auto.reused) == (here.folder, 36)


def test_extract_takes_a_finished_set_with_failures_of_a_device_that_is_not_here_and_tells_them(tmp_path):
    root = write_urbansound_layout(tmp_path / "set", seconds=0.5)
    bad = sorted(root.rglob("*.wav"))[0]
    bad.write_bytes(b"")
    (here,) = embed(root, tmp_path / "embeddings", **NOTHING_LEARNT, device="cpu")
    there = move_to_cuda(here.folder)
    (auto,) = embed(root, tmp_path / "embeddings", **NOTHING_LEARNT)
    assert (auto.folder, auto.reused) == (there, 35)
    assert auto.failures == here.failures
    with pytest.raises(DataError, match="more than --max-failures 0"):
        embed(root, tmp_path / "embeddings", **NOTHING_LEARNT, max_failures=0)


def test_random_weights_are_known_from_a_set_that_the_same_versions_drew_from_the_same_seed(toy, tmp_path):
    (one,) = embed(toy, tmp_path, seed=1)
    spec, record = BACKBONES["simplecnn"], store.open_set(one.folder).record
    assert known_sha256(spec, "random", 1, one.folder.parent) == record.backbone.weights_sha256
    assert known_sha256(spec, "random", 0, one.folder.parent) is None
    store.write_meta(one.folder, {**record.content, "versions": {**record.versions, "torch": "1.0"}})
    assert known_sha256(spec, "random", 1, one.folder.parent) is None
    (again,) = embed(toy, tmp_path, seed=1)
    assert (again.folder, again.reused) == (one.folder, 36)


@pytest.mark.parametrize("options", [{}, NOTHING_LEARNT])
def test_extract_again_takes_away_what_a_killed_writer_left_in_a_whole_set(toy, tmp_path, options):
    (first,) = embed(toy, tmp_path, **options)
    killed = subprocess.Popen([sys.executable, "-c", ""])
    killed.wait()
    left = [first.folder / ".lock.holder", first.folder / f".meta.json.{killed.pid}.tmp"]
    for path in left:
        path.write_bytes(b"half")
    embed(toy, tmp_path, **options)
    assert not [path for path in left if path.exists()]


@pytest.mark.parametrize("change", ["seed", "audio", "label", "fold", "front end"])
def test_extract_after_any_change_makes_another_set_and_copies_only_what_sounds_the_same(
    toy, tmp_path, monkeypatch, change
):
    data = shutil.copytree(toy, tmp_path / "data")
    (first,) = embed(data, tmp_path / "out")
    metadata = data / "metadata" / "UrbanSound8K.csv"
    options = {}
    if change == "seed":
        options["seed"] = 1
    elif change == "audio":
        soundfile.write(next(data.glob("audio/fold1/*.wav")), tone(100, 1.0), RATE_HZ, subtype="PCM_16")
    elif change == "label":
        metadata.write_text(metadata.read_text().replace(",1,2,high\n", ",1,1,middle\n", 1))
    elif change == "fold":
        text = metadata.read_text().splitlines()
        row = text[1].split(",")
        shutil.move(data / "audio" / "fold1" / row[0], data / "audio" / "fold2" / row[0])
        row[5] = "2"
        metadata.write_text("\n".join([text[0], ",".join(row), *text[2:]]) + "\n")
    else:
        monkeypatch.setattr("soundprobe.embeddings.there_before.DECODE_VERSION", 999)
    (second,) = embed(data, tmp_path / "out", **options)
    assert second.folder != first.folder
    if change not in ("label", "fold"):
        assert second.reused == 0
        return
    assert second.reused == 36
    before, after = read(first.folder), read(second.folder)
    assert (before.labels != after.labels).sum() == (change == "label")
    assert (before.folds != after.folds).sum() == (change == "fold")
    np.testing.assert_array_equal(before.features, after.features)


def test_extract_of_the_same_clips_elsewhere_reuses_the_embeddings(toy, tmp_path):
    (first,) = embed(toy, tmp_path / "out")
    moved = shutil.copytree(toy, tmp_path / "elsewhere" / "toy")
    (second,) = embed(moved, tmp_path / "out")
    assert second.folder == first.folder
    assert second.reused == 36


def test_extract_with_other_batches_makes_a_set_of_its_own_within_rounding(toy, tmp_path):
    (usual,), (one,) = embed(toy, tmp_path / "out"), embed(toy, tmp_path / "out", batch_size=1)
    assert one.folder != usual.folder
    assert (one.reused, *(store.open_set(made.folder).record.batch_size for made in (usual, one))) == (0, 16, 1)
    a, b = read(one.folder), read(usual.folder)
    np.testing.assert_allclose(a.features, b.features, atol=1e-5 * np.abs(a.features).max())


def test_extract_with_bad_clips_names_each_and_keeps_the_rest(toy, tmp_path):
    data = shutil.copytree(toy, tmp_path / "data")
    files = sorted(data.glob("audio/fold1/*.wav"))
    files[0].unlink()
    files[1].write_bytes(b"")
    files[2].write_bytes(b"this is not audio at all" * 50)
    files[3].write_bytes(files[3].read_bytes()[:5000])
    soundfile.write(files[4], np.full(RATE_HZ, np.nan, dtype=np.float32), RATE_HZ, subtype="FLOAT")
    soundfile.write(files[5], np.zeros(0, dtype=np.float32), RATE_HZ, subtype="PCM_16")
    (outcome,) = embed(data, tmp_path / "out")
    assert set(outcome.failures) == {file.name for file in files[:6]}
    reasons = [outcome.failures[file.name] for file in files[:6]]
    assert [reason.split(":")[0] for reason in reasons] == [
        "missing file",
        "empty file",
        "not audio",
        "truncated",
        "NaN or infinite samples",
        "no samples",
    ]
    found = read(outcome.folder)
    assert len(found) == 30
    assert {item["clip_id"] for item in found.meta["failures"]} == set(outcome.failures)


def test_extract_with_more_failures_than_allowed_stops_early_and_keeps_what_it_has(toy, tmp_path, monkeypatch):
    data = shutil.copytree(toy, tmp_path / "data")
    bad = sorted(data.glob("audio/fold1/*.wav"))[:3]
    bad[0].write_bytes(b"")
    for path in bad[1:]:  # only decoding them shows it
        soundfile.write(path, np.full(22_050, np.nan, np.float32), 22_050, subtype="FLOAT")
    monkeypatch.setattr(pipeline, "PART_CLIPS", 6)
    with pytest.raises(DataError, match=r"^1 of 36 clips fail, more than --max-failures 0; .* 0 clips are embedded"):
        embed(data, tmp_path / "out", max_failures=0)
    assert not list((tmp_path / "out").glob("*/*/part-*.parquet"))
    with pytest.raises(DataError, match=r"clips fail, more than --max-failures 5%; the first: .*: empty file\. "):
        embed(data, tmp_path / "out", max_failures="5%")
    kept = list((tmp_path / "out").glob("*/*/part-*.parquet"))
    assert 0 < len(kept) < 6
    (outcome,) = embed(data, tmp_path / "out", max_failures="8.4 %")
    assert (outcome.clips, len(outcome.failures)) == (33, 3)
    assert outcome.reused >= 6 * len(kept) - 3


def test_extract_again_of_a_set_with_failures_heeds_how_many_may_fail(tmp_path):
    data = write_urbansound_layout(tmp_path / "data", folds=2, recordings=1, slices=1)
    next(data.glob("audio/*/*.wav")).write_bytes(b"")
    (outcome,) = embed(data, tmp_path / "out", backbone="logmel-stats", weights=None)
    assert len(outcome.failures) == 1
    with pytest.raises(DataError, match=r"^1 of 6 clips fail, more than --max-failures 0"):
        embed(data, tmp_path / "out", backbone="logmel-stats", weights=None, max_failures=0)


def test_extract_of_nothing_but_bad_clips_ends_and_probe_can_say_so(tmp_path):
    data = write_urbansound_layout(tmp_path / "data", folds=2, recordings=1, slices=1)
    for file in data.glob("audio/*/*.wav"):
        file.write_bytes(b"")
    (outcome,) = embed(data, tmp_path / "out")
    assert outcome.clips == 0
    assert len(outcome.failures) == 6
    with pytest.raises(StoreError, match="every one failed"):
        read(outcome.folder)


def test_extract_of_clips_of_mixed_length_cuts_and_pads_by_the_backbones_rule(tmp_path):
    data = write_urbansound_layout(tmp_path / "data", folds=2, recordings=1, slices=1)
    files = sorted(data.glob("audio/*/*.wav"))
    for seconds, file in zip((0.05, 0.9, 1.0, 1.1, 2.5, 7.0), files, strict=True):
        soundfile.write(file, tone(440, seconds), RATE_HZ, subtype="PCM_16")
    (outcome,) = embed(data, tmp_path / "out", backbone="mn04", batch_size=3)
    assert outcome.clips == 6
    (alone,) = embed(data, tmp_path / "alone", backbone="mn04", batch_size=1)
    a, b = read(outcome.folder), read(alone.folder)
    np.testing.assert_allclose(a.features, b.features, atol=1e-5 * np.abs(a.features).max())


def test_extract_of_several_layers_makes_a_set_of_its_own_beside_that_of_the_last(toy, tmp_path):
    (last,), (both,) = (embed(toy, tmp_path, backbone="mn04", layers=layers) for layers in ("last", "both"))
    assert last.folder != both.folder
    assert (last.layers, both.layers) == ("last", "both")
    plain, wide = read(last.folder), read(both.folder)
    np.testing.assert_array_equal(wide.features[:, :384], plain.features)
    assert wide.features.shape == (36, 608)
    assert wide.meta["backbone"]["layers"] == {"last": 384, "middle": 224}
    assert "layers" not in plain.meta["backbone"]
    (again,) = embed(toy, tmp_path, backbone="mn04", layers="both")
    assert (again.folder, again.reused) == (both.folder, 36)


def test_extract_with_several_backbones_makes_a_set_each(toy, tmp_path):
    outcomes = embed(toy, tmp_path, backbone="simplecnn, mn04")
    assert [outcome.backbone for outcome in outcomes] == ["simplecnn", "mn04"]
    assert {path.name.split("-")[0] for path in tmp_path.glob("*/*")} == {"simplecnn", "mn04"}


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"backbone": "pans"}, ConfigError, "Unknown backbone 'pans'. Did you mean 'panns'"),
        (
            {"backbone": "mn04+timm:resnet18"},
            ConfigError,
            "several.*: extract --backbone mn04,timm:resnet18, then",
        ),
        ({"backbone": "timm:a+b"}, ConfigError, "with a '.' can't be named"),
        ({"backbone": " , "}, ConfigError, "No backbone given"),
        ({"weights": "pretrained"}, WeightsError, "simplecnn"),
        ({"device": "gpu"}, ConfigError, "Unknown device 'gpu'"),
        ({"batch_size": 0}, ConfigError, "--batch-size 0"),
        ({"engine": "processes"}, ConfigError, "Unknown engine 'processes'"),
        ({"engine": "dask", "precision": "int8"}, ConfigError, "--precision int8 is of this process alone"),
        ({"clip_seconds": 2.0}, ConfigError, "--clip-seconds 2.0"),
        ({"layers": "both"}, ConfigError, "--layer both is not offered for simplecnn, only last"),
        ({"backbone": "mn04", "layers": "both", "precision": "int8"}, ConfigError, "mn04 with these layers, only fp32"),
    ],
)
def test_extract_with_a_wrong_option_says_what_is_valid_and_writes_nothing(toy, tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        embed(toy, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_plan_parts_puts_equal_lengths_together_whatever_the_order_of_clips(toy):
    from soundprobe.backbones.load import load_backbone
    from soundprobe.data.catalog import open_data
    from soundprobe.data.scan import scan

    model = load_backbone("mn04", weights="random")
    clips = open_data(str(toy))
    shuffled = clips.take(np.random.default_rng(0).permutation(len(clips)))
    plans = [
        [[(c.ids[clip.row], clip.samples) for clip in part] for part in pipeline.plan_parts(c, scan(c), model)]
        for c in (clips, shuffled)
    ]
    assert plans[0] == plans[1]


def test_extract_of_a_clip_that_changes_under_its_hands_stops_and_keeps_no_wrong_embedding(toy, tmp_path, monkeypatch):
    data = shutil.copytree(toy, tmp_path / "data")
    victim = sorted(data.glob("audio/fold2/*.wav"))[0]
    open_encoded = pipeline.open_encoded

    def changed(source: object) -> bytes:
        audio = open_encoded(source)
        return audio[:-2] + b"zz" if str(source) == str(victim) else audio

    with monkeypatch.context() as patch, pytest.raises(StoreError, match="changed since it was scanned"):
        patch.setattr(pipeline, "open_encoded", changed)
        embed(data, tmp_path / "out")
    assert not list((tmp_path / "out").glob("*/*/part-*.parquet"))
    (outcome,) = embed(data, tmp_path / "out")
    assert outcome.clips == 36


@pytest.mark.parametrize(("how", "options"), [("cut", {}), ("flipped", NOTHING_LEARNT), ("lost", {})])
def test_extract_again_mends_a_damaged_part(toy, tmp_path, how, options):
    (first,) = embed(toy, tmp_path, **options)
    part = store.part_path(first.folder, 0)
    whole = read(first.folder).features
    damage(part, how)
    with pytest.raises(DamagedError, match=r"part-00000.parquet is damaged: .*Run the command that made it again"):
        read(first.folder)
    with nullcontext() if how == "lost" else pytest.warns(SoundprobeWarning, match=r"part-00000.parquet is damaged"):
        (again,) = embed(toy, tmp_path, **options)
    np.testing.assert_allclose(read(again.folder).features, whole, atol=1e-5 * np.abs(whole).max())


def test_extract_of_a_finished_set_that_can_not_be_written_takes_it(toy, tmp_path, monkeypatch):
    (first,) = embed(toy, tmp_path)
    make_read_only(tmp_path, monkeypatch)
    (again,) = embed(toy, tmp_path)
    assert (again.reused, again.folder) == (first.clips, first.folder)


def test_extract_of_a_folder_whose_name_is_not_utf8_works(toy, tmp_path):
    data = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    shutil.copytree(toy, data)
    (outcome,) = embed(data, tmp_path / "out")
    assert outcome.clips == 36


EXTRACT = (sys.executable, "-m", "soundprobe", "extract", "--backbone", "simplecnn", "--weights", "random", "--quiet")


@pytest.fixture(scope="module")
def three_parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """540 short clips."""
    data = tmp_path_factory.mktemp("three") / "data"
    return write_urbansound_layout(data, folds=4, recordings=15, slices=3, seconds=0.2)


@pytest.mark.parametrize("frames", [None, "float32"])
def test_extract_killed_in_mid_run_goes_on_without_embedding_a_finished_part_again(three_parts, tmp_path, frames):
    out = tmp_path / "out"
    given = ["-b", "logmel-stats", "--batch-size", "2", "--quiet", *(["--frames"] if frames else [])]
    places = ["--data", str(three_parts), "--embeddings", str(out)]
    command = [sys.executable, "-m", "soundprobe", "extract", *given, *places]
    killed = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not list(out.glob("*/*/part-00000.parquet")):
        assert killed.poll() is None, "the run ended before it could be killed"
        time.sleep(0.002)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    (folder,) = out.glob("data/*-*")
    assert json.loads((folder / "meta.json").read_text())["complete"] is False
    finished = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.glob("part-*.parquet")}
    assert 1 <= len(finished) < 3
    (folder / f".part-00002.parquet.{killed.pid}.tmp").write_bytes(b"half a part")

    resumed = subprocess.run(command, check=True, capture_output=True, text=True)
    assert f"{256 * len(finished)} of them there before" in resumed.stdout
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in finished} == finished
    assert not list(folder.glob(".*.tmp"))
    how = {"backbone": "logmel-stats", "weights": None, "frames": frames, "batch_size": 2}
    (unbroken,) = embed(three_parts, tmp_path / "unbroken", **how)
    parts = sorted(folder.glob("part-*.parquet"))
    assert len(parts) == 3
    for part in parts:
        assert (unbroken.folder / part.name).read_bytes() == part.read_bytes()


def test_extract_while_another_process_writes_the_same_set_is_turned_away(toy, tmp_path):
    (first,) = embed(toy, tmp_path)
    with locked(first.folder):
        second = subprocess.run(
            [*EXTRACT, "--data", str(toy), "--embeddings", str(tmp_path)], capture_output=True, text=True
        )
    assert second.returncode == 1
    assert "Another process is writing" in second.stderr
    assert "Traceback" not in second.stderr


def opposite(folder: Path) -> Path:
    """Clips in three folds, two of them loud in each channel and silent in their mean."""
    write_urbansound_layout(folder, slices=1)
    for path in sorted(folder.glob("audio/*/*.wav"))[:2]:
        wave, rate_hz = soundfile.read(path)
        soundfile.write(path, np.stack([wave, -wave], axis=1), rate_hz)
    return folder


def test_extract_of_channels_that_cancel_says_so_each_time_and_on_one_channel_makes_another_set(tmp_path):
    clips = opposite(tmp_path / "clips")
    first, again = (embed(clips, tmp_path / "sets")[0] for _ in range(2))
    assert first.findings == again.findings
    assert [list(found) for found in first.findings.values()] == [["cancelled"], ["cancelled"]]
    assert store.open_set(first.folder).record.findings == first.findings
    (other,) = embed(clips, tmp_path / "sets", channels="first")
    assert other.folder != first.folder
    assert other.findings == {}
    assert store.open_set(other.folder).meta["backbone"]["settings"]["channels"] == "first"
    assert "channels" not in store.open_set(first.folder).meta["backbone"]["settings"]
    rows = np.isin(read(first.folder).ids, list(first.findings))
    apart = np.abs(read(first.folder).features - read(other.folder).features).max(axis=1)
    assert (apart[rows] > 0.01).all()
    assert (apart[~rows] < 1e-5).all()


def test_extract_command_notes_what_is_odd_about_clips_once(tmp_path):
    clips = opposite(tmp_path / "clips")
    done = soundprobe("extract", "-q", "--backbone", "logmel-stats", "--data", str(clips), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("2 clips are all but silent when the channels are mixed (") == 1
    assert "--channels first, or loudest" in done.stderr


def test_extract_command_shows_names_with_line_breaks_and_terminal_codes_on_one_line(tmp_path):
    names = ["cat/a\nb\x1b[31m.wav", "cat/1.wav", "cat/2.wav", "dog/c\rd\x1b[2J.wav", "dog/3.wav", "dog/4.wav"]
    for number, name in enumerate(names):
        (tmp_path / "clips" / name).parent.mkdir(parents=True, exist_ok=True)
        wave = tone(400 + 100 * number, 0.5)
        soundfile.write(tmp_path / "clips" / name, np.stack([wave, -wave if "\n" in name else wave], axis=1), RATE_HZ)
    (tmp_path / "clips" / names[3]).write_bytes(b"")
    arguments = ["-q", "--backbone", "logmel-stats", "--data", "clips", "--folds", "2"]
    done = soundprobe("extract", *arguments, cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    lines = done.stderr.splitlines()
    assert "  failed: dog/c d [2J.wav: empty file" in lines
    said = "1 clip is all but silent when the channels are mixed (cat/a b [31m.wav)"
    assert any(line.startswith(said) for line in lines)
    assert "\x1b" not in done.stdout + done.stderr


def test_notes_on_sound_and_on_reading_stay_with_the_set_and_with_what_is_trained_on_it(tmp_path):
    clips = opposite(tmp_path / "clips")
    with pytest.warns(SoundprobeWarning, match="Read is the data set in"):
        (made,) = embed(clips / "audio", tmp_path / "sets")
    (reading,) = store.open_set(made.folder).record.dataset.notes
    assert reading == f"Read is the data set in {clips}."
    (done,) = probe(head="knn", embeddings=tmp_path / "sets", heads=tmp_path / "heads", progress=False)
    assert done.record.dataset.notes == [reading]
    (sound,) = done.record.dataset.sound_notes
    assert sound.startswith("2 clips are all but silent when the channels are mixed")


def test_extract_with_other_channels_than_there_are_says_what_is_valid(toy, tmp_path):
    with pytest.raises(ConfigError, match="'right'.*first, loudest, mean"):
        embed(toy, tmp_path, channels="right")


def test_extract_on_a_cluster_writes_the_same_bytes_with_a_worker_killed_in_between(toy, tmp_path, monkeypatch, dask):
    data = shutil.copytree(toy, tmp_path / "data")
    next(data.glob("audio/fold1/*.wav")).write_bytes(b"")
    monkeypatch.setattr(pipeline, "PART_CLIPS", 6)
    monkeypatch.chdir(tmp_path)
    (here,) = embed(Path("data"), tmp_path / "here")
    killed = dask.workers[0]
    monkeypatch.setattr(
        "soundprobe.embeddings.make_set.EmbeddingJob.check_failures", lambda job, failed, kept: kept and killed.kill()
    )
    (there,) = embed(Path("data"), tmp_path / "there", engine="dask", address=str(dask.file))
    dask.refill()
    assert (there.clips, there.failures, there.findings) == (here.clips, here.failures, here.findings)
    parts = sorted(here.folder.glob("part-*"))
    assert len(parts) == 6
    for path in parts:
        assert (there.folder / path.name).read_bytes() == path.read_bytes()
    told = {"created", "command", "seconds_per_clip", "digest"}
    metas = [json.loads((one.folder / "meta.json").read_text()) for one in (here, there)]
    assert {k: v for k, v in metas[0].items() if k not in told} == {k: v for k, v in metas[1].items() if k not in told}

"""Sets of frames: what is kept of a clip over time, how it is read again, and what their mean and a head say of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from damage import damage
from soundprobe.base.errors import ConfigError, DamagedError, SoundprobeWarning, StoreError
from soundprobe.base.frame_rows import frame_rows
from soundprobe.embeddings.sets import find_feature_sets, read_features
from soundprobe.embeddings.store import open_set, read_embeddings, read_frames
from soundprobe.predicting.loading import load_predictor
from soundprobe.predicting.predictor import Listening
from soundprobe.verbs.export import export
from soundprobe.verbs.extract import extract
from soundprobe.verbs.fit import fit
from soundprobe.verbs.probe import probe
from soundprobe.verbs.view import view
from sounds import RATE_HZ, tone, write_urbansound_layout

QUICK = {"widths": [8], "learning_rates": [1e-2], "max_epochs": 3, "inner_splits": 2}


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of clips of several lengths, with their frames by log-mel and by an untrained mn04."""
    root = tmp_path_factory.mktemp("framed")
    files = sorted(write_urbansound_layout(root / "data", folds=2, recordings=2, slices=1).glob("audio/*/*.wav"))
    for number, file in enumerate(files):
        seconds = (0.03, 0.3, 0.7, 1.3)[number % 4]
        soundfile.write(file, tone(300 + 90 * number, seconds), RATE_HZ, subtype="PCM_16")
    for backbone, weights in (("logmel-stats", None), ("mn04", "random")):
        extracted(root, backbone=backbone, weights=weights)
    return root


def extracted(root: Path, **options: object) -> Path:
    """The folder of the set that was made below `root`."""
    usual = {"embeddings": root / "embeddings", "frames": "float32", "device": "cpu", "progress": False}
    (made,) = extract(root / "data", **{**usual, **options})  # type: ignore[arg-type]
    return made.folder


def folder_of(root: Path, backbone: str) -> Path:
    (found,) = find_feature_sets(root / "embeddings", backbone=backbone)
    return found.sets[0].folder


@pytest.mark.parametrize("backbone", ["logmel-stats", "mn04"])
def test_frames_of_a_set_are_each_clips_own_and_their_mean_is_its_embedding(toy: Path, backbone: str) -> None:
    opened = open_set(folder_of(toy, backbone))
    embeddings = read_embeddings(opened)
    seconds = dict(zip(embeddings.ids.tolist(), embeddings.columns["duration_s"].tolist(), strict=True))
    told = opened.record.backbone.frames
    assert told is not None
    assert (told.type, told.columns) == ("float32", {"logmel-stats": 128, "mn04": 384}[backbone])
    clips = {clip.clip_id: clip for clip in read_frames(opened.folder)}
    assert set(clips) == set(seconds)
    for row, clip in enumerate(map(clips.get, embeddings.ids.tolist())):
        assert clip is not None
        assert clip.frames.dtype == np.float32
        assert len(clip.frames) == max(1, np.ceil(round(seconds[clip.clip_id] / told.hop_s, 6)))
        np.testing.assert_allclose(np.diff(clip.times_s), told.hop_s)
        assert clip.times_s[-1] <= seconds[clip.clip_id]
        np.testing.assert_array_equal(clip.frames.mean(axis=0), np.asarray(embeddings.features)[row])


def test_mean_of_frames_is_the_embedding_of_a_clip_that_no_silence_was_added_to(tmp_path: Path) -> None:
    """mn04's own pooling is the mean over time, padding included."""
    data = write_urbansound_layout(tmp_path / "data", folds=2, recordings=1, slices=1)
    for file in data.glob("audio/*/*.wav"):
        soundfile.write(file, tone(400, 2.0), RATE_HZ, subtype="PCM_16")
    sets = [extracted(tmp_path, backbone="mn04", weights="random", frames=frames) for frames in ("float32", None)]
    framed, plain = (np.asarray(read_embeddings(open_set(folder)).features) for folder in sets)
    assert sets[0] != sets[1]
    np.testing.assert_allclose(framed, plain, rtol=0, atol=1e-5 * np.abs(plain).max())


def test_frames_in_16_bits_take_half_the_room_and_are_another_set(toy: Path) -> None:
    whole = folder_of(toy, "mn04")
    half = extracted(toy, backbone="mn04", weights="random", frames="float16", embeddings=toy / "half")
    assert half.name != whole.name
    for one, other in zip(read_frames(half), read_frames(whole), strict=True):
        assert one.frames.dtype == np.float16
        assert one.frames.tobytes() == other.frames.astype(np.float16).tobytes()
    sizes = [(folder / "part-00000.parquet").stat().st_size for folder in (half, whole)]
    numbers = sum(clip.frames.size for clip in read_frames(whole))
    assert sizes[1] - sizes[0] == pytest.approx(2 * numbers, rel=0.05)


def test_frames_are_used_again_and_a_damaged_part_is_named_and_made_again(toy: Path, tmp_path: Path) -> None:
    how = {"backbone": "logmel-stats", "embeddings": tmp_path}
    folder = extracted(toy, **how)
    part = folder / "part-00000.parquet"
    whole = part.read_bytes()
    assert extract(toy / "data", frames="float32", device="cpu", progress=False, **how)[0].reused == 12  # type: ignore[arg-type]
    damage(part)
    with pytest.raises(DamagedError, match="part-00000"):
        list(read_frames(folder))
    with pytest.warns(SoundprobeWarning, match="It is made again"):
        extracted(toy, **how)
    assert part.read_bytes() == whole


def test_frames_are_refused_where_there_are_none(toy: Path, tmp_path: Path) -> None:
    plain = extracted(toy, backbone="logmel-stats", frames=None, embeddings=tmp_path)
    with pytest.raises(StoreError, match="keeps one embedding of a clip and no frames. Extract with --frames"):
        list(read_frames(plain))
    with pytest.raises(ConfigError, match="Head attention pools frames, and logmel-stats's embeddings have none"):
        probe(head="attention", embeddings=tmp_path, heads=tmp_path, progress=False)
    with pytest.raises(ConfigError, match="timm:test_vit keeps no time axis, so it has no frames. Leave --frames out"):
        extract(toy / "data", backbone="timm:test_vit", weights="random", frames="float32")
    with pytest.raises(ConfigError, match="mn04 with these layers keeps no time axis"):
        extract(toy / "data", backbone="mn04", weights="random", layers="both", frames="float32")
    with pytest.raises(ConfigError, match="Unknown type of frames 'float64'. Did you mean 'float16'"):
        extract(toy / "data", backbone="mn04", weights="random", frames="float64")
    with pytest.raises(ConfigError, match="--precision bf16 is not offered for mn04, only fp32"):
        extract(toy / "data", backbone="mn04", weights="random", precision="bf16", frames="float32")


@pytest.fixture(scope="module")
def heads(toy: Path) -> dict[str, Path]:
    """The runs of a head on the mean of frames and of one that pools them, on mn04's set, by the heads' names."""
    where = {"embeddings": toy / "embeddings", "heads": toy / "heads", "progress": False}
    settings = {"attention": QUICK, "linear": None}
    return {
        head: probe(head=head, backbone="mn04", settings=given, **where)[0].folder  # type: ignore[arg-type]
        for head, given in settings.items()
    }


@pytest.mark.parametrize("head", ["attention", "linear"])
def test_head_on_frames_says_of_a_file_what_it_says_of_its_frames(toy: Path, heads: dict[str, Path], head: str) -> None:
    (found,) = find_feature_sets(toy / "embeddings", backbone="mn04")
    embeddings, _ = read_features(found, head == "attention")
    predictor = load_predictor(heads[head], device="cpu", progress=False)
    for row, clip in enumerate(embeddings.ids.tolist()):
        said = predictor.predict(next((toy / "data").glob(f"audio/*/{clip}")), Listening(window_s=4.0))
        asked = [one.predict_proba(np.asarray(embeddings.features)[row : row + 1])[0] for one in predictor.heads]
        np.testing.assert_allclose(said.proba, np.mean(asked, axis=0), rtol=0, atol=1e-5)


@pytest.mark.parametrize("head", ["attention", "linear"])
def test_bundle_and_fit_of_a_head_on_frames_say_what_the_run_says(
    toy: Path, heads: dict[str, Path], head: str, tmp_path: Path
) -> None:
    clip = next((toy / "data").glob("audio/*/*.wav"))
    run = load_predictor(heads[head], device="cpu", progress=False)
    made = export(run=heads[head], to=tmp_path / "bundle", format="bundle", progress=False)
    bundle = load_predictor(made.folder, device="cpu")
    np.testing.assert_array_equal(bundle.predict(clip).proba, run.predict(clip).proba)
    fitted = fit(run=heads[head], embeddings=toy / "embeddings", heads=toy / "heads", progress=False)
    said = load_predictor(fitted.folder, device="cpu", progress=False).predict(clip)
    assert said.novelty is not None
    assert said.proba.sum() == pytest.approx(1)


@pytest.mark.parametrize("head", ["attention", "linear"])
def test_view_by_frames_asks_the_heads_of_each_frame_at_its_place(
    toy: Path, heads: dict[str, Path], head: str, tmp_path: Path
) -> None:
    predictor = load_predictor(heads[head], device="cpu", progress=False)
    kept = {clip.clip_id: clip for clip in read_frames(folder_of(toy, "mn04"))}
    file = max((toy / "data").glob("audio/*/*.wav"), key=lambda path: path.stat().st_size)  # 1.3 s
    timeline = predictor.frame_timeline(file)
    frames = kept[file.name].frames
    rows = frame_rows(list(frames[:, None])) if head == "attention" else frames
    expected = np.mean([one.predict_proba(rows) for one in predictor.heads], axis=0)
    np.testing.assert_allclose(timeline.proba, expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(timeline.starts_s, [0, 0.16, 0.48, 0.8, 1.12], atol=1e-3)
    np.testing.assert_allclose(timeline.ends_s, [0.16, 0.48, 0.8, 1.12, 1.3], atol=1e-3)
    page = view(file, run=heads[head], frames=True, device="cpu", progress=False).save(tmp_path / "view.html")
    assert "of each frame by itself" in page.read_text()


def test_frames_of_a_recording_longer_than_the_backbone_takes_are_told_once_each(
    toy: Path, heads: dict[str, Path], tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "long.wav", tone(400, 12.3), RATE_HZ)
    timeline = load_predictor(heads["linear"], device="cpu", progress=False).frame_timeline(tmp_path / "long.wav")
    assert len(timeline.starts_s) == pytest.approx(12.3 / 0.32, abs=1)
    assert (np.diff((timeline.starts_s + timeline.ends_s)[1:-1] / 2) > 0.3).all()
    assert timeline.ends_s[-1] == pytest.approx(12.3, abs=1e-3)


def test_view_by_frames_of_a_run_without_them_is_refused(toy: Path, tmp_path: Path) -> None:
    extracted(toy, backbone="logmel-stats", frames=None, embeddings=tmp_path)
    (done,) = probe(head="linear", embeddings=tmp_path, heads=tmp_path / "heads", progress=False)
    file = next((toy / "data").glob("audio/*/*.wav"))
    with pytest.raises(ConfigError, match="is no run on frames. Give one of a set that extract --frames made"):
        view(file, run=done.folder, frames=True, device="cpu", progress=False)
    with pytest.raises(ConfigError, match="Name one with --run"):
        view(file, frames=True)

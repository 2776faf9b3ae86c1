"""What a report holds of its clips: the right files only, within its room, or why not."""

from __future__ import annotations

import json
import re
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from result_folders import write_run
from soundprobe.base.errors import ConfigError
from soundprobe.reporting.compared.comparison import comparisons_of, with_media
from soundprobe.reporting.compared.judgements import Judgements
from soundprobe.reporting.compared.media import MediaOptions
from soundprobe.reporting.runs.collect import collect_runs
from soundprobe.reporting.sections.embedding_map import EDGE, by_pca, by_umap, on_grid, standardised, symbols_of
from soundprobe.reporting.sections.gallery import OF_ONE_RECORDING, worst
from soundprobe.reporting.write import write_report
from soundprobe.verbs.extract import extract
from soundprobe.verbs.probe import probe
from sounds import RATE_HZ, tone, write_urbansound_layout


@pytest.fixture
def probed(tmp_path: Path) -> Path:
    data = write_urbansound_layout(tmp_path / "clips", folds=2, recordings=2, slices=2)
    extract(data, backbone="simplecnn", weights="random", embeddings=tmp_path / "embeddings", progress=False)
    probe(head="knn", embeddings=tmp_path / "embeddings", heads=tmp_path / "heads", progress=False)
    return tmp_path


def media_of(root: Path, **options: object):
    (comparison,) = with_media(comparisons_of(collect_runs(root / "heads").by_dataset()), MediaOptions(**options))
    return comparison.media


def test_clips_are_found_where_they_were_extracted_from(probed):
    media = media_of(probed)
    clips = media.fetch(sorted(media.sources))
    assert len(clips) == 24
    assert all(clip.sound for clip in clips.values())
    assert media.reason == ""


def test_another_file_of_the_same_name_is_not_played(probed):
    media = media_of(probed)
    victim, kept = sorted(media.sources)[1:3]
    soundfile.write(media.sources[victim], tone(999, 1.0), RATE_HZ)
    assert set(media.fetch([victim, kept])) == {kept}


def test_moved_data_is_said_with_its_remedy_and_found_through_the_option(probed):
    shutil.move(probed / "clips", probed / "elsewhere")
    media = media_of(probed)
    assert media.fetch(["101-0-0-0.wav"], silent_too=True) == {}
    assert "--data PATH" in media.reason
    assert "nothing is at " in media.reason
    assert media.reason.count(". ") == 1
    assert media_of(probed, data=probed / "elsewhere").reason == ""
    page = write_report(probed / "heads", probed / "reports", embeddings=probed / "embeddings").html.read_text()
    assert "be heard here" in page
    assert "<audio" not in page


def test_other_data_given_is_not_played(probed, tmp_path):
    other = write_urbansound_layout(tmp_path / "other", folds=2, recordings=2, slices=2, seconds=0.5)
    shutil.move(probed / "clips", probed / "gone")
    media = media_of(probed, data=other)
    assert "does not hold the clips that the runs heard" in media.reason
    assert not media.sources


def test_room_is_kept_and_pictures_stay(probed):
    media = media_of(probed, max_audio_mb=0.05)
    ids = sorted(media.sources)
    clips = media.fetch(ids, silent_too=True)
    sounding = [clip for clip in clips.values() if clip.sound]
    assert len(clips) == 24
    assert 0 < len(sounding) < 24
    assert sum(clip.taken_bytes for clip in sounding) <= 50_000
    assert media.fetch(ids[20:]) == {clip: clips[clip] for clip in ids[20:]}


def test_no_audio_leaves_every_sound_out(probed):
    report = write_report(
        probed / "heads", probed / "reports", embeddings=probed / "embeddings", audio=False, max_audio_mb=8
    )
    page = report.html.read_text()
    assert "<audio" not in page
    assert "--no-audio" in page
    assert {path.suffix for path in (probed / "reports" / "report-audio").iterdir()} == {".webp"}


def test_report_with_sound_is_the_same_for_the_same_runs(probed):
    pages = [
        write_report(probed / "heads", probed / name, embeddings=probed / "embeddings").html.read_bytes()
        for name in ("one", "one", "two")  # the second finds the sounds of the first
    ]
    assert pages[0] == pages[1] == pages[2]
    assert b'class="map"' in pages[0]


def test_second_report_reads_no_audio_again_and_what_no_page_speaks_of_goes(probed):
    folders = {"embeddings": probed / "embeddings"}
    first = write_report(probed / "heads", probed / "reports", **folders)
    beside = probed / "reports" / "report-audio"
    before = {path.name: path.stat().st_mtime_ns for path in beside.iterdir()}
    assert len(before) == 2 * 24
    (beside / "0123456789abcdef-100.mp3").write_bytes(b"of an earlier report")
    stale = next(beside.glob("*-*-v*.mp3"))
    old = beside / (stale.stem.rpartition("-v")[0] + "-v000000000000.mp3")
    old.write_bytes(b"by another encoder")
    (beside / "mine.txt").write_text("kept")
    shutil.rmtree(probed / "clips")
    page = first.html.read_bytes()
    again = write_report(probed / "heads", probed / "reports", **folders).html.read_bytes()
    assert {path.name: path.stat().st_mtime_ns for path in beside.glob("*-*.mp3")} == {
        name: time for name, time in before.items() if name.endswith(".mp3")
    }
    assert again == page  # the sounds are those that the runs heard, wherever the data went
    assert (beside / "mine.txt").exists()
    assert not (beside / "0123456789abcdef-100.mp3").exists()
    assert not old.exists()


def test_two_reports_into_one_folder_at_once_lose_no_sound(probed):
    def write(max_audio_mb: float) -> None:
        write_report(probed / "heads", probed / "r", embeddings=probed / "embeddings", max_audio_mb=max_audio_mb)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, (25.0, 0.02)))
    page = (probed / "r" / "report.html").read_text()
    told = set(re.findall(r"report-audio/([\w.-]+)", page))
    assert told
    assert told == {path.name for path in (probed / "r" / "report-audio").iterdir()}


def test_single_file_holds_its_sounds_and_leaves_none_beside_it(probed):
    folders = {"embeddings": probed / "embeddings"}
    apart = write_report(probed / "heads", probed / "reports", **folders).html.read_text()
    whole = write_report(probed / "heads", probed / "reports", single_file=True, **folders).html.read_text()
    assert not (probed / "reports" / "report-audio").exists()
    assert "data:audio/mpeg" not in apart
    assert whole.count("data:audio/mpeg") == 24


def test_page_holds_what_every_run_says_of_8732_clips_in_a_few_bytes(tmp_path):
    write_run(tmp_path / "heads", accuracy=0.8)
    one = write_report(tmp_path / "heads", tmp_path / "reports").html
    data = json.loads(re.search(r'class="clips-data">(.*?)</script>', one.read_text())[1])
    assert len(data["clips"]) == 8732
    assert len(json.dumps(data["runs"])) < 8732 * 4.1  # so that 30 runs are about 1 MB
    assert one.stat().st_size < 2_000_000


def test_missing_embeddings_are_said_with_the_remedy(probed):
    page = write_report(probed / "heads", probed / "reports", embeddings=probed / "nowhere").html.read_text()
    assert "--embeddings FOLDER" in page


@pytest.mark.parametrize("room", [-1.0, float("nan"), float("inf")])
def test_room_that_is_no_size_is_refused(room):
    with pytest.raises(ConfigError, match="--max-audio-mb"):
        MediaOptions(max_audio_mb=room)


def judgements(n: int, wrong: int) -> Judgements:
    """n clips of 2 classes; the first `wrong` are mistaken, each less surely than the one before."""
    label = np.zeros(n, dtype=np.int64)
    predicted = (np.arange(n) < wrong).astype(np.int64)
    share = np.linspace(0.99, 0.6, n)
    proba = np.stack([np.where(predicted == 0, share, 1 - share), np.where(predicted == 1, share, 1 - share)], axis=1)
    ids = np.array([f"clip-{i:05d}" for i in range(n)])
    return Judgements(ids, np.ones(n, dtype=np.int64), label, predicted, proba.astype(np.float32))


def test_worst_mistakes_are_the_surest_and_not_all_of_one_recording():
    groups = {f"clip-{i:05d}": "same" if i < 5 else f"own-{i}" for i in range(20)}
    rows = worst(judgements(20, 10), groups, limit=6)
    assert rows == [0, 1, 5, 6, 7, 8]
    assert OF_ONE_RECORDING == 2
    assert worst(judgements(20, 0), groups) == []


def test_map_holds_every_clip_and_says_which_have_no_place():
    plane = np.array([[0.0, 5.0], [10.0, 5.0], [5.0, 5.0]])
    assert on_grid(plane).tolist() == [[0, 0], [EDGE, 0], [EDGE // 2, 0]]
    features = np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32)
    features[:, 7] = 3.0  # nothing to tell clips by
    scaled = standardised(features)
    assert scaled.std(axis=0) == pytest.approx([1] * 7 + [0], abs=1e-5)
    plane, what = by_pca(scaled)
    assert plane.shape == (300, 2)
    assert plane[:, 0].std() >= plane[:, 1].std() > 0
    assert "%" in what


def test_umap_without_its_package_is_refused_with_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)  # how Python marks a module that can't be imported
    with pytest.raises(ConfigError, match=r"pip install 'soundprobe\[umap\]'"):
        MediaOptions(map="umap")
    with pytest.raises(ConfigError, match="pca or umap"):
        MediaOptions(map="tsne")


def test_umap_lays_neighbours_together():
    pytest.importorskip("umap", reason="umap-learn is in the dev extra, not among the oldest libraries of make lowest")
    features = np.repeat([[0.0] * 8, [9.0] * 8], 40, axis=0) + np.random.default_rng(0).normal(size=(80, 8))
    plane, _ = by_umap(features)
    assert np.linalg.norm(plane[:40].mean(axis=0) - plane[40:].mean(axis=0)) > plane[:40].std()


def test_run_without_probabilities_has_its_mistakes_in_the_order_of_their_ids():
    judged = judgements(6, 3)
    unsure = replace(judged, proba=np.full_like(judged.proba, np.nan), ids=judged.ids[::-1])
    assert worst(unsure, {}) == [2, 1, 0]


def test_hundred_classes_all_look_different():
    symbols = symbols_of([f"class {i}" for i in range(100)])
    assert len({(symbol.colour, symbol.path) for symbol in symbols}) == 100

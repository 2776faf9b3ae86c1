"""What a report holds of its clips: the right files only, within its room, or why not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import soundfile

from soundprobe.base.errors import ConfigError
from soundprobe.reporting.compared.comparison import comparisons_of, with_media
from soundprobe.reporting.compared.media import MediaOptions
from soundprobe.reporting.runs.collect import collect_runs
from soundprobe.reporting.sections.embedding_map import MOST_POINTS, place, symbols_of
from soundprobe.reporting.sections.gallery import OF_ONE_RECORDING, Judgements, worst
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
    assert sum(clip.page_bytes for clip in sounding) <= 50_000
    assert media.fetch(ids[20:]) == {clip: clips[clip] for clip in ids[20:]}


def test_no_audio_leaves_every_sound_out(probed):
    report = write_report(
        probed / "heads", probed / "reports", embeddings=probed / "embeddings", audio=False, max_audio_mb=8
    )
    page = report.html.read_text()
    assert '"data:audio' not in page
    assert '"sounds": {}' in page
    assert "<audio" not in page


def test_report_with_sound_is_the_same_for_the_same_runs(probed):
    pages = [
        write_report(probed / "heads", probed / name, embeddings=probed / "embeddings").html.read_bytes()
        for name in ("one", "two")
    ]
    assert pages[0] == pages[1]
    assert b'class="map"' in pages[0]


def test_missing_embeddings_are_said_with_the_remedy(probed):
    page = write_report(probed / "heads", probed / "reports", embeddings=probed / "nowhere").html.read_text()
    assert "--embeddings FOLDER" in page


@pytest.mark.parametrize("room", [-1.0, float("nan"), float("inf")])
def test_room_that_is_no_size_is_refused(room):
    with pytest.raises(ConfigError, match="--max-audio-mb"):
        MediaOptions(max_audio_mb=room)


def judgements(n: int, wrong: int) -> Judgements:
    """n clips of 2 classes; the first `wrong` are mistaken, each less surely than the one before."""
    import numpy as np

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


def test_large_map_is_a_sample_that_keeps_the_surest_mistakes():
    import numpy as np

    from soundprobe.base.records import Embeddings

    judged = judgements(5000, 100)
    embeddings = Embeddings(
        features=np.random.default_rng(0).normal(size=(5000, 8)).astype(np.float32),
        ids=judged.ids,
        labels=judged.label,
        folds=judged.fold,
        groups=judged.ids,
        class_names=("a", "b"),
        columns={},
        meta={},
    )
    placed = place(embeddings, judged)
    assert len(placed.rows) == MOST_POINTS
    assert set(range(100)) <= set(placed.rows.tolist())
    assert ((placed.x >= 0) & (placed.x <= 100) & (placed.y >= 0) & (placed.y <= 100)).all()
    assert 0 < placed.explained < 1


def test_hundred_classes_all_look_different():
    symbols = symbols_of([f"class {i}" for i in range(100)])
    assert len({(symbol.colour, symbol.path) for symbol in symbols}) == 100

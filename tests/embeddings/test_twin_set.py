"""Corrected labels cost no second embedding: what another set of the same clips holds is copied."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from soundprobe.data.catalog import open_data
from soundprobe.embeddings.store import Extraction, open_set, read_embeddings, write_meta
from soundprobe.verbs.extract import extract
from sounds import RATE_HZ, tone, write_urbansound_layout


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """12 clips, of which one is silent, which is a finding."""
    folder = write_urbansound_layout(tmp_path / "clips", folds=2, recordings=1, slices=2)
    soundfile.write(next(iter(sorted(folder.glob("audio/fold1/*.wav")))), np.zeros(RATE_HZ), RATE_HZ)
    return folder


def embed(data: Path, **options: Any) -> Extraction:
    given = {"backbone": "logmel-stats", **options}
    return extract(data, embeddings=data.parent / "embeddings", progress=False, **given)[0]


def corrections(data: Path) -> Path:
    clips = open_data(data)
    path = data.parent / "corrections.csv"
    given = clips.class_names[clips.labels[0]]
    path.write_text(f"clip,given,correction\n{clips.ids[0]},{given},high\n", encoding="utf-8")
    return path


def test_corrected_labels_take_the_embeddings_that_are_there(data):
    first = embed(data)
    second = embed(data, corrections=corrections(data))
    assert second.folder != first.folder
    assert (first.reused, second.reused, second.clips) == (0, 12, 12)
    before, after = (read_embeddings(open_set(one.folder)) for one in (first, second))
    np.testing.assert_array_equal(before.features, after.features)
    assert (before.labels != after.labels).sum() == 1
    assert second.findings == first.findings != {}
    assert after.columns["audio_sha256"].tolist() == before.columns["audio_sha256"].tolist()


def test_set_of_cuda_by_an_earlier_version_lends_a_cpu_nothing(data):
    first = embed(data, device="cpu").folder
    write_meta(first, {**open_set(first).record.content, "device": "cuda"})
    assert embed(data, device="cpu", corrections=corrections(data)).reused == 0


def test_other_bytes_by_the_same_name_are_embedded_anew(data):
    embed(data)
    changed = sorted(data.glob("audio/fold2/*.wav"))[0]
    soundfile.write(changed, tone(777, 1.0), RATE_HZ, subtype="PCM_16")
    assert embed(data).reused == 0


def test_clips_that_an_older_version_read_in_part_are_embedded_anew(data):
    joined = sorted(data.glob("audio/fold2/*.wav"))[0]
    audio = io.BytesIO()
    soundfile.write(audio, tone(777, 1.0), RATE_HZ, format="OGG", subtype="VORBIS")
    joined.write_bytes(2 * audio.getvalue())
    embed(data)
    assert embed(data, corrections=corrections(data)).reused == 0


def test_another_network_does_not_lend_its_embeddings(data):
    random = {"backbone": "simplecnn", "weights": "random"}
    embed(data, **random, seed=1)
    assert embed(data, **random, corrections=corrections(data)).reused == 0

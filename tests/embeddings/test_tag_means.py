"""What each class of a set is called by a network's own classifier."""

from __future__ import annotations

import json

import numpy as np
import pytest

from made_sets import store_set
from soundprobe.backbones.tags import load_tag_head
from soundprobe.base.errors import SoundprobeWarning, StoreError
from soundprobe.embeddings.sets import find_feature_sets, read_features
from soundprobe.embeddings.tag_means import FILE, TagsRecord, measure_tags
from soundprobe.verbs.disk_check import verify
from soundprobe.verbs.extract import extract
from sounds import write_urbansound_layout


def test_means_of_each_class_and_of_all_others_are_those_that_one_counts_by_hand(tmp_path):
    features = np.array([[0.9, 0.2], [0.7, 0.0], [0.1, 1.0]], dtype=np.float32)
    ones = np.ones(3, dtype=np.int64)
    folder = store_set(tmp_path, features, np.array([0, 0, 2]), ones, np.array(["r", "s", "t"]))
    record = measure_tags(folder, ("Dog", "Siren"), lambda rows: rows, 2)
    assert record == TagsRecord.read(folder / FILE)
    assert json.loads((folder / FILE).read_text())["classes"] == [
        {
            "name": "a",
            "clips": 2,
            "tags": [
                {"name": "Dog", "mean": 0.8, "elsewhere": 0.1},
                {"name": "Siren", "mean": 0.1, "elsewhere": 1.0},
            ],
        },
        {
            "name": "c",
            "clips": 1,
            "tags": [
                {"name": "Siren", "mean": 1.0, "elsewhere": 0.1},
                {"name": "Dog", "mean": 0.1, "elsewhere": 0.8},
            ],
        },
    ]


def test_tags_of_another_version_or_damaged_are_not_taken(tmp_path):
    (tmp_path / FILE).write_text('{"format": 99}')
    assert TagsRecord.read_if_there(tmp_path / FILE) is None
    (tmp_path / FILE).write_text('{"format": 1, "backbone": "mn04"}')
    with pytest.raises(StoreError, match="lacks the field 'title'. Extract again"):
        TagsRecord.read_if_there(tmp_path / FILE)


def test_verify_takes_damaged_tags_away_and_names_the_command_that_makes_them(tmp_path):
    ones = np.ones(2, dtype=np.int64)
    folder = store_set(tmp_path, np.eye(2, dtype=np.float32), np.array([0, 1]), ones, np.array(["r", "s"]))
    measure_tags(folder, ("Dog", "Siren"), lambda rows: rows, 2)
    assert verify([folder]).sound
    (folder / FILE).write_text((folder / FILE).read_text().replace("Dog", "Cat"))
    (found,) = [one for one in verify([folder]).findings if one.state == "damaged"]
    assert (found.path.name, found.removed) == (FILE, True)
    assert found.again.startswith("soundprobe extract")
    assert not (folder / FILE).exists()


def test_extract_tags_the_classes_of_pretrained_sets_and_of_sets_that_were_there_before(shared, tmp_path):
    file = shared / "weights" / "mn04_as_mAP_432.pt"
    data = write_urbansound_layout(tmp_path / "clips", folds=2, recordings=1, slices=1)
    where = {"embeddings": tmp_path / "embeddings", "progress": False}
    (done,) = extract(data, backbone="mn04", weights=file, **where)
    first = (done.folder / FILE).read_text()
    (features,) = find_feature_sets(tmp_path / "embeddings")
    embeddings, _ = read_features(features)
    head = load_tag_head("mn04", file)
    means = head.predict_proba(np.asarray(embeddings.features)[embeddings.labels == 0]).mean(axis=0)
    told = TagsRecord.read(done.folder / FILE).classes[0].tags
    assert [tag.name for tag in told] == [head.names[g] for g in (-means).argsort()[:10]]
    assert [tag.mean for tag in told] == pytest.approx(sorted(means, reverse=True)[:10], abs=1e-4)
    (done.folder / FILE).unlink()  # as versions before left a set
    (again,) = extract(data, backbone="mn04", weights=file, **where)
    assert (again.reused, (again.folder / FILE).read_text()) == (again.clips, first)
    (done.folder / FILE).write_text(first.replace("mn04", "mn05"))
    with pytest.warns(SoundprobeWarning, match=r"tags\.json"):
        extract(data, backbone="mn04", weights=file, **where)
    assert (done.folder / FILE).read_text() == first
    (both,) = extract(data, backbone="mn04", weights=file, layers="both", **where)
    tagged = TagsRecord.read(both.folder / FILE)
    assert [tag.name for tag in tagged.classes[0].tags] == [tag.name for tag in told]
    for options in ({"weights": "random"}, {"weights": file, "layers": "middle"}):
        (without,) = extract(data, backbone="mn04", **options, **where)
        assert not (without.folder / FILE).exists()

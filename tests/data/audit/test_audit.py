"""What the audit finds, on data whose faults are known, and on UrbanSound8K's own metadata and clips."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundprobe.base.errors import ConfigError, DataError
from soundprobe.base.records import Clips, Embeddings
from soundprobe.data.audit.audit import audit
from soundprobe.data.audit.near_copies import NEAR_COSINE, find_near_copies
from soundprobe.data.readers.urbansound8k import read_urbansound8k, read_urbansound8k_metadata
from soundprobe.data.scan import scan
from soundprobe.embeddings.store import open_set, read_embeddings
from soundprobe.scoring.copies import join_recordings
from soundprobe.scoring.folds import outer_splits
from sounds import write_urbansound_layout

HOSTILE = "<img src=x onerror=alert(1)>"


def make_clips(n: int = 12, folds: int = 3, per_recording: int = 2) -> Clips:
    """`n` clips in two classes, cut two by two from recordings that each sit in one fold."""
    recording = np.arange(n) // per_recording
    return Clips(
        name="made",
        ids=np.array([f"c{row:02d}" for row in range(n)]),
        sources=[f"c{row:02d}.wav" for row in range(n)],
        labels=recording % 2,
        folds=1 + recording % folds,
        groups=np.array([f"r{one}" for one in recording]),
        class_names=(HOSTILE, "b"),
        columns={"salience": 1 + np.arange(n) % 2},
    )


def embed(clips: Clips, features: np.ndarray, weights: str = "pretrained", **columns: np.ndarray) -> Embeddings:
    meta = {"dataset": {"name": clips.name}, "backbone": {"weights": weights}}
    return Embeddings(
        np.asarray(features, dtype=np.float32),
        clips.ids,
        clips.labels,
        clips.folds,
        clips.groups,
        clips.class_names,
        {**clips.columns, **columns},
        meta,
    )


def unlike(n: int, seed: int = 0, dim: int = 64) -> np.ndarray:
    """(n, dim) embeddings that are all positive and have nothing in common but that."""
    return np.abs(np.random.default_rng(seed).normal(size=(n, dim))) + 3.0


# --- recordings and balance, from metadata alone


def test_audit_of_urbansound8k_metadata_finds_its_five_shared_recordings(shared: Path) -> None:
    found = audit(read_urbansound8k_metadata(shared / "data" / "UrbanSound8K-full-metadata.csv"))
    assert {one.group for one in found.shared_recordings} == {"106905", "132016", "176638", "180937", "77751"}
    assert sum(one.clips for one in found.shared_recordings) == len(found.leaking) == 152
    assert all(len(one.folds) == 2 for one in found.shared_recordings)
    assert (found.clips, found.recordings, len(found.folds)) == (8732, 1297, 10)
    assert [fold.clips for fold in found.folds] == [873, 888, 925, 990, 936, 823, 838, 806, 816, 837]
    assert all(sum(fold.salience.values()) == fold.clips == sum(fold.class_clips) for fold in found.folds)
    assert found.clips_per_recording.most == 100
    assert found.clips_per_recording.effective == pytest.approx(486.07, abs=0.01)
    assert (found.identical, found.near_pairs, found.short, found.silent) == (None, None, None, None)
    assert set(found.not_checked) == {"identical", "near copies", "short", "silent"}
    json.dumps(found.to_json(), allow_nan=False)


def test_audit_of_sound_data_finds_nothing() -> None:
    clips = make_clips()
    digests = np.array([f"{row:064d}" for row in range(12)])
    found = audit(
        clips, sha256=digests, duration_s=np.full(12, 4.0), peak=np.full(12, 0.5), embeddings=embed(clips, unlike(12))
    )
    assert (found.shared_recordings, found.identical, found.near_pairs, found.short, found.silent) == (
        (),
        (),
        (),
        (),
        (),
    )
    assert (found.leaking, found.linked, found.not_checked, found.near_pair_count) == ((), (), {}, 0)
    assert len(found.closest_pairs) == 20
    assert found.closest_pairs[0].cosine >= found.closest_pairs[-1].cosine


def test_audit_counts_classes_salience_and_recordings_of_each_fold() -> None:
    found = audit(make_clips())
    first = found.folds[0]  # recordings r0 and r3: classes 0 and 1
    assert (first.fold, first.clips, first.recordings) == (1, 4, 2)
    assert (first.class_clips, first.class_recordings, first.salience) == ((2, 2), (1, 1), {"1": 2, "2": 2})
    assert len(found.thin) == 6
    assert (found.thin[0].fold, found.thin[0].class_name, found.thin[0].recordings) == (1, HOSTILE, 1)
    per = found.clips_per_recording
    assert (per.fewest, per.median, per.mean, per.most, per.effective) == (2, 2.0, 2.0, 2, 6.0)


def test_audit_names_a_class_that_a_fold_lacks_first() -> None:
    clips = make_clips()
    found = audit(clips.take((clips.labels == 0) | (clips.folds != 2)))
    assert (found.thin[0].fold, found.thin[0].class_name, found.thin[0].clips) == (2, "b", 0)
    assert audit(dataclasses.replace(clips, columns={})).folds[0].salience is None


def test_audit_of_a_single_clip_works() -> None:
    clips = make_clips(1)
    found = audit(clips, sha256=np.array(["a"]), embeddings=embed(clips, unlike(1)))
    assert (found.clips, found.identical) == (1, ())
    assert found.not_checked["near copies"] == "needs at least two clips whose embeddings differ."


# --- copies


def test_audit_finds_clips_with_the_same_bytes_and_says_which_cross_folds() -> None:
    clips = make_clips()
    digests = np.array([f"{row:064d}" for row in range(12)])
    digests[[0, 2, 4]] = "same"  # folds 1, 2, 3; classes 0, 1, 0
    digests[[6, 7]] = "pair"  # one recording, one fold
    digests[[8, 9, 10]] = ""  # unread: alike only in that
    found = audit(clips, sha256=digests)
    first, second = found.identical
    assert (first.ids, first.folds, first.across_folds) == (("c00", "c02", "c04"), (1, 2, 3), True)
    assert first.class_names == (HOSTILE, "b", HOSTILE)
    assert (second.ids, second.across_folds) == (("c06", "c07"), False)
    assert found.leaking == ("c00", "c02", "c04")
    assert found.linked == (("r0", "r1", "r2"),)


def test_audit_of_scanned_clips_finds_a_copied_file_and_short_and_unreadable_ones(tmp_path: Path) -> None:
    folder = write_urbansound_layout(tmp_path / "a set ü")
    files = sorted((folder / "audio").rglob("*.wav"))
    elsewhere = next(file for file in files if file.parent != files[0].parent)
    elsewhere.write_bytes(files[0].read_bytes())
    soundfile.write(files[1], np.zeros(2205), 22_050)
    files[2].write_bytes(b"")
    clips = read_urbansound8k(folder)
    scanned = scan(clips)
    peak = np.full(len(clips), 0.4)
    peak[clips.ids == files[1].name] = 0.0
    peak[clips.ids == files[2].name] = np.nan
    found = audit(clips, sha256=scanned.sha256, duration_s=scanned.duration_s, peak=peak)
    assert [set(one.ids) for one in found.identical] == [{files[0].name, elsewhere.name}]
    assert found.identical[0].across_folds
    assert [(one.id, one.value) for one in found.short] == [(files[1].name, pytest.approx(0.1))]
    assert [(one.id, one.value) for one in found.silent] == [(files[1].name, 0.0)]
    assert list(found.not_checked) == ["near copies"]


def test_audit_finds_near_copies_across_folds_only() -> None:
    clips, features = make_clips(), unlike(12)
    features[2] = features[0] + 0.02 * unlike(1, seed=1)[0]  # folds 1 and 2
    features[1] = features[0]  # the same recording and fold: not a leak
    found = audit(clips, embeddings=embed(clips, features))
    assert found.near_pair_count == 2
    assert {pair.ids for pair in found.near_pairs} == {("c00", "c02"), ("c01", "c02")}
    pair = found.near_pairs[0]
    assert (pair.folds, pair.groups, pair.class_names) == ((1, 2), ("r0", "r1"), (HOSTILE, "b"))
    assert NEAR_COSINE < pair.cosine <= 1
    assert not pair.same_recording
    assert found.leaking == ("c00", "c01", "c02")
    assert found.linked == (("r0", "r1"),)
    assert all(pair.cosine < NEAR_COSINE for pair in found.closest_pairs)


def test_audit_from_an_embedding_set_alone_uses_its_digests_and_lengths() -> None:
    clips, features = make_clips(), unlike(12)
    features[2] = features[0]
    digests = np.array([f"{row:064d}" for row in range(12)])
    digests[2] = digests[0]
    found = audit(embed(clips, features, audio_sha256=digests, duration_s=np.where(np.arange(12) == 5, 0.2, 4.0)))
    assert found.name == "made"
    assert [one.ids for one in found.identical] == [("c00", "c02")]
    assert [(pair.ids, pair.same_bytes, pair.same_recording) for pair in found.near_pairs] == [
        (("c00", "c02"), True, False)
    ]
    assert [one.id for one in found.short] == ["c05"]
    assert list(found.not_checked) == ["silent"]
    json.dumps(found.to_json(), allow_nan=False)


def test_audit_matches_embeddings_by_id_when_some_clips_failed() -> None:
    clips, features = make_clips(), unlike(12)
    features[10] = features[2]
    full = embed(clips, features)
    order = np.array([10, 7, 2, 0, 5, 9, 11, 3])
    columns = {name: getattr(full, name)[order] for name in ("features", "ids", "labels", "folds", "groups")}
    some = dataclasses.replace(full, **columns)
    found = audit(clips, embeddings=some)
    assert [pair.ids for pair in found.near_pairs] == [("c10", "c02")]
    assert found.near_pairs[0].groups == ("r5", "r1")
    assert found.leaking == ("c02", "c10")
    assert found.linked == (("r1", "r5"),)
    assert found.not_checked["near copies"] == "4 of 12 clips have no finite embedding."


def test_audit_leaves_embeddings_with_nan_out_and_says_so() -> None:
    clips, features = make_clips(), unlike(12)
    features[[3, 4], [0, 5]] = [np.nan, np.inf]
    features[6] = features[2]
    found = audit(clips, embeddings=embed(clips, features))
    assert [pair.ids for pair in found.near_pairs] == [("c02", "c06")]
    assert found.not_checked["near copies"].startswith("2 of 12 clips")


def test_audit_does_not_compare_by_random_weights_or_equal_embeddings() -> None:
    clips = make_clips()
    random = audit(clips, embeddings=embed(clips, np.ones((12, 8)), weights="random"))
    assert random.near_pairs is None
    assert "needs pretrained weights" in random.not_checked["near copies"]
    equal = audit(clips, embeddings=embed(clips, np.ones((12, 8))))
    assert equal.near_pair_count is None
    assert "embeddings differ" in equal.not_checked["near copies"]


def test_audit_lists_at_most_max_pairs_and_counts_all() -> None:
    clips = make_clips(60)
    features = unlike(60)
    features[:30] = features[0]
    found = audit(clips, embeddings=embed(clips, features), max_pairs=7)
    across = (clips.folds[:30, None] != clips.folds[None, :30]).sum() // 2
    assert found.near_pair_count == across == 300
    assert (len(found.near_pairs), len(found.closest_pairs)) == (7, 0)
    assert len(found.leaking) == 30


def test_audit_refuses_columns_of_other_lengths_and_foreign_embeddings() -> None:
    clips = make_clips()
    with pytest.raises(DataError, match="3 values of sha256 for 12 clips"):
        audit(clips, sha256=np.array(["a", "b", "c"]))
    with pytest.raises(DataError, match="1 values of peak for 12 clips"):
        audit(clips, peak=np.zeros(1))
    other = dataclasses.replace(embed(clips, unlike(12)), ids=np.array(["nobody", *clips.ids[1:]]))
    with pytest.raises(DataError, match="'nobody' \\(1 such clips\\), which 'made' does not"):
        audit(clips, embeddings=other)
    for cosine in (0.0, 1.5, float("nan")):
        with pytest.raises(ConfigError, match="above 0, up to 1"):
            audit(clips, embeddings=embed(clips, unlike(12)), near_cosine=cosine)


# --- near copies in blocks, against all pairs at once


def test_near_copies_in_blocks_are_those_of_the_whole_matrix() -> None:
    rng = np.random.default_rng(3)
    N = 1300  # three blocks
    features = (rng.normal(size=(N, 12)) + 2).astype(np.float32)
    features[1250] = features[4]
    folds = rng.integers(1, 5, N)
    found = find_near_copies(features, folds, near_cosine=0.8, keep=5000)
    unit = features - features.mean(axis=0)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    cosine = np.triu(unit @ unit.T, 1)
    near = (cosine >= 0.8) & (folds[:, None] != folds[None, :])
    assert found.pairs == near.sum() > 300
    listed = set(zip(found.first[: found.pairs].tolist(), found.second[: found.pairs].tolist(), strict=True))
    assert listed == set(zip(*(axis.tolist() for axis in np.nonzero(near)), strict=True))
    assert np.array_equal(found.near, near.any(axis=0) | near.any(axis=1))
    assert (np.diff(found.cosine) <= 0).all()
    assert len(found.first) == 5000
    few = find_near_copies(features, folds, near_cosine=0.8, keep=10)
    assert np.array_equal(few.first, found.first[:10])
    assert np.array_equal(few.second, found.second[:10])


def test_near_copies_connect_through_others_and_across_blocks() -> None:
    features = unlike(1100)
    for row in (600, 1090):
        features[row] = features[5]
    folds = np.zeros(1100, dtype=int)
    folds[600] = 1  # 5 and 1090 share a fold, and are linked through 600 alone
    found = find_near_copies(features, folds)
    assert found.pairs == 2
    assert found.component[5] == found.component[600] == found.component[1090]
    assert len(np.unique(found.component)) == 1098


def test_near_copies_with_a_threshold_of_1_are_the_exact_ones() -> None:
    """Rounding leaves some products of equal rows just below 1."""
    features = np.concatenate([unlike(50), unlike(50)]).astype(np.float32)
    found = find_near_copies(features, np.repeat([1, 2], 50), near_cosine=1.0)
    assert found.pairs == 50
    assert (found.second - found.first == 50)[:50].all()


def test_near_copies_of_positive_embeddings_are_found_without_the_common_part() -> None:
    """Clips with nothing in common have a plain cosine above the threshold, because every number is positive."""
    features = unlike(40)
    plain = features / np.linalg.norm(features, axis=1, keepdims=True)
    assert np.median(plain @ plain.T) > NEAR_COSINE
    assert find_near_copies(features, np.arange(40)).pairs == 0


# --- what follows from an audit


def test_join_recordings_keeps_linked_recordings_out_of_each_other_s_training_rows() -> None:
    clips, features = make_clips(), unlike(12)
    features[2] = features[0]
    joined = join_recordings(clips.groups, audit(clips, embeddings=embed(clips, features)).linked)
    assert joined.tolist() == ["r0"] * 4 + [f"r{row // 2}" for row in range(4, 12)]
    for fold, train, test in outer_splits(clips.folds):
        left = train[~np.isin(joined[train], joined[test])]
        assert {1: {"c02", "c03"}, 2: {"c00", "c01"}, 3: set()}[fold] == set(clips.ids[np.setdiff1d(train, left)])
    assert join_recordings(clips.groups, ()).tolist() == clips.groups.tolist()


def test_audit_of_real_clips_finds_a_re_encoded_and_a_quieter_copy(shared: Path, tmp_path: Path) -> None:
    from soundprobe.verbs.extract import extract

    weights = shared / "weights" / "mn04_as_mAP_432.pt"
    source = read_urbansound8k(shared / "data" / "UrbanSound8K")
    rows = np.concatenate([np.flatnonzero((source.folds == 1) & (source.labels == label))[:3] for label in range(10)])
    picked = source.take(rows)
    root = tmp_path / "copies"
    (root / "clips").mkdir(parents=True)
    table = ["path,label,fold,group"]
    for row, path in enumerate(picked.sources):
        (root / "clips" / f"{row}.wav").write_bytes(Path(str(path)).read_bytes())
        table.append(f"clips/{row}.wav,{picked.class_names[picked.labels[row]]},1,{picked.groups[row]}")
    wave, rate = soundfile.read(picked.sources[4], dtype="float32")
    soundfile.write(root / "clips" / "re-encoded.ogg", wave, rate, format="OGG", subtype="VORBIS")
    wave, rate = soundfile.read(picked.sources[17], dtype="float32")
    soundfile.write(root / "clips" / "quieter.wav", 0.5 * wave, rate, subtype="PCM_16")
    table += [f"clips/re-encoded.ogg,{picked.class_names[1]},2,x", f"clips/quieter.wav,{picked.class_names[5]},2,y"]
    (root / "clips.csv").write_text("\n".join(table))
    extract(root / "clips.csv", backbone="mn04", weights=weights, embeddings=tmp_path / "e", progress=False)
    (meta,) = (tmp_path / "e").rglob("meta.json")
    found = audit(read_embeddings(open_set(meta.parent)))
    names = {tuple(Path(name).name for name in pair.ids) for pair in found.near_pairs}
    assert names == {("17.wav", "quieter.wav"), ("4.wav", "re-encoded.ogg")}
    assert found.identical == ()


def test_audit_of_a_set_full_of_copies_keeps_its_list_short() -> None:
    n = 1500
    clips = make_clips(n)
    features = unlike(n, dim=4)
    features[: n // 2] = features[0]
    found = audit(clips, embeddings=embed(clips, features))
    assert found.near_pair_count > 150_000
    assert len(found.near_pairs) == 1000
    assert len(json.dumps(found.to_json())) < 600_000

"""The distance from the training clips, against scipy's and on classes that were never heard."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis
from sklearn.covariance import LedoitWolf

from soundprobe.base.errors import DataError, StoreError
from soundprobe.heads.novelty import Novelty, out_of_fold, passed, threshold_for
from soundprobe.heads.stored_rows import StoredMatrix, StoredRows

D = 6


def clouds(n: int, seed: int, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """(N, D) around the classes' centres, which lie apart in the first columns only, and (N,) labels."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    centres = 4 * np.eye(classes, D)
    return (centres[labels] + rng.normal(size=(n, D))).astype(np.float32), labels


def test_distance_is_mahalanobis_to_the_nearest_class_with_one_shrunk_covariance():
    features, labels = clouds(120, 0)
    queries, _ = clouds(9, 1)
    centre, scale = features.mean(axis=0, dtype=float), features.std(axis=0, dtype=float)
    rows, asked = (features - centre) / scale, (queries - centre) / scale
    means = np.stack([rows[labels == c].mean(axis=0) for c in range(3)])
    inverse = LedoitWolf(assume_centered=True).fit(rows - means[labels]).precision_
    expected = [min(mahalanobis(row, mean, inverse) for mean in means) / np.sqrt(D) for row in asked]
    np.testing.assert_allclose(Novelty.of(features, labels).score(queries), expected, rtol=1e-4)


def test_distance_on_stored_rows_is_the_same_bits_and_holds_a_chunk_of_them(tmp_path):
    peaks = []
    for wide in (6, 64):
        features, labels = clouds(40_000, 0)
        features = np.tile(features, (1, wide // 6 + 1))[:, :wide] + np.arange(wide, dtype=np.float32)
        folds, own = np.arange(40_000) % 2 + 1, np.arange(40_000)
        expected = out_of_fold(features, labels, folds, own, [2])
        np.save(tmp_path / f"{wide}.npy", features)
        rows = StoredRows(StoredMatrix(str(tmp_path / f"{wide}.npy"), features.shape), own)
        del features
        tracemalloc.start()
        found = out_of_fold(rows, labels, folds, own, [2])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert found.tobytes() == expected.tobytes()
    assert peaks[1] - peaks[0] < 0.5 * 4 * (64 - 6) * 40_000  # the further features'


def test_class_that_was_never_heard_is_far_and_the_share_asked_for_passes():
    features, labels = clouds(400, 0)
    folds = np.arange(400) // 3 % 4 + 1
    own = np.arange(400)  # recordings
    distances = out_of_fold(features, labels, folds, own, [1, 2, 3, 4])
    novelty = Novelty.of(features, labels).at(threshold_for(distances, 0.95))
    assert not novelty.is_unknown(novelty.score(clouds(200, 5)[0])).mean() > 0.1
    unheard = np.zeros((50, D), dtype=np.float32)
    unheard[:, 4] = 12
    assert novelty.is_unknown(novelty.score(unheard)).all()
    assert passed(distances, folds, own, 0.95) == pytest.approx(0.95, abs=0.02)
    assert (distances <= threshold_for(distances, 0.95)).mean() == 0.95
    assert threshold_for(distances, 1.0) == distances.max()


def test_distance_out_of_fold_does_not_know_the_folds_own_clips():
    features, labels = clouds(60, 0)
    folds = np.arange(60) // 3 % 2 + 1
    before = out_of_fold(features, labels, folds, np.arange(60), [1, 2])
    moved = features.copy()
    moved[folds == 2] += 100
    after = out_of_fold(moved, labels, folds, np.arange(60), [1, 2])
    own = Novelty.of(features[folds == 1], labels[folds == 1])
    np.testing.assert_allclose(before[folds == 2], own.score(features[folds == 2]))
    np.testing.assert_allclose(after[folds == 2], own.score(moved[folds == 2]))
    np.testing.assert_array_equal(out_of_fold(features, labels, folds, np.arange(60), [2]), before[folds == 2])


def test_copy_in_another_fold_has_no_part_in_the_distance_or_its_threshold():
    features, labels = clouds(60, 0)
    folds, groups = np.arange(60) // 3 % 2 + 1, np.arange(60)
    far, copy = 0, 3  # of folds 1 and 2
    features[far] += 50
    features[copy], labels[copy], groups[copy] = features[far], labels[far], groups[far]
    found = out_of_fold(features, labels, folds, groups, [1, 2])
    others = (folds == 2) & (np.arange(60) != copy)
    own = Novelty.of(features[others], labels[others])
    np.testing.assert_allclose(found[folds == 1], own.score(features[folds == 1]))
    assert passed(np.where(groups == groups[far], 9.0, 1.0), folds, groups, 1.0) == 58 / 60
    with pytest.raises(DataError, match="Add recordings"):
        out_of_fold(features, labels, folds, np.zeros(60), [1, 2])


def test_distance_of_a_row_does_not_hang_on_the_others():
    features, labels = clouds(700, 0)
    novelty = Novelty.of(features, labels)
    alone = np.concatenate([novelty.score(features[row : row + 1]) for row in range(0, 700, 50)])
    np.testing.assert_allclose(novelty.score(features)[::50], alone, rtol=1e-12)  # float64's rounding


@pytest.mark.parametrize("same", ["columns", "rows"])
def test_clips_without_spread_have_a_distance_that_is_a_number(same):
    features, labels = clouds(30, 0)
    features[:] = features[:1] if same == "rows" else features[:, :1]
    assert np.isfinite(Novelty.of(features, labels).score(features + 1)).all()


def test_saved_distance_is_the_same_and_a_damaged_one_is_refused():
    features, labels = clouds(60, 0)
    novelty = Novelty.of(features, labels).at(1.5)
    again = Novelty.from_arrays(novelty.arrays(), 1.5)
    np.testing.assert_array_equal(again.score(features), novelty.score(features))
    arrays = novelty.arrays()
    with pytest.raises(StoreError, match="lacks means"):
        Novelty.from_arrays({name: array for name, array in arrays.items() if name != "means"}, 1.5)
    with pytest.raises(StoreError, match="don't fit"):
        Novelty.from_arrays({**arrays, "whitening": arrays["whitening"][:2]}, 1.5)
    with pytest.raises(StoreError, match="is not finite"):
        Novelty.from_arrays({**arrays, "means": arrays["means"] * np.nan}, 1.5)

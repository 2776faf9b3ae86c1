"""The store: what is written comes back, half a set never counts as a whole one, and other tools can open it."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path

import datasets
import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from torch.utils.data import DataLoader, Subset

from damage import damage, sign_again
from soundprobe.base.errors import DamagedError, DataError, SoundprobeWarning, StoreError
from soundprobe.base.records import Clips, EncodedAudio, FoldFeatures
from soundprobe.embeddings import store


def make_clips(n: int = 7, **columns: np.ndarray) -> Clips:
    return Clips(
        name="toy",
        ids=np.array([f"clip {i:03d}.wav" for i in range(n)]),
        sources=["nowhere.wav"] * n,
        labels=np.arange(n) % 2,
        folds=np.arange(n) % 3 + 1,
        groups=np.array([f"recording {i // 2}" for i in range(n)]),
        class_names=("<script>", "siren"),
        columns=columns,
    )


def write_set(folder: Path, clips: Clips, features: np.ndarray, parts: list[list[int]], **meta: object) -> None:
    """A whole set whose parts hold the given rows."""
    n = len(clips)
    written = [
        store.write_part(
            store.part_path(folder, number), clips, rows, rows, features[rows], np.full(n, "00"), np.arange(n) / 10, {}
        )
        for number, rows in enumerate(parts)
    ]
    store.write_meta(
        folder,
        {
            "key": "0" * 12,
            "complete": True,
            "dataset": {
                "name": clips.name,
                "fingerprint": "f",
                "clips": n,
                "class_names": list(clips.class_names),
                "folds": np.unique(clips.folds).tolist(),
            },
            "backbone": {
                "name": "toy",
                "title": "Toy",
                "weights": "random",
                "weights_label": "random (seed 0)",
                "weights_sha256": "ab",
                "embedding_dim": features.shape[1],
                "parameters": 10,
                "settings": {},
            },
            "device": "cpu",
            "command": "soundprobe extract",
            "embedded_folds": np.unique(clips.folds).tolist(),
            "embedded": n,
            "parts": [{"file": part.path.name, "clips": part.clips} for part in written],
            "failures": [],
            **meta,
        },
    )


@pytest.fixture
def toy_set(tmp_path: Path) -> tuple[Path, Clips, np.ndarray]:
    clips = make_clips(salience=np.array([1, 2, 1, 2, 1, 2, 1]))
    features = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    folder = tmp_path / "toy" / "toy-000000000000"
    write_set(folder, clips, features, [[6, 0, 3], [5, 1, 4, 2]])
    return folder, clips, features


def test_embeddings_written_in_any_order_come_back_in_the_order_of_ids(toy_set):
    folder, clips, features = toy_set
    found = store.read_embeddings(store.open_set(folder))
    np.testing.assert_array_equal(found.features, features)
    assert found.features.dtype == np.float32
    np.testing.assert_array_equal(found.ids, clips.ids)
    np.testing.assert_array_equal(found.labels, clips.labels)
    np.testing.assert_array_equal(found.folds, clips.folds)
    np.testing.assert_array_equal(found.groups, clips.groups)
    np.testing.assert_array_equal(found.columns["salience"], clips.columns["salience"])
    np.testing.assert_allclose(found.columns["duration_s"], np.arange(7) / 10)
    assert found.class_names == clips.class_names


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_set_opens_with_pandas_polars_duckdb_and_datasets_as_it_is(toy_set, tmp_path):
    folder, clips, features = toy_set
    parts = str(folder / "*.parquet")
    frames = {
        "pandas": pd.concat([pd.read_parquet(path) for path in sorted(folder.glob("*.parquet"))]),
        "polars": pl.read_parquet(parts).to_pandas(use_pyarrow_extension_array=False),
        "duckdb": duckdb.sql(f"select * from '{parts}'").df(),
        "datasets": datasets.load_dataset(
            "parquet", data_files=parts, split="train", cache_dir=str(tmp_path / "hf")
        ).to_pandas(),
    }
    for tool, frame in frames.items():
        frame = frame.sort_values("clip_id")
        assert frame["clip_id"].tolist() == clips.ids.tolist(), tool
        np.testing.assert_array_equal(np.stack(frame["embedding"].tolist()), features, err_msg=tool)
        assert frame["class"].tolist()[0] == "<script>", tool


def test_part_has_the_same_bytes_wherever_the_clips_lie_and_their_paths_below_what_holds_them_all(tmp_path):
    made = make_clips(3)
    written = []
    for root in ("/a/b", "/elsewhere"):
        sources = [f"{root}/x/1.wav", EncodedAudio("row 1", bytes), f"{root}/y/z/2.wav"]
        clips = replace(made, sources=sources)
        write_set(tmp_path / root[1:] / "set", clips, np.ones((3, 2), np.float32), [[0, 1, 2]], audio_root=root)
        written.append(store.part_path(tmp_path / root[1:] / "set", 0).read_bytes())
    assert written[0] == written[1]
    found = store.read_embeddings(store.open_set(tmp_path / "elsewhere" / "set"))
    assert found.paths == ["x/1.wav", None, "y/z/2.wav"]
    assert found.as_columns()["path"] == ["/elsewhere/x/1.wav", None, "/elsewhere/y/z/2.wav"]
    assert found.to_polars(audio_root="/new")["path"].to_list() == ["/new/x/1.wav", None, "/new/y/z/2.wav"]
    assert "path" not in found.columns


def test_set_of_clips_with_a_column_path_of_their_own_keeps_that_and_has_no_other(tmp_path):
    clips = make_clips(2, path=np.array(["theirs", "too"]))
    assert clips.audio_root == ""
    write_set(tmp_path / "set", clips, np.ones((2, 2), np.float32), [[0, 1]])
    found = store.read_embeddings(store.open_set(tmp_path / "set"))
    assert found.paths is None
    assert found.columns["path"].tolist() == found.to_pandas()["path"].tolist() == ["theirs", "too"]


def test_embeddings_as_pandas_and_polars_hold_what_other_tools_read_from_the_parts(toy_set):
    folder, clips, features = toy_set
    found = store.read_embeddings(store.open_set(folder))
    parts = pd.concat([pd.read_parquet(path) for path in sorted(folder.glob("*.parquet"))]).sort_values("clip_id")
    for frame in (found.to_pandas(), found.to_polars().to_pandas(use_pyarrow_extension_array=False)):
        assert set(frame.columns) == set(parts.columns)
        np.testing.assert_array_equal(np.stack(frame["embedding"].tolist()), features)
        for name in set(parts.columns) - {"embedding"}:
            assert frame[name].tolist() == parts[name].tolist(), name


def test_embeddings_as_a_torch_data_set_give_pairs_and_keep_folds_and_recordings(toy_set):
    folder, clips, features = toy_set
    found = store.read_embeddings(store.open_set(folder)).to_torch()
    training = Subset(found, np.flatnonzero(found.folds != 1).tolist())
    (batch, labels), *rest = DataLoader(training, batch_size=len(training))
    rows = clips.folds != 1
    assert not rest
    np.testing.assert_array_equal(batch.numpy(), features[rows])
    np.testing.assert_array_equal(labels.numpy(), clips.labels[rows])
    np.testing.assert_array_equal(found.groups, clips.groups)
    np.testing.assert_array_equal(found.ids, clips.ids)


def test_embeddings_of_one_folds_network_become_a_table_only_where_that_fold_is_named(toy_set):
    folder, clips, features = toy_set
    found = store.read_embeddings(store.open_set(folder))
    tuned = replace(found, features=FoldFeatures({2: features}))
    for ask in (tuned.to_pandas, tuned.to_polars, tuned.to_torch):
        with pytest.raises(DataError, match="each belongs to its fold"):
            ask()
        with pytest.raises(DataError, match="Fold 1 can't be scored"):
            ask(fold=1)
        assert len(ask(fold=2)) == 7
    assert "fold 2" in repr(tuned)


def test_embeddings_print_in_three_lines_and_show_classes_by_fold_in_a_notebook(toy_set):
    folder, clips, features = toy_set
    found = store.read_embeddings(store.open_set(folder))
    assert repr(found).splitlines() == [
        "toy (random (seed 0)), N = 7, D = 5",
        "toy: 7 clips, 2 classes, 3 folds, 4 recordings",
        "<script> 4, siren 3",
    ]
    shown = found._repr_html_()
    assert "<script>" not in shown
    assert "<td>&lt;script&gt;</td><td>4</td><td>4</td><td>2</td><td>1</td><td>1</td>" in shown


def test_opened_set_says_what_it_is_of_and_whether_it_is_whole(toy_set):
    folder, _, _ = toy_set
    opened = store.open_set(folder)
    assert store.is_complete(folder)
    assert not store.is_complete(folder.parent)
    assert (opened.backbone, opened.dataset, opened.weights, opened.precision) == ("toy", "toy", "random", "fp32")
    assert (opened.fold, opened.key, opened.meta["embedded"]) == (None, "0" * 12, 7)
    about, counts = opened.shown_lines()
    assert about == f"toy (random (seed 0)) -> {folder}"
    assert counts == "toy: 7 clips, 2 classes, 3 folds; N = 7, D = 5"


def test_extraction_says_rate_failures_and_what_was_there_before():
    about = {"backbone": "toy", "weights_label": "random (seed 0)", "precision": "int8", "layers": "1-2", "fold": 3}
    counts = {"clips": 7, "reused": 3, "seconds": 2.0, "failures": {"a": "b"}, "dataset": "clips", "embedding_dim": 5}
    made = store.Extraction(folder=Path("sets/toy"), **about, **counts)
    told = "toy (random (seed 0), int8, layers: 1-2) for fold 3: 7 clips, 3 of them there before at 2 clips/s"
    assert made.shown_lines() == (f"{told} -> sets/toy", "clips: N = 7, D = 5", "1 clip failed")
    assert (made.shown_row()["N"], made.shown_row()["failed"]) == ("7", 1)


def test_open_set_of_an_incomplete_set_says_how_to_go_on(toy_set):
    folder, clips, features = toy_set
    write_set(folder, clips, features, [[0, 1]], complete=False)
    with pytest.raises(StoreError, match="not complete. Run the extract command"):
        store.open_set(folder)
    found, unusable = store.find_sets(str(folder.parent.parent))
    assert not found
    assert list(unusable) == [folder]


def test_open_set_of_another_format_is_refused(toy_set):
    folder, clips, features = toy_set
    (folder / "meta.json").write_text('{"format": 99, "complete": true}')
    with pytest.raises(StoreError, match="format 99; this version reads format 1"):
        store.open_set(folder)


@pytest.mark.parametrize("damage", ["missing", "cut short", "fewer clips"])
def test_read_embeddings_of_a_damaged_part_is_one_clear_error(toy_set, damage):
    folder, clips, features = toy_set
    part = store.part_path(folder, 1)
    if damage == "missing":
        part.unlink()
    elif damage == "cut short":
        part.write_bytes(part.read_bytes()[:-100])
    else:
        store.write_part(part, clips, [5], [5], features[[5]], np.full(7, ""), np.zeros(7), {})
    with pytest.raises(StoreError, match="part-00001.parquet"):
        store.read_embeddings(store.open_set(str(folder)))


def test_finished_part_of_other_clips_or_half_a_file_is_not_finished(toy_set):
    folder, clips, _ = toy_set
    part = store.part_path(folder, 0)
    planned = clips.ids[[6, 0, 3]]
    found = store.finished_part(part, planned)
    assert found is not None
    assert found.clips == 3
    assert store.finished_part(part, clips.ids[[0, 6, 3]]) is None
    for how in ("flipped", "cut"):
        damage(part, how)
        with pytest.warns(SoundprobeWarning, match=r"part-00000.parquet is damaged: .* It is made again"):
            assert store.finished_part(part, planned) is None
    assert store.finished_part(store.part_path(folder, 9), planned) is None


@pytest.mark.parametrize(
    ("column", "values", "why"),
    [
        ("label", pa.array(["a"] * 3), "other types"),
        ("fold", pa.array([None, 1, 2], pa.int64()), "lacks values"),
        ("embedding", pa.array([[np.nan, 0.0]] * 3, pa.list_(pa.float32(), 2)), "not finite"),
        ("embedding", pa.array([[1.0]] * 3), "other types"),
        (None, None, "can't be read as a table"),
    ],
)
def test_part_of_other_types_or_not_finite_is_damaged(toy_set, column, values, why):
    folder, clips, _ = toy_set
    path = store.part_path(folder, 0)
    table = pq.read_table(path)
    place = table.column_names.index(column or "group")
    table = table.remove_column(place) if column is None else table.set_column(place, column, values)
    pq.write_table(table, path)
    sign_again(path)
    with pytest.raises(DamagedError, match=rf"part-00000.parquet is damaged: .*{why}"):
        store.read_embeddings(store.open_set(folder))
    with pytest.warns(SoundprobeWarning, match="is made again"):
        assert store.finished_part(path, clips.ids[[6, 0, 3]]) is None


def test_part_that_claims_more_than_its_bytes_is_not_read(toy_set):
    folder, clips, _ = toy_set
    path = store.part_path(folder, 0)
    table = pq.read_table(path).take(np.zeros(200_000, np.int64))
    pq.write_table(table, path, compression="zstd")
    sign_again(path)
    assert path.stat().st_size < 200_000
    with pytest.raises(DamagedError, match=r"\(200,000 embeddings of \d+ in [\d,]+ bytes\)"):
        store.read_table(path)


def test_part_whose_metadata_are_no_json_is_made_again(toy_set):
    folder, clips, _ = toy_set
    path = store.part_path(folder, 0)
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({**table.schema.metadata, b"soundprobe.failures": b"{"}), path)
    sign_again(path)
    with pytest.warns(SoundprobeWarning, match="its metadata are not JSON .* It is made again"):
        assert store.finished_part(path, clips.ids[[6, 0, 3]]) is None


def test_part_whose_clips_all_failed_keeps_their_reasons(tmp_path):
    clips = make_clips(2)
    path = tmp_path / "part-00000.parquet"
    none = np.empty((0, 4), dtype=np.float32)
    store.write_part(path, clips, [0, 1], [], none, np.full(2, ""), np.zeros(2), {"clip 000.wav": "empty file"})
    part = store.finished_part(path, clips.ids)
    assert part is not None
    assert (part.clips, part.failures) == (0, {"clip 000.wav": "empty file"})


def test_column_with_a_reserved_name_is_refused_before_anything_is_written(tmp_path):
    clips = make_clips(2, embedding=np.zeros(2))
    with pytest.raises(DataError, match="Column 'embedding'"):
        store.write_part(tmp_path / "p.parquet", clips, [0], [0], np.ones((1, 2)), np.full(2, ""), np.zeros(2), {})
    assert not list(tmp_path.iterdir())


def test_part_of_many_clips_costs_no_more_memory_than_one_of_few(tmp_path):
    """Were all N rows built for each of N / 256 parts, 2 million clips would take half a day in this function alone."""

    def peak_bytes(n: int) -> int:
        clips = make_clips(n, salience=np.ones(n))
        store._types_of(clips), clips.audio_root  # once for all parts
        sha256, seconds = np.full(n, "00"), np.ones(n)
        tracemalloc.start()
        store.write_part(store.part_path(tmp_path, n), clips, [3, 1], [1], np.ones((1, 4)), sha256, seconds, {})
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak_bytes(10)  # imports
    assert peak_bytes(30_000) < 2 * peak_bytes(300)


def test_column_of_text_here_and_there_has_one_type_in_every_part(tmp_path):
    clips = make_clips(4, note=np.array([None, None, "wind", None], dtype=object))
    features = np.arange(8, dtype=np.float32).reshape(4, 2)
    write_set(tmp_path / "toy" / "toy-0", clips, features, [[1, 0], [2, 3]])
    types = [pq.read_schema(path).field("note").type for path in sorted(tmp_path.rglob("*.parquet"))]
    assert types == [pa.string()] * 2
    made = store.read_embeddings(store.open_set(tmp_path / "toy" / "toy-0"))
    assert made.columns["note"].tolist() == [None, None, "wind", None]
    np.testing.assert_array_equal(made.features, features)

"""CSV and TSV manifests."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from soundprobe.audio.decode import inspect
from soundprobe.audio.encoded import read_bytes
from soundprobe.base import texts
from soundprobe.base.errors import DataError, SoundprobeWarning
from soundprobe.data.catalog import open_data
from soundprobe.data.readers import table
from soundprobe.data.readers.manifest import read_manifest


def test_read_manifest_all_columns_come_along(tmp_path: Path) -> None:
    path = tmp_path / "Köln clips.csv"
    lines = ["path,label,fold,group,gain,site", 'sub/ä 1.wav,10,0,r1,0.5,"a, b"', "/abs/2.wav,9,3,r2,2,007"]
    path.write_bytes("\r\n".join(lines).encode("utf-8-sig"))
    with pytest.warns(SoundprobeWarning, match=r"known by the numbers in label only \(9, 10\)\. Where a column"):
        clips = read_manifest(path)
    assert clips.ids.tolist() == ["sub/ä 1.wav", "/abs/2.wav"]
    assert list(clips.sources) == [str(tmp_path / "sub/ä 1.wav"), "/abs/2.wav"]
    assert clips.class_names == ("9", "10")
    assert clips.labels.tolist() == [1, 0]
    assert clips.folds.tolist() == [0, 3]
    assert clips.groups.tolist() == ["r1", "r2"]
    assert clips.columns["gain"].tolist() == [0.5, 2.0]
    assert clips.columns["site"].tolist() == ["a, b", "007"]


def rows(count: int) -> list[str]:
    return [f"{n}_{n % 3}.wav\t{'ab'[n % 2]}\trec{n // 4}" for n in range(count)]


def test_read_manifest_without_folds_makes_them_by_group(tmp_path: Path) -> None:
    path = tmp_path / "m.tsv"
    path.write_text("\n".join(["path\tlabel\tgroup", *rows(48)]))
    clips = read_manifest(path, folds=4, seed=1)
    assert sorted(set(clips.folds.tolist())) == [1, 2, 3, 4]
    for group in set(clips.groups):
        assert len(set(clips.folds[clips.groups == group])) == 1
    assert not clips.columns


def test_read_manifest_rows_in_another_order_keep_their_folds(tmp_path: Path) -> None:
    lines = ["path,label", *(f"{n}-x.wav,{'ab'[n % 2]}" for n in range(40))]
    (tmp_path / "one.csv").write_text("\n".join(lines))
    (tmp_path / "two.csv").write_text("\n".join([lines[0], *lines[:0:-1]]))
    one, two = (read_manifest(tmp_path / name, folds=5, seed=2) for name in ("one.csv", "two.csv"))
    assert dict(zip(one.ids, one.folds, strict=True)) == dict(zip(two.ids, two.folds, strict=True))
    assert np.bincount(one.folds).tolist() == [0, 8, 8, 8, 8, 8]
    assert one.groups.tolist() == one.ids.tolist()
    assert read_manifest(tmp_path / "one.csv", folds=5, group_prefix="-").groups[3] == "3"


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (
            "path,kind\na,b",
            {},
            "has no label column. It has 'path', 'kind'. Say which is which: --columns path=path,label=kind",
        ),
        ("path,label\na,", {}, "line 2: label is empty"),
        ("path,label\n,x", {}, "line 2: path is empty"),
        ("path,label,fold\na,x,1\nb,x,", {}, "line 3: fold '' is not a whole number"),
        ("path,label,fold\na,x,1\na,x,2", {}, "line 3: path 'a' stands at line 2 already"),
        ("path,label,fold,group\na,x,1,", {}, "line 2: group is empty"),
        (
            "path,label,fold,group\na,x,1,g",
            {"group_prefix": "-"},
            "says the clips' recordings already; leave --group-prefix out",
        ),
        ("path,label\na,x\nb,x", {}, "all clips are of one class, 'x', and two or more are needed"),
        ("path,label,Label\na,x,y", {}, "several columns may be the label: label, Label"),
        ("path,label\n[a],x", {}, "line 2: path '.a.' is no path"),
        ("path,label\na,x\nb,x\nc,y\nd,y", {}, "Class 'x' has 2 clips, too few for 10 folds. Give --folds 2"),
    ],
)
def test_read_manifest_malformed_names_the_place(
    tmp_path: Path, text: str, options: dict[str, str], message: str
) -> None:
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_manifest(tmp_path / "m.csv", **options)


def test_read_manifest_other_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="must end in .csv"):
        read_manifest(tmp_path / "m.md")


@pytest.mark.parametrize("labels", [("fold0", "fold1"), ("train", "test"), ("dev-clean", "test-clean")])
def test_manifest_labels_that_are_folds_or_splits_are_refused(tmp_path: Path, labels: tuple[str, str]) -> None:
    path = tmp_path / "m.csv"
    path.write_text("\n".join(["path,label", *(f"{n}.wav,{labels[n % 2]}" for n in range(8))]))
    with pytest.raises(DataError, match=f"the labels '{min(labels)}', '{max(labels)}' are called like splits or folds"):
        read_manifest(path, folds=2)


def test_manifest_labels_of_thousands_of_digits_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("\n".join(["path,label", *(f"{n}.wav,{'12'[n % 2] * 5000}" for n in range(8))]))
    assert [len(name) for name in read_manifest(path, folds=2).class_names] == [5000, 5000]


def write_clips(folder: Path, suffix: str = ".wav") -> None:
    """Ten clips of 1 s at 8 kHz."""
    import av

    for n in range(10):
        wave = np.random.default_rng(n).uniform(-0.5, 0.5, 8000).astype(np.float32)
        if suffix == ".wav":
            soundfile.write(folder / f"{n}.wav", wave, 8000)
            continue
        with av.open(str(folder / f"{n}{suffix}"), "w") as file:
            stream = file.add_stream("aac", rate=8000, layout="mono")
            frame = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
            frame.sample_rate = 8000
            for packet in [*stream.encode(frame), *stream.encode(None)]:
                file.mux(packet)


def timed(folder: Path, times: list[tuple[float, float]], suffix: str = ".wav") -> Path:
    lines = [f"{n}{suffix},{'ab'[n % 2]},{start},{end}" for n, (start, end) in enumerate(times)]
    (folder / "m.csv").write_text("\n".join(["path,label,start,end", *lines]))
    return folder / "m.csv"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((0.5, 0.1), "line 5: the segment from 0.5 to 0.1 s has no length"),
        ((0.1, 9), "line 5: the segment ends at 9 s, and the file at 1.00 s. --columns start=,end= reads whole files"),
    ],
)
def test_read_manifest_one_wrong_time_is_an_error_and_no_whole_files(
    tmp_path: Path, row: tuple[float, float], message: str
) -> None:
    write_clips(tmp_path)
    with pytest.raises(DataError, match=message):
        read_manifest(timed(tmp_path, [(0.1, 0.5)] * 3 + [row] + [(0.1, 0.5)] * 6), folds=2)


@pytest.mark.parametrize("suffix", [".wav", ".m4a"])
def test_read_manifest_segments_of_any_format_are_read_each_from_a_recording_of_its_own(
    tmp_path: Path, suffix: str
) -> None:
    write_clips(tmp_path, suffix)
    clips = read_manifest(timed(tmp_path, [(0.25, 0.75)] * 10, suffix), folds=2)
    assert inspect(read_bytes(clips.sources[3]), "x").frames == 4000
    assert not clips.recordings_known


def test_read_manifest_times_elsewhere_are_whole_files_also_where_some_begin_at_zero(tmp_path: Path) -> None:
    write_clips(tmp_path)
    times = [(0, 1)] * 4 + [(7.5, 8.5)] * 6
    with pytest.warns(SoundprobeWarning, match="beyond the end of 6 of 10 files"):
        assert read_manifest(timed(tmp_path, times), folds=2).ids[5] == "5.wav"


@pytest.mark.parametrize("other", ["./0.wav", "sub/../0.wav", "{folder}/0.wav"])
def test_read_manifest_one_file_under_two_paths_is_refused_for_any_spelling(tmp_path: Path, other: str) -> None:
    (tmp_path / "sub").mkdir()
    write_clips(tmp_path)
    for label, message in (("b", "line 3: 0.wav has the labels 'a' and 'b'"), ("a", "line 3: path '0.wav' stands at")):
        (tmp_path / "m.csv").write_text(f"path,label\n0.wav,a\n{other.format(folder=tmp_path)},{label}\n")
        with pytest.raises(DataError, match=message):
            read_manifest(tmp_path / "m.csv")
    rows = [f"{path},{'ab'[n]},{n / 2},{n / 2 + 0.5},{n}" for n, path in enumerate(["0.wav", other])]
    (tmp_path / "m.csv").write_text("\n".join(["path,label,start,end,fold", *rows]).format(folder=tmp_path))
    assert read_manifest(tmp_path / "m.csv").groups.tolist() == ["0.wav", "0.wav"]


@pytest.mark.parametrize(
    ("column", "labels"),
    [("label", ["Guitar,Music", "Bass,Music"]), ("tags", ["dog, rain", "horn"]), ("Labels", ["dog,rain", "horn"])],
)
def test_read_manifest_lists_with_commas_are_several_labels_where_a_part_recurs_or_the_column_is_a_plural(
    tmp_path: Path, column: str, labels: list[str]
) -> None:
    (tmp_path / "m.csv").write_text(f"path,{column},fold\n" + "".join(f'{n}.wav,"{labels[n]}",{n}\n' for n in (0, 1)))
    with pytest.raises(DataError, match=f"line 2: {column} '{labels[0]}' names several classes"):
        read_manifest(tmp_path / "m.csv")


def test_read_manifest_labels_that_are_no_name_are_refused_or_noted(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    for label, message in (("NaN", "line 2: label is empty"), ('{"name": "a"}', "line 2: label .* is no name of a")):
        path.write_text(f'{{"path": "a", "label": "dog"}}\n{{"path": "b", "label": {label}}}')
        with pytest.raises(DataError, match=message):
            read_manifest(path)
    (tmp_path / "m.csv").write_text("path,label,fold\na,NA,1\nb,None,2\nc,dog,1\n")
    with pytest.warns(SoundprobeWarning, match="label is 'NA' or 'None' in 2 rows. That is taken for a class"):
        assert read_manifest(tmp_path / "m.csv").class_names == ("NA", "None", "dog")


def test_manifest_in_parquet_is_read_as_the_same_in_csv(tmp_path: Path) -> None:
    columns = {"path": [f"{n}.wav" for n in range(6)], "label": ["a", "b"] * 3, "fold": [1, 1, 2, 2, 3, 3]}
    pq.write_table(pa.table(columns), tmp_path / "m.parquet", row_group_size=4)
    lines = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
    (tmp_path / "m.csv").write_text("\n".join(lines))
    one, other = (open_data(tmp_path / f"m{ending}") for ending in (".parquet", ".csv"))
    for name in ("ids", "labels", "folds", "groups", "sources"):
        assert list(getattr(one, name)) == list(getattr(other, name))


def test_read_manifest_holds_few_bytes_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it holds at most and in the end, told by two sizes; a row of Python's own objects takes some hundreds."""
    monkeypatch.setattr(texts, "BATCH", 128)
    monkeypatch.setattr(table, "BATCH", 128)

    def held(rows: int) -> np.ndarray:
        path = tmp_path / f"{rows}.csv"
        lines = [f"segments/{row * 7919:011d}-{row % 90:02d}000.wav,class {row % 9},{row % 10}" for row in range(rows)]
        path.write_text("\n".join(["path,label,fold", *lines]))
        del lines
        tracemalloc.start()
        clips = read_manifest(path)
        left, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(clips) == rows
        return np.array([most, left])

    few, many = held(2_000), held(6_000)
    most, left = (many - few) / 4_000
    assert left < 80
    assert most < 150

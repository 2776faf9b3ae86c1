"""CSV and TSV manifests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from soundprobe.base.errors import DataError
from soundprobe.data.readers.manifest import read_manifest


def test_read_manifest_all_columns_come_along(tmp_path: Path) -> None:
    path = tmp_path / "Köln clips.csv"
    lines = ["path,label,fold,group,gain,site", 'sub/ä 1.wav,10,0,r1,0.5,"a, b"', "/abs/2.wav,9,3,r2,2,007"]
    path.write_bytes("\r\n".join(lines).encode("utf-8-sig"))
    clips = read_manifest(path)
    assert clips.ids.tolist() == ["sub/ä 1.wav", "/abs/2.wav"]
    assert clips.sources == [str(tmp_path / "sub/ä 1.wav"), "/abs/2.wav"]
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
        ("path,label\na,x\nb,x", {}, "Class 'x' has 2 clips, too few for 10 folds. Give --folds 2"),
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
        read_manifest(tmp_path / "m.txt")


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

"""Metadata tables: what is read, and that everything wrong is named by file and row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from soundprobe.base.errors import DataError
from soundprobe.data.readers.manifest import is_manifest
from soundprobe.data.readers.table import Table, read_table


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def column(*values: str) -> Table:
    return Table("t.csv", {"x": values}, [f"line {row + 2}" for row in range(len(values))])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_read_table_quotes_and_blank_lines_are_read(tmp_path: Path, encoding: str, end: str) -> None:
    lines = ["path,label", '"a, ""b"".wav",Hündin', "", '"two', 'lines",<script>', "c.wav,x"]
    table = read_table(write(tmp_path / "t.csv", end.join(lines) + end, encoding))
    assert list(table.columns["path"]) == ['a, "b".wav', f"two{end}lines", "c.wav"]
    assert list(table.columns["label"]) == ["Hündin", "<script>", "x"]
    assert list(table.rows) == ["line 2", "line 4", "line 6"]


def test_read_table_tsv_splits_at_tabs(tmp_path: Path) -> None:
    table = read_table(write(tmp_path / "t.TSV", "path\tlabel\na,b.wav\tdog\n"))
    assert table.columns == {"path": ["a,b.wav"], "label": ["dog"]}


@pytest.mark.parametrize("change", [1, 2, 0x80])
def test_parquet_of_any_changed_byte_is_refused_or_has_as_many_values_as_rows(tmp_path: Path, change: int) -> None:
    whole = pa.BufferOutputStream()
    pq.write_table(pa.table({"path": ["a.wav", "b.wav"], "label": ["x", "y"]}), whole, compression="none")
    content, path, refused = bytearray(whole.getvalue()), tmp_path / "t.parquet", 0
    for at in range(len(content)):
        content[at] ^= change
        path.write_bytes(content)
        content[at] ^= change
        is_manifest(path)
        try:
            table = read_table(path)
        except DataError:
            refused += 1
        else:
            assert {len(values) for values in table.columns.values()} == {len(table.rows)}
    assert 0 < refused < len(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no rows"),
        (b"path,label\n", "has no rows"),
        (b"path,label\na,b,c\n", "line 2: 3 fields, but the header names 2 columns"),
        (b"path,label\na,b\nc\n", "line 3: 1 fields"),
        (b"path,path\na,b\n", "two columns named 'path'"),
        (b'path,label\n"a,b\n', "line 2: unexpected end of data"),
        (b"path,label\n\xff\xfe,b\n", "is not UTF-8 text .* at byte 11"),
        (b"\xff\xfep\0a", "is not UTF-16 text"),
        ("path,label\na,b\n".encode("utf-16-be"), "NUL characters, as UTF-16 has. Save it as UTF-8"),
    ],
)
def test_read_table_malformed_names_file_and_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(DataError, match=rf"t\.csv.*{message}"):
        read_table(tmp_path / "t.csv")


def test_read_table_of_a_hundred_thousand_columns_is_read_at_once(tmp_path: Path) -> None:
    names = [f"c{number}" for number in range(100_000)]
    table = read_table(write(tmp_path / "t.csv", "\n".join(2 * [",".join(names)])))
    assert list(table.columns) == names


def test_read_table_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"Can't read .*gone\.csv: No such file"):
        read_table(tmp_path / "gone.csv")


@pytest.mark.parametrize("value", ["", "1.0", "one", "-1", "1e3", "99999999999999999999", "٣"])
def test_integers_not_whole_names_the_row(value: str) -> None:
    with pytest.raises(DataError, match=r"t\.csv, line 3: x '.*' is not a whole number from 0 on"):
        column("1", value).integers("x")


@pytest.mark.parametrize("value", ["", "nan", "inf", "1,5", "x"])
def test_numbers_not_finite_names_the_row(value: str) -> None:
    with pytest.raises(DataError, match=r"t\.csv, line 3: x '.*' is not a number"):
        column("1", value).numbers("x")


def test_unique_texts_a_text_twice_names_both_rows() -> None:
    with pytest.raises(DataError, match=r"t\.csv, line 4: x 'a' stands at line 2 already"):
        column("a", "b", " a").unique_texts("x")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", "-2"], np.array([1, -2])),
        (["1", "2.5"], np.array([1.0, 2.5])),
        (["007", "1"], np.array(["007", "1"])),
        (["1", ""], np.array(["1", ""])),
        (["nan", "1"], np.array(["nan", "1"])),
    ],
)
def test_guessed_column_gets_its_type(values: list[str], expected: np.ndarray) -> None:
    guessed = column(*values).guessed("x")
    assert guessed.dtype.kind == expected.dtype.kind
    assert guessed.tolist() == expected.tolist()


def test_require_missing_column_lists_what_is_there() -> None:
    with pytest.raises(DataError, match=r"t\.csv has no column 'y', 'z'\. It has x; needed are x, y, z"):
        column("1").require(("x", "y", "z"))


@pytest.mark.parametrize("path", ["../a.wav", "x/../../a.wav", "/etc/a.wav", "..\\a.wav", "C:\\a.wav", "C:a.wav"])
def test_inner_paths_that_lead_out_of_the_folder_are_refused_with_the_row(path: str) -> None:
    with pytest.raises(DataError, match=r"line 3: x .* leads out of the data set's folder"):
        column("a.wav", path).inner_paths("x")
    assert column("a.wav", "x/b.wav", "x/../..c.wav").inner_paths("x")[2] == "x/../..c.wav"

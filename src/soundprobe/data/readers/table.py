"""Tables of metadata, read strictly: whatever is wrong is an error that names the file and the row."""

from __future__ import annotations

import codecs
import csv
import io
import math
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import TextIO

import numpy as np

from soundprobe.base.errors import DataError, one_line
from soundprobe.base.files import parse_json
from soundprobe.data.readers.locate import nearest_name

DELIMITERS = ",;\t|"
DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+,\d+\s*")
MAX_INTEGER = 2**53  # beyond it a column would change on its way through a float


@dataclass(frozen=True)
class Table:
    """N rows of text.

    Attributes:
        source: the file or data set, as messages name it.
        columns: name -> N texts, as they stand in the file.
        rows: where each row stands: "line 12", "row 3".
    """

    source: str
    columns: Mapping[str, Sequence[str]]
    rows: Sequence[str]

    def __len__(self) -> int:
        return len(self.rows)

    def error(self, row: int, message: str) -> DataError:
        """The error to raise for what is wrong in row number `row` (from 0)."""
        return DataError(f"{self.source}, {self.rows[row]}: {message}")

    def require(self, names: Sequence[str]) -> None:
        """Raises DataError where a column is missing."""
        missing = [name for name in names if name not in self.columns]
        if missing:
            raise DataError(
                f"{self.source} has no column {', '.join(map(repr, missing))}. "
                f"It has {', '.join(self.columns) or 'none'}; needed are {', '.join(names)}."
            )

    def texts(self, name: str) -> list[str]:
        """The column without blanks around its texts. Raises DataError where one is empty."""
        values = [value.strip() for value in self.columns[name]]
        if not all(values):
            raise self.error(values.index(""), f"{name} is empty.")
        return values

    def inner_paths(self, name: str) -> list[str]:
        """As `texts`; raises DataError also where a path leads out of the folder that it is told for."""
        values = self.texts(name)
        for row, value in enumerate(values):
            path = os.path.normpath(value.replace("\\", "/"))
            if path == ".." or path.startswith(("/", "../")) or PureWindowsPath(path).drive:
                raise self.error(row, f"{name} {value!r} leads out of the data set's folder. Give a manifest for that.")
        return values

    def unique_texts(self, name: str) -> list[str]:
        """As `texts`; raises DataError also where a text stands twice."""
        values = self.texts(name)
        self.check_unique(values, name, "drop one of the two")
        return values

    def check_unique(self, values: Sequence[str], what: str, remedy: str) -> None:
        """Raises DataError where one of the rows' `values`, each a `what`, stands twice."""
        first: dict[str, int] = {}
        for row, value in enumerate(values):
            if first.setdefault(value, row) != row:
                raise self.error(row, f"{what} {value!r} stands at {self.rows[first[value]]} already; {remedy}.")

    def integers(self, name: str, lowest: int = 0) -> np.ndarray:
        """The column as (N,) int64. Raises DataError where a value is no whole number from `lowest` on."""
        values = self.columns[name]
        for row, value in enumerate(values):
            if not _is_integer(value.strip()) or int(value) < lowest:
                raise self.error(row, f"{name} {value!r} is not a whole number from {lowest} on.")
        return np.array([int(value) for value in values], dtype=np.int64)

    def numbers(self, name: str) -> np.ndarray:
        """The column as (N,) float64. Raises DataError where a value is no finite number."""
        numbers = np.empty(len(self), dtype=np.float64)
        for row, value in enumerate(self.columns[name]):
            number = _number(value)
            if number is None:
                raise self.error(row, f"{name} {value!r} is not a number.")
            numbers[row] = number
        return numbers

    def classes(self, number: str, name: str) -> tuple[np.ndarray, tuple[str, ...]]:
        """Labels (N,) int64 and the C class names, in the order of the column `number`, which may leave numbers out.

        Raises DataError where a number goes with two names, or a name with two numbers.
        """
        ids, texts = self.integers(number), self.texts(name)
        names: dict[int, str] = {}
        numbers: dict[str, int] = {}
        for row, (class_id, text) in enumerate(zip(ids.tolist(), texts, strict=True)):
            if names.setdefault(class_id, text) != text:
                raise self.error(
                    row, f"{name} {text!r} has {number} {class_id}, which stands for {names[class_id]!r} above."
                )
            if numbers.setdefault(text, class_id) != class_id:
                raise self.error(row, f"{name} {text!r} has {number} {class_id}, but {numbers[text]} above.")
        order, labels = np.unique(ids, return_inverse=True)
        return labels, tuple(names[class_id] for class_id in order.tolist())

    def guessed(self, name: str) -> np.ndarray:
        """The column as (N,) int64 or float64 where every value is such a number, else as (N,) str.

        "007" stays text: as a number it would lose its zeros.
        """
        values = [value.strip() for value in self.columns[name]]
        if all(_is_integer(value) and str(int(value)) == value for value in values):
            return np.array([int(value) for value in values], dtype=np.int64)
        numbers = [_number(value) for value in values]
        if all(number is not None for number in numbers) and not any(re.match(r"[+-]?0\d", v) for v in values):
            return np.array(numbers, dtype=np.float64)
        return np.array(values, dtype=np.str_)


def _is_integer(text: str) -> bool:
    return re.fullmatch(r"-?\d{1,16}", text, flags=re.ASCII) is not None and abs(int(text)) <= MAX_INTEGER


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def has_columns(path: Path, names: Sequence[str]) -> bool:
    """Whether `path` is a .csv file with these columns, and maybe more."""
    return path.is_file() and path.suffix.lower() == ".csv" and set(names) <= set(read_table(path).columns)


def read_table(path: Path) -> Table:
    """The table in a .csv, .tsv, .txt, .jsonl or .parquet file.

    Text is UTF-8 with or without a byte order mark, or UTF-16 with one, with any line ends.

    Fields of .csv, .tsv and .txt are separated by what stands most often between the header's names: commas,
    semicolons, tabs or bars. They may be quoted. A column without a name, such as pandas's index, is left out. A line
    of .jsonl is an object; a field that it lacks is empty. A column of lists, all as long, is a column for each place:
    "0", "1", ...

    Raises:
        DataError: no such file, no such text, no rows, columns of one name, a row with too many or too few fields, no
            JSON.
    """
    if path.suffix.lower() == ".parquet":
        return _parquet(path)
    text = read_text(path)
    if path.suffix.lower() == ".jsonl":
        return _json_lines(path, io.StringIO(text))
    with io.StringIO(text, newline="") as file:
        delimiter = _delimiter(file.readline(), path)
        if not text.lower().startswith("sep="):  # Excel's own line, which is no header
            file.seek(0)
        lines = csv.reader(file, delimiter=delimiter, strict=True)
        header, rows, numbers = _split_lines(path, lines)
    if delimiter == ";":  # where a comma is the decimal point
        rows = [[f.replace(",", ".") if DECIMAL_COMMA.fullmatch(f) else f for f in row] for row in rows]
    columns = {name: [fields[at] for fields in rows] for at, name in enumerate(header) if name}
    return Table(str(path), columns, [f"line {number}" for number in numbers])


def read_text(path: Path) -> str:
    """The text in a file: UTF-8 with or without a byte order mark, or UTF-16 with one, as Excel's "Unicode text" is.

    Raises:
        DataError: it can't be read, or is no such text.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"Can't read {path}: {error.strerror or error}.{nearest_name(path)}") from error
    marked = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError as error:
        told = f"{'UTF-16' if marked else 'UTF-8'} text ({error.reason} at byte {error.start})"
        raise DataError(f"{path} is not {told}. Save it as UTF-8.") from None
    if "\0" in text:
        raise DataError(f"{path} is no text: it has NUL characters, as UTF-16 has. Save it as UTF-8.")
    return text


def _delimiter(header: str, path: Path) -> str:
    """What separates the names of a header line; Excel may say it as "sep=;"."""
    if header.lower().startswith("sep=") and header[4:5].strip():
        return header[4]
    bare = re.sub(r'"[^"]*"', "", header)
    usual = "\t" if path.suffix.lower() == ".tsv" else ","
    return max((usual, *DELIMITERS), key=bare.count)


def _parquet(path: Path) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        found = pq.read_table(path, partitioning=None)
        columns: dict[str, list[str]] = {}
        for name, column in zip(found.column_names, found.columns, strict=True):
            values = column.to_pylist()
            widths = {len(value) for value in values if isinstance(value, list)}
            if len(widths) == 1 and max(widths) > 1 and all(isinstance(value, list) for value in values):
                columns |= {str(at): [as_text(value[at]) for value in values] for at in range(max(widths))}
            else:
                columns[name] = list(map(as_text, values))
    except FileNotFoundError:
        raise DataError(f"Can't read {path}: No such file or directory.{nearest_name(path)}") from None
    except (OSError, pa.ArrowException, ValueError) as error:
        raise DataError(f"{path} can't be read as Parquet ({one_line(error)}). Write it again, or as CSV.") from None
    if not found.num_rows:
        raise DataError(f"{path} has no rows; one for each clip is needed.")
    return Table(str(path), columns, [f"row {row + 1}" for row in range(found.num_rows)])


def _json_lines(path: Path, file: TextIO) -> Table:
    columns: dict[str, list[str]] = {}
    rows: list[str] = []
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            entry = {as_text(name): as_text(value) for name, value in parse_json(line).items()}
        except ValueError as error:
            raise DataError(
                f"{path}, line {number}: no JSON object ({error}). Write one for each clip, each on a line of its own."
            ) from None
        for name, text in entry.items():
            columns.setdefault(name, [""] * len(rows)).append(text)
        rows.append(f"line {number}")
        for values in columns.values():
            values.extend([""] * (len(rows) - len(values)))
    if not rows:
        raise DataError(f"{path} has no rows; one for each clip is needed.")
    return Table(str(path), columns, rows)


def as_text(value: object) -> str:
    """A value of JSON or Parquet as a table's field: nothing and NaN are empty, a list of one is its one, and bytes are
    text in UTF-8.
    """
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, bytes):
        value = value.decode(errors="backslashreplace")
    text = "" if value is None or value != value else str(value)
    text.encode()  # half a surrogate pair can't be kept in a table
    return text


def _split_lines(path: Path, lines: csv.reader) -> tuple[list[str], list[list[str]], list[int]]:  # type: ignore[valid-type]
    """The header, the rows' fields, and the line on which each row begins."""
    header: list[str] = []
    rows: list[list[str]] = []
    numbers: list[int] = []
    before = 0
    try:
        for fields in lines:  # type: ignore[attr-defined]
            number, before = before + 1, lines.line_num  # type: ignore[attr-defined]
            if not any(field.strip() for field in fields):
                continue
            if not header:
                header = [name.strip() for name in fields]
                continue
            if len(fields) != len(header):
                comment = " Its first line is a comment: remove it." * header[0].startswith("#")
                raise DataError(
                    f"{path}, line {number}: {len(fields)} fields, but the header names {len(header)} columns.{comment}"
                )
            rows.append(fields)
            numbers.append(number)
    except csv.Error as error:
        raise DataError(f"{path}, line {before + 1}: {error}.") from None
    twice = [name for name, count in Counter(header).items() if name and count > 1]
    if twice:
        raise DataError(f"{path} has two columns named {twice[0]!r}. Rename one.")
    if not rows:
        raise DataError(f"{path} has no rows; a header and one row for each clip are needed.")
    return header, rows, numbers

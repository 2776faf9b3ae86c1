"""Tables of metadata, read strictly: whatever is wrong is an error that names the file and the row."""

from __future__ import annotations

import codecs
import csv
import itertools
import math
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any, TextIO

import numpy as np

from soundprobe.base.errors import DataError, one_line
from soundprobe.base.files import parse_json
from soundprobe.base.texts import BATCH, CompactTexts, TextsBuilder, first_of_each, texts_of
from soundprobe.data.readers.locate import nearest_name

DELIMITERS = ",;\t|"
DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+,\d+\s*")
CHECKED_BYTES = 2**20
MAX_INTEGER = 2**53  # beyond it a column would change on its way through a float


@dataclass(frozen=True)
class Table:
    """N rows of text.

    Attributes:
        source: the file or data set, as messages name it.
        columns: name -> N texts; of files without blanks around them.
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

    def texts(self, name: str) -> CompactTexts:
        """The column without blanks around its texts. Raises DataError where one is empty."""
        column = self.columns[name]
        values = column if isinstance(column, CompactTexts) else texts_of(value.strip() for value in column)
        if "" in values:
            raise self.error(values.index(""), f"{name} is empty.")
        return values

    def inner_paths(self, name: str) -> CompactTexts:
        """As `texts`; raises DataError also where a path leads out of the folder that it is told for."""
        values = self.texts(name)
        for row, value in enumerate(values):
            path = os.path.normpath(value.replace("\\", "/"))
            if path == ".." or path.startswith(("/", "../")) or PureWindowsPath(path).drive:
                raise self.error(row, f"{name} {value!r} leads out of the data set's folder. Give a manifest for that.")
        return values

    def unique_texts(self, name: str) -> CompactTexts:
        """As `texts`; raises DataError also where a text stands twice."""
        values = self.texts(name)
        self.check_unique(values, name)
        return values

    def check_unique(self, values: Sequence[str], what: str) -> None:
        """Raises DataError where one of N values stands twice."""
        first = first_of_each(values)
        again = np.flatnonzero(first != np.arange(len(first)))
        if len(again):
            row = int(again[0])
            told = f"{what} {values[row]!r} stands at {self.rows[first[row]]} already"
            raise self.error(row, f"{told}; drop one of the two.")

    def integers(self, name: str, lowest: int = 0) -> np.ndarray:
        """The column as (N,) int64. Raises DataError where a value is no whole number from `lowest` on."""
        found = np.empty(len(self), dtype=np.int64)
        for row, value in enumerate(self.columns[name]):
            if not _is_integer(value.strip()) or int(value) < lowest:
                raise self.error(row, f"{name} {value!r} is not a whole number from {lowest} on.")
            found[row] = int(value)
        return found

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

    def guessed(self, name: str) -> np.ndarray | CompactTexts:
        """The column as (N,) int64 or float64 where every value is such a number, else as N texts.

        "007" stays text: as a number it would lose its zeros.
        """
        values = self.columns[name]
        for kind, read in ((np.int64, _plain_integer), (np.float64, _plain_number)):
            with suppress(ValueError):
                return np.fromiter((read(value.strip()) for value in values), kind, len(values))
        return values if isinstance(values, CompactTexts) else texts_of(value.strip() for value in values)


def _plain_integer(text: str) -> int:
    """Raises ValueError where `text` is not how the number is written."""
    if not _is_integer(text) or str(int(text)) != text:
        raise ValueError(text)
    return int(text)


def _plain_number(text: str) -> float:
    """Raises ValueError where `text` is no number, or has zeros that it would lose."""
    number = _number(text)
    if number is None or re.match(r"[+-]?0\d", text):
        raise ValueError(text)
    return number


class Places(Sequence[str]):
    """Where N rows stand: `unit` "line" or "row", and numbers (N,) int."""

    def __init__(self, unit: str, numbers: Sequence[int] | np.ndarray) -> None:
        self.unit, self.numbers = unit, numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, row: Any) -> Any:
        return f"{self.unit} {self.numbers[row]}"


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
    return path.is_file() and path.suffix.lower() == ".csv" and set(names) <= set(header_of(path))


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
    if path.suffix.lower() == ".jsonl":
        return _json_lines(path)
    with _lines_of(path) as (header, delimiter, lines):
        columns = [TextsBuilder() if name else None for name in header]
        numbers: list[np.ndarray] = []
        while some := list(itertools.islice(lines, BATCH)):
            numbers.append(np.array([number for number, _ in some], dtype=np.uint32))
            for column, texts in zip(columns, zip(*(fields for _, fields in some), strict=True), strict=True):
                if column is not None:
                    plain = [text.strip() for text in texts]
                    column.extend(list(map(_with_decimal_point, plain)) if delimiter == ";" else plain)
    if not numbers:
        raise _no_rows(path)
    read = {name: column.column() for name, column in zip(header, columns, strict=True) if column is not None}
    return Table(str(path), read, Places("line", np.concatenate(numbers)))


def header_of(path: Path) -> list[str]:
    """The names of a table's columns, of which no more than two lines are read where it is text in columns.

    Raises:
        DataError: as `read_table`.
    """
    if path.suffix.lower() in (".parquet", ".jsonl"):
        return list(read_table(path).columns)
    with _lines_of(path) as (header, _, lines):
        if next(lines, None) is None:
            raise _no_rows(path)
        return [name for name in header if name]


def _no_rows(path: Path) -> DataError:
    return DataError(f"{path} has no rows; a header and one row for each clip are needed.")


def _with_decimal_point(text: str) -> str:
    return text.replace(",", ".") if DECIMAL_COMMA.fullmatch(text) else text


@contextmanager
def _lines_of(path: Path) -> Iterator[tuple[list[str], str, Iterator[tuple[int, list[str]]]]]:
    """The header, what separates fields, and each row's fields with the number of the line that it begins on."""
    with open_text(path, newline="") as file:
        first = file.readline()
        delimiter = _delimiter(first, path)
        if not first.lower().startswith("sep="):  # Excel's own line, which is no header
            file.seek(0)
        lines = _numbered(path, csv.reader(file, delimiter=delimiter, strict=True))
        _, header = next(lines, (0, []))
        header = [name.strip() for name in header]
        twice = [name for name, count in Counter(header).items() if name and count > 1]
        if twice:
            raise DataError(f"{path} has two columns named {twice[0]!r}. Rename one.")
        yield header, delimiter, _as_many(path, header, lines)


def _as_many(
    path: Path, header: Sequence[str], lines: Iterator[tuple[int, list[str]]]
) -> Iterator[tuple[int, list[str]]]:
    """The lines, each of which has a field for each name."""
    for number, fields in lines:
        if len(fields) != len(header):
            comment = " Its first line is a comment: remove it." * header[0].startswith("#")
            raise DataError(
                f"{path}, line {number}: {len(fields)} fields, but the header names {len(header)} columns.{comment}"
            )
        yield number, fields


def _numbered(path: Path, lines: csv.reader) -> Iterator[tuple[int, list[str]]]:  # type: ignore[valid-type]
    """The fields of lines that are not blank, and the number of the line that they begin on."""
    before = 0
    try:
        for fields in lines:  # type: ignore[attr-defined]
            number, before = before + 1, lines.line_num  # type: ignore[attr-defined]
            if any(field.strip() for field in fields):
                yield number, fields
    except csv.Error as error:
        raise DataError(f"{path}, line {before + 1}: {error}.") from None


def open_text(path: Path, newline: str | None = None) -> TextIO:
    """A file with text, checked to its end: UTF-8 with or without a byte order mark, or UTF-16 with one, as Excel's
    "Unicode text" is.

    Raises:
        DataError: it can't be read, or is no such text.
    """
    try:
        with open(path, "rb") as file:
            marked = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
            encoding, ended, at = "utf-16" if marked else "utf-8-sig", False, 0
            decoder = codecs.getincrementaldecoder(encoding)()
            file.seek(0)
            while not ended:
                block, begun = file.read(CHECKED_BYTES), len(decoder.getstate()[0])
                ended = not block
                if "\0" in decoder.decode(block, ended):
                    raise DataError(f"{path} is no text: it has NUL characters, as UTF-16 has. Save it as UTF-8.")
                at += len(block)
    except OSError as error:
        raise DataError(f"Can't read {path}: {error.strerror or error}.{nearest_name(path)}") from error
    except UnicodeDecodeError as error:
        told = f"{'UTF-16' if marked else 'UTF-8'} text ({error.reason} at byte {at - begun + error.start})"
        raise DataError(f"{path} is not {told}. Save it as UTF-8.") from None
    return open(path, encoding=encoding, newline=newline)


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
        with pq.ParquetFile(path) as file:
            rows = 0
            kinds = dict(zip(file.schema_arrow.names, file.schema_arrow.types, strict=True))
            lists: dict[str, list[Any]] = {
                name: [] for name, kind in kinds.items() if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind)
            }
            texts = {name: TextsBuilder() for name in kinds if name not in lists}
            for batch in file.iter_batches(BATCH):
                rows += len(batch)
                for name, column in zip(batch.schema.names, batch.columns, strict=True):
                    if name in lists:
                        lists[name] += column.to_pylist()
                    else:
                        texts[name].extend([as_text(value).strip() for value in column.to_pylist()])
            if rows != file.metadata.num_rows:
                raise ValueError(f"{file.metadata.num_rows} rows are said to be there, {rows} are")
        columns: dict[str, Sequence[str]] = {}
        for name in kinds:
            values = lists.get(name, ())
            widths = {-1 if value is None else len(value) for value in values}
            if len(widths) == 1 and max(widths) > 1:
                columns |= {str(at): [as_text(value[at]) for value in values] for at in range(max(widths))}
            else:
                columns[name] = list(map(as_text, values)) if name in lists else texts[name].column()
    except FileNotFoundError:
        raise DataError(f"Can't read {path}: No such file or directory.{nearest_name(path)}") from None
    except (OSError, pa.ArrowException, ValueError) as error:
        raise DataError(f"{path} can't be read as Parquet ({one_line(error)}). Write it again, or as CSV.") from None
    if not rows:
        raise DataError(f"{path} has no rows; one for each clip is needed.")
    return Table(str(path), columns, Places("row", range(1, rows + 1)))


def _json_lines(path: Path) -> Table:
    columns: dict[str, TextsBuilder] = {}
    numbers: list[int] = []
    with open_text(path, newline="\n") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                entry = {as_text(name): as_text(value).strip() for name, value in parse_json(line).items()}
            except ValueError as error:
                raise DataError(
                    f"{path}, line {number}: no JSON object ({error}). Write one for each clip, each on a line of its "
                    "own."
                ) from None
            for name in entry:
                if name not in columns:
                    columns[name] = TextsBuilder()
                    for start in range(0, len(numbers), BATCH):
                        columns[name].extend([""] * min(BATCH, len(numbers) - start))
            for name, column in columns.items():
                column.extend([entry.get(name, "")])
            numbers.append(number)
    if not numbers:
        raise DataError(f"{path} has no rows; one for each clip is needed.")
    read = {name: column.column() for name, column in columns.items()}
    return Table(str(path), read, Places("line", np.array(numbers)))


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

"""A manifest: a table with the path and label of each clip, and its fold or split, recording and times if there are."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from soundprobe.audio.segments import SLACK_S, duration_s, segment
from soundprobe.base.errors import DataError, note
from soundprobe.base.files import path_name
from soundprobe.base.records import Clips, EncodedAudio, Source
from soundprobe.base.remote import is_url, placed
from soundprobe.base.texts import CompactTexts, texts_of
from soundprobe.data.readers.assemble import FoldOptions, Found, assemble, fold_number, split_of
from soundprobe.data.readers.columns import check_paths, check_single_labels, choose_columns, parse_columns, plain_name
from soundprobe.data.readers.locate import LocatedFiles, Locator, first_of_each_file
from soundprobe.data.readers.table import Table, read_table

ENDINGS = (".csv", ".tsv", ".txt", ".jsonl")
PARQUET = ".parquet"
NEARLY_ALL = 0.9
PARTS = "drop one of the two; or, where they are parts of a long recording, give columns start and end, in seconds"
LIKE_TIMES = re.compile(
    r"(segment_)?(start|begin|onset|end|stop|offset|t_?min|t_?max)(_?(time|at|ms|msec|samples?|frames?))*"
)
NUMBER = re.compile(r"[+-]?\d{1,9}(\.\d{0,9})?")


def is_manifest(path: Path) -> bool:
    """By its ending; of Parquet what has no audio in it."""
    if not path.is_file() or path.suffix.lower() not in (*ENDINGS, PARQUET):
        return False
    if path.suffix.lower() != PARQUET:
        return True
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        kinds = pq.read_schema(path).types
    except (OSError, pa.ArrowException, UnicodeDecodeError):  # whoever reads it says so
        return False
    return not any(pa.types.is_struct(kind) or pa.types.is_binary(kind) for kind in kinds)


def read_manifest(
    path: str | Path, *, columns: str | None = None, audio_root: str | Path | None = None, **options: Any
) -> Clips:
    """The clips that a manifest names, one a row; see `read_table` for the file and `ROLES` for its columns.

    `path` is below the manifest's folder or absolute, and is the clip's id too; `label` is the class's name; `fold` is
    a whole number (without it, folds are made as `read_folders` makes them), `split` a split's name; `group` is the
    source recording (without it, what `group_prefix` or `group_regex` finds). With `start` and `end`, in seconds, clips
    are segments of the files, and the file is their recording. Any other column comes along as a further column of the
    clips, as numbers where all its values are.

    Args:
        columns: which column is which, such as "path=filename,label=category".
        audio_root: the folder that the paths are below, or end in.
        options: see `FoldOptions`.

    Raises:
        DataError: a missing or empty field, a path twice, a fold that is no whole number, several labels for a clip,
            both a group column and an option for it, or too few clips for the folds that are to be made.
    """
    file = Path(path)
    if file.suffix.lower() not in (*ENDINGS, PARQUET):
        raise DataError(f"{file} is no manifest: its name must end in {', '.join((*ENDINGS, PARQUET))}.")
    if audio_root is not None and not is_url(audio_root) and not Path(audio_root).is_dir():
        raise DataError(f"--audio-root {audio_root} is no folder. Give the one that the clips' paths are below.")
    root = file.parent if audio_root is None else placed(audio_root)
    return clips_of_table(
        read_table(file),
        path_name(file.stem).lower(),
        FoldOptions(**options),
        columns=columns,
        locate=functools.partial(LocatedFiles, Locator(root, given=audio_root is not None)),
    )


def clips_of_table(
    table: Table,
    name: str,
    how: FoldOptions,
    *,
    columns: str | None = None,
    locate: Callable[[Sequence[str]], Sequence[str]] | None = None,
    inside: tuple[Sequence[str], Sequence[Source]] | None = None,
    class_orders: Mapping[str, Sequence[str]] | None = None,
    splits: Sequence[str] | None = None,
) -> Clips:
    """The clips of a table's rows.

    Args:
        locate: finds the files of paths.
        inside: the ids and sources of the rows, where the audio is in the table; no path is needed then.
        class_orders: column -> the classes, where something says their order.
        splits: of the rows, where they are known otherwise than by a column.

    Raises:
        DataError: see `read_manifest`.
    """
    chosen = choose_columns(table, columns, ("label",) if inside else ("path", "label"))
    _note_like_times(table, chosen, columns)
    codes, present = check_single_labels(table, chosen["label"])
    order = (class_orders or {}).get(chosen["label"])
    class_names = tuple(one for one in order or sorted(present, key=_numbers_first) if one in present)
    if order is None and all(map(NUMBER.fullmatch, class_names)):
        shown = ", ".join(class_names[:3]) + ", ..." * (len(class_names) > 3)
        note(
            f"{table.source}: the classes are known by the numbers in {chosen['label']} only ({shown}). Where a "
            "column has their names, take it: --columns label=NAME."
        )
    number = {one: label for label, one in enumerate(class_names)}
    labels = np.array([number[one] for one in present])[codes]
    groups = table.texts(chosen["group"]) if "group" in chosen else None
    ids: Sequence[str]
    sources: Sequence[Source]
    if inside:
        ids, sources = inside
        _note_unread_times(table, chosen, "start", "end")
    else:
        assert locate is not None, "paths are found by something"
        written = check_paths(table, chosen["path"])
        files = locate(written)
        first = first_of_each_file(files)
        again = np.flatnonzero(first != np.arange(len(first)))
        times = _segments(table, chosen, files, unique=not len(again))
        if times is None:
            _check_files(table, chosen["path"], written, first, again, labels, class_names)
            ids, sources = written, files
        else:
            paths = texts_of(written[row] for row in first) if len(again) else written
            starts, ends = times
            ids = texts_of(
                f"{one}#{start:.10g}-{end:.10g}" for one, start, end in zip(paths, starts, ends, strict=True)
            )
            table.check_unique(ids, "segment")
            sources = Segments(files, starts, ends)
            if groups is None and len(again):
                groups = paths
    folds, told = _folds(table, chosen)
    used = {chosen[role] for role in ("path", "label", "fold", "group") if role in chosen}
    found = Found(
        source=table.source,
        name=name,
        ids=ids,
        sources=sources,
        labels=labels,
        class_names=class_names,
        folds=folds,
        groups=groups,
        splits=told if splits is None else splits,
        columns={column: table.guessed(column) for column in table.columns if column not in used},
    )
    return assemble(found, how)


class Segments(Sequence[EncodedAudio]):
    """Parts of N files, from starts to ends (N,), in seconds."""

    def __init__(self, files: Sequence[str], starts: np.ndarray, ends: np.ndarray) -> None:
        self.files, self.starts, self.ends = files, starts, ends

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, row: Any) -> Any:
        return segment(self.files[row], float(self.starts[row]), float(self.ends[row]))


def _segments(
    table: Table, chosen: dict[str, str], files: Sequence[str], *, unique: bool
) -> tuple[np.ndarray, np.ndarray] | None:
    """The starts and ends (N,) of the rows' segments; None where rows are whole files.

    Times lie elsewhere, in a longer recording, where most files end before them, and hardly one has a part named.

    Args:
        unique: whether each row has a file of its own.
    """
    if "start" not in chosen or "end" not in chosen:
        _note_unread_times(table, chosen, "start")
        _note_unread_times(table, chosen, "end")
        return None
    whole_files = "--columns start=,end= reads whole files."
    try:
        starts, ends = table.numbers(chosen["start"]), table.numbers(chosen["end"])
    except DataError as error:
        raise DataError(f"{error} Times are seconds, such as 90.5; {whole_files}") from None
    bad = (starts < 0) | (ends <= starts)
    if bad.any():
        row = int(bad.argmax())
        why = "begins before 0" if starts[row] < 0 else "has no length: end must be later"
        raise table.error(row, f"the segment from {starts[row]:g} to {ends[row]:g} s {why}. {whole_files}")
    if unique:
        told = (duration_s(file) for file in files)
        lengths = np.fromiter((np.nan if one is None else one for one in told), np.float64, len(files))
        known = ~np.isnan(lengths)  # else it is not there, or no audio
        whole = known & (starts <= SLACK_S) & (np.abs(ends - lengths) <= SLACK_S)
        if known.any() and whole[known].all():
            return None
        beyond = known & (ends > lengths + SLACK_S)
        if beyond.sum() > max(known.sum() / 2, NEARLY_ALL * (known & ~whole).sum()):
            note(
                f"{table.source}: {chosen['start']} and {chosen['end']} lie beyond the end of {beyond.sum()} of "
                f"{len(files)} files, so they are taken for places in a longer recording, and whole files are read."
            )
            return None
        if beyond.any():
            row = int(beyond.argmax())
            raise table.error(
                row, f"the segment ends at {ends[row]:g} s, and the file at {lengths[row]:.2f} s. {whole_files}"
            )
    return starts, ends


def _note_unread_times(table: Table, chosen: dict[str, str], *roles: str) -> None:
    """Notes that columns of times aren't read, where there are all of them."""
    if all(role in chosen for role in roles):
        named, off = " and ".join(chosen[role] for role in roles), ",".join(f"{role}=" for role in roles)
        note(
            f"{table.source}: whole clips are read, not the parts that {named} may name: those take a path, a start "
            f"and an end. --columns {off} leaves this note out."
        )


def _note_like_times(table: Table, chosen: dict[str, str], columns: str | None) -> None:
    """Notes columns that are no known ones of times, such as start_ms, but may be."""
    if {"start", "end"}.intersection([*chosen, *parse_columns(columns)]):
        return
    if like := [name for name in table.columns if LIKE_TIMES.fullmatch(plain_name(name))]:
        note(
            f"{table.source}: whole clips are read, not the parts that {' and '.join(like)} may name. Columns "
            "of seconds are read with --columns start=COLUMN,end=COLUMN; --columns start=,end= leaves this note out."
        )


def _check_files(
    table: Table,
    column: str,
    written: Sequence[str],
    first: np.ndarray,
    again: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str],
) -> None:
    """Raises DataError where a file stands twice: at the rows `again`, after those that `first` (N,) tells of each."""
    for row in again[labels[again] != labels[first[again]]][:1]:
        one, other = (names[labels[at]] for at in (first[row], row))
        raise table.error(
            row,
            f"{written[first[row]]} has the labels {one!r} and {other!r}, and a clip can have one here; {PARTS}.",
        )
    for row in again[:1]:
        before = first[row]
        raise table.error(row, f"{column} {written[before]!r} stands at {table.rows[before]} already; {PARTS}.")


def _folds(table: Table, chosen: dict[str, str]) -> tuple[np.ndarray | None, CompactTexts | None]:
    """Folds (N,), where they are whole numbers or "fold3"; else the splits' names. None where no column says them."""
    splits = table.texts(chosen["split"]) if "split" in chosen else None
    if "fold" in chosen:
        told = texts_of(value.strip() for value in table.columns[chosen["fold"]])
        codes, values = told.coded()
        if values and all(split_of(value) for value in values):
            return None, told
        numbers = [fold_number(value) for value in values]
        if all(one is not None for one in numbers):
            return np.array(numbers)[codes], splits
        try:
            return table.integers(chosen["fold"]), splits
        except DataError as error:
            raise DataError(
                f"{error} Write 1, 2 ... or fold1, fold2 ...; or --columns fold= leaves the column out, and "
                "folds are made."
            ) from None
    if splits and all(value.isascii() and value.isdigit() for value in splits.coded()[1]):
        return table.integers(chosen["split"]), None
    return None, splits


def _numbers_first(name: str) -> tuple[int, int, str]:
    """Sorts "2" before "10", and numbers before words."""
    return (0, int(name), name) if name.isascii() and name.isdigit() and len(name) < 20 else (1, 0, name)

"""Trees and tables of any kind: read or refused in one line, and never with labels that are folds or splits."""

from __future__ import annotations

import itertools
import json
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from soundprobe.base.errors import SoundprobeError, SoundprobeWarning
from soundprobe.base.records import Clips
from soundprobe.data.catalog import open_data
from soundprobe.data.readers.assemble import fold_number, split_of

FOLDERS = ("dog", "Hündin", "cat", "3", "fold1", "Fold_02", "fold-3", "train", "Test", "val", "dev", "eval", "audio")
FOLDERS += ("wav", "data", "recordings", "meta", "metadata", "_background_noise_", "__MACOSX", ".git", "a b", "'")
FILES = ("1.wav", "2.WAV", "7-a.flac", "s1_nohash_0.wav", "s2_nohash_1.wav", "._1.wav", "x.m4a", "README", "a,b;c.ogg")
TABLES = (
    "metadata.csv",
    "metadata.jsonl",
    "UrbanSound8K.csv",
    "esc50.csv",
    "testing_list.txt",
    "labels.csv",
    "t.parquet",
)
HEADERS = ("path", "file_name", "filename", "label", "class", "target", "category", "fold", "split", "group", "speaker")
HEADERS += (
    "start",
    "end",
    "salience",
    "",
    "classID",
    "slice_file_name",
    "fsID",
    "esc10",
    "src_file",
    "take",
    "a b",
    "Path",
)
CELLS = (
    "1",
    "0",
    "2.5",
    "-1",
    "",
    " ",
    "dog",
    "cat",
    "Dog",
    "1.wav",
    "dog/1.wav",
    "dog\\1.wav",
    "train",
    "test",
    "fold3",
)
CELLS += ("a;b", "['a']", "nan", "1e999", "9" * 30, "ü", "x\ty", 'q"q', "True", "../1.wav", "/", "C:\\x.wav", "\0")
SEPARATORS = (",", ";", "\t", "|")
ANY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

LEVELS = (
    ("dog", "cat", "3"),
    ("fold1", "Fold_02", "fold-3"),
    ("train", "Test", "val"),
    ("training_set", "test-data"),
    ("split1", "cv_2"),
    ("1", "2"),
    ("audio",),
    ("dog", "train"),
    ("cat", "fold2"),
    ("Dog", "dog", "d og"),
    ("wav", "rain"),
)
places = st.builds(
    lambda folders, file: "/".join([*folders, file]),
    st.lists(st.sampled_from(FOLDERS), max_size=3),
    st.sampled_from(FILES),
)
labels = st.sampled_from([cell for cell in CELLS if split_of(cell) is None and fold_number(cell) is None])
cells = st.sampled_from(CELLS) | st.text(max_size=4)
sound = {
    "fold": st.sampled_from(["1", "2", "fold1", "fold2"]),
    "split": st.sampled_from(["train", "test", "val"]),
    "group": st.sampled_from("abcdef"),
    "speaker": st.sampled_from("abcdef"),
    "start": st.sampled_from(["0", "1.5"]),
    "end": st.sampled_from(["2", "2,5", "0"]),
}
"""Cells that a column may really have."""


@st.composite
def trees(draw: st.DrawFn) -> list[str]:
    """Files in every folder of a few levels, and sometimes others beside them."""
    levels = draw(st.lists(st.sampled_from(LEVELS), min_size=1, max_size=3))
    clips = [f"{'/'.join(folders)}/{n}_nohash_{n}.wav" for folders in itertools.product(*levels) for n in range(4)]
    return clips + draw(st.lists(places, max_size=1))


@st.composite
def tables(draw: st.DrawFn) -> str:
    """Lines under a header, mostly of the right number; a column for the label never holds a fold's or split's name."""
    wild = draw(st.booleans())
    header = draw(st.lists(st.sampled_from(HEADERS), min_size=1, max_size=5, unique=not wild))
    if not wild:
        header = list(dict.fromkeys(["path", "label", *header]))
    separator = draw(st.sampled_from(SEPARATORS))
    lines = [separator.join(header)]
    for number in range(draw(st.integers(0, 9)) if wild else 8):
        row = []
        for name in header:
            if wild:
                row.append(draw(labels if name in ("label", "class", "target", "category") else cells))
            elif name == "path":
                row.append(f"dog/{number}.wav")
            elif name in ("label", "class", "target", "category"):
                row.append(draw(labels) if draw(st.integers(0, 30)) == 0 else ("dog", "cat")[number % 2])
            else:
                row.append(draw(sound.get(name, cells)))
        lines.append(separator.join(row[: draw(st.sampled_from([len(row)] * 9 + [1]))] if wild else row))
    return "\n".join(lines)


@st.composite
def json_lines(draw: st.DrawFn) -> str:
    values = (
        cells | st.integers(-(2**70), 2**70) | st.none() | st.booleans() | st.floats() | st.lists(cells, max_size=2)
    )
    extra = draw(st.lists(st.sampled_from(["fold", "group", "gain", "a b", "Path"]), max_size=2, unique=True))
    lines = []
    for number in range(8):
        entry = {name: draw(sound.get(name, values)) for name in extra}
        lines.append(json.dumps({**entry, "path": f"dog/{number}.wav", "label": ["dog", "cat", ["cat"]][number % 3]}))
    return "\n".join([*lines, *([json.dumps(draw(values))] if draw(st.integers(0, 9)) == 0 else [])])


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as made:
        yield Path(made, "data")


def read(path: Path, **how: object) -> Clips | None:
    """The clips, or None where they are refused in one line."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SoundprobeWarning)
        try:
            return open_data(path, folds=2, **how)
        except SoundprobeError:
            return None


def check(clips: Clips | None) -> None:
    for name in clips.class_names if clips is not None else ():
        assert split_of(name) is None
        assert fold_number(name) is None


beside = st.builds(
    lambda folder, name: folder + name, st.sampled_from(["", "train/", "metadata/", "meta/"]), st.sampled_from(TABLES)
)


@ANY
@given(
    trees() | st.lists(places, min_size=1, max_size=14),
    st.dictionaries(beside, tables(), max_size=1),
    st.sampled_from([None, None, "test", "as-folds", "nothing"]),
)
def test_open_data_any_tree_is_read_or_refused_without_folds_as_labels(
    clips: list[str], beside: dict[str, str], splits: str | None
) -> None:
    with folder() as root:
        for name in clips:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).touch()
        for name, text in beside.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8", errors="replace")
        check(read(root, splits=splits))
        check(read(root, label_regex=r"^(.)"))


@ANY
@given(
    tables() | json_lines(),
    st.sampled_from([".csv", ".tsv", ".jsonl"]),
    st.sampled_from([None, "path=a b,label=class", "fold="]),
)
def test_open_data_any_table_is_read_or_refused_without_folds_as_labels(
    text: str, ending: str, columns: str | None
) -> None:
    with folder() as root:
        (root / "dog").mkdir(parents=True)
        (root / "dog" / "1.wav").touch()
        (root / f"m{ending}").write_text(text, encoding="utf-8", errors="replace")
        check(read(root / f"m{ending}", columns=columns))


@ANY
@given(st.binary(max_size=80), st.sampled_from([".csv", ".tsv", ".jsonl"]))
def test_open_data_any_bytes_are_read_or_refused(content: bytes, ending: str) -> None:
    with folder() as root:
        root.mkdir()
        (root / f"m{ending}").write_bytes(content)
        read(root / f"m{ending}")

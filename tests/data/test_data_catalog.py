"""Opening data by name or path: every layout is found, and what is unknown is answered with what is taken."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from soundprobe.base.errors import DataError
from soundprobe.base.records import Clips
from soundprobe.data.catalog import DATASETS, LAYOUTS, find_layout, open_data, take_evenly

US8K = "slice_file_name,fsID,start,end,salience,fold,classID,class\n9-3-0-0.wav,9,0,1,1,5,3,dog_bark\n"
ESC = "filename,fold,target,category,esc10,src_file,take\n1-9-A.wav,1,0,dog,False,9,A\n"


def wav() -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(800, np.float32), 8_000, format="WAV")
    return file.getvalue()


def write_layout(folder: Path, name: str) -> Path:
    """A data set in the layout `name`; returns what a user gives as --data."""
    if name in ("urbansound8k", "esc50"):
        meta, text = ("metadata/UrbanSound8K.csv", US8K) if name == "urbansound8k" else ("meta/esc50.csv", ESC)
        for path in (folder / meta, folder / "audio" / "x"):
            path.parent.mkdir(parents=True)
        (folder / meta).write_text(text)
        return folder
    folder.mkdir()
    if name == "folders":
        for clip in ("cat/1-a.wav", "cat/2-a.wav", "dog/3-a.wav", "dog/4-a.wav"):
            (folder / clip).parent.mkdir(exist_ok=True)
            (folder / clip).write_bytes(wav())
        return folder
    if name == "parquet":
        row = {
            "audio": {"bytes": wav(), "path": "9-3-0-0.wav"},
            **dict(zip(*map(str.split, US8K.replace(",", " ").splitlines()), strict=True)),
        }
        pq.write_table(pa.Table.from_pylist([row]), folder / "a.parquet")
        return folder
    text = US8K if name == "metadata" else "path,label\na-1.wav,x\nb-1.wav,x\na-2.wav,y\nb-2.wav,y\n"
    (folder / "m.csv").write_text(text)
    return folder / "m.csv"


WRITTEN = ("esc50", "folders", "manifest", "metadata", "parquet", "urbansound8k")
"""Layouts that `write_layout` knows: all of soundprobe's, unless one was added without a sample here."""


def test_every_layout_with_a_sample_is_listed() -> None:
    assert set(WRITTEN) <= set(LAYOUTS)


@pytest.mark.parametrize("name", WRITTEN)
def test_open_data_each_layout_is_found_and_read(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    path = write_layout(tmp_path / "Given Data", name)
    assert find_layout(path) is LAYOUTS[name]
    clips = open_data(path, folds=2)
    assert len(clips) == (4 if name in ("folders", "manifest") else 1)
    assert clips.name == {"esc50": "esc50", "manifest": "m", "metadata": "m"}.get(name, "given-data")
    assert open_data(str(path), folds=2, limit=1).ids.shape == (1,)


@pytest.mark.parametrize("name", ["folders", "manifest"])
def test_open_data_group_prefix_reaches_the_reader(name: str, tmp_path: Path) -> None:
    path = write_layout(tmp_path / "d", name)
    assert open_data(path, folds=2, group_prefix="-").groups[0] in ("1", "a")


@pytest.mark.parametrize("name", ["urbansound8k", "esc50", "metadata"])
def test_open_data_group_prefix_with_own_folds_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has folds and recordings of its own; leave --group-prefix out"):
        open_data(write_layout(tmp_path / "d", name), group_prefix="-")


def test_open_data_unknown_name_suggests_and_lists() -> None:
    with pytest.raises(DataError) as caught:
        open_data("urbansond8k")
    message = str(caught.value)
    assert message.startswith(
        "Unknown data set 'urbansond8k'. Did you mean 'urbansound8k'? Available: synth, urbansound8k."
    )
    assert "`soundprobe data list`" in message
    assert "\n" not in message


@pytest.mark.parametrize("what", ["empty folder", "text.md"])
def test_open_data_path_without_a_layout_lists_what_is_taken(what: str, tmp_path: Path) -> None:
    path = tmp_path / what
    if path.suffix:
        path.write_text("hello")
    else:
        path.mkdir()
    with pytest.raises(
        DataError, match=r"is not a data set that soundprobe can read(: it is empty)?; `soundprobe data list`"
    ):
        open_data(path)


def test_open_data_of_no_name_is_not_the_folder_where_one_is() -> None:
    with pytest.raises(DataError, match="--data is empty"):
        open_data("")


def test_open_data_limit_below_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--limit 0 is not valid"):
        open_data(write_layout(tmp_path / "d", "folders"), limit=0)


def test_take_evenly_few_clips_show_every_class_and_fold() -> None:
    labels, folds, turn = (
        column.reshape(-1) for column in np.meshgrid(range(10), range(1, 11), range(3), indexing="ij")
    )
    ids = np.array([f"{label}-{fold}-{n}" for label, fold, n in zip(labels, folds, turn, strict=True)])
    clips = Clips("d", ids, ids.tolist(), labels, folds, ids, tuple("abcdefghij"))
    ten = take_evenly(clips, 10)
    assert sorted(ten.labels.tolist()) == list(range(10))
    assert sorted(ten.folds.tolist()) == list(range(1, 11))
    hundred = take_evenly(clips, 100)
    assert set(zip(hundred.labels.tolist(), hundred.folds.tolist(), strict=True)) == set(
        zip(labels.tolist(), folds.tolist(), strict=True)
    )
    assert take_evenly(clips, 1_000).ids.tolist() == ids.tolist()


def test_catalog_targets_all_exist() -> None:
    import importlib

    for spec in [*DATASETS.values(), *LAYOUTS.values()]:
        module, function = spec.target.split(":")
        assert callable(getattr(importlib.import_module(module), function))
    for table in (DATASETS, LAYOUTS):
        assert all(name == spec.name for name, spec in table.items())


def test_import_catalog_loads_nothing_heavy() -> None:
    heavy = ("torch", "sklearn", "datasets", "transformers", "matplotlib", "pyarrow", "pandas")
    code = f"import sys, soundprobe.data.catalog; print([name for name in {heavy} if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "[]\n"


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Path]:
    """A folder that can't be looked into, by root neither."""
    tmp_path.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    yield tmp_path
    os.seteuid(user)
    tmp_path.chmod(0o700)


def test_open_data_folder_that_cannot_be_looked_into_is_not_called_missing(locked: Path) -> None:
    with pytest.raises(DataError, match=r"^Can't look at .*x: .* can't be looked into \(Permission denied\)\. Let it"):
        open_data(locked / "x")


@pytest.mark.parametrize(("content", "message"), [(b"\xff", "is not UTF-8 text"), (b"file_name\n", "has no rows")])
def test_open_data_metadata_csv_that_cannot_be_read_is_refused_with_the_way_without_it(
    content: bytes, message: str, tmp_path: Path
) -> None:
    root = write_layout(tmp_path / "set", "folders")
    (root / "metadata.csv").write_bytes(content)
    with pytest.raises(DataError, match=rf"metadata\.csv {message}.* Or move it away: the folders of .*set are then"):
        open_data(root, folds=2)
    (root / "metadata.csv").write_bytes(b"")
    assert open_data(root, folds=2).class_names == ("cat", "dog")

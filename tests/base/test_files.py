"""Atomic writing and keys."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from soundprobe.base.errors import StoreError
from soundprobe.base.files import atomic_file, atomic_folder, atomic_path, digest_key, path_name, read_json, write_json


def test_atomic_path_when_the_writer_fails_keeps_the_old_file_and_leaves_nothing(tmp_path: Path):
    target = tmp_path / "a.json"
    write_json(target, {"old": 1})
    with pytest.raises(RuntimeError, match="half-way"), atomic_path(target) as temporary:
        temporary.write_text('{"new"')
        raise RuntimeError("half-way")
    assert read_json(target) == {"old": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_write_json_of_nan_is_refused_and_writes_nothing(tmp_path: Path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert not list(tmp_path.iterdir())


def test_write_json_where_a_file_stands_for_the_folder_is_one_clear_error(tmp_path: Path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(StoreError, match=r"Can't write .*taken"):
        write_json(tmp_path / "taken" / "a.json", {})


def _tensors() -> dict[str, torch.Tensor]:
    return {"weights": torch.zeros(500_000)}


WRITERS = {
    "json": lambda file: file.write(b"1" * 2_000_000),
    "parquet": lambda file: pq.write_table(pa.table({"x": np.random.default_rng(0).random(300_000)}), file),
    "checkpoint": lambda file: torch.save(_tensors(), file),
    "safetensors": lambda file: file.write(safetensors.torch.save(_tensors())),
}


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS])
@pytest.mark.parametrize("writer", WRITERS)
def test_atomic_file_on_a_disk_that_fails_is_one_line_whatever_library_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: str, error: int
):
    with atomic_file(tmp_path / "a") as file:
        file.write(b"old")
    write, left = os.write, 1_000_000

    def full(handle: int, content: bytes) -> int:
        nonlocal left
        if left <= 0:
            raise OSError(error, os.strerror(error))
        left -= (done := write(handle, content[:left]))
        return done

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StoreError) as told, atomic_file(tmp_path / "a") as file:
        WRITERS[writer](file)
    assert str(told.value).startswith(f"Can't write {tmp_path / 'a'}: {os.strerror(error)}. ")
    assert str(told.value).endswith("What is finished is kept: the same command goes on from there.")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("content", ["", "{", "[1]", "\x00\xff"])
def test_read_json_of_what_is_no_object_is_one_clear_error(tmp_path: Path, content: str):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(StoreError, match=r"a\.json"):
        read_json(tmp_path / "a.json")


def test_digest_key_does_not_depend_on_the_order_of_fields_but_on_every_value():
    assert digest_key({"a": 1, "b": [1, 2]}) == digest_key({"b": [1, 2], "a": 1})
    assert digest_key({"a": 1, "b": [1, 2]}) != digest_key({"a": 1, "b": [2, 1]})
    assert len(digest_key({})) == 12


@given(st.text())
def test_path_name_of_anything_is_one_safe_component(name: str):
    safe = path_name(name)
    assert safe
    assert safe not in (".", "..")
    assert not set(safe) & set('/\\:*?"<>| \x00')
    assert os.path.basename(safe) == safe


def test_write_json_keeps_unicode_readable(tmp_path: Path):
    write_json(tmp_path / "a.json", {"class": "Bär <script>"})
    assert "Bär <script>" in (tmp_path / "a.json").read_text(encoding="utf-8")
    assert read_json(tmp_path / "a.json") == {"class": "Bär <script>"}


@pytest.mark.parametrize("stop", ["in the block", "between the renames", "never"])
def test_folder_that_is_replaced_is_the_old_one_or_the_new_one_wherever_the_writer_stops(tmp_path, monkeypatch, stop):
    (tmp_path / "place").mkdir()
    (tmp_path / "place" / "old").write_text("old")
    renames = []

    def replace(source: Path, target: Path) -> None:
        renames.append(source)
        if stop == "between the renames" and len(renames) == 2:
            raise KeyboardInterrupt
        os.rename(source, target)

    monkeypatch.setattr("soundprobe.base.files.os.replace", replace)
    with suppress(KeyboardInterrupt), atomic_folder(tmp_path / "place") as temporary:
        (temporary / "new").write_text("new")
        if stop == "in the block":
            raise KeyboardInterrupt
    assert [path.name for path in (tmp_path / "place").iterdir()] == ["new" if stop == "never" else "old"]
    assert [path.name for path in tmp_path.iterdir()] == ["place"]

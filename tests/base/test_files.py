"""Atomic writing and keys."""

from __future__ import annotations

import errno
import os
import platform
import tempfile
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
from soundprobe.base.files import (
    atomic_file,
    atomic_folder,
    atomic_path,
    check_room,
    digest_key,
    leading_digits,
    make_folder,
    parse_json,
    path_name,
    plain_json,
    read_json,
    refusal_in,
    remove_file,
    remove_leftovers_of,
    scratch_folder,
    size_of,
    sync_folder,
    write_json,
)
from soundprobe.base.places import cache_folder


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


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[1]", "list where an object is needed"),
        ('{"a": 1, "a": 2}', "the key 'a' stands twice"),
        ('{"a":' * 70 + "1" + "}" * 70, "nested more than 64 deep"),
        ('{"a":' * 5000 + "1" + "}" * 5000, "nested more than 64 deep"),
    ],
)
def test_parse_json_of_what_no_record_is_says_why(text: str, why: str):
    with pytest.raises(ValueError, match=why):
        parse_json(text)


def test_leading_digits_are_sorted_once_each_without_what_is_not_known():
    digests = ["00" * 7 + "02" + "f" * 48, "", "00" * 8 + "0" * 48, "00" * 7 + "02" + "0" * 48]
    assert leading_digits(digests).tolist() == [0, 2]


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


def test_check_room_of_a_file_a_locked_folder_or_a_full_disk_says_which(tmp_path: Path, monkeypatch):
    check_room(tmp_path / "not" / "there yet", 1)
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(StoreError, match=r"file is no folder\. Choose another"):
        check_room(tmp_path / "file" / "below", 1)
    with pytest.raises(StoreError, match=r"about \d+ MB are needed and \d+ MB free"):
        check_room(tmp_path, 1e18)
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    with pytest.raises(StoreError, match="is read-only"):
        check_room(tmp_path, 1)


def test_make_folder_syncs_every_parent_that_it_made_and_remove_file_its_own(tmp_path: Path, monkeypatch):
    synced: list[Path] = []
    monkeypatch.setattr("soundprobe.base.files.sync_folder", synced.append)
    make_folder(tmp_path / "a" / "b")
    assert set(synced) == {tmp_path, tmp_path / "a"}
    (tmp_path / "a" / "file").write_text("x")
    assert size_of(tmp_path) == 1
    for _ in range(2):
        remove_file(tmp_path / "a" / "file")
    assert synced[2:] == [tmp_path / "a"]
    assert size_of(tmp_path) == 0


@pytest.mark.parametrize(("number", "raises"), [(errno.EINVAL, False), (errno.ENOTSUP, False), (errno.EIO, True)])
def test_sync_folder_forgives_what_a_file_system_can_not_and_no_error(tmp_path: Path, monkeypatch, number, raises):
    def refuse(handle: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    if raises:
        with pytest.raises(OSError, match=os.strerror(number)):
            sync_folder(tmp_path)
    else:
        sync_folder(tmp_path)


def test_refusal_is_found_in_other_libraries_words_and_in_causes():
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    caused = ValueError("can't write")
    caused.__cause__ = RuntimeError(f"PytorchStreamWriter failed: {os.strerror(errno.ENOSPC)}")
    assert refusal_in(full) is full
    assert refusal_in(caused).errno == errno.ENOSPC
    assert refusal_in(ValueError(os.strerror(errno.ENOSPC))) is None  # of a value, not of the system
    assert refusal_in(None) is None


def test_plain_json_turns_records_arrays_and_paths_into_jsons_types():
    given = {"at": Path("a/b"), 1: np.array([1.5, np.nan]), "set": ("x", np.int64(2))}
    assert plain_json(given) == {"at": os.path.join("a", "b"), "1": [1.5, None], "set": ["x", 2]}


def test_leftovers_of_files_go_and_those_of_others_and_of_living_writers_stay(tmp_path):
    names = [".a.csv.99999.tmp", "b/.c.csv.99999.tmp", ".other.csv.99999.tmp", f".a.csv.{os.getppid()}.tmp", "a.csv"]
    left = [tmp_path / name for name in names]
    for path in left:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    remove_leftovers_of([tmp_path / "a.csv", tmp_path / "b" / "c.csv", tmp_path / "gone" / "d.csv"])
    assert [path.exists() for path in left] == [False, False, True, True, True]


def test_scratch_folder_goes_at_its_end_and_a_dead_processes_of_this_machine_before(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    dead, alive = 2**22 + 1, os.getppid()
    kept = []
    for machine, process in (("here", dead), ("here", alive), ("there", dead)):
        monkeypatch.setattr(platform, "node", lambda machine=machine: machine)
        with scratch_folder() as folder:
            left = folder.with_name(folder.name.replace(f".{os.getpid()}.", f".{process}."))
            make_folder(left / "below")
        kept += [left.name] * ((machine, process) != ("here", dead))
    monkeypatch.setattr(platform, "node", lambda: "here")
    with scratch_folder() as folder, scratch_folder() as other:
        (folder / "a").touch()
        assert folder != other
        assert len(list(tmp_path.iterdir())) == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)


def test_new_folder_is_there_whole_and_where_a_file_stands_in_its_way_one_line_says_so(tmp_path):
    with atomic_folder(tmp_path / "new") as folder:
        (folder / "a").write_text("a")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a"]
    with (
        pytest.raises(StoreError, match=r"^Can't write .*a/below: Not a directory"),
        atomic_folder(tmp_path / "new" / "a" / "below"),
    ):
        pass


def test_cache_is_the_users_unless_another_is_named(monkeypatch):
    monkeypatch.setenv("SOUNDPROBE_CACHE", "~/elsewhere")
    assert cache_folder() == Path.home() / "elsewhere"
    monkeypatch.delenv("SOUNDPROBE_CACHE")
    assert cache_folder().name == "soundprobe"


def test_folder_that_was_being_replaced_by_a_dead_writer_is_put_back_and_what_it_left_goes(tmp_path):
    others = [tmp_path / ".place.x.99999.old", tmp_path / f".place.{os.getppid()}.tmp"]
    for path in (tmp_path / ".place.99999.old", tmp_path / ".place.99999.tmp", *others):
        path.mkdir()
        (path / "a").write_text(path.suffix)
    with suppress(KeyboardInterrupt), atomic_folder(tmp_path / "place"):
        assert (tmp_path / "place" / "a").read_text() == ".old"
        raise KeyboardInterrupt
    assert sorted(tmp_path.iterdir()) == sorted([tmp_path / "place", *others])


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


@pytest.mark.skipif(os.name == "nt", reason="folders can't be synced there")
def test_written_file_is_synced_before_it_is_renamed_and_its_folder_after(tmp_path, monkeypatch):
    told: list[tuple[str, int]] = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)

        def act(first, *rest, name=name, real=real):
            told.append((name, os.stat(first).st_ino))
            return real(first, *rest)

        monkeypatch.setattr(os, name, act)
    write_json(tmp_path / "a.txt", {})
    file, folder = (tmp_path / "a.txt").stat().st_ino, tmp_path.stat().st_ino
    assert told == [("fsync", file), ("replace", file), ("fsync", folder)]

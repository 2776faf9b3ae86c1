"""Digests that files carry of themselves: every flipped bit shows, whatever the format, and old files are read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import xxhash
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from soundprobe.base import digests
from soundprobe.base.digests import MARK, UNSIGNED, ZEROS, check_file, read_checked
from soundprobe.base.errors import DamagedError, SoundprobeWarning, StoreError
from soundprobe.base.files import atomic_path, read_json, write_json


def written(folder: Path, kind: str, size: int = 2000) -> Path:
    """A signed file of the format."""
    path, numbers = folder / f"a.{kind}", np.arange(size, dtype=np.float32)
    with atomic_path(path) as temporary:
        if kind == "json":
            temporary.write_text(json.dumps({"digest": UNSIGNED, "values": numbers[:200].tolist()}))
        elif kind == "safetensors":
            save_file({"x": numbers}, temporary, {"soundprobe": json.dumps({"digest": UNSIGNED, "fold": 1})})
        elif kind == "parquet":
            table = pa.table({"x": numbers}, metadata={"first": "x" * 9000, "soundprobe.digest": UNSIGNED})
            pq.write_table(table, temporary)
        else:
            torch.save({"digest": UNSIGNED, "x": torch.from_numpy(numbers)}, temporary)
    return path


@pytest.mark.parametrize("kind", ["json", "safetensors", "parquet", "pt"])
def test_flipped_bit_anywhere_but_in_the_marks_name_shows(tmp_path, kind):
    path = written(tmp_path, kind)
    content = path.read_bytes()
    assert read_checked(path) == content
    assert ZEROS.encode() not in content[: content.find(MARK.encode()) + 50] or kind == "parquet"
    mark = range(content.rfind(MARK.encode()), content.rfind(MARK.encode()) + len(MARK))
    footer = range(len(content) - 8, len(content))  # without it Parquet's mark isn't found, and Parquet can't be read
    places = np.random.default_rng(0).choice(len(content), 300, replace=False).tolist()
    for at in {*range(100), *range(len(content) - 100, len(content)), *places}:
        flipped = bytearray(content)
        flipped[at] ^= 1 << at % 8
        path.write_bytes(flipped)
        if at in mark or (kind == "parquet" and at in footer):
            continue
        for check in (read_checked, check_file):
            with pytest.raises(DamagedError, match=r"is damaged: its bytes are not those that were written"):
                check(path)


def test_json_whose_mark_is_damaged_is_not_taken_for_an_old_file(tmp_path):
    write_json(tmp_path / "a.json", {"x": 1})
    path = tmp_path / "a.json"
    path.write_text(path.read_text().replace(MARK, "xxh3-129:"))
    with pytest.raises(DamagedError):
        read_json(path)


@given(st.binary(max_size=200), st.integers(0, 3 * digests.CHUNK), st.integers(0, len(ZEROS)))
def test_digest_by_chunks_is_that_of_the_whole_wherever_the_mark_stands(tmp_path_factory, content, far, astride):
    path = tmp_path_factory.mktemp("chunks") / "a.parquet"
    if astride:
        far = digests.CHUNK - 60 - len(MARK) - astride
    footer = b"f" * 60 + digests.OF_PARQUET + UNSIGNED.encode() + content
    body = bytes(far) + footer
    whole = body + len(footer).to_bytes(4, "little") + b"PAR1"
    path.write_bytes(whole)
    digests.sign(path)
    check_file(path)
    signed = MARK + xxhash.xxh3_128_hexdigest(whole)
    assert read_checked(path) == whole.replace(UNSIGNED.encode(), signed.encode(), 1)


def test_clips_that_are_called_like_a_mark_leave_their_table_whole(tmp_path):
    path, mark = tmp_path / "a.parquet", digests.OF_PARQUET.decode() + UNSIGNED
    table = pa.table(
        {mark: [1], "clip_id": [f"{MARK}{'a' * 40}.wav"]},
        metadata={"soundprobe.failures": json.dumps({mark: UNSIGNED}), "soundprobe.digest": UNSIGNED},
    )
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="none")
    content = path.read_bytes()
    assert read_checked(path) == content
    assert pq.read_table(path).to_pydict() == table.to_pydict()
    path.write_bytes(content.replace(b"aaa", b"aba", 1))
    with pytest.raises(DamagedError):
        check_file(path)


def test_same_content_gives_the_same_bytes(tmp_path):
    for kind in ("json", "safetensors", "parquet"):
        (tmp_path / "b").mkdir(exist_ok=True)
        assert written(tmp_path, kind).read_bytes() == written(tmp_path / "b", kind).read_bytes()


def test_file_of_an_earlier_version_is_read_with_one_note(tmp_path, monkeypatch):
    monkeypatch.setattr(digests, "_noted", set())
    for name in ("a", "b"):
        (tmp_path / name).write_text('{"x": 1}')
    with pytest.warns(SoundprobeWarning, match="a is of an earlier version and has no digest") as told:
        assert read_json(tmp_path / "a") == read_json(tmp_path / "b") == {"x": 1}
    assert len(told) == 1


def test_file_that_is_gone_or_a_folder_is_one_line(tmp_path):
    with pytest.raises(StoreError, match="No file"):
        read_checked(tmp_path / "none.json")
    with pytest.raises(StoreError, match="Can't read"):
        read_checked(tmp_path)

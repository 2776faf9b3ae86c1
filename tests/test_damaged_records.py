"""Records with any field dropped or of another kind: one line that names the file, and everything else still works."""

from __future__ import annotations

import copy
import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from samples_of_0_1_0 import unpacked
from soundprobe.base.errors import StoreError
from soundprobe.base.files import MOST_NESTED
from soundprobe.base.stored import Record, RecordError
from soundprobe.embeddings import store
from soundprobe.reporting.runs.collect import collect_runs
from soundprobe.scoring.measured import LearningCurveRecord, PeekingRecord
from soundprobe.scoring.run_records import RunRecord

DROPPED = object()
OTHERS = (
    DROPPED, None, True, "", "text", -1, 0, 1.5, 10**400, float("nan"), float("inf"), [], {}, [[]], {"": None}, ["a"],
)  # fmt: skip


def places(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every field and item, of long lists of the first two."""
    inner = (
        content.items() if isinstance(content, dict) else enumerate(content[:2]) if isinstance(content, list) else ()
    )
    for name, value in inner:
        yield (*path, name)
        yield from places(value, (*path, name))


def changed(content: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    content = copy.deepcopy(content)
    place = content
    for name in path[:-1]:
        place = place[name]
    if value is DROPPED:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return content


def damages(content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in places(content):
        for value in OTHERS:
            yield changed(content, path, value)


def attempt(call: Callable[..., Any], *arguments: Any) -> tuple[Any, Any]:
    """What the call returns, or the error that the user sees, which is one line. Any other error passes."""
    try:
        return call(*arguments), None
    except StoreError as error:
        told = error
    assert "\n" not in str(told)
    assert 0 < len(str(told)) < 600
    return None, told


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpacked(tmp_path_factory.mktemp("samples"))


@pytest.fixture
def own(samples: Path, tmp_path: Path) -> Path:
    return shutil.copytree(samples, tmp_path / "own")


def the(folder: Path, pattern: str) -> Path:
    (path,) = folder.glob(pattern)
    return path


def test_any_set_that_is_opened_can_be_read_or_says_in_one_line_why_not(samples, tmp_path):
    folder = the(samples, "embeddings/clips/crnn-finetuned-fold-01-*")
    content = json.loads((folder / "meta.json").read_text())
    refused = 0
    for damaged in damages(content):
        record, error = attempt(store.SetRecord.of, damaged, folder / "meta.json")
        if record is None:
            assert isinstance(error, RecordError)
            assert str(folder / "meta.json") in str(error)
            refused += 1
        else:
            attempt(store.read_embeddings, store.EmbeddingSet(folder, record))
    assert refused > 400


def test_any_run_is_collected_or_listed(own):
    sound, folder = (the(own, f"heads/clips/{name}") for name in ("crnn-0*/knn-*", "crnn-0*/mlp-*"))
    for other in own.glob("heads/clips/*/*"):
        if other not in (sound, folder):
            other.rename(own / other.parent.name.join(("aside-", other.name)))
    content = json.loads((folder / "result.json").read_text())
    found = list(damages(content))
    random.Random(0).shuffle(found)
    listed = 0
    for damaged in found[:400]:
        (folder / "result.json").write_text(json.dumps(damaged))
        collection = collect_runs(own / "heads")
        assert collection.runs[0].path.endswith(sound.name)
        assert len(collection.runs) + len(collection.unreadable) == 2
        for unreadable in collection.unreadable:
            assert "\n" not in unreadable.reason
            listed += 1
    assert listed > 100


@pytest.mark.parametrize("kind", [PeekingRecord, LearningCurveRecord])
def test_any_measurement_is_read_or_listed(samples, kind):
    path = the(samples, f"heads/clips/crnn-0*/knn-*/{kind.FILE}")
    for damaged in damages(json.loads(path.read_text())):
        _, error = attempt(kind.of, damaged, path)
        assert error is None or error.reason in str(error)


@pytest.mark.parametrize(
    "text",
    ["", "{", '{"format": 1', "[" * 100_000, '{"a":' * 100_000, "[]", "1", "null", '{"a": ' + "9" * 5000 + "}", "\x00"],
    ids=range(10),
)
@pytest.mark.parametrize("name", ["meta.json", "result.json", "peeking.json", "learning-curve.json"])
def test_file_that_is_no_json_object_is_one_line_and_the_others_are_found(own, name, text):
    folder = the(own, "embeddings/clips/crnn-0*" if name == "meta.json" else "heads/clips/crnn-0*/knn-*")
    (folder / name).write_text(text)
    found, unusable = store.find_sets(own / "embeddings")
    runs = collect_runs(own / "heads")
    reasons = [*unusable.values(), *(run.reason for run in runs.unreadable)]
    assert len(reasons) == 1
    assert "\n" not in reasons[0]
    assert (len(found), len(runs.runs)) == {"meta.json": (3, 9), "result.json": (4, 8)}.get(name, (4, 9))


@pytest.mark.parametrize("depth", [MOST_NESTED - 10, MOST_NESTED + 1, 200, 900])
def test_settings_nested_deep_are_refused_before_they_are_too_deep_to_show(own, depth):
    path = the(own, "heads/clips/crnn-0*/knn-*/result.json")
    content = json.loads(path.read_text())
    value: Any = 1
    for _ in range(depth):
        value = [value]
    content["head"]["settings"]["ks"] = value
    path.write_text(json.dumps(content))
    collection = collect_runs(own / "heads")
    assert len(collection.unreadable) == (depth > MOST_NESTED)


def test_record_that_lacks_a_field_names_file_field_and_remedy(own):
    path = the(own, "embeddings/clips/mn04-*/meta.json")
    content = json.loads(path.read_text())
    path.write_text(json.dumps(changed(content, ("backbone", "weights_sha256"), DROPPED)))
    with pytest.raises(StoreError) as error:
        store.open_set(path.parent)
    assert str(error.value) == f"{path} lacks the field 'backbone.weights_sha256'. Extract it again."


def test_field_that_a_newer_version_added_stays_where_it_was(own):
    path = the(own, "heads/clips/crnn-0*/knn-*/result.json")
    text = path.read_text().replace('"title"', '"colour": ["red"],\n  "title"')
    path.write_text(text)
    record = RunRecord.read(path)
    assert record.content["head"]["colour"] == ["red"]
    record.write(path)
    written = json.loads(path.read_text())
    assert written.pop("digest").startswith("xxh3-128:")
    assert written == json.loads(text)
    assert list(json.loads(path.read_text())["head"]) == list(json.loads(text)["head"])


def test_older_version_is_made_the_next_one_step_by_step(tmp_path):
    class Third(Record):
        FORMAT: ClassVar[int | None] = 3
        OLDER: ClassVar[Any] = {
            1: lambda content: {"format": 2, "size_s": content["seconds"]},
            2: lambda content: {"format": 3, "duration_s": content["size_s"]},
        }
        duration_s: float

    assert Third.of({"format": 1, "seconds": 4.0}, "x").content == {"format": 3, "duration_s": 4.0}
    (tmp_path / "x.json").write_text('{"format": 2, "size_s": 1.5}')
    there = Third.read_if_there(tmp_path / "x.json")
    assert there is not None
    assert there.duration_s == 1.5
    (tmp_path / "x.json").write_text('{"format": 4}')
    assert Third.read_if_there(tmp_path / "x.json") is None
    for version in (0, 4, None, [1], "1"):
        with pytest.raises(RecordError, match="this version reads format 3"):
            Third.of({"format": version}, "x")

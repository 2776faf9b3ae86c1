"""Copies of what is in a store: what is fetched when, what is written when, and what each failure says."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from pathlib import Path

import pytest

from hub_server import Repo, serving
from object_store import ObjectStore
from optional import needed
from soundprobe.base import lease, remote
from soundprobe.base.digests import check_file
from soundprobe.base.errors import ConfigError, DamagedError, SoundprobeWarning, StoreError, one_line
from soundprobe.base.files import atomic_file, check_room, read_json, remove_file, write_json, write_text
from soundprobe.base.locks import locked
from soundprobe.base.places import copies_folder
from soundprobe.base.remote import OutdatedError, fetch, local, placed, pull

needed("s3fs")


@pytest.fixture(params=["s3", "memory"])
def url(request: pytest.FixtureRequest, object_store: ObjectStore, tmp_path: Path) -> str:
    """An empty folder of a store."""
    return f"{request.param}://bucket/{tmp_path.name}"


@pytest.fixture
def s3(object_store: ObjectStore, tmp_path: Path) -> str:
    return f"s3://bucket/{tmp_path.name}"


def system(url: str):
    return remote._system(url)


def on_another_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SOUNDPROBE_CACHE", str(tmp_path / "another"))


def test_file_is_its_own_path_and_a_name_that_no_file_can_have_is_refused(tmp_path):
    assert placed(f"file://{tmp_path}/x") == tmp_path / "x"
    assert placed("heads") == Path("heads")
    assert placed(Path("s3://bucket/a")) == placed("s3://bucket/a")  # Path makes one slash of two
    for bad in ("s3://bucket/../up", "s3://", "s3://bucket/a\nb", "s3://bucket/.cache/heads"):
        with pytest.raises(ConfigError, match="names no place in a store, or a hidden one"):
            placed(bad)
    with pytest.raises(ConfigError, match=r"holds no user or password") as refused:
        placed("s3://me:hunter2@bucket/a")
    assert "hunter2" not in str(refused.value)


def test_what_is_written_is_in_the_store_and_is_read_on_another_machine_when_it_is_opened(url, tmp_path, monkeypatch):
    folder = local(url)
    assert not folder.exists()
    with atomic_file(folder / "set" / "part.bin") as file:
        file.write(b"x" * 1000)
    write_json(folder / "inputs" / "set" / "meta.json", {"complete": True})
    write_json(folder / "set" / "inputs" / "inputs.json", {"decoded": "here alone"})
    write_json(folder / "set" / "meta.json", {"complete": True, "where": str(folder)})
    on_another_machine(monkeypatch, tmp_path)
    there = local(url)
    assert there != folder
    part, meta = there / "set" / "part.bin", there / "set" / "meta.json"
    assert (there / "inputs" / "set" / "meta.json").exists()
    assert not (there / "set" / "inputs").exists()
    assert (part.stat().st_size, part.read_bytes()) == (1000, bytes(1000))  # it is only listed yet
    fetch(part)
    assert part.read_bytes() == b"x" * 1000
    (there / "scratch.npy").write_bytes(b"mine")
    fetch(there / "scratch.npy")
    assert (there / "scratch.npy").read_bytes() == b"mine"  # what is no copy stays
    assert json.loads(meta.read_bytes())["where"] == url  # a record was fetched at once, and names no copy
    assert one_line(f"see {meta}") == f"see {url}/set/meta.json"


def test_copy_follows_what_was_changed_and_taken_away_elsewhere(url, tmp_path, monkeypatch):
    write_text(local(url) / "a.txt", "old")
    write_text(local(url) / "b.txt", "b")
    with monkeypatch.context() as elsewhere:
        on_another_machine(elsewhere, tmp_path)
        there = local(url)
        fetch(there / "a.txt")
        store, name = system(url)
        store.pipe_file(f"{name}/a.txt", b"new")
        remove_file(there / "b.txt")
        pull(there)
        assert sorted(path.name for path in there.iterdir()) == ["a.txt"]
        fetch(there / "a.txt")
        assert (there / "a.txt").read_text() == "new"
    pull(placed(url))
    assert not (placed(url) / "b.txt").exists()


def test_object_that_changed_since_it_was_listed_is_not_taken_for_it(url, tmp_path, monkeypatch):
    write_text(local(url) / "a.txt", "old")
    on_another_machine(monkeypatch, tmp_path)
    copy = local(url) / "a.txt"
    store, name = system(f"{url}/a.txt")
    store.pipe_file(name, b"longer")
    with pytest.raises(OutdatedError):
        fetch(copy)
    pull(copy.parent)
    fetch(copy)
    assert copy.read_bytes() == b"longer"


def test_record_that_another_changed_is_not_written_over(url):
    record = local(url) / "meta.json"
    write_json(record, {"by": "us"})
    write_json(record, {"by": "us", "again": True})
    store, name = system(f"{url}/meta.json")
    store.pipe_file(name, b'{"by": "them"}')
    with pytest.raises(OutdatedError, match=rf"^{url}/meta.json was changed by another writer\. Run the command again"):
        write_json(record, {"by": "us", "once more": True})
    assert store.cat_file(name) == b'{"by": "them"}'
    assert "again" in record.read_text()  # the copy never has what the store lacks
    with pytest.raises(OutdatedError):
        remote.put(f"{url}/meta.json", b"new", None)


def test_record_whose_answer_was_lost_is_known_to_be_ours(s3):
    token = remote.put(f"{s3}/a.json", b"mine", None)
    assert remote.put(f"{s3}/a.json", b"mine", None) == token  # the library asks again after a lost answer


def test_second_writer_is_told_who_the_first_is_and_a_silent_one_is_taken_over(url, monkeypatch, tmp_path):
    with locked(local(url) / "set"):
        mine = remote.get(f"{url}/set/{lease.LOCK}")
        who = rf"Another process is writing {url}/set \(process {os.getpid()} on .*, since 20.*\)\. Wait for it"
        with monkeypatch.context() as there:
            on_another_machine(there, tmp_path)
            with pytest.raises(StoreError, match=who), locked(local(url) / "set"):
                pass
    assert remote.get(f"{url}/set/{lease.LOCK}") is None
    dead = {**json.loads(mine[0]), "seen": time.time() - lease.STALE_S - 1}
    remote.put(f"{url}/set/{lease.LOCK}", json.dumps(dead).encode(), None)
    with locked(local(url) / "set"):
        assert remote.get(f"{url}/set/{lease.LOCK}") != dead
    remote.put(f"{url}/set/{lease.LOCK}", b"[" * 100_000, None)  # nobody's: as good as dead
    with locked(local(url) / "set"):
        pass


def test_writer_that_was_taken_over_writes_nothing_more(s3, monkeypatch):
    monkeypatch.setattr(lease, "REFRESH_S", 0.01)
    monkeypatch.setattr(lease, "STALE_S", 60.0)
    folder = local(s3) / "set"
    with locked(folder):
        write_text(folder / "a.txt", "a")
        store, name = system(f"{s3}/set/{lease.LOCK}")
        while (lost := remote.lost.get(f"{s3}/set")) is None:
            store.pipe_file(name, b"{}")
            time.sleep(0.02)
        with pytest.raises(StoreError, match=r"^Nothing more is written to s3://.*/set: .*Run the command again"):
            write_text(folder / "b.txt", "b")
        assert lost
        assert not (folder / "b.txt").exists()
    assert store.exists(name)  # another's by now
    assert not remote.lost


def test_two_that_begin_at_once_are_never_both_the_writer(s3):
    got, began = [], threading.Barrier(4)

    def take() -> None:
        one = lease._Lease(placed(s3) / "set", f"{s3}/set")
        began.wait()
        if one._taken():
            got.append(one)

    several = [threading.Thread(target=take) for _ in range(4)]
    for one in several:
        one.start()
    for one in several:
        one.join()
    assert len(got) == 1


def test_fetched_clips_stay_below_the_size_that_is_allowed_the_oldest_going_first(s3, monkeypatch, tmp_path):
    monkeypatch.setattr(remote, "RECENT_S", 0.0)
    for name in "abc":
        write_text(local(s3) / f"{name}.wav", name * 400)
    on_another_machine(monkeypatch, tmp_path)
    monkeypatch.setenv("SOUNDPROBE_CACHE_GB", "1e-6")
    there = local(s3)
    for name in "abc":
        fetch(there / f"{name}.wav", clip=True)
    assert sorted(path.name for path in there.iterdir()) == ["b.wav", "c.wav"]
    fetch(there / "a.wav", clip=True)
    assert (there / "a.wav").read_text() == "a" * 400
    monkeypatch.setenv("SOUNDPROBE_CACHE_GB", "20 GB")
    with pytest.raises(ConfigError, match="SOUNDPROBE_CACHE_GB=20 GB is not valid: give GB above 0, such as 20"):
        fetch(there / "b.wav", clip=True)


def test_objects_that_no_file_can_be_are_left_out_with_a_note(s3, object_store):
    store, name = system(s3)
    for key in ("a/b.txt", "a", "c\\d.txt", ".hidden/z.txt", "a//b.txt", "/a/b.txt"):
        store.pipe_file(f"{name}/{key}", b"1")
    object_store.put(f"{s3[4:]}/x/../../up.txt", b"1")  # s3fs would not send it
    assert len(store.find(name)) == 7
    with pytest.warns(SoundprobeWarning, match=r"^4 objects below s3://.* are left out.*first: "):
        there = local(s3)
    assert sum(path.is_file() for path in there.rglob("*")) == 1
    assert not (there.parent / "up.txt").exists()


def test_refused_and_slow_answers_are_asked_again_and_others_are_one_line(s3, object_store, monkeypatch):
    write_json(local(s3) / "a.json", {"n": 1})
    object_store.refusals, object_store.stall_s = 1, 0.1
    try:
        pull(placed(s3))
        write_json(placed(s3) / "a.json", {"n": 2})
    finally:
        object_store.stall_s = 0.0
    assert object_store.refusals == 0
    object_store.deny = "GET HEAD PUT"
    try:
        with pytest.raises(StoreError, match=rf"^Can't read {s3}: AccessDenied\. See which credentials"):
            pull(placed(s3))
        with pytest.raises(StoreError, match=rf"^Can't write {s3}/a.json: AccessDenied\. See which credentials"):
            write_json(placed(s3) / "a.json", {"n": 3})
    finally:
        object_store.deny = ""
    with pytest.raises(
        StoreError, match=r"^Can't read s3://no-such/x: The specified bucket does not exist\. See whether"
    ):
        local("s3://no-such/x")


def test_finished_folder_of_a_store_that_is_only_read_is_used_as_it_is(s3, object_store):
    write_json(local(s3) / "set" / "meta.json", {"complete": True})
    object_store.deny = "PUT"
    try:
        with locked(placed(s3) / "set"):
            assert "complete" in (placed(s3) / "set" / "meta.json").read_text()
            with pytest.raises(StoreError, match=r"^Can't write .*set/part: AccessDenied"):
                write_text(placed(s3) / "set" / "part", "new")
        with (
            pytest.raises(StoreError, match=r"^Can't write .*/new/\.lock\.json: AccessDenied"),
            locked(placed(s3) / "new"),
        ):
            pass
    finally:
        object_store.deny = ""


def test_message_of_a_library_is_told_without_its_secrets():
    with pytest.raises(StoreError) as told, remote.asking("s3://bucket/x"):
        raise ValueError("bad https://me:hunter2@host/a?X-Amz-Signature=abc123&x=1, secret_key: s3cr3t")
    assert not {"hunter2", "abc123", "s3cr3t"} & set(re.findall(r"\w+", str(told.value)))
    assert "host/a" in str(told.value)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("nothing://bucket/x", "Protocol not known: nothing"),
        ("gs://bucket/x", "gs:// needs a library that is not installed: .*gcsfs"),
    ],
)
def test_scheme_without_its_library_names_what_to_install(place, message):
    with pytest.raises(ConfigError, match=message):
        local(place)


def test_repository_of_the_hub_is_read_and_not_written(monkeypatch):
    import fsspec

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with serving() as hub:
        monkeypatch.setitem(fsspec.config.conf, "hf", {"endpoint": hub.url})
        hub.repos["datasets/me/sounds"] = Repo(private=False)
        hub.commit("datasets/me/sounds", {"dog/1.wav": b"woof", "labels.csv": b"path,label\n"})
        there = local("hf://datasets/me/sounds")
        assert (there / "labels.csv").read_bytes() == b"path,label\n"
        fetch(there / "dog" / "1.wav", clip=True)
        assert (there / "dog" / "1.wav").read_bytes() == b"woof"
        with pytest.raises(StoreError, match=r"hf:// is only read"), locked(there):
            write_text(there / "new.txt", "new")


def test_folder_of_another_option_is_no_url():
    with pytest.raises(StoreError, match=r"only --embeddings, --heads and --reports may be URLs"):
        check_room(Path("s3://bucket/page"), 0)


def test_copy_that_is_damaged_is_fetched_again_and_an_object_that_is_stays_named(url, tmp_path, monkeypatch):
    write_json(local(url) / "a.json", {"n": 1})
    copy = placed(f"{url}/a.json")
    whole = copy.read_bytes()
    copy.write_bytes(whole.replace(b"1\n", b"2\n"))
    with pytest.warns(SoundprobeWarning, match=rf"^The copy of {url}/a.json in the cache is damaged\. It is fetched"):
        assert read_json(copy) == {"n": 1}
    copy.unlink()
    check_file(copy)
    store, name = system(f"{url}/a.json")
    store.pipe_file(name, whole.replace(b"1\n", b"2\n"))
    pull(placed(url))
    with pytest.raises(DamagedError, match=rf"^{url}/a.json is damaged"), pytest.warns(SoundprobeWarning):
        read_json(copy)


def test_what_a_dead_process_was_fetching_goes_and_what_a_living_one_is_stays(tmp_path, monkeypatch):
    on_another_machine(monkeypatch, tmp_path)
    folder = Path(copies_folder())
    folder.mkdir(parents=True)
    for process in (2**22 + 1, os.getppid()):
        (folder / f".0123.{process}.tmp").write_bytes(b"half")
    local("memory://bucket/other")
    assert [path.name for path in folder.glob(".*.tmp")] == [f".0123.{os.getppid()}.tmp"]


@pytest.mark.parametrize("info", [{"size": 2**70}, {"size": -1}, {"size": None}, {"mtime": 1e300}])
def test_listing_with_numbers_that_no_file_has_is_one_line(tmp_path, monkeypatch, info):
    url = f"memory://bucket/{tmp_path.name}"
    store, name = system(f"{url}/a.txt")
    told = {"type": "file", "size": 1, "name": name, **info}
    monkeypatch.setattr(type(store), "find", lambda *_, **__: {name: told})
    with pytest.raises(StoreError, match=rf"^Can't read {url}: .* the command again"):
        local(url)


def test_index_that_is_damaged_is_one_line(s3):
    local(s3)
    Path(copies_folder(), "index.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(StoreError, match=r"^Can't use .*index\.sqlite: file is not a database\..* holds copies alone"):
        pull(placed(s3))

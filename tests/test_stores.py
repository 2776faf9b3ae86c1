"""The way from clips to a page at the URLs of an object store: the same as on a disk, from any machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from command_line import soundprobe_here as soundprobe
from object_store import ObjectStore
from soundprobe.base.errors import StoreError, one_line
from soundprobe.base.locks import locked
from soundprobe.base.remote import placed
from soundprobe.data.catalog import open_data
from soundprobe.data.scan import scan
from soundprobe.embeddings.publishing import write_set
from soundprobe.embeddings.store import find_sets, open_set, read_embeddings
from soundprobe.scoring.run_names import named_runs
from sounds import write_urbansound_layout

EXTRACT = ("extract", "-b", "simplecnn", "--weights", "random", "-q")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_urbansound_layout(tmp_path_factory.mktemp("data") / "toy", recordings=1)


@pytest.fixture
def url(object_store: ObjectStore, clips: Path, tmp_path: Path) -> str:
    """A folder of a bucket, in which the clips lie in toy/."""
    import s3fs

    store = s3fs.S3FileSystem(use_listings_cache=False)
    store.put(str(clips), f"bucket/{tmp_path.name}/toy", recursive=True)
    object_store.asked.clear()
    return f"s3://bucket/{tmp_path.name}"


def done(*arguments: str, cwd: Path) -> str:
    ended = soundprobe(*arguments, cwd=cwd)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_whole_way_at_urls_gives_the_bytes_of_a_disk_and_is_read_on_another_machine(url, clips, tmp_path, monkeypatch):
    heard = {}
    for place, data in ((url, f"{url}/toy"), ("here", str(clips))):
        embeddings, heads = f"{place}/embeddings", f"{place}/heads"
        done(*EXTRACT, "--data", data, "--embeddings", embeddings, cwd=tmp_path)
        done("probe", "--head", "knn", "--embeddings", embeddings, "--heads", heads, "-q", cwd=tmp_path)
        if place == url:
            monkeypatch.setenv("SOUNDPROBE_CACHE", str(tmp_path / "another"))
        how = ("--run", "simplecnn-untrained-knn", "--heads", heads, "--format", "csv", "-q")
        heard[place] = done("predict", f"{data}/audio/fold1", *how, cwd=tmp_path).replace(data, "DATA")
    assert heard[url] == heard["here"]
    places = (option for one in ("embeddings", "heads", "reports") for option in (f"--{one}", f"{url}/{one}"))
    page = done("report", "--no-audio", *places, cwd=tmp_path)
    assert f"report -> {url}/reports/report.html" in page
    checked = done("doctor", "--verify", f"{url}/embeddings", f"{url}/heads", "-q", cwd=tmp_path)
    assert ": 0 damaged, 0 gone, 0 left over, 0 unsigned" in checked
    pieces = [path.relative_to(tmp_path / "here") for path in (tmp_path / "here").rglob("*.parquet")]
    assert len(pieces) == 2
    for piece in pieces:  # heads hold how long they took, records when they were made
        assert (placed(url) / piece).read_bytes() == (tmp_path / "here" / piece).read_bytes(), piece
    there = [path for path in placed(url).rglob("*") if path.is_file() and path.suffix in (".json", ".html", ".md")]
    assert {"meta.json", "result.json", "report.html", "report.md", "report.json"} <= {path.name for path in there}
    for path in there:
        assert b"/stores/s3/" not in path.read_bytes(), path  # no path of a copy is written anywhere
    (found,) = find_sets(f"{url}/embeddings")[0]
    assert found.meta["audio_root"] == f"{url}/toy/audio"
    assert len(read_embeddings(open_set(f"{url}/embeddings/toy/{found.folder.name}"))) == 18


def run_called(name: str, heads: str) -> str:
    """The URL of its folder."""
    return one_line(next(run.folder for run in named_runs(heads).found if run.name == name))


def test_set_run_and_bundle_are_named_by_their_urls_on_another_machine(url, clips, tmp_path, monkeypatch):
    done(*EXTRACT, "--data", str(clips), "--embeddings", f"{url}/embeddings", cwd=tmp_path)
    heads = ("--heads", f"{url}/heads")
    done("probe", "--head", "knn", "--embeddings", f"{url}/embeddings", *heads, "-q", cwd=tmp_path)
    (here,) = find_sets(f"{url}/embeddings")[0]
    run = run_called("simplecnn-untrained-knn", f"{url}/heads")
    predict = ("predict", str(clips / "audio" / "fold1"), "--format", "csv", "-q", "--run")
    heard = done(*predict, "simplecnn-untrained-knn", *heads, cwd=tmp_path)
    monkeypatch.setenv("SOUNDPROBE_CACHE", str(tmp_path / "another"))
    assert done(*predict, run, cwd=tmp_path) == heard
    (tmp_path / "set").mkdir()
    write_set(open_set(one_line(here.folder)).folder, tmp_path / "set")
    (part,) = here.record.parts
    assert (tmp_path / "set" / part.file).read_bytes() == (here.folder / part.file).read_bytes()
    sent = done("push", one_line(here.folder), "--repo", "me/x", "--dry-run", "-q", cwd=tmp_path)
    assert "Nothing was sent: this would go to dataset me/x" in sent
    done("export", run, "--to", "bundle", "--format", "bundle", "-q", cwd=tmp_path)
    import s3fs

    s3fs.S3FileSystem(use_listings_cache=False).put(str(tmp_path / "bundle"), f"{url}/bundle", recursive=True)
    assert done(*predict, f"{url}/bundle", cwd=tmp_path) == heard
    assert f"folder    {run}" in done("runs", "show", run, *heads, cwd=tmp_path)
    done("runs", "rm", run, "--yes", *heads, cwd=tmp_path)
    gone = soundprobe(*predict, run, cwd=tmp_path)
    assert (gone.returncode, gone.stderr.count("\n")) == (1, 1)
    assert f"--run {run}: there is no such run" in gone.stderr


def test_finetuned_run_is_named_by_its_url_and_heads_find_its_networks(url, clips, tmp_path, monkeypatch):
    heads, embeddings = ("--heads", f"{url}/heads"), ("--embeddings", f"{url}/embeddings")
    how = ("-b", "simplecnn", "--weights", "random", "--set", "training.epochs=1", "--data", str(clips), "-q")
    done("finetune", *how, *heads, cwd=tmp_path)
    tuned = run_called("simplecnn-trained", f"{url}/heads")
    monkeypatch.setenv("SOUNDPROBE_CACHE", str(tmp_path / "another"))
    done("extract", "--finetuned", tuned, *embeddings, "-q", cwd=tmp_path)
    done("probe", "--head", "knn", *embeddings, *heads, "-q", cwd=tmp_path)
    run = run_called("simplecnn-finetuned-knn", f"{url}/heads")
    monkeypatch.setenv("SOUNDPROBE_CACHE", str(tmp_path / "a-third"))
    assert "class" in done("predict", str(clips / "audio" / "fold1"), "--run", run, "-q", cwd=tmp_path)


def test_extract_killed_before_its_manifest_goes_on_from_the_store_on_another_machine(
    url, clips, tmp_path, object_store, monkeypatch
):
    command = (*EXTRACT, "--data", str(clips), "--embeddings", f"{url}/embeddings")
    process = subprocess.Popen([sys.executable, "-m", "soundprobe", *command], cwd=tmp_path)

    def kill(asked: str) -> None:
        object_store.asked.append(asked)
        if [one.startswith("PUT") and one.endswith("/meta.json") for one in object_store.asked].count(True) == 2:
            process.send_signal(signal.SIGKILL)
            process.wait()

    monkeypatch.setattr(object_store, "watch", kill)
    assert process.wait() == -signal.SIGKILL
    monkeypatch.setattr(object_store, "watch", object_store.asked.append)
    (begun,) = {one.split()[1].rsplit("/", 1)[0] for one in object_store.asked if one.startswith("PUT")}
    monkeypatch.setenv("SOUNDPROBE_CACHE", str(tmp_path / "another"))
    folder = placed(f"s3:/{begun}")
    with locked(folder):
        busy = soundprobe(*command, cwd=tmp_path)
    assert (busy.returncode, busy.stderr.count("\n")) == (1, 1)
    assert f"Another process is writing {folder}" not in busy.stderr
    assert f"Another process is writing s3:/{begun} (process {os.getpid()} on" in busy.stderr
    assert "18 clips, 18 of them there before -> s3:/" in done(*command, cwd=tmp_path)
    assert not [one for one in object_store.asked if one.startswith("PUT") and one.endswith("/part-00001.parquet")]


def test_wrong_place_in_a_store_is_one_line(url, tmp_path):
    for command, message in (
        (("data", "check", f"{url}/toys"), f"Nothing is at {url}/toys. Give a folder"),
        (("predict", f"{url}/gone.wav", "--heads", f"{url}/none"), f"There is no file or folder {url}/gone.wav"),
        (("view", f"{url}/toy", "--to", f"{url}/page.html"), "only --embeddings, --heads and --reports may be URLs"),
    ):
        refused = soundprobe(*command, cwd=tmp_path)
        assert refused.returncode == 1
        assert message in refused.stderr


def test_only_the_clips_that_are_read_are_fetched_and_a_store_that_fails_is_no_property_of_a_clip(url, object_store):
    few = open_data(f"{url}/toy", limit=3)
    object_store.deny = "GET"
    try:
        with pytest.raises(StoreError, match=rf"^Can't read {url}/toy/audio/.*wav: AccessDenied"):
            scan(few)
    finally:
        object_store.deny = ""
    object_store.asked.clear()
    assert scan(few).errors.tolist() == [""] * 3
    assert len([one for one in object_store.asked if one.startswith("GET") and one.endswith(".wav")]) == 3


def test_manifest_names_clips_of_a_store_from_within_and_without(url, clips, tmp_path, object_store):
    files = sorted(clips.rglob("*.wav"))
    rows = [f"{path.parent.name}/{path.name},class {path.name.split('-')[1]}" for path in files]
    placed_rows = [f"{url}/toy/audio/{row}" for row in rows]
    (tmp_path / "without.csv").write_text("\n".join(["path,label", *placed_rows, f"{url}/gone.wav,class 1"]) + "\n")
    (tmp_path / "below.csv").write_text("\n".join(["path,label", *rows]) + "\n")
    import s3fs

    s3fs.S3FileSystem(use_listings_cache=False).put_file(str(tmp_path / "below.csv"), f"{url}/toy/audio/within.csv")
    without = open_data(tmp_path / "without.csv", folds=2)
    assert scan(without).errors.tolist() == [""] * 18 + ["missing file"]
    for place, how in (
        (f"{url}/toy/audio/within.csv", {}),
        (tmp_path / "below.csv", {"audio_root": f"{url}/toy/audio"}),
    ):
        object_store.asked.clear()
        found = open_data(place, folds=2, **how)
        assert (scan(found).sha256 == scan(without).sha256[:18]).all()
        assert not [one for one in object_store.asked if "list-type" in one and "fold1" in one]

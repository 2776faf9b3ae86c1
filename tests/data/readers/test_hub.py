"""Parquet with audio inside: local files, and a small server that answers as the Hub does."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from soundprobe.audio.decode import decode
from soundprobe.audio.encoded import read_bytes, source_name
from soundprobe.base.errors import AudioError, DataError, SoundprobeWarning
from soundprobe.base.records import Clips
from soundprobe.data.readers.hub import parquet_files, read_hub
from soundprobe.data.readers.urbansound8k import read_urbansound8k
from soundprobe.data.scan import fingerprint, scan

COMMIT = "0123456789abcdef0123456789abcdef01234567"
HEADER = "slice_file_name,fsID,start,end,salience,fold,classID,class"


def write_layout(folder: Path, count: int = 12) -> Path:
    """`count` generated clips in UrbanSound8K's layout."""
    (folder / "metadata").mkdir(parents=True)
    lines = [HEADER]
    for n in range(count):
        fold = n % 3 + 1
        path = folder / "audio" / f"fold{fold}" / f"{n // 2}-{n % 4}-0-{n}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        wave = np.random.default_rng(n).uniform(-0.5, 0.5, (4_000 + 100 * n, 2)).astype(np.float32)
        soundfile.write(path, wave, 16_000)
        lines.append(f"{path.name},{n // 2},{n / 4},{n / 4 + 1.5},{n % 2 + 1},{fold},{n % 4},class {n % 4}")
    (folder / "metadata" / "UrbanSound8K.csv").write_text("\n".join(lines))
    return folder


def write_parquet(clips: Clips, folder: Path, shards: int = 3, **changes: list[object]) -> Path:
    """The clips in Parquet files with the columns of danavery/urbansound8K."""
    folder.mkdir(parents=True)
    audio = [{"bytes": read_bytes(source), "path": Path(str(source)).name} for source in clips.sources]
    columns = {
        "audio": pa.array(audio, pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        "slice_file_name": clips.ids.tolist(),
        "fsID": [int(group) for group in clips.groups],
        **{name: clips.columns[name].tolist() for name in ("start", "end", "salience")},
        "fold": clips.folds.tolist(),
        "classID": clips.labels.tolist(),
        "class": [clips.class_names[label] for label in clips.labels],
        **changes,
    }
    table = pa.table(columns)
    for shard, rows in enumerate(np.array_split(np.arange(len(clips)), shards)):
        name = f"train-{shard:05d}-of-{shards:05d}.parquet"
        pq.write_table(table.slice(rows[0], len(rows)), folder / name)
    return folder


def assert_same(files: Clips, parquet: Clips) -> None:
    assert parquet.ids.tolist() == files.ids.tolist()
    for ours, theirs in zip(files.sources, parquet.sources, strict=True):
        a, b = (decode(read_bytes(one), sample_rate_hz=32_000, name=source_name(one)) for one in (ours, theirs))
        np.testing.assert_array_equal(a, b)
    assert fingerprint(parquet, scan(parquet, jobs=4)) == fingerprint(files, scan(files))


def test_read_hub_generated_shards_decode_as_the_files(tmp_path: Path) -> None:
    files = read_urbansound8k(write_layout(tmp_path / "files"))
    parquet = read_hub(write_parquet(files, tmp_path / "set" / "data").parent, cache_dir=tmp_path / "cache")
    assert parquet.name == "set"
    assert_same(files, parquet)
    assert source_name(parquet.sources[0]) == f"{tmp_path / 'set'}/{files.ids[0]}"


def test_read_hub_real_clips_decode_as_the_files(shared: Path, tmp_path: Path) -> None:
    sample = read_urbansound8k(shared / "data" / "UrbanSound8K")
    rows = [int(np.flatnonzero(sample.labels == label)[turn]) for turn in (0, 11) for label in range(10)][:12]
    files = sample.take(np.array(rows))
    assert_same(files, read_hub(write_parquet(files, tmp_path / "set"), cache_dir=tmp_path / "cache"))


def test_read_hub_single_file_is_read(tmp_path: Path) -> None:
    files = read_urbansound8k(write_layout(tmp_path / "files"))
    file = write_parquet(files, tmp_path / "set", shards=1) / "train-00000-of-00001.parquet"
    assert read_hub(file, cache_dir=tmp_path / "cache").ids.tolist() == files.ids.tolist()


def test_read_hub_row_without_bytes_is_a_missing_file(tmp_path: Path) -> None:
    files = read_urbansound8k(write_layout(tmp_path / "files"))
    audio = pa.array(
        [{"bytes": None, "path": "x.wav"}] * len(files), pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    )
    clips = read_hub(write_parquet(files, tmp_path / "set", audio=audio), cache_dir=tmp_path / "cache")
    with pytest.raises(AudioError, match="missing file"):
        read_bytes(clips.sources[3])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class": ["same"] * 12}, "row 2: class 'same' has classID 1, but 0 above"),
        ({"fold": [None, *[1] * 11]}, "row 1: fold '' is not a whole number"),
        ({"slice_file_name": ["a.wav"] * 12}, "row 2: slice_file_name 'a.wav' stands at row 1 already"),
    ],
)
def test_read_hub_malformed_row_is_named(tmp_path: Path, changes: dict[str, list[object]], message: str) -> None:
    files = read_urbansound8k(write_layout(tmp_path / "files"))
    with pytest.raises(DataError, match=f"set, {message}"):
        read_hub(write_parquet(files, tmp_path / "set", **changes), cache_dir=tmp_path / "cache")


def test_read_hub_other_columns_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"clip_id": ["a"], "embedding": [[1.0]]}), tmp_path / "part.parquet")
    with pytest.raises(DataError, match=r"has no column of audio\. It has clip_id, embedding; needed"):
        read_hub(tmp_path, cache_dir=tmp_path / "cache")


def test_read_hub_damaged_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(DataError, match=r"^Can't read the Parquet files of .*\.$") as caught:
        read_hub(tmp_path, cache_dir=tmp_path / "cache")
    assert "\n" not in str(caught.value)


def test_parquet_files_folder_wins_over_its_data(tmp_path: Path) -> None:
    assert parquet_files(tmp_path) == []
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "b.parquet").touch()
    assert parquet_files(tmp_path) == [tmp_path / "data" / "b.parquet"]
    (tmp_path / "a.parquet").touch()
    assert parquet_files(tmp_path) == [tmp_path / "a.parquet"]


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[tuple[str, Clips]]:
    """The address of a server with one data set, and the clips that are in it."""
    files = read_urbansound8k(write_layout(tmp_path / "files"))
    root = write_parquet(files, tmp_path / "repo" / "data", shards=2).parent

    def digest(file: Path) -> str:
        return hashlib.sha1(file.read_bytes()).hexdigest()

    def entry(place: Path) -> dict[str, object]:
        path = place.relative_to(root).as_posix()
        if place.is_dir():
            return {"type": "directory", "path": path, "oid": "0" * 40, "size": 0}
        return {"type": "file", "path": path, "oid": digest(place), "size": place.stat().st_size}

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(with_body=False)

        def do_POST(self) -> None:  # paths-info
            asked = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.reply(
                json.dumps([entry(root / one) for one in asked["paths"] if (root / one).exists()]).encode(), {}, True
            )

        def do_GET(self) -> None:
            self.answer(with_body=True)

        def answer(self, with_body: bool) -> None:
            path = self.path.split("?")[0]
            api, files = "/api/datasets/danavery/urbansound8K", "/datasets/danavery/urbansound8K/resolve/"
            if path.startswith(f"{api}/tree/{COMMIT}"):
                folder = root / path.removeprefix(f"{api}/tree/{COMMIT}").strip("/")
                self.reply(json.dumps([entry(one) for one in sorted(folder.iterdir())]).encode(), {}, with_body)
            elif path in (api, f"{api}/revision/{COMMIT}"):
                info = {"id": "danavery/urbansound8K", "sha": COMMIT}
                self.reply(json.dumps(info).encode(), {}, with_body)
            elif path.startswith(files) and (file := root / path.removeprefix(files).split("/", 1)[1]).is_file():
                self.reply(file.read_bytes(), {"ETag": f'"{digest(file)}"', "X-Repo-Commit": COMMIT}, with_body)
            else:
                self.reply(b"", {"X-Error-Code": "EntryNotFound"}, with_body, status=404)

        def reply(self, body: bytes, headers: dict[str, str], with_body: bool, status: int = 200) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if with_body:
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", files
    server.shutdown()
    server.server_close()


READ = """
import sys, warnings
from soundprobe.data.readers.hub import read_hub
from soundprobe.data.scan import fingerprint, scan
from soundprobe.base.errors import SoundprobeError
try:
    clips = read_hub(revision=sys.argv[1] if len(sys.argv) > 1 else None)
    print(clips.name, clips.sources[0].name, fingerprint(clips, scan(clips)))
except SoundprobeError as error:
    print("ERROR", error)
"""


def read_in_process(home: Path, endpoint: str, *args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`read_hub` in a process of its own, since the Hub's address is read at import."""
    settings = {**os.environ, "HF_HOME": str(home), "HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": "0", **environment}
    settings["HF_HUB_DISABLE_XET"] = settings["HF_HUB_DISABLE_TELEMETRY"] = "1"
    return subprocess.run(
        [sys.executable, "-c", READ, *args], env=settings, capture_output=True, text=True, timeout=120
    )


def test_read_hub_fetched_once_is_there_offline(hub: tuple[str, Clips], tmp_path: Path) -> None:
    address, files = hub
    expected = f"urbansound8k danavery/urbansound8K@{COMMIT[:12]}/{files.ids[0]} {fingerprint(files, scan(files))}\n"
    closed = "http://127.0.0.1:9"
    nothing = read_in_process(tmp_path / "home", closed)
    assert nothing.stdout.startswith("ERROR Can't reach danavery/urbansound8K on the Hugging Face Hub (")
    assert "run: soundprobe data fetch urbansound8k" in nothing.stdout
    assert nothing.stdout.count("\n") == 1
    online = read_in_process(tmp_path / "home", address)
    assert online.stdout == expected
    offline = read_in_process(tmp_path / "home", closed)
    assert offline.stdout == expected
    assert "Retrying" not in offline.stderr
    other = read_in_process(tmp_path / "home", closed, "f" * 40)
    assert other.stdout.startswith("ERROR Can't reach danavery/urbansound8K")
    assert f"Fetched before was revision {COMMIT}, not {'f' * 40}" in other.stdout


OPEN = """
import sys, warnings
from soundprobe.base.errors import SoundprobeError
from soundprobe.data.catalog import open_data, open_fetched
try:
    opens = open_fetched if sys.argv[2] == "fetched" else open_data
    clips = opens(sys.argv[1], splits=sys.argv[3] if len(sys.argv) > 3 else None)
    print(clips.name, len(clips), *clips.class_names, *clips.tested_folds, clips.sources[0].name)
except SoundprobeError as error:
    print("ERROR", error)
"""


def test_read_address_any_repository_with_audio_and_labels_is_read(
    hub: tuple[str, Clips], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, files = hub
    monkeypatch.setattr(f"{__name__}.READ", OPEN)
    for file in (tmp_path / "repo" / "data").iterdir():
        file.unlink()
    audio = [{"bytes": read_bytes(source), "path": f"{n}.wav"} for n, source in enumerate(files.sources)]
    made = pa.table({"audio": audio, "category": ["dog", "rain"] * 6})
    for split, start in (("train", 0), ("test", 6)):
        pq.write_table(made.slice(start, 6), tmp_path / "repo" / "data" / f"{split}-00000-of-00001.parquet")
    home, name = tmp_path / "home", "hf:danavery/urbansound8K"
    nothing = read_in_process(home, "http://127.0.0.1:9", name, "open")
    assert nothing.stdout.startswith("ERROR Can't reach danavery/urbansound8K")
    online = read_in_process(home, address, f"{name}@{COMMIT}", "open")
    told = f"danavery/urbansound8K@{COMMIT[:12]}/"
    assert online.stdout == f"urbansound8k 12 dog rain 2 {told}0.wav\n", online.stderr
    assert "only the split test is tested" in online.stderr
    offline = read_in_process(home, "http://127.0.0.1:9", name, "fetched", "as-folds")
    assert offline.stdout == f"urbansound8k 12 dog rain 1 2 {told}0.wav\n"
    wrong = read_in_process(home, address, "hf:a b", "open")
    assert wrong.stdout.startswith("ERROR hf:a b is not valid: write hf:OWNER/NAME")


def test_read_hub_options_for_known_columns_are_refused(tmp_path: Path) -> None:
    files = read_urbansound8k(write_layout(tmp_path / "files"))
    with pytest.raises(DataError, match="has the columns, folds and recordings of a known data set"):
        read_hub(write_parquet(files, tmp_path / "set"), cache_dir=tmp_path / "cache", splits="as-folds")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"label": [["dog", "rain"], ["dog"]]}, r"row 1: label \"\['dog', 'rain'\]\" names several classes"),
        ({"kind": ["dog", "rain"]}, "has no label column. It has 'kind'. Say which is which: --columns label=kind"),
        ({"label": [None, "dog"]}, "row 1: label is empty"),
        ({}, "has the column audio alone"),
    ],
)
def test_read_hub_labels_that_are_none_or_several_are_refused(
    tmp_path: Path, columns: dict[str, list[object]], message: str
) -> None:
    audio = [{"bytes": b"x", "path": "a.wav"}, {"bytes": b"x", "path": "b.wav"}]
    pq.write_table(pa.table({"audio": audio, **columns}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=message):
        read_hub(tmp_path, cache_dir=tmp_path / "cache")


def test_read_hub_files_with_other_columns_than_each_other_are_refused(tmp_path: Path) -> None:
    for name in ("label", "category"):
        pq.write_table(pa.table({"audio": [{"bytes": b"x", "path": "a"}], name: ["dog"]}), tmp_path / f"{name}.parquet")
    with pytest.raises(DataError, match="have different columns. Give one of them as --data"):
        read_hub(tmp_path, cache_dir=tmp_path / "cache")


def write_labelled(file: Path, count: int = 4, **columns: pa.Array) -> None:
    audio = [{"bytes": b"x", "path": f"{file.stem}-{n}.wav"} for n in range(count)]
    pq.write_table(pa.table({"audio": audio, "label": [("dog", "rain")[n % 2] for n in range(count)], **columns}), file)


@pytest.mark.parametrize("names", [("esc-train", "esc-test"), ("train-0", "test-0"), ("train_clean", "test_clean")])
def test_read_hub_files_named_for_splits_are_splits(tmp_path: Path, names: tuple[str, str]) -> None:
    for name in names:
        write_labelled(tmp_path / f"{name}.parquet")
    with pytest.warns(SoundprobeWarning, match="only the split test is tested"):
        assert read_hub(tmp_path, cache_dir=tmp_path / "cache").tested_folds == (2,)
    write_labelled(tmp_path / "more.parquet")
    with pytest.raises(DataError, match="some files are named for a split, and more.parquet isn't"):
        read_hub(tmp_path, cache_dir=tmp_path / "cache")


def test_read_hub_missing_shards_are_noted(tmp_path: Path) -> None:
    write_labelled(tmp_path / "train-00000-of-00003.parquet")
    with pytest.warns(SoundprobeWarning, match=r"missing: train-00001-of-00003, train-00002-of-00003\."):
        assert len(read_hub(tmp_path, cache_dir=tmp_path / "cache", folds=2)) == 4


def test_read_hub_column_that_is_no_value_is_one_line(tmp_path: Path) -> None:
    bad = pa.array([b"\xff", b"a", b"\xff", b"a"]).view(pa.string())
    for column in (bad, pa.array([4 * 10**14] * 4, pa.timestamp("s"))):
        write_labelled(tmp_path / "a.parquet", other=column)
        with pytest.raises(DataError, match="the column other can't be read"):
            read_hub(tmp_path, cache_dir=tmp_path / "cache")
    audio = [{"bytes": 5, "path": "a"}] * 4
    pq.write_table(pa.table({"audio": audio, "label": ["dog"] * 4}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="has no column of audio"):
        read_hub(tmp_path, cache_dir=tmp_path / "cache")


def test_read_hub_classes_of_another_column_leave_the_labels_alone(tmp_path: Path) -> None:
    kinds = {"audio": {"_type": "Audio"}, "kind": {"_type": "ClassLabel", "names": ["q", "r"]}}
    kinds["label"] = {"_type": "Value", "dtype": "string"}
    write_labelled(tmp_path / "a.parquet", kind=pa.array([0, 1, 0, 1]))
    made = pq.read_table(tmp_path / "a.parquet")
    made = made.select(["audio", "kind", "label"])
    schema = {"huggingface": json.dumps({"info": {"features": kinds}})}
    pq.write_table(made.replace_schema_metadata(schema), tmp_path / "a.parquet")
    assert read_hub(tmp_path, cache_dir=tmp_path / "cache", folds=2).class_names == ("dog", "rain")

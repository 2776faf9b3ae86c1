"""The pass over all audio: reasons, fingerprint, summary."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundprobe.base.errors import ConfigError, DataError
from soundprobe.base.records import Clips, EncodedAudio
from soundprobe.data.readers.urbansound8k import read_urbansound8k
from soundprobe.data.scan import Scan, fingerprint, recordings_across_folds, scan, summarise


def encoded(seconds: float, rate: int = 8_000, format: str = "WAV", bad: bool = False) -> bytes:
    wave = np.full(round(seconds * rate), 0.1, dtype=np.float32)
    wave[0] = np.nan if bad else 0.0
    file = io.BytesIO()
    soundfile.write(file, wave, rate, format=format, subtype="FLOAT" if format == "WAV" else None)
    return file.getvalue()


def make_clips(folder: Path) -> Clips:
    """Six clips, of which two are fine."""
    folder.mkdir()
    flac = encoded(2.0, format="FLAC")
    contents = {
        "good.wav": encoded(1.0),
        "other.wav": encoded(0.5, 16_000),
        "empty.wav": b"",
        "text.wav": b"hello",
        "nan.wav": encoded(1.0, bad=True),
        "cut.flac": flac[: len(flac) // 2],
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    ids = [*contents, "gone.wav"]
    return Clips(
        name="six",
        ids=np.array(ids),
        sources=[str(folder / name) for name in ids],
        labels=np.array([0, 1, 0, 1, 0, 1, 0]),
        folds=np.array([1, 2, 1, 2, 1, 2, 1]),
        groups=np.array(["r", "r", "s", "t", "u", "t", "v"]),
        class_names=("a", "b"),
        columns={"salience": np.array([1, 2, 1, 2, 1, 2, 1])},
    )


def test_scan_bad_clips_each_get_their_reason(tmp_path: Path) -> None:
    clips = make_clips(tmp_path / "d")
    done: list[int] = []
    found = scan(clips, jobs=3, on_progress=done.append)
    assert found.errors.tolist() == [
        "",
        "",
        "empty file",
        "not audio",
        "",
        "",
        "missing file",
    ]
    assert found.duration_s.tolist() == [1.0, 0.5, 0.0, 0.0, 1.0, 2.0, 0.0]
    assert found.sample_rate_hz.tolist() == [8000, 16000, 0, 0, 8000, 8000, 0]
    assert found.channels.tolist() == [1, 1, 0, 0, 1, 1, 0]
    assert found.sha256[0] == hashlib.sha256((tmp_path / "d" / "good.wav").read_bytes()).hexdigest()
    assert found.sha256[6] == ""
    assert sum(done) == 7


def test_scan_decoding_samples_finds_what_headers_hide(tmp_path: Path) -> None:
    found = scan(make_clips(tmp_path / "d"), decode_samples=True)
    assert found.errors[4] == "NaN or infinite samples"
    assert found.errors[5].startswith("truncated")
    assert found.duration_s[4] == 0.0


def failing(times: int) -> EncodedAudio:
    """A clip whose disk fails so often before it gives the bytes."""
    content, tries = encoded(1.0), iter(range(times))

    def read() -> bytes:
        if next(tries, None) is not None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return content

    return EncodedAudio("good.wav", read)


def test_scan_where_the_disk_fails_for_a_moment_tries_again(tmp_path: Path) -> None:
    clips = make_clips(tmp_path / "a")
    again = replace(clips, sources=[failing(2), *clips.sources[1:]])
    assert fingerprint(again, scan(again)) == fingerprint(clips, scan(clips))


def test_scan_where_the_disk_goes_on_failing_stops_instead_of_calling_the_clip_bad(tmp_path: Path) -> None:
    clips = make_clips(tmp_path / "a")
    with pytest.raises(DataError, match=r"Can't read good\.wav: Input/output error\. See whether its drive is"):
        scan(replace(clips, sources=[failing(99), *clips.sources[1:]]))


def test_scan_of_a_drive_that_goes_away_stops_instead_of_calling_the_rest_missing(tmp_path: Path) -> None:
    clips = make_clips(tmp_path / "a")

    def unplug(_: int) -> None:
        if (tmp_path / "a").exists():
            (tmp_path / "a").rename(tmp_path / "unplugged")

    with pytest.raises(DataError, match=r"good\.wav was there a moment ago\. See whether its drive"):
        scan(clips, jobs=1, on_progress=unplug)


def test_scan_no_threads_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--jobs 0 is not valid"):
        scan(make_clips(tmp_path / "d"), jobs=0)


def test_scan_many_clips_holds_few_in_memory() -> None:
    alive = most = 0
    lock = threading.Lock()
    content = encoded(0.1)

    class Tracked(bytes):
        def __del__(self) -> None:
            nonlocal alive
            with lock:
                alive -= 1

    def read() -> bytes:
        nonlocal alive, most
        with lock:
            alive += 1
            most = max(most, alive)
        return Tracked(content)

    n = 200
    clips = Clips(
        name="many",
        ids=np.arange(n).astype(str),
        sources=[EncodedAudio(str(row), read) for row in range(n)],
        labels=np.zeros(n),
        folds=np.ones(n),
        groups=np.arange(n).astype(str),
        class_names=("a",),
    )
    assert (scan(clips, jobs=2).errors == "").all()
    assert most <= 4


def changed(clips: Clips, found: Scan, what: str) -> tuple[Clips, Scan]:
    if what == "audio":
        return clips, replace(found, sha256=np.array(["0" * 64, *found.sha256[1:]]))
    changes = {
        "ids": {"ids": np.array(["x", *clips.ids[1:]])},
        "labels": {"labels": 1 - clips.labels},
        "folds": {"folds": clips.folds + 1},
        "groups": {"groups": clips.ids},
        "class_names": {"class_names": ("a", "c")},
        "columns": {"columns": {"salience": clips.columns["salience"] + 1}},
        "column name": {"columns": {"loudness": clips.columns["salience"]}},
    }
    return replace(clips, **changes[what]), found


@pytest.mark.parametrize("what", ["audio", "ids", "labels", "folds", "groups", "class_names", "columns", "column name"])
def test_fingerprint_anything_changed_differs(tmp_path: Path, what: str) -> None:
    clips = make_clips(tmp_path / "d")
    found = scan(clips)
    assert fingerprint(*changed(clips, found, what)) != fingerprint(clips, found)


def test_fingerprint_other_order_or_place_is_the_same(tmp_path: Path) -> None:
    here, there = make_clips(tmp_path / "here"), make_clips(tmp_path / "there").take(np.array([3, 1, 6, 0, 2, 5, 4]))
    mark = fingerprint(here, scan(here))
    assert fingerprint(there, scan(there)) == mark
    assert len(mark) == 64


def test_recordings_across_folds_names_group_folds_and_clips(tmp_path: Path) -> None:
    assert recordings_across_folds(make_clips(tmp_path / "d")) == [{"group": "r", "folds": [1, 2], "clips": 2}]


def test_summarise_bad_clips_counts_and_names_them(tmp_path: Path) -> None:
    clips = make_clips(tmp_path / "d")
    summary = summarise(clips, scan(clips))
    assert (summary["name"], summary["clips"], summary["recordings"]) == ("six", 7, 5)
    assert summary["folds"][1] == {"clips": 4, "classes": {"a": 4, "b": 0}}
    assert summary["classes"] == {"a": 4, "b": 3}
    assert summary["sample_rates_hz"] == {8000: 3, 16000: 1}
    assert (summary["shortest_s"], summary["longest_s"], summary["total_s"]) == (0.5, 2.0, 4.5)
    assert summary["missing"] == 1
    assert summary["failures"] == {"empty.wav": "empty file", "text.wav": "not audio", "gone.wav": "missing file"}
    assert summary["recordings_across_folds"][0]["group"] == "r"


def test_summarise_nothing_readable_has_no_lengths(tmp_path: Path) -> None:
    clips = make_clips(tmp_path / "d").take(np.array([6]))
    summary = summarise(clips, scan(clips))
    assert (summary["shortest_s"], summary["longest_s"], summary["total_s"]) == (None, None, 0.0)


def test_summarise_real_sample_is_whole(shared: Path) -> None:
    clips = read_urbansound8k(shared / "data" / "UrbanSound8K")
    summary = summarise(clips, scan(clips))
    assert summary["failures"] == {}
    assert summary["sample_rates_hz"] == {22050: 397}
    assert summary["longest_s"] == pytest.approx(4.0, abs=1e-3)


def channels_apart(path: Path, factor: float) -> str:
    wave = np.sin(np.arange(8_000) / 5).astype(np.float32) / 2
    soundfile.write(path, np.stack([wave, factor * wave], axis=1), 8_000)
    return str(path)


def test_scan_decoding_samples_finds_channels_that_cancel(tmp_path: Path) -> None:
    clips = replace(
        make_clips(tmp_path / "six").take(np.array([0, 1])),
        sources=[channels_apart(tmp_path / "apart.wav", -1), channels_apart(tmp_path / "alike.wav", 1)],
    )
    assert list(summarise(clips, scan(clips, decode_samples=True))["findings"]) == ["good.wav"]
    assert summarise(clips, scan(clips, decode_samples=True, channels="first"))["findings"] == {}
    assert summarise(clips, scan(clips))["findings"] == {}


def test_fingerprint_of_clips_that_older_versions_read_in_part_is_another(tmp_path: Path) -> None:
    clips = make_clips(tmp_path / "six").take(np.array([0, 1]))
    scanned = scan(clips)
    assert scanned.decoder is not None
    assert scanned.decoder.tolist() == ["", ""]
    before = fingerprint(clips, replace(scanned, decoder=None))
    assert fingerprint(clips, scanned) == before
    joined = tmp_path / "joined.wav"
    joined.write_bytes(2 * (tmp_path / "six" / "good.wav").read_bytes())
    newly = scan(replace(clips, sources=[str(joined), clips.sources[1]]))
    assert newly.duration_s.tolist() == [2.0, 0.5]
    as_before = replace(newly, decoder=None)
    assert fingerprint(clips, newly) != fingerprint(clips, as_before)

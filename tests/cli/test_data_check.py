"""`soundprobe data check` prints the audit: leaks by name, short and silent clips, and what it could not see."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from typer.testing import CliRunner

from command_line import soundprobe
from damage import sign_again
from made_sets import make_set
from soundprobe.base.errors import DataError
from soundprobe.base.records import Clips
from soundprobe.cli.auditing import find_embeddings
from soundprobe.cli.data import app
from soundprobe.cli.options import ExitCode
from soundprobe.embeddings.store import open_set, read_embeddings
from sounds import write_urbansound_layout


def check(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["check", "--quiet", *arguments])
    if isinstance(done.exception, DataError):  # the command line's own words for it are main's
        raise done.exception
    return done.exit_code, done.output


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Real audio in UrbanSound8K's layout, two folds."""
    write_urbansound_layout(tmp_path / "clips", folds=2, recordings=2, slices=1)
    return tmp_path / "clips"


def audio_of(clips: Path, fold: int) -> list[Path]:
    return sorted((clips / "audio" / f"fold{fold}").glob("*.wav"))


def test_check_of_sound_data_says_what_was_looked_at(clips, tmp_path):
    code, text = check("--data", str(clips), "--embeddings", str(tmp_path / "none"))
    assert code == 0
    assert "No clip is silent" in text
    assert "Not checked: near copies: needs embeddings" in text
    assert "in another fold" not in text


def test_check_names_copies_across_folds_and_silent_and_short_clips(clips, tmp_path):
    copy, original = audio_of(clips, 2)[0], audio_of(clips, 1)[0]
    shutil.copyfile(original, copy)
    silent, short = audio_of(clips, 1)[1:3]
    soundfile.write(silent, np.zeros(22050), 22050)
    soundfile.write(short, 0.1 * np.random.default_rng(0).normal(size=2205), 22050)
    code, text = check("--data", str(clips), "--embeddings", str(tmp_path / "none"))
    assert code == 0
    line = next(line for line in text.splitlines() if copy.name in line and original.name in line)
    assert "(fold 1)" in line
    assert "(fold 2)" in line
    assert f"{silent.name}: peak 0" in text
    assert f"{short.name}: 0.10 s" in text
    assert "2 of" in text.split("in another fold")[0].splitlines()[-1]
    assert "Near copies stay in training." in text


def test_check_of_headers_only_does_not_listen_for_silence(clips, tmp_path):
    _, text = check("--data", str(clips), "--headers-only", "--embeddings", str(tmp_path / "none"))
    assert "Not checked: silent" in text


def test_check_with_corrections_counts_by_them_and_says_how_many(clips, tmp_path):
    clip, corrections = audio_of(clips, 1)[0].name, tmp_path / "label-suspects.csv"
    corrections.write_text(f"clip,given,correction\n{clip},low <b>hum</b>,middle\n", encoding="utf-8")
    where = ("--data", str(clips), "--embeddings", str(tmp_path / "none"))
    code, text = check(*where, "--corrections", str(corrections))
    assert code == 0
    assert f"1 label corrected by {corrections}." in text
    assert re.search(r"^middle +3 +2 +5$", text, flags=re.MULTILINE)
    corrections.write_text(f"clip,given,correction\n{clip},low <b>hum</b>,midle\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"line 2: Unknown class 'midle'\. Did you mean 'middle'"):
        check(*where, "--corrections", str(corrections))


def test_check_finds_the_five_shared_recordings_in_the_metadata_alone(shared, tmp_path):
    path = shared / "data" / "UrbanSound8K-full-metadata.csv"
    _, text = check("--data", str(path), "--embeddings", str(tmp_path / "none"))
    for recording in ("106905", "132016", "176638", "180937", "77751"):
        assert f"{recording}: folds" in text
    assert "152 of 8732 clips" in text


def test_near_copies_are_not_looked_for_in_embeddings_of_other_layers(tmp_path: Path):
    folder = make_set(tmp_path)
    clips = read_embeddings(open_set(folder))
    asked = Clips("toy", clips.ids, ["x"] * 120, clips.labels, clips.folds, clips.groups, clips.class_names)
    assert find_embeddings(tmp_path, asked) is not None
    meta = json.loads((folder / "meta.json").read_text())
    meta["backbone"]["layers"] = {"last": 4, "middle": 2}
    (folder / "meta.json").write_text(json.dumps(meta))
    sign_again(folder / "meta.json")
    assert find_embeddings(tmp_path, asked) is None


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """A folder for each of two classes, with names as ESC-50's: two clips of each recording."""
    for label, name in enumerate(("dog", "rain")):
        for n in range(8):
            path = tmp_path / "folders" / name / f"{n % 4 + 1}-{100 * label + n // 2}-{'AB'[n % 2]}-{label}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, 0.1 * np.random.default_rng(10 * label + n).normal(size=16000), 16000)
    return tmp_path / "folders"


def test_check_of_unknown_recordings_says_so_and_proposes_the_option(folders, tmp_path):
    code, text = check(str(folders), "--folds", "4", "--embeddings", str(tmp_path / "none"))
    assert code == 0
    assert "recordings unknown: every file counts as its own" in text
    assert "No recording sits" not in text
    assert "sibling" not in text
    option = r"--group-regex '^\d+-(\d+)-[A-Z]'"
    assert f"{option} would give 8 recordings of 16 clips" in text
    _, text = check(
        str(folders), "--folds", "4", "--group-regex", r"^\d+-(\d+)-[A-Z]", "--embeddings", str(tmp_path / "none")
    )
    assert "16 clips of 8 recordings" in text
    assert "No recording sits in more than one fold." in text


def test_check_of_missing_files_says_where_it_looked(tmp_path):
    (tmp_path / "m.csv").write_text("path,label,fold\na.wav,x,1\nb.wav,y,2\n")
    (tmp_path / "a_.wav").touch()
    code, text = check(str(tmp_path / "m.csv"), "--embeddings", str(tmp_path / "none"))
    assert code == 3
    assert f"2 clips are missing. Looked for {tmp_path / 'a.wav'}. The nearest name in {tmp_path} is a_.wav." in text


def test_check_of_a_folder_that_is_not_there_says_so_and_names_no_download(tmp_path, monkeypatch):
    from soundprobe.base.errors import DataError
    from soundprobe.data.catalog import open_data

    monkeypatch.chdir(tmp_path)
    (tmp_path / "UrbanSound8k").mkdir()
    for given in ("UrbanSound8K/", "UrbanSound8K", "./data"):
        with pytest.raises(DataError, match="^There is no file or folder") as caught:
            open_data(given)
        assert "Did you mean" not in str(caught.value)
    with pytest.raises(DataError, match=r"nearest name there is UrbanSound8k\. --data urbansound8k is .* 7 GB"):
        open_data("UrbanSound8K/")


def test_check_quietly_of_parquet_draws_no_bar_of_another_library(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(800), 8000)
    audio = (tmp_path / "a.wav").read_bytes()
    rows = [{"audio": {"bytes": audio, "path": f"{n}.wav"}, "label": "ab"[n % 2]} for n in range(4)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    environ = {**os.environ, "HF_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-m", "soundprobe", "data", "check", "a.parquet", "--folds", "2", "-q"]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True)
    assert done.returncode == 0
    assert "a: 4 clips, 2 classes, 2 folds" in done.stdout
    assert done.stderr == ""


def test_check_counts_what_is_odd_about_the_sound_and_leaves_silence_to_the_audit(clips, tmp_path):
    first, second, third, *_ = audio_of(clips, 1)
    wave, rate_hz = soundfile.read(first)
    soundfile.write(first, np.stack([wave, -wave], axis=1), rate_hz)
    soundfile.write(second, 32_768 * wave, rate_hz, subtype="FLOAT")
    soundfile.write(third, 0 * wave, rate_hz)
    code, text = check("--data", str(clips), "--embeddings", str(tmp_path / "none"))
    assert code == 0
    assert f"1 clip is all but silent when the channels are mixed ({first.name}): --channels first, or loudest." in text
    assert f"({second.name}): written as integers? Divide by 32768." in text
    assert "digital silence" not in text
    code, text = check("--data", str(clips), "--channels", "first", "--embeddings", str(tmp_path / "none"))
    assert "channels are mixed" not in text


def test_check_of_damaged_mp3_files_names_them_and_lets_no_library_speak(tmp_path):
    for number in range(6):
        place = tmp_path / "clips" / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        soundfile.write(place / f"{number}.mp3", 0.1 * np.random.default_rng(number).normal(size=22_050), 22_050)
        damaged = bytearray((place / f"{number}.mp3").read_bytes())
        for at in range(900, len(damaged), 150):
            damaged[at] ^= 0x55
        (place / f"{number}.mp3").write_bytes(damaged)
    done = soundprobe("data", "check", "clips", "--folds", "2", "--quiet", cwd=tmp_path)
    assert "mpg123" not in done.stderr + done.stdout
    assert "resync" not in done.stderr + done.stdout
    assert "clips" in done.stdout
    missing = soundprobe("data", "check", "no-such", cwd=tmp_path)
    assert missing.stderr.startswith("Error: ")


def test_check_shows_names_without_terminal_codes_and_on_one_line(tmp_path):
    for name in ("cat\x1b[31m", "dog"):
        for number in range(4):
            path = tmp_path / "clips" / name / f"{name}-{number}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, np.random.default_rng(number).normal(0, 0.1, 8_000), 8_000)
    (tmp_path / "clips" / "dog" / "a\nb\x1b[2J.wav").write_bytes(b"")
    code, text = check("--data", str(tmp_path / "clips"), "--folds", "2")
    assert code == ExitCode.SOME_FAILED
    assert "\x1b" not in text
    assert "a b [2J.wav: empty file" in text

"""`soundprobe data check` prints the audit: leaks by name, short and silent clips, and what it could not see."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from soundprobe.cli.data import app
from sounds import write_urbansound_layout


def check(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["check", "--quiet", *arguments])
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


def test_check_finds_the_five_shared_recordings_in_the_metadata_alone(shared, tmp_path):
    path = shared / "data" / "UrbanSound8K-full-metadata.csv"
    _, text = check("--data", str(path), "--embeddings", str(tmp_path / "none"))
    for recording in ("106905", "132016", "176638", "180937", "77751"):
        assert f"{recording}: folds" in text
    assert "152 of 8732 clips" in text


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

"""Tags of any recording, with no run."""

from __future__ import annotations

import numpy as np
import pytest

import soundprobe
from command_line import soundprobe_here as command
from soundprobe.base.errors import ConfigError, SoundprobeError, WeightsError
from soundprobe.cli.main import app
from soundprobe.predicting.prediction import Timeline
from soundprobe.predicting.segmenting import segments_of_each
from soundprobe.predicting.tagging import load_tagger
from sounds import RATE_HZ, tone


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"backbone": "simplecnn"}, ConfigError, "has no tags of its own"),
        ({"weights": "none.pt"}, WeightsError, "No weights file at 'none.pt'"),
        ({"weights": "random"}, ConfigError, "know no tags"),
        ({"channels": "both"}, ConfigError, "'both'"),
        ({"device": "gpu"}, ConfigError, "'gpu'"),
        ({}, WeightsError, "The weights of mn04 .* SOUNDPROBE_OFFLINE forbids to fetch them"),
    ],
)
def test_tagger_that_is_not_to_be_had_is_one_clear_line(options, error, message, monkeypatch):
    monkeypatch.setenv("SOUNDPROBE_OFFLINE", "1")  # the cache is empty, too
    with pytest.raises(error, match=message):
        load_tagger(**options)


def test_tags_of_a_clip_in_memory_and_on_disk_are_those_of_the_original_and_several(shared):
    file = shared / "weights" / "mn04_as_mAP_432.pt"
    with np.load(shared / "reference" / "mn04_reference.npz") as arrays:
        clip = list(arrays["clip"]).index("ESC-10/audio/1-30226-A.ogg")
        wave, logits = arrays["wave"][clip], arrays["logits"][clip]
    (said,) = soundprobe.tags(wave, sample_rate_hz=32_000, weights=file, device="cpu", progress=False)
    np.testing.assert_allclose(said.proba, 1 / (1 + np.exp(-logits.astype(np.float64))), atol=1e-4)
    assert [name for name, _ in said.most_probable(3)] == ["Dog", "Animal", "Domestic animals, pets"]
    assert said.multilabel
    assert said.proba.sum() > 1.5
    with pytest.raises(SoundprobeError, match="doesn't say its rate"):
        soundprobe.tags(tone(440, 0.5), weights=file)
    (quiet,) = soundprobe.tags([tone(440, 0.5)], sample_rate_hz=RATE_HZ, weights=file, device="cpu", progress=False)
    assert quiet.name == "array 1"


def test_command_tags_a_clip_without_a_run_and_says_several(shared, tmp_path):
    file, clip = shared / "weights" / "mn04_as_mAP_432.pt", shared / "data" / "ESC-10" / "audio" / "1-30226-A.ogg"
    done = command("predict", str(clip), "--tags", "--weights", str(file), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Animal" in done.stdout
    assert "Dog 80 %" in done.stdout
    assert "Speech" not in done.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tags", "--run", "best"], "--tags asks no run, and --run best is given"),
        (["--backbone", "mn04"], "--backbone mn04 is of --tags"),
        (["--tags", "-b", "vgg"], "vgg has no tags of its own. Those that have some: ast, mn04, panns."),
        (["--tags", "--weights", "none.pt"], "No weights file at 'none.pt'"),
    ],
)
def test_command_with_tags_and_something_that_does_not_go_with_them_is_one_clear_line(options, message, tmp_path):
    (tmp_path / "a.wav").write_bytes(b"")
    with pytest.raises(SoundprobeError, match=message):
        app(["predict", str(tmp_path / "a.wav"), *options], standalone_mode=False)


def test_segments_of_tags_overlap_and_begin_and_end_with_their_own():
    starts = np.arange(4.0)
    proba = np.array([[0.9, 0.0, 0.1], [0.9, 0.8, 0.1], [0.1, 0.8, 0.19], [0.1, 0.1, 0.1]])
    timeline = Timeline(("Dog", "Siren", "Wind"), starts, starts + 1, proba)
    found = [(one.label, one.start_s, one.end_s) for one in segments_of_each(timeline)]
    assert found == [("Dog", 0.0, 2.0), ("Siren", 1.0, 3.0)]
    least = {"Wind": 0.05, "Siren": 0.95}
    assert [one.label for one in segments_of_each(timeline, threshold=least)] == ["Dog", "Wind"]
    assert segments_of_each(timeline, threshold=0.1, min_duration_s=5) == ()

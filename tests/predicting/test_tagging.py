"""Tags of any recording, with no run."""

from __future__ import annotations

import numpy as np
import pytest

import soundprobe
from soundprobe.base.errors import ConfigError, SoundprobeError, WeightsError
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

"""What is said of a window hangs on its own samples: not on blocks, other files, or where in a file it lies."""

from __future__ import annotations

import io
import os
import threading
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch

from new_audio import NAMES, tone_clip
from soundprobe.audio import decode
from soundprobe.audio.live import Live, Raw
from soundprobe.base.errors import AudioError, ConfigError
from soundprobe.base.records import EncodedAudio
from soundprobe.predicting.predictor import Listening
from sounds import RATE_HZ as TONES_HZ

RATE_HZ = 32_000
HEARD = Listening(window_s=2.0, hop_s=0.7)


def encoded(wave: np.ndarray, name: str = "noise", rate_hz: int = RATE_HZ) -> EncodedAudio:
    content = io.BytesIO()
    soundfile.write(content, wave, rate_hz, format="WAV", subtype="FLOAT")
    return EncodedAudio(name, content.getvalue)


class Dripping(io.BytesIO):
    """A pipe that gives so many bytes at a time."""

    drop_bytes = 0

    def read1(self, size: int = -1, /) -> bytes:
        return super().read1(min(size, self.drop_bytes))


def test_timeline_is_the_same_whatever_the_size_of_blocks(noise_predictor, noise, monkeypatch):
    wave = noise(7.3)
    whole = noise_predictor.predict(encoded(wave), HEARD)
    assert len(whole.timeline.starts_s) == 9
    monkeypatch.setattr(decode, "BLOCK_SAMPLES", 3001)
    for said in (noise_predictor.predict(encoded(wave), HEARD), noise_predictor.predict(dripping(wave), HEARD)):
        np.testing.assert_array_equal(said.timeline.starts_s, whole.timeline.starts_s)
        np.testing.assert_array_equal(said.timeline.proba, whole.timeline.proba)
        np.testing.assert_array_equal(said.proba, whole.timeline.proba.mean(axis=0))


def test_recording_is_heard_without_being_held(tone_predictor):
    content = encoded(tone_clip(0, 600.0, seed=0), rate_hz=TONES_HZ).read()
    threads = torch.get_num_threads()
    torch.set_num_threads(2)  # as many batches of windows are in memory at once
    tracemalloc.start()
    try:
        said = tone_predictor.predict(EncodedAudio("long", lambda: content), Listening(10.0, 10.0))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        torch.set_num_threads(threads)
    assert len(said.timeline.starts_s) == 60
    assert peak_bytes < len(content)  # a block or two; held, it would be that and all of its windows


def dripping(wave: np.ndarray) -> Live:
    pipe = Dripping(wave.astype("<f4").tobytes())
    pipe.drop_bytes = 4 * 997 + 1
    return Live("-", pipe, Raw("f32le", RATE_HZ))


def test_answers_are_the_same_however_many_recordings_are_read_at_once(noise_predictor, noise):
    waves = [noise(seconds)[round(100 * seconds) :] for seconds in (5.5, 1.5, 3.2, 8.1)]
    alone = [noise_predictor.predict(encoded(wave), HEARD) for wave in waves]
    for files in (0, 1, 3):
        sources = [encoded(wave, f"clip {number}") for number, wave in enumerate(waves)]
        together = list(noise_predictor.predict_each(sources, HEARD, files_ahead=files))
        assert [one.name for one in together] == [f"clip {number}" for number in range(4)]
        for one, other in zip(alone, together, strict=True):
            np.testing.assert_array_equal(one.timeline.proba, other.timeline.proba)
            assert one.segments == other.segments


def test_window_is_judged_alike_wherever_it_lies_in_a_recording(noise_predictor, noise):
    wave = noise(9.0)
    hop = round(HEARD.hop_s * RATE_HZ)
    all_windows = noise_predictor.predict(encoded(wave), HEARD).timeline.proba
    for hops in (1, 2, 5):
        later = noise_predictor.predict(encoded(wave[hops * hop :]), HEARD).timeline.proba
        np.testing.assert_array_equal(later[:-1], all_windows[hops:-1])


def test_recording_no_longer_than_the_window_is_embedded_as_extract_does(noise_predictor, noise):
    (member,) = noise_predictor.members
    (backbone,) = member.backbones
    wave = noise(1.9)
    from soundprobe.embeddings.forward import embed_waves, stacked

    features = embed_waves(backbone.network, *stacked([wave], backbone.input_samples(1.9)), noise_predictor.device)
    said = noise_predictor.predict(encoded(wave), HEARD)
    np.testing.assert_allclose(said.proba, member.heads[0].predict_proba(features)[0], atol=1e-6)
    assert len(said.timeline.starts_s) == 1


def test_window_by_default_is_as_long_as_the_clips_that_were_trained_on_and_the_backbone_takes(noise_predictor):
    assert noise_predictor.grid(Listening()).window_s == 2.0
    assert noise_predictor.grid(Listening()).hop_s == 1.0
    assert replace(noise_predictor, trained_s=60.0).grid(Listening()).window_s == 10.0
    assert replace(noise_predictor, trained_s=None).grid(Listening()).window_s == 10.0
    with pytest.raises(ConfigError, match="A window of 11 s is not valid for mn04: give 10 or less"):
        noise_predictor.grid(Listening(11.0))


def test_bad_recording_among_others_is_its_own_failure(noise_predictor, noise):
    nan = noise(4.0)
    nan[-1] = np.nan
    sources = [encoded(noise(3.0), "good"), encoded(nan, "nan"), "gone.wav", encoded(noise(1.0), "short")]
    sources.append(encoded(1e30 * noise(3.0), "loud"))
    found = list(noise_predictor.predict_each(sources, HEARD))
    assert [type(one) for one in found if isinstance(one, AudioError)] == [AudioError] * 3
    assert str(found[4]) == "loud: the backbone's embedding is not finite"
    assert [str(one) for one in found[1:3]] == ["nan: NaN or infinite samples", "gone.wav: missing file"]
    assert [one.name for one in (found[0], found[3])] == ["good", "short"]


def test_follow_gives_a_window_before_the_next_hop_is_written(noise_predictor, noise):
    wave = noise(6.0)
    reading, writing = os.pipe()
    hop, window = RATE_HZ, 2 * RATE_HZ
    seen, late = threading.Semaphore(0), []

    def write() -> None:
        with os.fdopen(writing, "wb", buffering=0) as pipe:
            pipe.write(wave[: window + RATE_HZ // 10].tobytes())
            for at in range(window, len(wave), hop):
                if not seen.acquire(timeout=30):
                    late.append(at)
                pipe.write(wave[at + RATE_HZ // 10 : at + hop + RATE_HZ // 10].tobytes())

    writer = threading.Thread(target=write)
    writer.start()
    found = []
    with os.fdopen(reading, "rb") as pipe:
        for one, said in noise_predictor.follow(Live("-", pipe, Raw("f32le", RATE_HZ)), Listening(2.0, 1.0)):
            found.append((one.start_s, said.proba[0]))
            seen.release()
    writer.join()
    assert not late
    timeline = noise_predictor.predict(encoded(wave), Listening(2.0, 1.0)).timeline
    assert [start_s for start_s, _ in found] == timeline.starts_s.tolist()
    np.testing.assert_allclose([proba for _, proba in found], timeline.proba, atol=1e-6)


def test_segments_of_a_recording_joined_of_unheard_clips_find_their_classes_and_borders(tone_predictor):
    order, hop_s = [0, 2, 1, 0, 1, 2, 0, 1, 2, 0, 1], 0.25
    waves = [tone_clip(label, 2 + 0.37 * place, seed=1000 + place) for place, label in enumerate(order)]
    borders_s = np.cumsum([0, *map(len, waves)]) / TONES_HZ
    said = tone_predictor.predict(encoded(np.concatenate(waves), rate_hz=TONES_HZ), Listening(1.0, hop_s))
    assert said.segments[0].start_s == 0
    assert said.segments[-1].end_s == said.duration_s == pytest.approx(borders_s[-1])
    at_s = np.arange(0, borders_s[-1], 0.05)
    true = np.array(order)[np.searchsorted(borders_s, at_s, side="right") - 1]
    found = [NAMES.index(one.label) for one in said.segments]
    ends_s = [one.end_s for one in said.segments]
    # One class at any time, so the micro-averaged F1 of 50 ms segments is the share that is right.
    assert (np.array(found)[np.searchsorted(ends_s, at_s, side="right")] == true).mean() > 0.9
    inside = np.abs(at_s[:, None] - borders_s).min(axis=1) > 0.5 + hop_s
    assert (np.array(found)[np.searchsorted(ends_s, at_s, side="right")] == true)[inside].all()

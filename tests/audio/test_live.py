from __future__ import annotations

import io
import os
import threading

import numpy as np
import pytest
import soundfile
import soxr

from soundprobe.audio.live import ENCODINGS, Live, Raw
from soundprobe.base.errors import AudioError, ConfigError

RATE_HZ = 8_000


def noise(channels: int = 1) -> np.ndarray:
    shape = (2 * RATE_HZ,) if channels == 1 else (2 * RATE_HZ, channels)
    return np.random.default_rng(0).uniform(-0.5, 0.5, shape).astype(np.float32)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_raw_samples_of_each_encoding_are_the_wave_and_a_cut_last_frame_is_left_out(encoding):
    kind, full_scale = ENCODINGS[encoding]
    pipe = io.BytesIO((noise(2) * full_scale).astype(kind).tobytes() + b"\1\2\3")
    (waves,) = Live("-", pipe, Raw(encoding, RATE_HZ, 2)).waves([(RATE_HZ, "mean")])
    np.testing.assert_allclose(np.concatenate(list(waves)), noise(2).mean(axis=1), atol=2**-14)


def test_stream_at_two_rates_is_the_wave_at_both():
    pipe = io.BytesIO(noise().tobytes())
    two = Live("-", pipe, Raw("f32le", RATE_HZ)).waves([(RATE_HZ, "mean"), (4_000, "first")])
    fast, slow = (np.concatenate(list(waves)) for waves in two)
    np.testing.assert_array_equal(fast, noise())
    np.testing.assert_array_equal(slow, soxr.resample(noise(), RATE_HZ, 4_000, quality="HQ"))


@pytest.mark.parametrize("form", ["WAV", "AU"])
def test_encoded_stream_is_heard_before_it_ends(form):
    content = io.BytesIO()
    soundfile.write(content, noise(), RATE_HZ, format=form, subtype="FLOAT")
    reading, writing = os.pipe()
    heard = threading.Event()

    def write() -> None:
        with os.fdopen(writing, "wb", buffering=0) as pipe:
            pipe.write(content.getvalue()[: 4 * RATE_HZ])
            late.append(not heard.wait(30))
            pipe.write(content.getvalue()[4 * RATE_HZ :])

    late: list[bool] = []
    writer = threading.Thread(target=write)
    writer.start()
    with os.fdopen(reading, "rb") as pipe:
        (waves,) = Live("-", pipe).waves([(RATE_HZ, "mean")])
        first = next(waves)
        heard.set()
        rest = list(waves)
    writer.join()
    assert late == [False]
    np.testing.assert_array_equal(np.concatenate([first, *rest]), noise())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("f32", RATE_HZ), "Did you mean 'f32le'"),
        (("f32le", 10), "--rate 10 is not valid"),
        (("f32le", RATE_HZ, 0), "--channels-in 0 is not valid"),
    ],
)
def test_raw_that_is_none_is_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        Raw(*given)


def test_stream_whose_loudest_channel_is_wanted_or_that_is_no_audio_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="known at a stream's end"):
        Live("-", io.BytesIO(), Raw("f32le", RATE_HZ)).waves([(RATE_HZ, "loudest")])
    (tmp_path / "text").write_bytes(b"no sound at all")
    with (tmp_path / "text").open("rb") as pipe, pytest.raises(AudioError, match="send WAV or AU"):
        Live("-", pipe).waves([(RATE_HZ, "mean")])

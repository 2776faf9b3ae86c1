"""Sound as Python has it: whatever it comes in, the same samples; what is none, one clear line."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

from soundprobe.audio.decode import decode
from soundprobe.audio.encoded import read_bytes, source_name
from soundprobe.audio.from_python import sources_of
from soundprobe.base.errors import SoundprobeError
from sounds import RATE_HZ, tone

WAVE = tone(440, 0.5)


def samples(source, rate_hz: int = RATE_HZ) -> np.ndarray:
    return decode(read_bytes(source), sample_rate_hz=rate_hz, name="x")


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "a.wav"
    soundfile.write(path, WAVE, RATE_HZ, subtype="FLOAT")
    return path


class Decoder:
    """What torchcodec's AudioDecoder, which `datasets` gives, has of it."""

    def get_all_samples(self):
        return SimpleNamespace(data=torch.from_numpy(WAVE)[None], sample_rate=RATE_HZ)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda file: file, "a.wav"),
        (lambda file: str(file), "a.wav"),
        (lambda file: file.read_bytes(), "bytes"),
        (lambda file: bytearray(file.read_bytes()), "bytes"),
        (lambda file: io.BytesIO(file.read_bytes()), "file"),
        (lambda file: open(file, "rb"), "a.wav"),  # noqa: SIM115 - closed with the process, as users do
        (lambda file: WAVE, "array"),
        (lambda file: WAVE.astype(np.float64)[None], "array"),
        (lambda file: np.stack([WAVE, WAVE]), "array"),
        (lambda file: WAVE[::-1][::-1], "array"),
        (lambda file: torch.from_numpy(WAVE).requires_grad_(), "array"),
        (lambda file: {"array": WAVE.tolist(), "sampling_rate": RATE_HZ, "path": None}, "row"),
        (lambda file: {"array": WAVE, "sampling_rate": RATE_HZ, "path": "folder/b.wav"}, "b.wav"),
        (lambda file: {"bytes": file.read_bytes(), "path": "c.wav"}, "c.wav"),
        (lambda file: {"bytes": None, "path": str(file)}, "a.wav"),
        (lambda file: Decoder(), "audio"),
    ],
)
def test_clip_in_any_form_has_the_samples_of_its_file(file, make, name):
    (source,) = sources_of(make(file), RATE_HZ if name == "array" else None)
    assert Path(source_name(source)).name == name
    np.testing.assert_allclose(samples(source), WAVE, atol=1e-7)


def test_column_of_a_dataset_is_all_its_clips(file):
    import datasets

    rows = [{"bytes": None, "path": str(file)}, {"bytes": file.read_bytes(), "path": "b.wav"}]
    column = datasets.Dataset.from_dict({"audio": rows}).cast_column("audio", datasets.Audio(decode=False))["audio"]
    found = sources_of(column)
    assert len(found) == 2
    for source in found:
        np.testing.assert_allclose(samples(source), WAVE, atol=1e-7)


def test_list_of_clips_of_several_kinds_keeps_its_order_and_each_its_channels(file):
    left, right = WAVE, 0.5 * tone(900, 0.5)
    found = sources_of([np.stack([left, right]), file, torch.from_numpy(left).bfloat16()], RATE_HZ)
    assert [Path(source_name(one)).name for one in found] == ["array 1", "a.wav", "array 3"]
    np.testing.assert_allclose(samples(found[0]), (left + right) / 2, atol=1e-7)
    np.testing.assert_allclose(samples(found[2]), WAVE, atol=4e-3)  # bfloat16 has 8 bits
    np.testing.assert_allclose(
        decode(read_bytes(found[0]), sample_rate_hz=RATE_HZ, name="x", channels="first"), left, atol=1e-7
    )


@pytest.mark.parametrize(
    ("sound", "rate_hz", "message"),
    [
        (WAVE, None, "array doesn't say its rate. Give sample_rate_hz"),
        (WAVE, 0, "sample_rate_hz=0 is not valid"),
        (WAVE, 22_050.5, "sample_rate_hz=22050.5 is not valid"),
        (WAVE, "22050", "sample_rate_hz='22050' is not valid"),
        (WAVE, float("nan"), "sample_rate_hz=nan is not valid"),
        ((32_767 * WAVE).astype(np.int16), RATE_HZ, r"array: int16 samples, .* divide by 32768"),
        (WAVE.astype(np.complex64), RATE_HZ, "complex64 samples"),
        (WAVE > 0, RATE_HZ, "bool samples"),
        (np.full(100, np.nan, np.float32), RATE_HZ, "array: NaN or infinite samples"),
        ([WAVE, np.array([0, np.inf])], RATE_HZ, "array 2: NaN or infinite samples"),
        (np.zeros(0, np.float32), RATE_HZ, "array: no samples"),
        (np.array(0.5), RATE_HZ, r"shape \(\)"),
        (np.zeros((2, 3, 100)), RATE_HZ, r"shape \(2, 3, 100\): give \(T,\) or \(channels, T\)"),
        (np.zeros((100, 2)), RATE_HZ, r"shape \(100, 2\): .* x.T of \(T, channels\)"),
        (np.zeros((128, 400)), RATE_HZ, r"shape \(128, 400\)"),
        (np.array(["a.wav", "b.wav"]), None, "array is no sound .* give a list"),
        ([0.1, 0.2], RATE_HZ, "A list of numbers is no sound"),
        (7, None, "7 is no sound. Give a path, bytes"),
        ([None], None, "Item 1, None, is no sound"),
        ([["a.wav"]], None, "Item 1, a list, is no sound"),
        (io.StringIO("text"), None, "a StringIO gives text. Open the file in binary"),
        ({"audio": {"array": WAVE}}, None, r"A row with audio is no sound. .*row\[\"audio\"\]"),
        ({"bytes": None, "path": None}, None, "A row with bytes, path is no sound"),
        ({"array": WAVE, "sampling_rate": RATE_HZ}, 8000, "row has 22050 Hz, so sample_rate_hz=8000 can't be"),
    ],
)
def test_what_is_no_sound_is_one_clear_line(sound, rate_hz, message):
    with pytest.raises(SoundprobeError, match=message) as error:
        sources_of(sound, rate_hz)
    assert "\n" not in str(error.value)

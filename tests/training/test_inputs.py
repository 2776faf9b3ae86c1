"""Clips as networks take them: the same as `extract` gives, decoded once, bad ones named."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from damage import damage
from soundprobe.audio.decode import decode, fit_length
from soundprobe.backbones.load import load_backbone
from soundprobe.base.errors import DataError, SoundprobeWarning
from soundprobe.base.progress import Progress
from soundprobe.data.catalog import open_data
from soundprobe.data.scan import scan
from soundprobe.training.inputs import open_inputs, prepare_inputs
from sounds import write_urbansound_layout

CPU = torch.device("cpu")


def prepared(root: Path, folder: Path, *, keep_waves: bool, channels: str = "mean") -> list[int]:
    """Prepares the clips for vgg, which takes any length. Returns what the progress bar was told."""
    clips, advanced = open_data(str(root)), []
    model = load_backbone("vgg", weights="random").on_channels(channels)
    prepare_inputs(folder, clips, scan(clips), model, CPU, keep_waves=keep_waves, bar=Progress(advanced.append))
    return advanced


def test_inputs_are_the_decoded_clips_padded_to_the_longest(tmp_path: Path):
    root = write_urbansound_layout(tmp_path / "set", folds=2, classes=2, seconds=1.2)
    assert sum(prepared(root, tmp_path / "inputs", keep_waves=True)) == 16
    clips, inputs = open_data(str(root)), open_inputs(tmp_path / "inputs")
    assert inputs.samples == 2 * 22_050  # 1.2 s, rounded up to whole seconds
    assert set(inputs.lengths.tolist()) == {round(1.2 * 22_050)}
    wave = decode(Path(clips.sources[3]).read_bytes(), sample_rate_hz=22_050, name="")
    assert inputs.waves is not None
    np.testing.assert_array_equal(inputs.waves[3], fit_length(wave, inputs.samples))
    module = load_backbone("vgg", weights="random").network
    expected = module.spectrogram(torch.from_numpy(np.array(inputs.waves[3:4])))
    torch.testing.assert_close(torch.from_numpy(np.array(inputs.spectrograms[3:4])), expected, atol=1e-4, rtol=1e-4)


def test_inputs_take_the_channels_that_were_asked_for_and_keep_what_is_conspicuous(tmp_path: Path):
    root = write_urbansound_layout(tmp_path / "set", folds=2, classes=2, recordings=1, seconds=0.5)
    clips = open_data(str(root))
    wave, rate_hz = soundfile.read(str(clips.sources[0]))
    soundfile.write(str(clips.sources[0]), np.stack([wave, -wave], axis=1), rate_hz)
    for channels in ("mean", "first"):
        prepared(root, tmp_path / channels, keep_waves=True, channels=channels)
    mean, first = (open_inputs(tmp_path / channels) for channels in ("mean", "first"))
    assert mean.waves is not None
    assert first.waves is not None
    assert np.abs(mean.waves[0]).max() == 0 < np.abs(first.waves[0]).max()
    assert {clip: list(found) for clip, found in mean.findings.items()} == {clips.ids[0]: ["cancelled"]}
    assert first.findings == {}


def test_inputs_that_are_there_are_not_made_again_and_half_made_ones_are(tmp_path: Path):
    root = write_urbansound_layout(tmp_path / "set", folds=2, classes=2, seconds=0.5)
    folder = tmp_path / "inputs"
    prepared(root, folder, keep_waves=False)
    before = (folder / "spectrograms.npy").stat().st_mtime_ns
    prepared(root, folder, keep_waves=False)
    assert (folder / "spectrograms.npy").stat().st_mtime_ns == before
    assert not (folder / "waves.npy").exists()
    (folder / "inputs.json").unlink()  # a kill half-way
    prepared(root, folder, keep_waves=False)
    assert (folder / "spectrograms.npy").stat().st_mtime_ns > before


@pytest.mark.parametrize("name", ["inputs.json", "spectrograms.npy", "lengths.npy"])
@pytest.mark.parametrize("how", ["flipped", "lost"])
def test_damaged_inputs_are_decoded_again(tmp_path: Path, name: str, how: str):
    root = write_urbansound_layout(tmp_path / "set", folds=2, classes=2, recordings=1, seconds=0.5)
    folder = tmp_path / "inputs"
    prepared(root, folder, keep_waves=False)
    content = (folder / name).read_bytes()
    damage(folder / name, how)
    with nullcontext() if name == "inputs.json" and how == "lost" else pytest.warns(SoundprobeWarning, match=name):
        prepared(root, folder, keep_waves=False)
    assert (folder / name).read_bytes() == content


def test_data_set_of_bad_clips_alone_is_refused(tmp_path: Path):
    root = write_urbansound_layout(tmp_path / "set", folds=2, classes=2, recordings=1, seconds=0.5)
    for path in (root / "audio").rglob("*.wav"):
        path.write_bytes(b"not audio")
    with pytest.raises(DataError, match=r"No clip of 'set' can be read; the first: not audio"):
        prepared(root, tmp_path / "inputs", keep_waves=False)

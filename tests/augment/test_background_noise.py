"""Background noise: the SNR that was drawn is the one that is heard, and no clip gets its own recording."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from soundprobe.augment.background_noise import BackgroundNoise, draw_noise, mix_at_snr
from soundprobe.augment.noise_bank import NoiseBank, read_noise_folder
from soundprobe.base.errors import AudioError, ConfigError

RATE_HZ = 8_000


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(clips: int, samples: int, seed: int = 0) -> Tensor:
    return torch.randn(clips, samples, generator=generator(seed))


def measured_snr_db(clip: Tensor, mixed: Tensor) -> float:
    return float(10 * (clip.square().mean() / (mixed - clip).square().mean()).log10())


def test_mix_of_hand_sized_waves_adds_noise_of_a_tenth_at_twenty_decibels():
    wave, beside = torch.tensor([[1.0, -1.0, 1.0, -1.0]]), torch.tensor([[0.5, 0.5, 0.5, 0.5]])
    mixed = mix_at_snr(wave, torch.tensor([4]), beside, torch.tensor([20.0]))
    assert torch.allclose(mixed, torch.tensor([[1.1, -0.9, 1.1, -0.9]]))


@pytest.mark.parametrize("snr_db", [-10.0, 0.0, 17.3, 60.0])
def test_mix_has_the_snr_asked_for_over_the_clips_own_length(snr_db: float):
    wave = 0.3 * noise(1, 4000)
    wave[:, 1500:] = 0
    mixed = mix_at_snr(wave, torch.tensor([1500]), 7 * noise(1, 4000, seed=1), torch.tensor([snr_db]))
    assert abs(measured_snr_db(wave[0, :1500], mixed[0, :1500]) - snr_db) < 0.1
    assert mixed[0, 1500:].abs().max() == 0


def test_drawn_snrs_fill_the_range_and_never_pass_it():
    wave = 0.1 * noise(300, 500)
    bank = NoiseBank(noise(4, 700, seed=1), torch.arange(4))
    mixed, lengths = BackgroundNoise(min_snr_db=5, max_snr_db=15, probability=1.0)(
        wave, torch.full((300,), 500), RATE_HZ, generator(), noise=bank, recordings=torch.full((300,), 9)
    )
    heard = [measured_snr_db(clip, both) for clip, both in zip(wave, mixed, strict=True)]
    assert 4.9 < min(heard) < 5.5
    assert 14.5 < max(heard) < 15.1
    assert lengths.tolist() == [500] * 300


def test_clip_never_gets_its_own_recording():
    levels = torch.arange(5.0)[:, None].expand(5, 20)  # noise k is k everywhere, and is of recording k // 2
    bank = NoiseBank(levels, torch.tensor([0, 0, 1, 1, 2]))
    own = torch.tensor([0, 1, 2]).repeat(200)
    drawn, allowed = draw_noise(bank, own, 10, generator())
    assert allowed.all()
    heard = {(int(clip), int(level)) for clip, level in zip(own, drawn[:, 0], strict=True)}
    assert heard == {(0, 2), (0, 3), (0, 4), (1, 0), (1, 1), (1, 4), (2, 0), (2, 1), (2, 2), (2, 3)}


def test_clip_stays_as_it_is_where_all_noise_is_of_its_own_recording():
    wave = noise(2, 50)
    bank = NoiseBank(noise(3, 50, seed=1), torch.tensor([7, 7, 7]))
    mixed, _ = BackgroundNoise(probability=1.0)(
        wave, torch.tensor([50, 50]), RATE_HZ, generator(), noise=bank, recordings=torch.tensor([7, 8])
    )
    assert torch.equal(mixed[0], wave[0])
    assert not torch.equal(mixed[1], wave[1])


def test_noise_begins_anywhere_and_goes_on_from_its_beginning():
    bank = NoiseBank(torch.tensor([[1.0, 2.0, 3.0, 0.0, 0.0]]), torch.tensor([0]), lengths=torch.tensor([3]))
    drawn, _ = draw_noise(bank, torch.full((100,), 5), 4, generator())
    assert {tuple(row) for row in drawn.tolist()} == {(1, 2, 3, 1), (2, 3, 1, 2), (3, 1, 2, 3)}


@pytest.mark.parametrize(("clip", "beside"), [(0.0, 1.0), (1.0, 0.0), (1.0, 1e-20), (0.0, 0.0)])
def test_mix_with_silence_on_a_side_adds_nothing(clip: float, beside: float):
    wave = torch.full((1, 8), clip)
    mixed = mix_at_snr(wave, torch.tensor([8]), torch.full((1, 8), beside), torch.tensor([0.0]))
    assert torch.equal(mixed, wave)


def test_mix_of_a_clip_without_samples_is_finite():
    mixed = mix_at_snr(torch.zeros(1, 8), torch.tensor([0]), torch.ones(1, 8), torch.tensor([0.0]))
    assert torch.equal(mixed, torch.zeros(1, 8))


def test_folder_of_noise_is_read_whole_and_used_for_any_recording(tmp_path: Path):
    (tmp_path / "rain & <b>wind").mkdir()
    soundfile.write(tmp_path / "a.wav", np.full(RATE_HZ, 0.5), RATE_HZ)
    soundfile.write(tmp_path / "rain & <b>wind" / "ü.flac", np.full(400, 0.25), RATE_HZ)
    (tmp_path / "readme.txt").write_text("no audio")
    bank = read_noise_folder(str(tmp_path), RATE_HZ)
    assert bank.lengths is not None
    assert bank.lengths.tolist() == [RATE_HZ, 400]
    wave = noise(4, 300)
    mixed, _ = BackgroundNoise(min_snr_db=0, max_snr_db=0, folder=str(tmp_path), probability=1.0)(
        wave, torch.full((4,), 300), RATE_HZ, generator()
    )
    added = mixed - wave
    assert torch.allclose(added, added[:, :1].expand(-1, 300), atol=1e-5)  # both noises are constant
    assert all(abs(measured_snr_db(clip, both)) < 0.1 for clip, both in zip(wave, mixed, strict=True))


def test_folder_that_is_none_is_named(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"background_noise.folder = '.*nowhere' is not a folder; leave it out"):
        BackgroundNoise(folder=str(tmp_path / "nowhere"))


def test_folder_without_audio_is_named(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"holds no audio file \(\.wav"):
        read_noise_folder(str(tmp_path), RATE_HZ)


def test_folder_with_a_damaged_file_names_it(tmp_path: Path):
    (tmp_path / "empty.wav").write_bytes(b"")
    with pytest.raises(AudioError, match=r"empty\.wav: empty file"):
        read_noise_folder(str(tmp_path), RATE_HZ)


def test_snr_range_the_wrong_way_round_says_so():
    with pytest.raises(ConfigError) as caught:
        BackgroundNoise(min_snr_db=30.0, max_snr_db=5.0)
    assert str(caught.value) == (
        "background_noise.min_snr_db = 30.0 is above max_snr_db = 5.0: give the lower one first."
    )

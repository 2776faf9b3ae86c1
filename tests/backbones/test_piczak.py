"""Piczak's network: its sizes, its segments against a plain reading of the author's notebooks, and who votes."""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import pytest
import torch
from backbone_inputs import Loader, real_clip, sounds
from overfitting import overfit
from scipy.signal import lfilter

from soundprobe.backbones.piczak import Piczak

RATE_HZ = 22_050
WINDOW, STEP = 40 * 512, 20 * 512  # samples of a segment


@pytest.fixture(scope="module")
def piczak(random_backbone: Loader) -> Piczak:
    module = random_backbone("piczak").network
    assert isinstance(module, Piczak)
    return module


def authors_segments(clip: np.ndarray) -> list[np.ndarray]:
    """Log-mel in dB (60, 41) of each segment, computed segment by segment as his notebook does; silent ones too."""
    clip = clip / np.abs(clip).max()
    segments = []
    for start in range(0, len(clip) - WINDOW + 1, STEP):
        signal = clip[start : start + WINDOW]
        mel = librosa.feature.melspectrogram(
            y=signal, sr=RATE_HZ, n_fft=1024, hop_length=512, n_mels=60, pad_mode="reflect"
        )
        segments.append(librosa.power_to_db(mel, ref=1.0, amin=1e-10, top_db=80.0))
    return segments


def authors_delta(frames: np.ndarray) -> np.ndarray:
    """`librosa.feature.delta` of version 0.3."""
    padded = np.pad(frames, [(0, 0), (5, 5)], mode="edge")
    return lfilter(np.arange(4, -5, -1), 1, padded, axis=-1)[:, 5:-5]


def test_piczak_with_ten_classes_has_the_published_layers(piczak: Piczak) -> None:
    own = sum(p.numel() for p in piczak.parameters())
    assert own + 5000 * 10 + 10 == 26_734_090
    assert piczak.conv1.weight.shape == (80, 2, 57, 6)
    assert piczak.conv2.weight.shape == (80, 80, 1, 3)
    assert (piczak.fc1.in_features, piczak.fc1.out_features, piczak.fc2.out_features) == (320, 5000, 5000)


@pytest.mark.parametrize("clip", ["UrbanSound8K/audio/fold1/102106-3-0-0.wav", "ESC-10/audio/1-30226-A.ogg"])
def test_piczak_segments_of_a_real_clip_equal_the_authors_but_for_edge_frames(
    clip: str, piczak: Piczak, shared: Path
) -> None:
    wave = real_clip(shared, clip, RATE_HZ)
    expected = authors_segments(wave[0].numpy())
    ours = piczak.segments(piczak.spectrogram(wave))[0].numpy()
    assert len(expected) == len(ours) == (wave.shape[1] - WINDOW) // STEP + 1
    for (log_mel, delta), decibels in zip(ours, expected, strict=True):
        mirrored = np.array([0, 40])  # frames that see past the segment's ends
        inner = np.delete(np.arange(41), mirrored)
        quiet = decibels.max() - 79.0  # the floor hangs on the loudest frame, which may be a mirrored one
        audible = decibels[:, inner] > quiet
        difference = np.abs(20.0 * log_mel[:, inner] - 20.0 - decibels[:, inner])
        assert difference[audible].max() < 0.05
        np.testing.assert_allclose(delta, authors_delta(log_mel), atol=1e-4)


def test_piczak_clip_of_4_s_has_7_segments_and_leaves_the_rest(piczak: Piczak) -> None:
    wave = sounds(4 * RATE_HZ, RATE_HZ)
    spectrogram = piczak.spectrogram(wave)
    assert spectrogram.shape == (3, 60, 173)
    assert piczak.segments(spectrogram).shape == (3, 7, 2, 60, 41)
    assert piczak.voters(spectrogram).all()


@pytest.mark.parametrize(("samples", "segments"), [(2205, 1), (20_479, 1), (20_480, 1), (30_719, 1), (30_720, 2)])
def test_piczak_short_clip_is_padded_to_a_segment(samples: int, segments: int, piczak: Piczak) -> None:
    assert piczak.segments(piczak.spectrogram(sounds(samples, RATE_HZ))).shape[:2] == (3, segments)


def test_piczak_padding_does_not_vote(piczak: Piczak) -> None:
    wave = sounds(RATE_HZ, RATE_HZ)
    padded, longer = (torch.nn.functional.pad(wave, (0, seconds * RATE_HZ)) for seconds in (1, 3))
    votes = piczak.voters(piczak.spectrogram(longer))
    assert votes[:, :3].all()  # the third begins within the sound
    assert not votes[:, 4:].any()
    with torch.inference_mode():
        assert torch.allclose(piczak(padded), piczak(longer), atol=1e-6)


def test_piczak_silent_clip_has_all_its_segments_vote(piczak: Piczak) -> None:
    wave = torch.zeros(2, 4 * RATE_HZ)
    wave[1, :RATE_HZ] = sounds(RATE_HZ, RATE_HZ)[0]
    votes = piczak.voters(piczak.spectrogram(wave))
    assert votes[0].all()  # there is no other answer to give
    assert not votes[1].all()


def test_piczak_embedding_is_the_mean_of_the_voting_segments(piczak: Piczak) -> None:
    wave = torch.nn.functional.pad(sounds(2 * RATE_HZ, RATE_HZ), (0, 2 * RATE_HZ))
    spectrogram = piczak.spectrogram(wave)
    with torch.inference_mode():
        embedding = piczak.embed_spectrogram(spectrogram)
        for row in range(3):
            chosen = piczak.segments(spectrogram)[row][piczak.voters(spectrogram)[row]]
            assert 0 < len(chosen) < 7
            assert torch.allclose(embedding[row], piczak.embed_each(chosen).mean(dim=0), atol=1e-6)


def test_piczak_louder_copy_is_the_same_clip(piczak: Piczak) -> None:
    wave = sounds(RATE_HZ, RATE_HZ)
    assert torch.allclose(piczak.spectrogram(0.25 * wave), piczak.spectrogram(wave), atol=1e-3)


def test_piczak_training_drops_out_and_eval_does_not(private_backbone: Loader) -> None:
    module = private_backbone("piczak").network.train()
    segments = module.segments(module.spectrogram(sounds(RATE_HZ, RATE_HZ)[:1]))[0]
    with torch.no_grad():
        assert not torch.equal(module.embed_each(segments), module.embed_each(segments))
        module.eval()
        assert torch.equal(module.embed_each(segments), module.embed_each(segments))


def test_piczak_learns_20_real_clips_by_heart(private_backbone: Loader, shared: Path) -> None:
    backbone = private_backbone("piczak")
    backbone.network.get_submodule("dropout").p = 0.0  # it is there to hinder just this
    before, after = overfit(backbone, shared, steps=10, lr=1e-3)
    assert after < before / 4

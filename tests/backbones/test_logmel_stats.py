"""Statistics of a log-mel spectrogram, beside librosa's and numpy's, and on silence that isn't the clip's."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import torch
from backbone_inputs import sounds

from soundprobe.backbones.load import load_backbone
from soundprobe.base.errors import WeightsError

RATE_HZ = 22_050


def embedding(wave: np.ndarray, samples: int) -> np.ndarray:
    padded = np.pad(wave, (0, samples - len(wave)))[None]
    network = load_backbone("logmel-stats").network
    with torch.inference_mode():
        return network.embed(torch.from_numpy(padded), torch.tensor([len(wave)]))[0].numpy()


def test_statistics_equal_numpys_of_librosas_log_mel() -> None:
    wave = sounds(40 * 512, RATE_HZ)[0].numpy()
    mel = librosa.feature.melspectrogram(
        y=wave, sr=RATE_HZ, n_fft=2048, hop_length=512, n_mels=128, pad_mode="constant"
    )
    log_mel = 10 * np.log10(np.maximum(mel, 1e-10))
    log_mel = log_mel[:, : len(wave) // 512]  # the last frame is centred behind the last sample
    expected = [log_mel.mean(axis=1), log_mel.std(axis=1), log_mel.max(axis=1), np.diff(log_mel).std(axis=1)]
    # The quietest bands stand 100 dB below the loudest, where librosa's float32 rounds otherwise.
    np.testing.assert_allclose(embedding(wave, len(wave)), np.concatenate(expected), rtol=3e-3, atol=5e-2)


def test_padding_has_no_part_in_them_beyond_the_last_frame() -> None:
    wave = sounds(RATE_HZ, RATE_HZ)[1].numpy()
    np.testing.assert_allclose(embedding(wave, 3 * RATE_HZ), embedding(wave, RATE_HZ), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("samples", [1, 512, 513])
def test_shortest_clips_have_finite_statistics(samples: int) -> None:
    assert np.isfinite(embedding(np.ones(samples, dtype=np.float32), RATE_HZ)).all()


@pytest.mark.parametrize("weights", ["pretrained", "random", "mine.pt"])
def test_weights_of_a_backbone_that_has_none_are_refused_in_one_line(weights: str) -> None:
    with pytest.raises(WeightsError, match="logmel-stats has no weights.*Leave --weights out") as caught:
        load_backbone("logmel-stats", weights=weights)
    assert "\n" not in str(caught.value)


def test_it_is_neither_pretrained_nor_random() -> None:
    found = load_backbone("logmel-stats")
    assert (found.weights.kind, found.weights.label, found.spec.parameters) == ("none", "no weights", 0)

"""SpecAugment: masks of limited width, and nothing else is touched."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from soundprobe.augment.spec_augment import SpecAugment, clip_means, draw_masks
from soundprobe.base.errors import ConfigError

BANDS, FRAMES = 20, 50


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def spectrograms(clips: int) -> Tensor:
    return torch.randn(clips, BANDS, FRAMES, generator=generator(1))


def only_bands() -> SpecAugment:
    return SpecAugment(frequency_masks=1, max_bands=6, time_masks=0, fill_value=99.0)


def only_frames(max_frames: int = 8, max_time_share: float = 1.0) -> SpecAugment:
    return SpecAugment(
        frequency_masks=0, time_masks=1, max_frames=max_frames, max_time_share=max_time_share, fill_value=99.0
    )


def test_band_mask_is_one_span_of_at_most_its_limit_and_the_rest_is_untouched():
    before = spectrograms(500)
    after = only_bands()(before, generator())
    hidden = after == 99.0
    assert torch.equal(after[~hidden], before[~hidden])
    assert torch.equal(hidden.any(dim=2), hidden.all(dim=2))  # whole bands
    widths = hidden[:, :, 0].sum(dim=1)
    assert set(widths.tolist()) == {0, 1, 2, 3, 4, 5, 6}
    edges = hidden[:, :, 0].int().diff(dim=1).abs().sum(dim=1)
    assert edges.max() <= 2  # one span
    assert set(torch.nonzero(hidden[:, :, 0])[:, 1].tolist()) == set(range(BANDS))  # it may lie anywhere


def test_frame_mask_is_one_span_of_at_most_its_limit_and_the_rest_is_untouched():
    before = spectrograms(500)
    after = only_frames()(before, generator())
    hidden = after == 99.0
    assert torch.equal(after[~hidden], before[~hidden])
    assert torch.equal(hidden.any(dim=1), hidden.all(dim=1))  # whole frames
    assert set(hidden[:, 0].sum(dim=1).tolist()) == set(range(9))
    assert hidden[:, 0].int().diff(dim=1).abs().sum(dim=1).max() <= 2


def test_time_mask_hides_at_most_its_share_of_the_clips_own_frames():
    frames = torch.tensor([40, 10]).repeat(300)
    after = only_frames(max_frames=30, max_time_share=0.2)(spectrograms(600), generator(), frames)
    hidden = after[:, 0] == 99.0
    assert hidden[0::2].sum(dim=1).max() == 8
    assert hidden[1::2].sum(dim=1).max() == 2
    assert not hidden[0::2, 40:].any()
    assert not hidden[1::2, 10:].any()


def test_several_masks_may_all_be_seen():
    after = SpecAugment(frequency_masks=3, max_bands=1, time_masks=0, fill_value=99.0)(spectrograms(300), generator())
    assert set((after[:, :, 0] == 99.0).sum(dim=1).tolist()) == {0, 1, 2, 3}


def test_fill_is_each_clips_own_mean_where_none_is_given():
    before = torch.arange(12.0).view(1, 3, 4).repeat(2, 1, 1)
    before[1] += 100
    after = SpecAugment(frequency_masks=1, max_bands=1, time_masks=0)(before, generator(6))
    changed = after != before
    assert changed[0].any()
    assert changed[1].any()
    assert set(after[0][changed[0]].tolist()) == {5.5}
    assert set(after[1][changed[1]].tolist()) == {105.5}


def test_mean_is_taken_over_audio_frames_only():
    spectrogram = torch.tensor([[[2.0, 4.0, -80.0], [6.0, 8.0, -80.0]]])
    assert clip_means(spectrogram, torch.tensor([2])).tolist() == [[[5.0]]]


def test_masks_of_known_room_fill_it_at_full_width():
    masks = draw_masks(torch.tensor([3, 0]), torch.tensor([3, 0]), 50, 5, generator())
    assert masks.tolist() == [[True, True, True, False, False], [False] * 5]


def test_probability_chooses_whole_clips():
    before = spectrograms(1000)
    after = SpecAugment(probability=0.3, max_bands=6)(before, generator())
    share = float((after != before).flatten(1).any(dim=1).float().mean())
    assert 0.2 < share < 0.36


def test_mask_wider_than_the_spectrogram_says_how_many_bands_there_are():
    with pytest.raises(ConfigError) as caught:
        SpecAugment(max_bands=24)(spectrograms(1), generator())
    assert str(caught.value) == (
        "spec_augment.max_bands = 24 is more than the spectrogram's 20 mel bands: give 0 to 20."
    )


def test_share_above_one_says_what_is_valid():
    with pytest.raises(ConfigError, match=r"^spec_augment.max_time_share = 2 is not valid: give 0 to 1\.$"):
        SpecAugment(max_time_share=2)

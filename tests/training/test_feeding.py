"""What the network is shown: targets, and each clip's weight where clips are mixed."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from small_parts import small_network, small_part

from soundprobe.augment.compose import Augmentations, build_augmentations
from soundprobe.base.errors import TrainingError
from soundprobe.training.feeding import Feed

CPU = torch.device("cpu")


def feed_of(part, tables: list[dict[str, object]]) -> Feed:
    augmentations = build_augmentations(tables)
    return Feed(part, augmentations, small_network(), sample_rate_hz=8000, device=CPU, seed=0)


def test_mixed_clips_keep_their_own_weights():
    part = small_part(24)
    heavy = part.labels == 0
    part = dataclasses.replace(part, weights=np.where(heavy, 1.0, 0.25).astype(np.float32))
    every = np.arange(len(part))
    _, targets, weights = feed_of(part, [{"name": "mixup", "alpha": 1.0}]).batch(
        every, torch.Generator().manual_seed(3)
    )
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(len(part)))
    mass = targets * weights[:, None]  # what each class's cross-entropy counts for
    # A mixture of w parts of class 0 and 1 - w of another is worth w and (1 - w) / 4: the shares add up to 1 again.
    shares = mass[:, 0] + 4 * mass[:, 1:].sum(dim=1)
    torch.testing.assert_close(shares, torch.ones(len(part)))
    assert (mass[:, 0] > 0).sum() > heavy.sum()  # some mixtures do cross the border


def test_unmixed_clips_have_their_class_and_weight_and_a_weight_of_nothing_is_no_division_by_it():
    part = small_part(6)
    part = dataclasses.replace(part, weights=np.array([1, 0.5, 0, 1, 1, 1], dtype=np.float32))
    _, targets, weights = feed_of(part, []).batch(np.arange(6), torch.Generator())
    assert weights.tolist() == [1, 0.5, 0, 1, 1, 1]
    assert targets.isfinite().all()
    kept = part.weights > 0
    assert targets.argmax(dim=1)[torch.from_numpy(kept)].tolist() == part.labels[kept].tolist()


class Breaks:
    """Ruins the second of each batch."""

    def __call__(self, spectrogram: torch.Tensor, *_: object) -> torch.Tensor:
        return torch.cat([spectrogram[:1], spectrogram[1:2] / 0, spectrogram[2:]])


def test_augmentation_that_gives_infinity_is_named_with_the_clip():
    part = small_part(6)
    feed = feed_of(part, [])
    feed.augmentations = Augmentations((("spec_augment", Breaks()),))
    with pytest.raises(TrainingError, match=rf"Of '{part.ids[3]}': \[augment.spec_augment\] gives NaN or infinity"):
        feed.batch(np.array([5, 3, 1]), torch.Generator())

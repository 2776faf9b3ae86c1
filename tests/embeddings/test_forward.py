"""Waves cut, padded and stacked, and the one call of the network."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from soundprobe.backbones.protocol import Backbone
from soundprobe.backbones.spec import Frames
from soundprobe.base.errors import ConfigError
from soundprobe.embeddings.forward import embed_waves, frame_waves, stacked

CPU = torch.device("cpu")


class Ends(Backbone):
    """Embeds a clip as its first sample, its last own one, and what is behind that."""

    def embed(self, waves: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        own = waves[torch.arange(len(waves)), lengths - 1]
        return torch.stack([waves[:, 0], own, waves[:, -1]], dim=1)


def test_stacked_cuts_long_waves_and_pads_short_ones_with_silence() -> None:
    batch, lengths = stacked([np.array([1, 2], dtype=np.float32), np.array([3, 4, 5, 6], dtype=np.float32)], 3)
    assert batch.tolist() == [[1, 2, 0], [3, 4, 5]]
    assert lengths.tolist() == [2, 3]
    assert (batch.dtype, lengths.dtype) == (np.float32, np.int64)


def test_embed_waves_hands_each_clip_and_its_length_to_the_network() -> None:
    batch, lengths = stacked([np.array([1, 2], dtype=np.float32), np.array([3, 4, 5, 6], dtype=np.float32)], 3)
    assert embed_waves(Ends(), batch, lengths, CPU).tolist() == [[1, 2, 0], [3, 5, 5]]


class Gives(Backbone):
    """A backbone that is wrong in some way."""

    def __init__(self, made: object) -> None:
        self.made = made

    def embed(self, waves: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        return self.made  # type: ignore[return-value]


class Fails(Backbone):
    def __init__(self, raised: BaseException) -> None:
        self.raised = raised

    def embed(self, waves: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        raise self.raised

    embed_frames = embed


@pytest.mark.parametrize("raised", [RuntimeError("sizes\ndiffer"), SystemExit(0)])
def test_network_that_fails_or_ends_the_program_is_one_line(raised: BaseException) -> None:
    waves = stacked([np.ones(3, dtype=np.float32)], 3)
    for hear in (embed_waves, partial(frame_waves, frames=Frames(1, "", 1, 1))):
        with pytest.raises(ConfigError, match=rf"^Fails fails on audio \({type(raised).__name__}: .*, at test_forward"):
            hear(Fails(raised), *waves, CPU)


@pytest.mark.parametrize(
    "made",
    [
        torch.zeros(4, 3),
        torch.zeros(1, 3),
        torch.zeros(2, 3, 1),
        torch.zeros(2),
        torch.zeros(2, 3) * 1j,
        np.zeros((2, 3)),
        None,
    ],
    ids=["rows of segments", "a row too few", "three dimensions", "one", "complex", "numpy", "nothing"],
)
def test_embeddings_that_are_no_row_for_each_clip_are_refused_in_one_line(made: object) -> None:
    with pytest.raises(ConfigError, match=r"Gives.embed gave .* for 2 clips") as caught:
        embed_waves(Gives(made), *stacked([np.ones(3, dtype=np.float32)] * 2, 3), CPU)
    assert "\n" not in str(caught.value)

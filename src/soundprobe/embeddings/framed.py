"""A backbone whose frames are kept, or taken by heads, in place of one embedding for a clip.

Letters: B clips, T samples, M frames, m of them a clip's own, D numbers of a frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from soundprobe.backbones.load import LoadedBackbone
from soundprobe.backbones.protocol import Backbone
from soundprobe.backbones.spec import Frames
from soundprobe.base.errors import ConfigError
from soundprobe.base.stored import FramesRecord
from soundprobe.heads.catalog import HEADS


class Framed(nn.Module, Backbone):
    """A network by its frames: a clip's embedding is their mean, or where heads take frames a row of all of them.

    Args:
        network: with `embed_frames`.
        frames: of its spec.
        as_rows: gives (B, 1 + M * D), as `base.frame_rows` has it.
    """

    def __init__(self, network: Any, frames: Frames, *, as_rows: bool = False) -> None:
        super().__init__()
        self.network, self.frames, self.as_rows = network, frames, as_rows
        self.fills_cores = network.fills_cores

    def embed(self, waves: Tensor, lengths: Tensor) -> Tensor:
        """As the contract has it, of each clip's own frames."""
        frames = self.network.embed_frames(waves, lengths).float()  # (B, M, D)
        spanned = (lengths - self.frames.span).div(self.frames.hop, rounding_mode="floor")
        counts = (spanned + 1).clamp(min=1)[:, None]
        is_own = torch.arange(frames.shape[1], device=frames.device) < counts
        frames = frames.where(is_own[:, :, None], 0.0)
        if self.as_rows:
            return torch.cat([counts.to(frames.dtype), frames.flatten(1)], dim=1)
        return frames.sum(dim=1) / counts

    def embed_frames(self, waves: Tensor, lengths: Tensor) -> Tensor:
        found: Tensor = self.network.embed_frames(waves, lengths)
        return found

    def to(self, *args: Any, **kwargs: Any) -> Any:
        self.network.to(*args, **kwargs)  # which need not be a module
        return self

    def allow_shortcuts(self, allowed: bool) -> None:
        self.network.allow_shortcuts(allowed)

    def release(self) -> None:
        self.network.release()


def framed(model: LoadedBackbone, kept_as: str) -> LoadedBackbone:
    """`model` by its frames, kept in `kept_as` of `FRAME_TYPES`; a clip's embedding is then their mean.

    Raises:
        ConfigError: it has no frames.
    """
    spec = model.spec.by_frames()
    assert spec.frames is not None, "by_frames gives a spec that has some"
    hop_s, first_s = spec.frames.hop / spec.sample_rate_hz, spec.frames.span / 2 / spec.sample_rate_hz
    about = {"type": kept_as, "columns": spec.frames.columns, "hop_s": hop_s, "first_s": first_s}
    settings = {**model.settings, "pooling": spec.pooling, "frames": about}
    return replace(model, spec=spec, network=Framed(model.network, spec.frames), settings=settings)


def framed_as_told(model: LoadedBackbone, settings: Mapping[str, Any]) -> LoadedBackbone:
    """`framed`, where the settings of a record say so.

    Raises:
        ValueError: they say it in no way that this version knows. ConfigError: as `framed`.
    """
    told = settings.get("frames")
    return model if told is None else framed(model, FramesRecord.model_validate(told).type)


def as_taken(model: LoadedBackbone, head: str) -> LoadedBackbone:
    """The model as heads of this name take it: a `framed` one gives rows of frames to those that pool by themselves.

    Raises:
        ConfigError: they do, and it isn't framed.
    """
    if not HEADS[head].takes_frames:
        return model
    if not isinstance(model.network, Framed):
        raise ConfigError(f"The heads pool frames, and these embeddings of {model.spec.name} have none. Probe again.")
    return replace(model, network=Framed(model.network.network, model.network.frames, as_rows=True))

"""Waves through a backbone: cut, padded, stacked and embedded, here and nowhere else.

Letters: B clips, T samples, D the embedding's dimension, m a clip's own frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

import numpy as np
import torch
from torch import Tensor

from soundprobe.backbones.protocol import Backbone, check_rows
from soundprobe.backbones.spec import Frames
from soundprobe.base.errors import ConfigError
from soundprobe.base.machine import exactly
from soundprobe.base.registry import strangers_code


def stacked(waves: Sequence[np.ndarray], samples: int) -> tuple[np.ndarray, np.ndarray]:
    """B waves of any lengths, cut or padded with silence to T = `samples`.

    Returns:
        (B, T) float32, and (B,) int64: how many of the samples are each clip's own.
    """
    batch = np.zeros((len(waves), samples), dtype=np.float32)
    lengths = np.array([min(len(wave), samples) for wave in waves], dtype=np.int64)
    for row, (wave, length) in enumerate(zip(waves, lengths, strict=True)):
        batch[row, :length] = wave[:length]
    return batch, lengths


def embed_waves(network: Backbone, batch: np.ndarray, lengths: np.ndarray, device: torch.device) -> np.ndarray:
    """(B, D) float32 of what `stacked` gave, from a network that is on `device`.

    Raises:
        ConfigError: its `embed` failed, or what it gave is not a row of real numbers for each clip.
    """
    with torch.inference_mode(), exactly(device), _heard_by(network):
        embedded = network.embed(_moved(batch, device), _moved(lengths, device))
        return check_rows(embedded, len(batch), network).float().cpu().numpy()


def frame_waves(
    network: Backbone, batch: np.ndarray, lengths: np.ndarray, device: torch.device, frames: Frames
) -> list[np.ndarray]:
    """Each clip's own frames (m, D) float32, of what `stacked` gave.

    Raises:
        ConfigError: the network's `embed_frames` failed, or gave what is not what its spec says of its `frames`.
    """
    counts = [frames.count(int(length)) for length in lengths]
    with torch.inference_mode(), exactly(device), _heard_by(network):
        found = network.embed_frames(_moved(batch, device), _moved(lengths, device))
        shape = tuple(found.shape) if isinstance(found, Tensor) else ()
        if len(shape) != 3 or shape[0] != len(batch) or shape[1] < max(counts) or shape[2] != frames.columns:
            raise ConfigError(
                f"{type(network).__name__}.embed_frames gave {shape or type(found).__name__} for {len(batch)} clips, "
                f"where ({len(batch)}, at least {max(counts)}, {frames.columns}) is needed. Mend it, or its spec."
            )
        every = found.float().cpu().contiguous().numpy()
    return [clip[:count] for clip, count in zip(every, counts, strict=True)]


def _heard_by(network: Backbone) -> AbstractContextManager[None]:
    return strangers_code(f"{type(network).__name__} fails on audio")


def _moved(array: np.ndarray, device: torch.device) -> Tensor:
    """On a CUDA device from pinned memory, so that nothing waits for the copy but what reads it."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)

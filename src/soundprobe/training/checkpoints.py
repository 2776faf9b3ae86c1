"""The state of a training run after an epoch, on disk: a killed run goes on from there."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from soundprobe.errors import StoreError, one_line
from soundprobe.files import atomic_path


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Writes `state` (tensors, numbers, texts, lists and mappings of them) to `path`, atomically.

    Raises:
        StoreError: the disk is full or can't be written.
    """
    with atomic_path(path) as temporary:
        torch.save(state, temporary)


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """What `save_checkpoint` wrote, on the CPU; None where there is no such file. Runs no code from it.

    Raises:
        StoreError: the file is damaged.
    """
    if not path.exists():
        return None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise StoreError(
            f"{path} is no whole checkpoint ({one_line(error)[:100]}). Delete it: its fold then begins anew."
        ) from error

"""Which features are held in memory while heads train on them, and which stay on disk."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from soundprobe.base.errors import ConfigError
from soundprobe.base.files import check_room, scratch_folder
from soundprobe.base.machine import free_bytes
from soundprobe.embeddings.sets import FeatureSet
from soundprobe.heads.catalog import HEADS

HELD_TIMES = 4
"""How often a head's training holds the features: all, its rows, the same standardised, and what a head adds."""


def allowed_bytes(memory_gb: float | None) -> float:
    """What features and their copies may take in memory: `memory_gb`, or half of what is free.

    Raises:
        ConfigError: it is no size.
    """
    if memory_gb is not None and not memory_gb > 0:
        raise ConfigError(f"--memory {memory_gb:g} is not valid: give GB above 0, such as 8.")
    return free_bytes() / 2 if memory_gb is None else 1e9 * memory_gb


def stays_on_disk(feature_set: FeatureSet, memory_bytes: float) -> bool:
    """Whether the set is too large to be held."""
    return HELD_TIMES * feature_set.feature_bytes > memory_bytes


def check_out_of_core(
    feature_set: FeatureSet, heads: Sequence[str], memory_bytes: float, options: Sequence[str] = ()
) -> None:
    """Raises ConfigError where heads or options hold features that stay on disk."""
    holding = [f"--head {name}" for name in heads if not HEADS[name].out_of_core] + list(options)
    if holding:
        needed, clips = HELD_TIMES * feature_set.feature_bytes, max(part.record.embedded for part in feature_set.sets)
        raise ConfigError(
            f"{holding[0]} holds all embeddings of {feature_set.name} in memory: about {needed / 1e9:.3g} GB for "
            f"{clips:,} clips, and {memory_bytes / 1e9:.3g} GB may be taken. Allow more with --memory, take --head "
            f"linear, which reads them from disk, or a sample: extract --limit {int(clips * memory_bytes / needed)}."
        )


@contextmanager
def folder_for(feature_set: FeatureSet, memory_bytes: float) -> Iterator[Path | None]:
    """Where to map the set's features in the meantime, below `TMPDIR`; None where they are held.

    Raises:
        StoreError: there is no room.
    """
    if not stays_on_disk(feature_set, memory_bytes):
        yield None
        return
    check_room(Path(tempfile.gettempdir()), feature_set.feature_bytes)
    with scratch_folder() as folder:
        yield folder
